//! The facts `lxc-info` shows, asked from the container. Not here: how they look.

use std::collections::BTreeMap;

use lxc_core::Container;
use lxc_core::container::ips_of_init;
use lxc_core::state::State;
use serde::Serialize;

use crate::Args;

/// Everything asked for; also the JSON document.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Facts {
    pub(crate) schema: &'static str,
    pub(crate) version: u32,
    pub(crate) name: String,
    pub(crate) lxcpath: String,
    pub(crate) state: Option<&'static str>,
    pub(crate) pid: Option<i32>,
    pub(crate) ips: Option<Vec<String>>,
    pub(crate) cpu_ns: Option<u64>,
    pub(crate) blkio_bytes: Option<u64>,
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) kmem_bytes: Option<u64>,
    pub(crate) links: Option<Vec<Link>>,
    pub(crate) config: BTreeMap<String, String>,
    /// The keys of `config` in the order asked.
    #[serde(skip)]
    pub(crate) keys: Vec<String>,
    #[serde(skip)]
    pub(crate) unknown_keys: Vec<String>,
}

/// One network link, seen from the container: what it sent and received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Link {
    pub(crate) name: String,
    pub(crate) tx_bytes: u64,
    pub(crate) rx_bytes: u64,
}

impl Facts {
    pub(crate) fn of(container: &Container, state: &lxc_core::Result<State>, args: &Args) -> Facts {
        let all = args.wants_everything();
        let mut facts = Facts {
            schema: "lxc-info",
            version: 1,
            name: container.name().to_owned(),
            lxcpath: container.lxcpath().display().to_string(),
            ..Facts::default()
        };
        if all || args.state {
            // The word of the C library for a monitor that does not answer.
            facts.state = Some(state.as_ref().map_or("INVALID STATE", |state| state.name()));
        }
        // A monitor that does not answer one question is not asked the others.
        let running = matches!(state, Ok(state) if *state != State::Stopped);
        let pid = match running && (all || args.pid || args.ips) {
            true => container.init_pid().ok().flatten(),
            false => None,
        };
        if all || args.pid {
            facts.pid = pid;
        }
        if all || args.ips {
            facts.ips = pid.and_then(|pid| ips_of_init(pid).ok());
        }
        if running && (all || args.stats) {
            facts.ask_stats(container);
        }
        for key in &args.config {
            match container.config_item(key) {
                Ok(value) => {
                    facts.keys.push(key.clone());
                    facts.config.insert(key.clone(), value);
                }
                Err(_) => facts.unknown_keys.push(key.clone()),
            }
        }
        facts
    }

    /// Counters that cannot be read stay unknown.
    fn ask_stats(&mut self, container: &Container) {
        let usage = container.usage();
        self.cpu_ns = usage.cpu_ns;
        self.blkio_bytes = usage.blkio_bytes;
        self.memory_bytes = usage.memory_bytes;
        self.kmem_bytes = usage.kmem_bytes;
        let links = container.host_links().unwrap_or_default();
        self.links = Some(links.iter().filter_map(|name| link(name)).collect());
    }
}

/// The counters of the host's end of a link; what it received the container sent.
fn link(name: &str) -> Option<Link> {
    let read = |counter: &str| {
        let text = std::fs::read_to_string(format!("/sys/class/net/{name}/statistics/{counter}")).ok()?;
        text.trim().parse().ok()
    };
    if name.contains('/') {
        return None;
    }
    Some(Link { name: name.to_owned(), tx_bytes: read("rx_bytes")?, rx_bytes: read("tx_bytes")? })
}
