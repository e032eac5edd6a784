//! The table of configuration keys: one row per key, everything that is data about it.
//!
//! Parsing, getters and the manual page follow this table, so a key cannot exist without documentation. Not here:
//! where a value is stored (`apply`), how it is printed (`getter`).

mod manual;
mod table;

pub use manual::{display_name, manual};
pub use table::KEYS;

/// Identifies a row. Prefix families have one row for all their keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Id {
    Arch,
    ApparmorProfile,
    ApparmorAllowIncomplete,
    ApparmorAllowNesting,
    ApparmorRaw,
    AutodevTmpfsSize,
    Autodev,
    CapDrop,
    CapKeep,
    Cgroup2,
    CgroupDirMonitorPivot,
    CgroupDirMonitor,
    CgroupDirContainerInner,
    CgroupDirContainer,
    CgroupDir,
    CgroupRelative,
    Cgroup1,
    ConsoleBufferSize,
    ConsoleLogfile,
    ConsolePath,
    ConsoleRotate,
    ConsoleSize,
    SchedCore,
    EnvironmentRuntime,
    EnvironmentHooks,
    Environment,
    Ephemeral,
    ExecuteCmd,
    Group,
    HookAutodev,
    HookClone,
    HookDestroy,
    HookMount,
    HookPostStop,
    HookPreMount,
    HookPreStart,
    HookStartHost,
    HookStart,
    HookStop,
    HookVersion,
    Hook,
    Idmap,
    Include,
    InitCmd,
    InitGid,
    InitGroups,
    InitUid,
    InitCwd,
    KeyringSession,
    LogFile,
    LogLevel,
    LogSyslog,
    MonitorUnshare,
    MonitorSignalPdeath,
    MountAuto,
    MountEntry,
    MountFstab,
    NamespaceClone,
    NamespaceKeep,
    NamespaceShare,
    TimeOffsetBoot,
    TimeOffsetMonotonic,
    NetNic,
    Net,
    NoNewPrivs,
    Prlimit,
    PtyMax,
    RootfsManaged,
    RootfsMount,
    RootfsOptions,
    RootfsPath,
    SeccompAllowNesting,
    SeccompNotifyCookie,
    SeccompNotifyProxy,
    SeccompProfile,
    SelinuxContextKeyring,
    SelinuxContext,
    SignalHalt,
    SignalReboot,
    SignalStop,
    StartAuto,
    StartDelay,
    StartOrder,
    TtyDir,
    TtyMax,
    UtsName,
    Sysctl,
    Proc,
    NicType,
    NicLink,
    NicFlags,
    NicName,
    NicHwaddr,
    NicMtu,
    NicIpv4Address,
    NicIpv4Gateway,
    NicIpv6Address,
    NicIpv6Gateway,
    NicL2proxy,
    NicScriptUp,
    NicScriptDown,
    NicMacvlanMode,
    NicIpvlanMode,
    NicIpvlanIsolation,
    NicVlanId,
    NicVethMode,
    NicVethRxQueues,
    NicVethTxQueues,
    NicVethPair,
    NicVethIpv4Route,
    NicVethIpv6Route,
    NicVethVlanId,
    NicVethVlanTaggedId,
}

/// How the name of a row matches the name of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The key is the name.
    Exact,
    /// The key is the name, a dot (if the name does not end in one) and a rest.
    Prefix,
    /// The name with a number for `N`.
    Nic,
}

/// What a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One value; a later line replaces it.
    Scalar,
    /// Values; later lines add to them.
    List,
    /// Values by the rest of the key.
    Map,
    /// Nothing: the line does something.
    Action,
}

/// What an empty value means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Empty {
    /// Back to the default.
    Default,
    /// 0, which is not the default.
    Zero,
    /// An error.
    Refused,
    /// Nothing.
    Ignored,
}

/// How a getter prints the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Getter {
    Text,
    /// Text; `(null)` when unset.
    TextOrNull,
    /// A decimal number.
    Number,
    /// Every item followed by a newline.
    Lines,
    /// Items with newlines between them.
    Joined,
    /// The key cannot be read.
    Refused,
}

/// The grammar of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    Arch,
    AutoMounts,
    Bool,
    Caps,
    Cgroup,
    CgroupDir,
    CgroupName,
    Command,
    Env,
    Facility,
    Flags,
    Gateway,
    Gids,
    Hook,
    HookVersion,
    HostName,
    Hwaddr,
    IdMap,
    IfName,
    Include,
    Int,
    Ipv4,
    Ipv6,
    IpvlanIsolation,
    IpvlanMode,
    LogLevel,
    MacvlanMode,
    MountEntry,
    Namespaces,
    NicType,
    Nothing,
    NotifyProxy,
    Path,
    Prlimit,
    Queues,
    RootfsOptions,
    RootfsPath,
    Route,
    Share,
    Signal,
    Size,
    Text,
    Time,
    TmpfsSize,
    TtyDir,
    Uint,
    Untagged,
    VethMode,
    VlanId,
    VlanNumber,
    Words,
}

/// A row.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// `lxc.tty.max`; `lxc.cgroup2` for a family; `lxc.net.N.link` for an interface.
    pub name: &'static str,
    pub id: Id,
    pub form: Form,
    pub value: Value,
    pub shape: Shape,
    /// First release of the original that has the key, 3.0 being the baseline.
    pub since: &'static str,
    pub empty: Empty,
    pub getter: Getter,
    /// One sentence for the manual page.
    pub doc: &'static str,
}

