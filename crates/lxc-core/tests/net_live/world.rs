//! The two namespaces of a test and ways to look at them.

use std::fs::File;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::process::Command;

use lxc_conf::model::{Gateway, IpNet, Nic, NicType, Origin, Settings};
use lxc_core::Error;
use lxc_core::net::plan::{HostFacts, plan};
use lxc_core::net::{Links, NetPlan, NoScripts, Scripts, Target, configure};
use lxc_sys::{netlink, ns};
use serde_json::Value;

const NEW_NET: u64 = 0x4000_0000;

/// The container's namespace, seen from the host's.
pub(crate) struct World {
    pub(crate) container: File,
}

fn own_netns() -> File {
    File::open("/proc/thread-self/ns/net").expect("own netns")
}

/// Runs a test in a fresh "host" namespace with a bridge `br0` (10.9.0.1/24, fd00:9::1/64) and a veth `nic0`/`nic1`.
pub(crate) fn world(test: impl FnOnce(&World) + Send + 'static) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let thread = std::thread::spawn(move || {
        ns::unshare(NEW_NET).expect("unshare");
        let container = own_netns();
        ns::unshare(NEW_NET).expect("unshare");
        let world = World { container };
        for line in [
            "link set lo up",
            "link add name br0 type bridge",
            "addr add 10.9.0.1/24 dev br0",
            "-6 addr add fd00:9::1/64 dev br0 nodad",
            "link set br0 up",
            "link add name nic0 type veth peer name nic1",
            "link set nic0 up",
            "link set nic1 up",
        ] {
            ip(line);
        }
        test(&world);
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// `ip` on the host.
pub(crate) fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().expect("run ip");
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("utf-8")
}

fn parse(text: &str) -> Vec<Value> {
    serde_json::from_str(if text.trim().is_empty() { "[]" } else { text }).expect("json")
}

impl World {
    /// `ip` in the container.
    pub(crate) fn inside(&self, arguments: &str) -> String {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                ns::join(self.container.as_fd(), NEW_NET).expect("setns");
                ip(arguments)
            });
            thread.join().expect("thread")
        })
    }

    pub(crate) fn link(&self, name: &str) -> Value {
        parse(&ip(&format!("-j -d addr show dev {name}"))).remove(0)
    }

    pub(crate) fn link_inside(&self, name: &str) -> Value {
        parse(&self.inside(&format!("-j -d addr show dev {name}"))).remove(0)
    }

    pub(crate) fn configure_with(&self, nics: &[Nic], scripts: &dyn Scripts) -> Result<Links, Error> {
        let socket = netlink::open_route_socket_in(self.container.as_fd()).expect("socket");
        configure(&planned(nics), Target { netns: self.container.as_fd(), socket: Some(socket) }, scripts)
    }

    pub(crate) fn configure(&self, nics: &[Nic]) -> Links {
        self.configure_with(nics, &NoScripts).expect("configure")
    }

    /// Index-independent facts of the host, to see whether anything was left behind or lost.
    pub(crate) fn snapshot(&self) -> String {
        let mut lines: Vec<String> = parse(&ip("-j -d link"))
            .iter()
            // A bridge without a MAC of its own shows that of a port.
            .map(|link| match &link["linkinfo"]["info_kind"] {
                Value::String(kind) if kind == "bridge" => format!("{} {}", link["ifname"], link["mtu"]),
                _ => format!("{} {} {}", link["ifname"], link["mtu"], link["address"]),
            })
            .collect();
        lines.sort();
        lines.push(ip("neigh show proxy") + &ip("-6 neigh show proxy"));
        lines.push(ip("-6 route show dev lo"));
        lines.join("\n")
    }

    pub(crate) fn assert_gone(&self, before: &str, links: Links) {
        let errors = links.teardown(self.container.as_fd(), &NoScripts);
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(self.snapshot(), before);
    }
}

pub(crate) fn planned(nics: &[Nic]) -> NetPlan {
    let mut settings = Settings::default();
    for (index, nic) in nics.iter().enumerate() {
        settings.nics.insert(index as u32, nic.clone());
    }
    plan(&settings, &HostFacts { privileged: true }).expect("plan")
}

/// A nic that is up; an empty `link` is none.
pub(crate) fn nic(kind: NicType, link: &str) -> Nic {
    let origin = Origin { file: Some("/c/config".into()), line: 3 };
    Nic { kind, link: (!link.is_empty()).then(|| link.to_owned()), up: true, origin, ..Nic::default() }
}

pub(crate) fn net(text: &str) -> IpNet {
    let (addr, prefix) = text.split_once('/').expect("prefix");
    IpNet { addr: addr.parse().expect("addr"), prefix: prefix.parse().expect("prefix"), broadcast: None }
}

pub(crate) fn addr(text: &str) -> Option<Gateway> {
    Some(Gateway::Addr(text.parse::<IpAddr>().expect("addr")))
}

pub(crate) fn has_flag(link: &Value, flag: &str) -> bool {
    link["flags"].as_array().is_some_and(|flags| flags.iter().any(|item| item == flag))
}

/// The addresses of a link.
pub(crate) fn local(link: &Value) -> Vec<String> {
    let infos = link["addr_info"].as_array().cloned().unwrap_or_default();
    infos
        .iter()
        .map(|info| format!("{}/{}", info["local"].as_str().unwrap_or(""), info["prefixlen"]))
        .collect()
}
