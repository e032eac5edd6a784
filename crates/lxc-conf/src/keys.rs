//! The table of configuration keys: one row per key, everything that is data about it.
//!
//! Parsing, getters and the manual page follow this table, so a key cannot exist without documentation. Not here:
//! where a value is stored (`apply`), how it is printed (`getter`).

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

impl Value {
    /// The grammar in a few words, for the manual page and for messages.
    pub fn grammar(self) -> &'static str {
        match self {
            Value::Arch => "name of an architecture",
            Value::AutoMounts => {
                "words: proc[:mixed|rw] sys[:mixed|ro|rw] cgroup[-full][:mixed|ro|rw][:force] cgroup2[:ro][:force] shmounts:HOST[:CONTAINER]"
            }
            Value::Bool | Value::HookVersion => "0 or 1",
            Value::Caps => "capability names, without CAP_, or numbers",
            Value::Cgroup => "text written to the file",
            Value::CgroupDir => "relative path",
            Value::CgroupName => "name of a directory",
            Value::Command => "command line",
            Value::Env => "KEY=VALUE or KEY",
            Value::Facility => "daemon or local0 to local7",
            Value::Flags => "up",
            Value::Gateway => "address, auto or dev",
            Value::Gids => "group ids separated by commas",
            Value::Hook => "command line, run by a shell",
            Value::HostName => "name of at most 64 bytes",
            Value::Hwaddr => "six octets in hexadecimal",
            Value::IdMap => "u|g ID-INSIDE ID-OUTSIDE COUNT",
            Value::IfName => "interface name",
            Value::Include => "path",
            Value::Int => "number",
            Value::Ipv4 => "ADDRESS[/PREFIX] [BROADCAST]",
            Value::Ipv6 => "ADDRESS[/PREFIX]",
            Value::IpvlanIsolation => "bridge, private or vepa",
            Value::IpvlanMode => "l2, l3 or l3s",
            Value::LogLevel => "0 to 8, or TRACE DEBUG INFO NOTICE WARN ERROR CRIT ALERT FATAL",
            Value::MacvlanMode => "private, vepa, bridge or passthru",
            Value::MountEntry => "SOURCE TARGET TYPE OPTIONS DUMP PASS",
            Value::Namespaces => "words: user mnt pid uts ipc net cgroup time",
            Value::NicType => "veth, macvlan, ipvlan, vlan, phys, empty or none",
            Value::Nothing => "no value",
            Value::NotifyProxy => "unix:/PATH or unix:@NAME",
            Value::Path => "path",
            Value::Prlimit => "SOFT[:HARD], each a number or unlimited",
            Value::Queues => "number of 1 or more",
            Value::RootfsOptions => "mount options separated by commas, idmap=container or idmap=PATH",
            Value::RootfsPath => "[TYPE:]PATH",
            Value::Route => "ADDRESS/PREFIX",
            Value::Share => "pid, container or path",
            Value::Signal => "number, SIGNAME, SIGRTMIN+n or SIGRTMAX-n",
            Value::Size => "auto, or bytes with an optional KB, MB or GB",
            Value::Text => "text",
            Value::Time => "number directly followed by h, m, s, ms, us or ns",
            Value::TmpfsSize => "bytes",
            Value::TtyDir => "relative path of at most 255 bytes",
            Value::Uint => "number of 0 or more",
            Value::Untagged => "none, or 0 to 4094",
            Value::VethMode => "bridge or router",
            Value::VlanId => "0 to 4094",
            Value::VlanNumber => "0 to 65535",
            Value::Words => "words",
        }
    }
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

