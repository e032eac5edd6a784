//! Which namespaces are made, when, and which are joined or kept.

use lxc_conf::model::{Item, Ns, Origin, Settings, TimeOffsets};

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
    /// Made by the child itself: cgroup once it is in its final cgroup, time because clone3 cannot set offsets, net in a
    /// user namespace because its files in sysfs get their owner, the container's root, once and for all.
    pub late: Vec<Ns>,
    pub join: Vec<Join>,
}

impl NamespacePlan {
    /// The container has this namespace for itself.
    pub fn owns(&self, ns: Ns) -> bool {
        self.at_clone.contains(&ns) || self.late.contains(&ns)
    }

    /// The container lives in this namespace of another container.
    pub fn shares(&self, ns: Ns) -> bool {
        self.join.iter().any(|join| join.ns == ns)
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
    check(settings, input.host.namespaces)?;
    let wanted = wanted(settings, input.host.namespaces)?;
    // Everything but user and time is made unless said otherwise; these two when something asks for them.
    let time = settings.time != TimeOffsets::default()
        || settings.namespaces.clone.is_some()
        || settings.namespaces.keep.is_some();
    let mut plan = NamespacePlan::default();
    for ns in Ns::ALL {
        if let Some(target) = &settings.namespaces.share[ns as usize] {
            plan.join.push(Join { ns, target: target.clone() });
            continue;
        }
        let own = match ns {
            Ns::User => !settings.idmap.is_empty(),
            Ns::Time => time && wanted.contains(&ns),
            Ns::Net => wanted.contains(&ns) && network.netns == NetNs::Own,
            _ => wanted.contains(&ns),
        };
        if own {
            match ns {
                Ns::Cgroup | Ns::Time => plan.late.push(ns),
                Ns::Net if plan.owns(Ns::User) => plan.late.push(ns),
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

/// Keys of which one needs what the other rules out.
fn check(settings: &Settings, kernel: u64) -> Result<()> {
    let namespaces = &settings.namespaces;
    let lists = |list: &Option<Vec<Ns>>, ns: Ns| list.as_ref().is_some_and(|list| list.contains(&ns));
    let lacks = |ns: Ns| kernel & ns.clone_flag() == 0 && namespaces.share[ns as usize].is_none();
    let has_map = !settings.idmap.is_empty();
    if has_map && lacks(Ns::User) {
        return Err(Error::new(ErrorKind::Unsupported, "lxc.idmap: this kernel has no user namespaces")
            .at(&origin(settings, "lxc.idmap")));
    }
    if has_map && lists(&namespaces.keep, Ns::User) {
        return Err(Error::new(ErrorKind::Config, "lxc.namespace.keep = user excludes lxc.idmap")
            .at(&origin(settings, "lxc.namespace.keep"))
            .cure("remove one of the two"));
    }
    // The original makes one without a map, in which nothing can be owned by anybody, and fails half-way.
    if !has_map && lists(&namespaces.clone, Ns::User) && namespaces.share[Ns::User as usize].is_none() {
        return Err(Error::new(ErrorKind::Config, "lxc.namespace.clone = user needs lxc.idmap")
            .at(&origin(settings, "lxc.namespace.clone"))
            .cure("add lxc.idmap lines, or remove user from lxc.namespace.clone"));
    }
    if settings.time != TimeOffsets::default() && lacks(Ns::Time) {
        let key = if settings.time.boot != 0 { "lxc.time.offset.boot" } else { "lxc.time.offset.monotonic" };
        return Err(Error::new(ErrorKind::Unsupported, format!("{key}: this kernel has no time namespaces"))
            .at(&origin(settings, key)));
    }
    Ok(())
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