/// A key name resolved against the table.
#[derive(Clone, Copy, Debug)]
pub struct Match<'k> {
    pub key: &'static Key,
    /// The name as given.
    pub name: &'k str,
    /// What follows the prefix of a family; empty for the bare family name.
    pub rest: &'k str,
    /// The index of `lxc.net.N`; 0 elsewhere.
    pub nic: u32,
}

/// Finds the row of a key name.
pub fn find(name: &str) -> Option<Match<'_>> {
    let exact = KEYS.iter().find(|k| k.form != Form::Nic && k.name == name && !k.name.ends_with('.'));
    if let Some(key) = exact {
        return Some(Match { key, name, rest: "", nic: 0 });
    }
    if let Some(rest) = name.strip_prefix("lxc.net.") {
        return find_nic(name, rest);
    }
    KEYS.iter().filter(|k| k.form == Form::Prefix).find_map(|key| {
        let rest = name.strip_prefix(key.name)?;
        let rest = if key.name.ends_with('.') { rest } else { rest.strip_prefix('.')? };
        is_rest(key.id, rest).then_some(Match { key, name, rest, nic: 0 })
    })
}

fn find_nic<'k>(name: &'k str, rest: &'k str) -> Option<Match<'k>> {
    let (index, sub) = match rest.split_once('.') {
        Some((index, sub)) => (index, Some(sub)),
        None => (rest, None),
    };
    if index.is_empty() || !index.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // The original keeps the index in an int.
    let nic = index.parse().ok().filter(|n| *n < u32::MAX)?;
    let key = match sub {
        None => KEYS.iter().find(|k| k.id == Id::NetNic),
        Some(sub) => KEYS.iter().find(|k| k.form == Form::Nic && nic_sub(k) == sub),
    }?;
    Some(Match { key, name, rest: "", nic })
}

/// The part of an interface row's name after `lxc.net.N.`.
pub fn nic_sub(key: &Key) -> &'static str {
    key.name.strip_prefix("lxc.net.N.").unwrap_or(key.name)
}

/// Whether `rest` can follow the prefix of a family.
fn is_rest(family: Id, rest: &str) -> bool {
    match family {
        Id::NamespaceShare => crate::model::Ns::ALL.iter().any(|ns| ns.word() == rest),
        // `lxc.cgroup.dir.containr` is a misspelt directory key, not a file of a controller called dir.
        Id::Cgroup1 => {
            crate::value::cgroup::is_file(rest)
                && !rest.starts_with("dir.")
                && rest != "dir"
                && rest != "relative"
        }
        Id::Cgroup2 => crate::value::cgroup::is_file(rest),
        _ => !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_graphic() && b != b'='),
    }
}

/// Whether the original's table has a row of exactly this name (`lxc_config_item_is_supported`).
pub fn is_supported(name: &str) -> bool {
    KEYS.iter().any(|k| k.form != Form::Nic && k.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_whole() {
        let v1 = KEYS.iter().filter(|k| k.id == Id::Cgroup1).count();
        assert_eq!(KEYS.len() - v1, 112);
        assert_eq!(KEYS.iter().filter(|k| k.form == Form::Nic).count(), 25);
        let mut names: Vec<_> = KEYS.iter().map(|k| k.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), KEYS.len());
        for key in KEYS {
            assert!(key.doc.ends_with('.') && key.doc.len() > 10, "{}", key.name);
            assert!(key.name.starts_with("lxc."), "{}", key.name);
        }
    }

    #[test]
    fn names_resolve() {
        let id = |name| find(name).map(|m| m.key.id);
        assert_eq!(id("lxc.tty.max"), Some(Id::TtyMax));
        assert_eq!(id("lxc.cgroup2"), Some(Id::Cgroup2));
        assert_eq!(id("lxc.cgroup2.memory.max"), Some(Id::Cgroup2));
        assert_eq!(id("lxc.cgroup.memory.limit_in_bytes"), Some(Id::Cgroup1));
        assert_eq!(id("lxc.cgroup.dir.monitor.pivot"), Some(Id::CgroupDirMonitorPivot));
        assert_eq!(id("lxc.net.007.link"), Some(Id::NicLink));
        assert_eq!(find("lxc.net.12").map(|m| (m.key.id, m.nic)), Some((Id::NetNic, 12)));
        assert_eq!(find("lxc.prlimit.nofile").map(|m| m.rest), Some("nofile"));
        for name in [
            "lxc.TTY.max",
            "lxc.tty.max ",
            "lxc.cgroup2foo",
            "lxc.cgroup2.",
            "lxc.cgroup.dir.foo",
            "lxc.prlimit.",
            "lxc.net.",
            "lxc.net.x.link",
            "lxc.net.-1.link",
            "lxc.net.4294967295",
            "lxc.net.0.",
            "lxc.net.0.foo",
            "lxc.net.N.link",
            "lxc.namespace.share.",
            "lxc.namespace.share.mount",
            "lxc.namespace.share",
            "lxc.",
            "",
            "lxc.sysctl.a b",
            "lxc.cgroup2.a/b",
            "lxc.network.type",
        ] {
            assert!(find(name).is_none(), "{name}");
        }
    }

    #[test]
    fn support_is_by_exact_name() {
        for name in ["lxc.net", "lxc.net.", "lxc.cgroup", "lxc.hook", "lxc.namespace.share.", "lxc.include"] {
            assert!(is_supported(name), "{name}");
        }
        for name in
            ["lxc.net.0.type", "lxc.net.N.type", "lxc.cgroup.memory.max", "lxc.prlimit.nofile", "bogus"]
        {
            assert!(!is_supported(name), "{name}");
        }
    }
}