/// All keys, in the order `get_keys` lists them. The 112 keys of LXC 7.0, and `lxc.cgroup` for version 1 hosts.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    Key { name: "lxc.arch", id: Id::Arch, form: Form::Exact, value: Value::Arch, shape: Shape::Scalar, since: "3.0", empty: Empty::Refused, getter: Getter::Text, doc: "Architecture the container's processes see (personality(2)); only the word size counts." },
    Key { name: "lxc.apparmor.profile", id: Id::ApparmorProfile, form: Form::Exact, value: Value::Text, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Text, doc: "AppArmor profile of init: a name, `unconfined`, `unchanged` or `generated`." },
    Key { name: "lxc.apparmor.allow_incomplete", id: Id::ApparmorAllowIncomplete, form: Form::Exact, value: Value::Bool, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Number, doc: "Start although the kernel's AppArmor support is incomplete." },
    Key { name: "lxc.apparmor.allow_nesting", id: Id::ApparmorAllowNesting, form: Form::Exact, value: Value::Bool, shape: Shape::Scalar, since: "3.1", empty: Empty::Default, getter: Getter::Number, doc: "Let the generated profile allow nested containers; also mounts proc and sysfs below dev/.lxc." },
    Key { name: "lxc.apparmor.raw", id: Id::ApparmorRaw, form: Form::Exact, value: Value::Text, shape: Shape::List, since: "3.1", empty: Empty::Default, getter: Getter::Lines, doc: "A line for the generated AppArmor profile." },
    Key { name: "lxc.autodev.tmpfs.size", id: Id::AutodevTmpfsSize, form: Form::Exact, value: Value::TmpfsSize, shape: Shape::Scalar, since: "4.0", empty: Empty::Default, getter: Getter::Number, doc: "Size of the tmpfs on /dev in bytes; 500000 when unset." },
    Key { name: "lxc.autodev", id: Id::Autodev, form: Form::Exact, value: Value::Bool, shape: Shape::Scalar, since: "3.0", empty: Empty::Zero, getter: Getter::Number, doc: "Mount a tmpfs on /dev and fill it with the standard devices (default 1)." },
    Key { name: "lxc.cap.drop", id: Id::CapDrop, form: Form::Exact, value: Value::Caps, shape: Shape::List, since: "3.0", empty: Empty::Default, getter: Getter::Lines, doc: "Capabilities taken from the container; excludes lxc.cap.keep." },
    Key { name: "lxc.cap.keep", id: Id::CapKeep, form: Form::Exact, value: Value::Caps, shape: Shape::List, since: "3.0", empty: Empty::Default, getter: Getter::Lines, doc: "The only capabilities the container keeps; `none` empties the list. Excludes lxc.cap.drop." },
    Key { name: "lxc.cgroup2", id: Id::Cgroup2, form: Form::Prefix, value: Value::Cgroup, shape: Shape::Map, since: "3.0", empty: Empty::Default, getter: Getter::Lines, doc: "Value written to a file of the container's cgroup (version 2); devices.allow and devices.deny become a device program." },
    Key { name: "lxc.cgroup.dir.monitor.pivot", id: Id::CgroupDirMonitorPivot, form: Form::Exact, value: Value::CgroupDir, shape: Shape::Scalar, since: "5.0", empty: Empty::Default, getter: Getter::TextOrNull, doc: "Cgroup the monitor moves itself to while it removes the others." },
    Key { name: "lxc.cgroup.dir.monitor", id: Id::CgroupDirMonitor, form: Form::Exact, value: Value::CgroupDir, shape: Shape::Scalar, since: "5.0", empty: Empty::Default, getter: Getter::TextOrNull, doc: "Cgroup of the monitor." },
    Key { name: "lxc.cgroup.dir.container.inner", id: Id::CgroupDirContainerInner, form: Form::Exact, value: Value::CgroupName, shape: Shape::Scalar, since: "5.0", empty: Empty::Default, getter: Getter::TextOrNull, doc: "Further cgroup below that of the container, which the container sees as its own." },
    Key { name: "lxc.cgroup.dir.container", id: Id::CgroupDirContainer, form: Form::Exact, value: Value::CgroupDir, shape: Shape::Scalar, since: "5.0", empty: Empty::Default, getter: Getter::TextOrNull, doc: "Cgroup of the container, where its limits are set." },
    Key { name: "lxc.cgroup.dir", id: Id::CgroupDir, form: Form::Exact, value: Value::CgroupDir, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::TextOrNull, doc: "Parent cgroup of monitor and container." },
    Key { name: "lxc.cgroup.relative", id: Id::CgroupRelative, form: Form::Exact, value: Value::Bool, shape: Shape::Scalar, since: "3.1", empty: Empty::Default, getter: Getter::Number, doc: "Make cgroups below the caller's own instead of below the root." },
    Key { name: "lxc.cgroup", id: Id::Cgroup1, form: Form::Prefix, value: Value::Cgroup, shape: Shape::Map, since: "3.0", empty: Empty::Default, getter: Getter::Lines, doc: "Value written to a file of a version 1 controller (`lxc.cgroup.CONTROLLER.FILE`)." },
    Key { name: "lxc.console.buffer.size", id: Id::ConsoleBufferSize, form: Form::Exact, value: Value::Size, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Number, doc: "Size of the in-memory console log; 0 is none." },
    Key { name: "lxc.console.logfile", id: Id::ConsoleLogfile, form: Form::Exact, value: Value::Path, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Text, doc: "File that gets a copy of the console's output." },
    Key { name: "lxc.console.path", id: Id::ConsolePath, form: Form::Exact, value: Value::Path, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Text, doc: "Terminal of the host used as console; `none` for no console." },
    Key { name: "lxc.console.rotate", id: Id::ConsoleRotate, form: Form::Exact, value: Value::Bool, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Number, doc: "Rotate lxc.console.logfile when it reaches lxc.console.size." },
    Key { name: "lxc.console.size", id: Id::ConsoleSize, form: Form::Exact, value: Value::Size, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Number, doc: "Largest size of lxc.console.logfile." },
    Key { name: "lxc.sched.core", id: Id::SchedCore, form: Form::Exact, value: Value::Bool, shape: Shape::Scalar, since: "5.0", empty: Empty::Default, getter: Getter::Number, doc: "Give the container a core scheduling domain of its own." },
    Key { name: "lxc.environment.runtime", id: Id::EnvironmentRuntime, form: Form::Exact, value: Value::Env, shape: Shape::List, since: "7.0", empty: Empty::Default, getter: Getter::Lines, doc: "Environment variable of init and of attached processes." },
    Key { name: "lxc.environment.hooks", id: Id::EnvironmentHooks, form: Form::Exact, value: Value::Env, shape: Shape::List, since: "7.0", empty: Empty::Default, getter: Getter::Lines, doc: "Environment variable of hooks run in the container." },
    Key { name: "lxc.environment", id: Id::Environment, form: Form::Exact, value: Value::Env, shape: Shape::List, since: "3.0", empty: Empty::Default, getter: Getter::Lines, doc: "Environment variable of init, attached processes and hooks run in the container; a bare KEY copies the caller's." },
    Key { name: "lxc.ephemeral", id: Id::Ephemeral, form: Form::Exact, value: Value::Bool, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Number, doc: "Destroy the container when it stops." },
    Key { name: "lxc.execute.cmd", id: Id::ExecuteCmd, form: Form::Exact, value: Value::Command, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Text, doc: "Default command of lxc-execute." },
    Key { name: "lxc.group", id: Id::Group, form: Form::Exact, value: Value::Words, shape: Shape::List, since: "3.0", empty: Empty::Default, getter: Getter::Lines, doc: "Groups the container belongs to for lxc-autostart and lxc-ls." },
    Key { name: "lxc.hook.autodev", id: Id::HookAutodev, form: Form::Exact, value: Value::Hook, shape: Shape::List, since: "3.0", empty: Empty::Default, getter: Getter::Lines, doc: "Run in the container's mount namespace after /dev is mounted, before pivot_root." },
    Key { name: "lxc.hook.clone", id: Id::HookClone, form: Form::Exact, value: Value::Hook, shape: Shape::List, since: "3.0", empty: Empty::Default, getter: Getter::Lines, doc: "Run on the host when the container was copied." },
    Key { name: "lxc.hook.destroy", id: Id::HookDestroy, form: Form::Exact, value: Value::Hook, shape: Shape::List, since: "3.0", empty: Empty::Default, getter: Getter::Lines, doc: "Run on the host when the container is destroyed." },
    Key { name: "lxc.hook.mount", id: Id::HookMount, form: Form::Exact, value: Value::Hook, shape: Shape::List, since: "3.0", empty: Empty::Default, getter: Getter::Lines, doc: "Run in the container's mount namespace after mounting, before pivot_root." },
    Key { name: "lxc.hook.post-stop", id: Id::HookPostStop, form: Form::Exact, value: Value::Hook, shape: Shape::List, since: "3.0", empty: Empty::Default, getter: Getter::Lines, doc: "Run on the host after the container was shut down and cleaned up." },
    Key { name: "lxc.hook.pre-mount", id: Id::HookPreMount, form: Form::Exact, value: Value::Hook, shape: Shape::List, since: "3.0", empty: Empty::Default, getter: Getter::Lines, doc: "Run in the container's mount namespace before the root file system is mounted." },
    Key { name: "lxc.hook.pre-start", id: Id::HookPreStart, form: Form::Exact, value: Value::Hook, shape: Shape::List, since: "3.0", empty: Empty::Default, getter: Getter::Lines, doc: "Run on the host before anything of the container exists." },
    Key { name: "lxc.hook.start-host", id: Id::HookStartHost, form: Form::Exact, value: Value::Hook, shape: Shape::List, since: "3.0", empty: Empty::Default, getter: Getter::Lines, doc: "Run on the host when the container is set up, before init is executed." },
    Key { name: "lxc.hook.start", id: Id::HookStart, form: Form::Exact, value: Value::Hook, shape: Shape::List, since: "3.0", empty: Empty::Default, getter: Getter::Lines, doc: "Run in the container right before init is executed." },
    Key { name: "lxc.hook.stop", id: Id::HookStop, form: Form::Exact, value: Value::Hook, shape: Shape::List, since: "3.0", empty: Empty::Default, getter: Getter::Lines, doc: "Run on the host after init ended, with the namespaces still open." },
    Key { name: "lxc.hook.version", id: Id::HookVersion, form: Form::Exact, value: Value::HookVersion, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Number, doc: "How hooks get their information: 0 as arguments, 1 in the environment." },
    Key { name: "lxc.hook", id: Id::Hook, form: Form::Exact, value: Value::Nothing, shape: Shape::Action, since: "3.0", empty: Empty::Default, getter: Getter::Refused, doc: "Without a value: forget all hooks." },
    Key { name: "lxc.idmap", id: Id::Idmap, form: Form::Exact, value: Value::IdMap, shape: Shape::List, since: "3.0", empty: Empty::Default, getter: Getter::Joined, doc: "Range of ids mapped into the container's user namespace." },
    Key { name: "lxc.include", id: Id::Include, form: Form::Exact, value: Value::Include, shape: Shape::Action, since: "3.0", empty: Empty::Ignored, getter: Getter::Refused, doc: "File, or directory of *.conf files, to read here." },
    Key { name: "lxc.init.cmd", id: Id::InitCmd, form: Form::Exact, value: Value::Command, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Text, doc: "Program run as init (default /sbin/init)." },
    Key { name: "lxc.init.gid", id: Id::InitGid, form: Form::Exact, value: Value::Uint, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Number, doc: "Group id of init." },
    Key { name: "lxc.init.groups", id: Id::InitGroups, form: Form::Exact, value: Value::Gids, shape: Shape::List, since: "5.0", empty: Empty::Default, getter: Getter::Text, doc: "Supplementary group ids of init." },
    Key { name: "lxc.init.uid", id: Id::InitUid, form: Form::Exact, value: Value::Uint, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Number, doc: "User id of init." },
    Key { name: "lxc.init.cwd", id: Id::InitCwd, form: Form::Exact, value: Value::Path, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Text, doc: "Working directory of init." },
    Key { name: "lxc.keyring.session", id: Id::KeyringSession, form: Form::Exact, value: Value::Bool, shape: Shape::Scalar, since: "4.0", empty: Empty::Default, getter: Getter::Number, doc: "0: the container gets a new session keyring; 1: it keeps the caller's." },
    Key { name: "lxc.log.file", id: Id::LogFile, form: Form::Exact, value: Value::Path, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Text, doc: "File log messages go to." },
    Key { name: "lxc.log.level", id: Id::LogLevel, form: Form::Exact, value: Value::LogLevel, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Text, doc: "Least priority of messages that are logged." },
    Key { name: "lxc.log.syslog", id: Id::LogSyslog, form: Form::Exact, value: Value::Facility, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Text, doc: "Log to syslog with this facility." },
    Key { name: "lxc.monitor.unshare", id: Id::MonitorUnshare, form: Form::Exact, value: Value::Uint, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Number, doc: "Not 0: the monitor gets a mount namespace of its own before hooks run." },
    Key { name: "lxc.monitor.signal.pdeath", id: Id::MonitorSignalPdeath, form: Form::Exact, value: Value::Signal, shape: Shape::Scalar, since: "3.1", empty: Empty::Default, getter: Getter::Number, doc: "Signal the container gets when its monitor dies (default SIGKILL)." },
    Key { name: "lxc.mount.auto", id: Id::MountAuto, form: Form::Exact, value: Value::AutoMounts, shape: Shape::List, since: "3.0", empty: Empty::Default, getter: Getter::Text, doc: "Standard file systems mounted automatically: proc, sys, cgroup and more." },
    Key { name: "lxc.mount.entry", id: Id::MountEntry, form: Form::Exact, value: Value::MountEntry, shape: Shape::List, since: "3.0", empty: Empty::Default, getter: Getter::Lines, doc: "A mount, as a line of fstab(5)." },
    Key { name: "lxc.mount.fstab", id: Id::MountFstab, form: Form::Exact, value: Value::Path, shape: Shape::Scalar, since: "3.0", empty: Empty::Refused, getter: Getter::Text, doc: "File with more lines for lxc.mount.entry." },
    Key { name: "lxc.namespace.clone", id: Id::NamespaceClone, form: Form::Exact, value: Value::Namespaces, shape: Shape::List, since: "3.0", empty: Empty::Default, getter: Getter::Lines, doc: "Namespaces the container gets new; excludes lxc.namespace.keep." },
    Key { name: "lxc.namespace.keep", id: Id::NamespaceKeep, form: Form::Exact, value: Value::Namespaces, shape: Shape::List, since: "3.0", empty: Empty::Default, getter: Getter::Lines, doc: "Namespaces the container inherits; excludes lxc.namespace.clone." },
    Key { name: "lxc.namespace.share.", id: Id::NamespaceShare, form: Form::Prefix, value: Value::Share, shape: Shape::Map, since: "3.0", empty: Empty::Default, getter: Getter::TextOrNull, doc: "Namespace to join: that of a pid, of a container, or a file." },
    Key { name: "lxc.time.offset.boot", id: Id::TimeOffsetBoot, form: Form::Exact, value: Value::Time, shape: Shape::Scalar, since: "5.0", empty: Empty::Default, getter: Getter::Text, doc: "Offset of the boot time clock in a new time namespace." },
    Key { name: "lxc.time.offset.monotonic", id: Id::TimeOffsetMonotonic, form: Form::Exact, value: Value::Time, shape: Shape::Scalar, since: "5.0", empty: Empty::Default, getter: Getter::Text, doc: "Offset of the monotonic clock in a new time namespace." },
    Key { name: "lxc.net.", id: Id::NetNic, form: Form::Prefix, value: Value::Nothing, shape: Shape::Action, since: "3.0", empty: Empty::Default, getter: Getter::Refused, doc: "Without a value, `lxc.net.N` forgets that interface." },
    Key { name: "lxc.net", id: Id::Net, form: Form::Exact, value: Value::Nothing, shape: Shape::Action, since: "3.0", empty: Empty::Default, getter: Getter::Lines, doc: "Without a value: forget all interfaces." },
    Key { name: "lxc.no_new_privs", id: Id::NoNewPrivs, form: Form::Exact, value: Value::Bool, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Number, doc: "Set PR_SET_NO_NEW_PRIVS for init." },
    Key { name: "lxc.prlimit", id: Id::Prlimit, form: Form::Prefix, value: Value::Prlimit, shape: Shape::Map, since: "3.0", empty: Empty::Default, getter: Getter::Text, doc: "Resource limit of init (setrlimit(2))." },
    Key { name: "lxc.pty.max", id: Id::PtyMax, form: Form::Exact, value: Value::Uint, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Number, doc: "Number of pseudo terminals of a private devpts; 0 is no private devpts." },
    Key { name: "lxc.rootfs.managed", id: Id::RootfsManaged, form: Form::Exact, value: Value::Bool, shape: Shape::Scalar, since: "3.1", empty: Empty::Default, getter: Getter::Number, doc: "0: never remove the root file system with the container (default 1)." },
    Key { name: "lxc.rootfs.mount", id: Id::RootfsMount, form: Form::Exact, value: Value::Path, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Text, doc: "Directory the root file system is mounted on." },
    Key { name: "lxc.rootfs.options", id: Id::RootfsOptions, form: Form::Exact, value: Value::RootfsOptions, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Text, doc: "Options the root file system is mounted with." },
    Key { name: "lxc.rootfs.path", id: Id::RootfsPath, form: Form::Exact, value: Value::RootfsPath, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Text, doc: "Root file system, with an optional storage type." },
    Key { name: "lxc.seccomp.allow_nesting", id: Id::SeccompAllowNesting, form: Form::Exact, value: Value::Bool, shape: Shape::Scalar, since: "3.2", empty: Empty::Default, getter: Getter::Number, doc: "Load the seccomp policy although a filter is active already." },
    Key { name: "lxc.seccomp.notify.cookie", id: Id::SeccompNotifyCookie, form: Form::Exact, value: Value::Text, shape: Shape::Scalar, since: "3.2", empty: Empty::Default, getter: Getter::Text, doc: "Text sent along with seccomp notifications." },
    Key { name: "lxc.seccomp.notify.proxy", id: Id::SeccompNotifyProxy, form: Form::Exact, value: Value::NotifyProxy, shape: Shape::Scalar, since: "3.2", empty: Empty::Default, getter: Getter::Text, doc: "Socket seccomp notifications are sent to." },
    Key { name: "lxc.seccomp.profile", id: Id::SeccompProfile, form: Form::Exact, value: Value::Path, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Text, doc: "File with the seccomp policy." },
    Key { name: "lxc.selinux.context.keyring", id: Id::SelinuxContextKeyring, form: Form::Exact, value: Value::Text, shape: Shape::Scalar, since: "4.0", empty: Empty::Default, getter: Getter::Text, doc: "SELinux context of the session keyring." },
    Key { name: "lxc.selinux.context", id: Id::SelinuxContext, form: Form::Exact, value: Value::Text, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Text, doc: "SELinux context of init." },
    Key { name: "lxc.signal.halt", id: Id::SignalHalt, form: Form::Exact, value: Value::Signal, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Number, doc: "Signal for a clean stop (default SIGPWR, or SIGRTMIN+3 for systemd)." },
    Key { name: "lxc.signal.reboot", id: Id::SignalReboot, form: Form::Exact, value: Value::Signal, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Number, doc: "Signal for a reboot (default SIGINT)." },
    Key { name: "lxc.signal.stop", id: Id::SignalStop, form: Form::Exact, value: Value::Signal, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Number, doc: "Signal for a hard stop (default SIGKILL)." },
    Key { name: "lxc.start.auto", id: Id::StartAuto, form: Form::Exact, value: Value::Bool, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Number, doc: "Start the container at boot (lxc-autostart)." },
    Key { name: "lxc.start.delay", id: Id::StartDelay, form: Form::Exact, value: Value::Uint, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Number, doc: "Seconds lxc-autostart waits after starting it." },
    Key { name: "lxc.start.order", id: Id::StartOrder, form: Form::Exact, value: Value::Int, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Number, doc: "Sort key of lxc-autostart." },
    Key { name: "lxc.tty.dir", id: Id::TtyDir, form: Form::Exact, value: Value::TtyDir, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Text, doc: "Directory below /dev for the console and the ttys." },
    Key { name: "lxc.tty.max", id: Id::TtyMax, form: Form::Exact, value: Value::Uint, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Number, doc: "Number of ttys of the container." },
    Key { name: "lxc.uts.name", id: Id::UtsName, form: Form::Exact, value: Value::HostName, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Text, doc: "Host name of the container." },
    Key { name: "lxc.sysctl", id: Id::Sysctl, form: Form::Prefix, value: Value::Text, shape: Shape::Map, since: "3.0", empty: Empty::Default, getter: Getter::Text, doc: "Kernel parameter set in the container's namespaces (sysctl.conf(5) key)." },
    Key { name: "lxc.proc", id: Id::Proc, form: Form::Prefix, value: Value::Text, shape: Shape::Map, since: "3.0", empty: Empty::Default, getter: Getter::Text, doc: "Value written to a file below /proc/PID of init." },
    Key { name: "lxc.net.N.type", id: Id::NicType, form: Form::Nic, value: Value::NicType, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Text, doc: "Kind of interface. Forgets what was set for this index before." },
    Key { name: "lxc.net.N.link", id: Id::NicLink, form: Form::Nic, value: Value::IfName, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Text, doc: "Interface of the host: bridge, parent, or the device to move." },
    Key { name: "lxc.net.N.flags", id: Id::NicFlags, form: Form::Nic, value: Value::Flags, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Text, doc: "Any text, usually `up`: bring the interface up." },
    Key { name: "lxc.net.N.name", id: Id::NicName, form: Form::Nic, value: Value::IfName, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Text, doc: "Name of the interface in the container." },
    Key { name: "lxc.net.N.hwaddr", id: Id::NicHwaddr, form: Form::Nic, value: Value::Hwaddr, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Text, doc: "Hardware address; every `x` becomes a random digit." },
    Key { name: "lxc.net.N.mtu", id: Id::NicMtu, form: Form::Nic, value: Value::Text, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Text, doc: "MTU of the interface." },
    Key { name: "lxc.net.N.ipv4.address", id: Id::NicIpv4Address, form: Form::Nic, value: Value::Ipv4, shape: Shape::List, since: "3.0", empty: Empty::Default, getter: Getter::Joined, doc: "IPv4 address." },
    Key { name: "lxc.net.N.ipv4.gateway", id: Id::NicIpv4Gateway, form: Form::Nic, value: Value::Gateway, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Text, doc: "IPv4 gateway: an address, `auto` (address of the link) or `dev` (route to the device)." },
    Key { name: "lxc.net.N.ipv6.address", id: Id::NicIpv6Address, form: Form::Nic, value: Value::Ipv6, shape: Shape::List, since: "3.0", empty: Empty::Default, getter: Getter::Joined, doc: "IPv6 address." },
    Key { name: "lxc.net.N.ipv6.gateway", id: Id::NicIpv6Gateway, form: Form::Nic, value: Value::Gateway, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Text, doc: "IPv6 gateway, as for ipv4.gateway." },
    Key { name: "lxc.net.N.l2proxy", id: Id::NicL2proxy, form: Form::Nic, value: Value::Bool, shape: Shape::Scalar, since: "3.2", empty: Empty::Default, getter: Getter::Number, doc: "Answer neighbour requests for the interface's addresses on the link." },
    Key { name: "lxc.net.N.script.up", id: Id::NicScriptUp, form: Form::Nic, value: Value::Command, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Text, doc: "Script run on the host after the interface was made." },
    Key { name: "lxc.net.N.script.down", id: Id::NicScriptDown, form: Form::Nic, value: Value::Command, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Text, doc: "Script run on the host before the interface goes away." },
    Key { name: "lxc.net.N.macvlan.mode", id: Id::NicMacvlanMode, form: Form::Nic, value: Value::MacvlanMode, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Text, doc: "How macvlan interfaces of one parent reach each other (default private)." },
    Key { name: "lxc.net.N.ipvlan.mode", id: Id::NicIpvlanMode, form: Form::Nic, value: Value::IpvlanMode, shape: Shape::Scalar, since: "3.2", empty: Empty::Default, getter: Getter::Text, doc: "Mode of an ipvlan interface (default l2)." },
    Key { name: "lxc.net.N.ipvlan.isolation", id: Id::NicIpvlanIsolation, form: Form::Nic, value: Value::IpvlanIsolation, shape: Shape::Scalar, since: "3.2", empty: Empty::Default, getter: Getter::Text, doc: "Isolation of an ipvlan interface (default bridge)." },
    Key { name: "lxc.net.N.vlan.id", id: Id::NicVlanId, form: Form::Nic, value: Value::VlanNumber, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Number, doc: "VLAN id of a vlan interface." },
    Key { name: "lxc.net.N.veth.mode", id: Id::NicVethMode, form: Form::Nic, value: Value::VethMode, shape: Shape::Scalar, since: "3.2", empty: Empty::Default, getter: Getter::Text, doc: "Attach the host side to the bridge, or route to it (default bridge)." },
    Key { name: "lxc.net.N.veth.n_rxqueues", id: Id::NicVethRxQueues, form: Form::Nic, value: Value::Queues, shape: Shape::Scalar, since: "5.0", empty: Empty::Default, getter: Getter::Number, doc: "Number of receive queues." },
    Key { name: "lxc.net.N.veth.n_txqueues", id: Id::NicVethTxQueues, form: Form::Nic, value: Value::Queues, shape: Shape::Scalar, since: "5.0", empty: Empty::Default, getter: Getter::Number, doc: "Number of transmit queues." },
    Key { name: "lxc.net.N.veth.pair", id: Id::NicVethPair, form: Form::Nic, value: Value::IfName, shape: Shape::Scalar, since: "3.0", empty: Empty::Default, getter: Getter::Text, doc: "Name of the host side." },
    Key { name: "lxc.net.N.veth.ipv4.route", id: Id::NicVethIpv4Route, form: Form::Nic, value: Value::Route, shape: Shape::List, since: "3.2", empty: Empty::Default, getter: Getter::Joined, doc: "IPv4 route on the host to the interface." },
    Key { name: "lxc.net.N.veth.ipv6.route", id: Id::NicVethIpv6Route, form: Form::Nic, value: Value::Route, shape: Shape::List, since: "3.2", empty: Empty::Default, getter: Getter::Joined, doc: "IPv6 route on the host to the interface." },
    Key { name: "lxc.net.N.veth.vlan.id", id: Id::NicVethVlanId, form: Form::Nic, value: Value::Untagged, shape: Shape::Scalar, since: "5.0", empty: Empty::Default, getter: Getter::Number, doc: "Untagged VLAN of the bridge port." },
    Key { name: "lxc.net.N.veth.vlan.tagged.id", id: Id::NicVethVlanTaggedId, form: Form::Nic, value: Value::VlanId, shape: Shape::List, since: "5.0", empty: Empty::Default, getter: Getter::Joined, doc: "Tagged VLAN of the bridge port." },
];

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

