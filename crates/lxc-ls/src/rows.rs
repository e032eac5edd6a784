//! One container a row: what is listed and what is known about it.
//!
//! Only what the wanted columns and filters need is asked for: no request to a container that does not run, no
//! namespace entered unless addresses are shown. Not here: how a row looks (`text`, `json`).

use std::collections::BTreeSet;
use std::path::Path;

use lxc_core::container::{Addresses, OpenError};
use lxc_core::select::{self, Pattern, Sockets};
use lxc_core::state::State;
use lxc_core::{Container, ErrorKind};
use serde::{Deserialize, Serialize};

use crate::columns::Column;
use crate::nested;

/// The state of a container whose monitor does not answer; nothing else is asked of it.
const UNKNOWN: &str = "UNKNOWN";
/// The state of a container whose monitor does not talk to us.
const DENIED: &str = "-";

/// What the command line asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wanted {
    pub(crate) active: bool,
    pub(crate) running: bool,
    pub(crate) frozen: bool,
    pub(crate) stopped: bool,
    pub(crate) defined: bool,
    pub(crate) groups: Vec<String>,
    pub(crate) any_group: bool,
    pub(crate) pattern: Option<String>,
    pub(crate) nesting: u32,
    pub(crate) needs: Needs,
}

/// The facts the shown columns are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Needs {
    pub(crate) state: bool,
    pub(crate) pid: bool,
    pub(crate) memory: bool,
    pub(crate) addresses: bool,
}

impl Needs {
    fn any(self) -> bool {
        self != Needs::default()
    }

    pub(crate) fn of(columns: &[Column]) -> Needs {
        let has = |wanted: &[Column]| columns.iter().any(|column| wanted.contains(column));
        Needs {
            state: has(&[Column::State]),
            pid: has(&[Column::Pid]),
            memory: has(&[Column::Ram, Column::Swap]),
            addresses: has(&[Column::Interface, Column::Ipv4, Column::Ipv6]),
        }
    }
}

/// One container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) defined: bool,
    pub(crate) pid: Option<i32>,
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) swap_bytes: Option<u64>,
    pub(crate) autostart: bool,
    pub(crate) groups: Vec<String>,
    pub(crate) interfaces: Vec<String>,
    pub(crate) ipv4: Vec<String>,
    pub(crate) ipv6: Vec<String>,
    pub(crate) unprivileged: bool,
    /// Containers inside, when asked for.
    pub(crate) nested: Vec<Row>,
}

/// The containers of `lxcpath` that are wanted, sorted by name.
///
/// - Shape: `skipped` is called with the name and the error lines of each container whose
///   configuration cannot be read.
pub(crate) fn collect(
    lxcpath: &Path,
    sockets: &Sockets,
    wanted: &Wanted,
    mut skipped: impl FnMut(&str, &[String]),
) -> anyhow::Result<Vec<Row>> {
    // COMPAT: a broken pattern matches nothing.
    let pattern = match wanted.pattern.as_deref().map(Pattern::anywhere) {
        None => None,
        Some(Ok(pattern)) => Some(pattern),
        Some(Err(_)) => return Ok(Vec::new()),
    };
    let active: BTreeSet<String> = select::active_among(sockets, lxcpath).into_iter().collect();
    let only_active = wanted.active || wanted.running || wanted.frozen;
    let candidates = if only_active { Vec::new() } else { select::candidates(lxcpath)? };
    let mut names: BTreeSet<&str> = candidates.iter().map(String::as_str).collect();
    if !wanted.defined || only_active {
        names.extend(active.iter().map(String::as_str));
    }
    let mut rows = Vec::new();
    for name in names {
        let matches = pattern.as_ref().is_none_or(|pattern| pattern.matches(name));
        let running = active.contains(name);
        if !matches {
            continue;
        }
        match row(lxcpath, name, running, wanted) {
            Ok(Some(row)) => rows.push(row),
            Ok(None) => {}
            Err(error) => skipped(name, &error.lines()),
        }
    }
    Ok(rows)
}

/// `None` = not wanted after all.
fn row(lxcpath: &Path, name: &str, running: bool, wanted: &Wanted) -> Result<Option<Row>, OpenError> {
    let container = Container::open_for_listing(name, lxcpath)?;
    let settings = container.config().map(lxc_conf::Config::settings);
    if settings.is_none() && (wanted.defined || !running) {
        return Ok(None);
    }
    let groups = settings.map(|settings| settings.groups.clone()).unwrap_or_default();
    if wanted.any_group && (groups.is_empty() || !select::in_groups(&groups, &wanted.groups)) {
        return Ok(None);
    }
    // COMPAT: a frozen container counts as running, and with `--active` being frozen is not asked for.
    let only_frozen = wanted.frozen && !wanted.active;
    // COMPAT: a container whose monitor does not talk to us counts as stopped, which only others than root can meet.
    let may_be_denied = (wanted.running || wanted.stopped) && !rustix::process::geteuid().is_root();
    let state = match running {
        true if wanted.needs.any() || only_frozen || may_be_denied => shown(container.state()),
        true => State::Running.name(),
        false => State::Stopped.name(),
    };
    let runs = running && state != DENIED;
    let unwanted = (only_frozen && state != State::Frozen.name())
        || (wanted.running && !runs)
        || (wanted.stopped && runs);
    if unwanted {
        return Ok(None);
    }
    let mut row = Row {
        name: name.to_owned(),
        state: state.to_owned(),
        defined: settings.is_some(),
        pid: None,
        memory_bytes: None,
        swap_bytes: None,
        autostart: settings.is_some_and(|settings| settings.start.auto),
        groups,
        interfaces: Vec::new(),
        ipv4: Vec::new(),
        ipv6: Vec::new(),
        unprivileged: settings.is_some_and(|settings| !settings.idmap.is_empty()),
        nested: Vec::new(),
    };
    if running && ![State::Stopped.name(), UNKNOWN, DENIED].contains(&state) {
        ask(&container, &mut row, wanted, lxcpath);
    }
    Ok(Some(row))
}

/// The word for an answer. A monitor that does not answer has a container to answer for: it is listed, not dropped.
fn shown(state: lxc_core::Result<State>) -> &'static str {
    match state {
        Ok(state) => state.name(),
        Err(error) if error.kind() == ErrorKind::Permission => DENIED,
        Err(_) => UNKNOWN,
    }
}

/// What only a running container knows. A question it does not answer leaves its cell empty.
fn ask(container: &Container, row: &mut Row, wanted: &Wanted, lxcpath: &Path) {
    let needs = wanted.needs;
    let nests = wanted.nesting > 0;
    if needs.pid || needs.addresses || nests {
        row.pid = container.init_pid().ok().flatten();
    }
    let init = row.pid;
    if needs.memory {
        let memory = container.memory();
        row.memory_bytes = memory.as_ref().ok().and_then(|memory| memory.used);
        row.swap_bytes = memory.as_ref().ok().and_then(|memory| memory.swap);
    }
    if needs.addresses
        && let Some(Ok(addresses)) = init.map(Addresses::of_init)
    {
        row.interfaces = addresses.interfaces;
        row.ipv4 = addresses.ipv4;
        row.ipv6 = addresses.ipv6;
    }
    if nests && let Some(pid) = init {
        row.nested = nested::ask(pid, lxcpath, wanted);
    }
    if !needs.pid {
        row.pid = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_lists_need_nothing() {
        assert_eq!(Needs::of(&[]), Needs::default());
        let needs = Needs::of(&crate::columns::DEFAULT);
        assert!(needs.state && needs.addresses && !needs.pid && !needs.memory);
    }
}
