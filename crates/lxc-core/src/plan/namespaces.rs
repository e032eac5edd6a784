//! Which namespaces are made, when, and which are joined or kept.

use lxc_conf::model::{Item, Ns, Origin, Settings};

use super::Input;
use crate::error::{Error, ErrorKind, Result};
use crate::net::plan::{NetNs, NetPlan};

/// A namespace of something else that init shall live in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    pub ns: Ns,
    /// pid, container name, `LXCPATH/NAME` or path; resolved when the start is armed.
    pub target: Item<String>,
}

/// The eight namespaces, sorted by what happens to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamespacePlan {
    /// Made by the clone.
    pub at_clone: Vec<Ns>,
    /// Made by the child itself: cgroup once it is in its final cgroup, time because clone3 cannot set offsets.
    pub late: Vec<Ns>,
    pub join: Vec<Join>,
}

impl NamespacePlan {
    /// The container has this namespace for itself.
    pub fn owns(&self, ns: Ns) -> bool {
        self.at_clone.contains(&ns) || self.late.contains(&ns)
    }

    /// `CLONE_NEW*` bits for the clone.
    pub fn clone_flags(&self) -> u64 {
        self.at_clone.iter().fold(0, |flags, ns| flags | ns.clone_flag())
    }

    /// `CLONE_NEW*` bits of everything the container owns (command GET_CLONE_FLAGS).
    pub fn owned_flags(&self) -> u64 {
        self.late.iter().fold(self.clone_flags(), |flags, ns| flags | ns.clone_flag())
    }
}

/// Sorts the namespaces.
///
/// - Errors: `Config` for keys that contradict each other; `Unsupported` for namespaces this kernel lacks and that were
///   asked for by name.
/// - Source: config.md rows 56–60, abi-and-wire.md E1.
pub(super) fn plan(input: &Input<'_>, network: &NetPlan) -> Result<NamespacePlan> {
    let settings = input.settings;
    let wanted = wanted(settings, input.host.namespaces)?;
    let mut plan = NamespacePlan::default();
    for ns in Ns::ALL {
        if let Some(target) = &settings.namespaces.share[ns as usize] {
            plan.join.push(Join { ns, target: target.clone() });
            continue;
        }
        let own = match ns {
            Ns::User => !settings.idmap.is_empty(),
            Ns::Time => settings.time != lxc_conf::model::TimeOffsets::default() && wanted.contains(&ns),
            Ns::Net => wanted.contains(&ns) && network.netns == NetNs::Own,
            _ => wanted.contains(&ns),
        };
        if own {
            match ns {
                Ns::Cgroup | Ns::Time => plan.late.push(ns),
                _ => plan.at_clone.push(ns),
            }
        }
    }
    if settings.sched_core && !plan.owns(Ns::Pid) {
        return Err(Error::new(
            ErrorKind::Config,
            "lxc.sched.core without a pid namespace of the container's own",
        )
        .at(&origin(settings, "lxc.sched.core"))
        .cure("remove pid from lxc.namespace.keep and lxc.namespace.share"));
    }
    Ok(plan)
}

fn wanted(settings: &Settings, kernel: u64) -> Result<Vec<Ns>> {
    let has = |ns: &Ns| kernel & ns.clone_flag() != 0;
    match (&settings.namespaces.clone, &settings.namespaces.keep) {
        (Some(list), _) => match list.iter().find(|ns| !has(ns)) {
            Some(missing) => Err(Error::new(
                ErrorKind::Unsupported,
                format!("{} namespaces: this kernel has none", missing.word()),
            )
            .at(&origin(settings, "lxc.namespace.clone"))),
            None => Ok(list.clone()),
        },
        (None, Some(keep)) => Ok(Ns::ALL.into_iter().filter(|ns| has(ns) && !keep.contains(ns)).collect()),
        (None, None) => Ok(Ns::ALL.into_iter().filter(has).collect()),
    }
}

fn origin(settings: &Settings, key: &str) -> Origin {
    settings.origin(key).cloned().unwrap_or_default()
}

/// Content of `/proc/self/timens_offsets`; empty without offsets.
pub(super) fn time_offsets(settings: &Settings) -> Vec<u8> {
    let line = |clock: &str, offset: i64| match offset {
        0 => String::new(),
        _ => format!("{clock} {} {}\n", offset.div_euclid(1_000_000_000), offset.rem_euclid(1_000_000_000)),
    };
    (line("monotonic", settings.time.monotonic) + &line("boottime", settings.time.boot)).into_bytes()
}