/// The name as the manual page shows it.
pub fn display_name(key: &Key) -> String {
    match (key.id, key.form) {
        (Id::Cgroup1, _) => "lxc.cgroup.CONTROLLER.FILE".to_owned(),
        (Id::Cgroup2, _) => "lxc.cgroup2.FILE".to_owned(),
        (Id::NamespaceShare, _) => "lxc.namespace.share.NAMESPACE".to_owned(),
        (Id::NetNic, _) => "lxc.net.N".to_owned(),
        (_, Form::Prefix) => format!("{}.NAME", key.name),
        _ => key.name.to_owned(),
    }
}

/// The list of keys as man(7) text for lxc.container.conf(5): one tagged paragraph per key, in alphabetical order.
pub fn manual() -> String {
    let mut rows: Vec<(String, &Key)> = KEYS.iter().map(|k| (display_name(k), k)).collect();
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    let mut out = String::new();
    for (name, key) in rows {
        let shape = match key.shape {
            Shape::List => " May be given several times.",
            Shape::Scalar | Shape::Map | Shape::Action => "",
        };
        let empty = match key.empty {
            Empty::Zero => " An empty value means 0.",
            Empty::Refused => " An empty value is an error.",
            Empty::Default | Empty::Ignored => "",
        };
        let since = if key.since == "3.0" { String::new() } else { format!(" Since {}.", key.since) };
        let text = format!("{}{shape}{empty}{since}", key.doc);
        out.push_str(&format!(
            ".TP\n\\fB{}\\fR = \\fI{}\\fR\n{}\n",
            roff(&name),
            roff(key.value.grammar()),
            roff_line(&text)
        ));
    }
    out
}

/// Escapes text for man(7); backquoted words become bold.
fn roff(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut bold = false;
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '`' => {
                bold = !bold;
                out.push_str(if bold { "\\fB" } else { "\\fR" });
            }
            _ => out.push(c),
        }
    }
    out
}

fn roff_line(text: &str) -> String {
    let line = roff(text);
    if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
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

    #[test]
    fn the_manual_names_every_key() {
        let text = manual();
        assert_eq!(text.matches(".TP\n").count(), KEYS.len());
        for key in KEYS {
            assert!(text.contains(&format!("\\fB{}\\fR", roff(&display_name(key)))), "{}", key.name);
        }
        assert!(text.lines().all(|l| l == ".TP" || !l.starts_with('.')));
    }
}
