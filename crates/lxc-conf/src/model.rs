//! The typed view of a container configuration: what every `lxc.*` key means once parsed.
//!
//! Plain data, no kernel knowledge and no I/O. The parser in this crate fills it; `lxc-core` turns it into a
//! plan. Not here: the text of the file (see `Config`), the grammar of values (see `value`).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Where a setting came from: a line of a file, or a program that called `set`.
///
/// - Shape: `file` is the path as it was opened; `line` counts from 1. An empty `file` is a setting made through
///   the API or on a command line (`--define`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Origin {
    pub file: Option<Arc<str>>,
    pub line: u32,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{file}:{}", self.line),
            None => f.write_str("command line"),
        }
    }
}

/// One item of a list-valued key together with the line that set it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Item<T> {
    pub value: T,
    pub origin: Origin,
}

/// `lxc.arch`: only the word size matters to personality(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    Bits32,
    Bits64,
}

/// `lxc.apparmor.*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppArmor {
    pub profile: Option<String>,
    pub allow_incomplete: bool,
    pub allow_nesting: bool,
    pub raw: Vec<String>,
}

/// `lxc.selinux.context` and `lxc.selinux.context.keyring`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeLinux {
    pub context: Option<String>,
    pub keyring: Option<String>,
}

/// A capability as configured.
///
/// - Shape: `name` as written (lower case, no `CAP_`, or a decimal number); `number` is its bit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capability {
    pub name: String,
    pub number: u8,
}

/// `lxc.cap.drop` or `lxc.cap.keep`; the two exclude each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Capabilities {
    /// Neither key is set: the bounding set is left alone.
    #[default]
    Untouched,
    Drop(Vec<Capability>),
    /// An empty list (`lxc.cap.keep = none`) drops every capability.
    Keep(Vec<Capability>),
}

/// One `lxc.cgroup2.FILE` (or legacy `lxc.cgroup.FILE`) line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CgroupSetting {
    pub file: String,
    pub value: String,
    pub origin: Origin,
}

/// `lxc.cgroup.dir*` and `lxc.cgroup.relative`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CgroupPaths {
    pub dir: Option<String>,
    pub monitor: Option<String>,
    pub monitor_pivot: Option<String>,
    pub container: Option<String>,
    pub container_inner: Option<String>,
    pub relative: bool,
}

/// `lxc.console.*`. Sizes in bytes, already rounded to a power of two of at least a page (0 = off).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Console {
    pub buffer_size: u64,
    pub size: u64,
    pub logfile: Option<String>,
    /// `none` is kept as the text `none`.
    pub path: Option<String>,
    pub rotate: bool,
}

/// `KEY=VALUE` of `lxc.environment*`; a bare `KEY` was resolved when it was parsed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvVar {
    pub key: String,
    pub value: String,
}

/// The ten kinds of `lxc.hook.*`, in the order of the man page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(usize)]
pub enum HookKind {
    PreStart,
    PreMount,
    Mount,
    Autodev,
    StartHost,
    Start,
    Stop,
    PostStop,
    Clone,
    Destroy,
}

impl HookKind {
    pub const ALL: [HookKind; 10] = [
        HookKind::PreStart,
        HookKind::PreMount,
        HookKind::Mount,
        HookKind::Autodev,
        HookKind::StartHost,
        HookKind::Start,
        HookKind::Stop,
        HookKind::PostStop,
        HookKind::Clone,
        HookKind::Destroy,
    ];

    /// The word used in the key, in hook arguments and in `LXC_HOOK_TYPE`.
    pub fn word(self) -> &'static str {
        match self {
            HookKind::PreStart => "pre-start",
            HookKind::PreMount => "pre-mount",
            HookKind::Mount => "mount",
            HookKind::Autodev => "autodev",
            HookKind::StartHost => "start-host",
            HookKind::Start => "start",
            HookKind::Stop => "stop",
            HookKind::PostStop => "post-stop",
            HookKind::Clone => "clone",
            HookKind::Destroy => "destroy",
        }
    }
}

/// `lxc.hook.*` and `lxc.hook.version`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    /// 0 or 1.
    pub version: u8,
    /// Command lines by `HookKind as usize`, each in config order.
    pub commands: [Vec<Item<String>>; 10],
}

impl Hooks {
    /// The command lines of one kind.
    pub fn of(&self, kind: HookKind) -> &[Item<String>] {
        &self.commands[kind as usize]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdKind {
    User,
    Group,
}

/// One `lxc.idmap` line: `count` ids from `ns_id` inside are `host_id`… outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdMap {
    pub kind: IdKind,
    pub ns_id: u32,
    pub host_id: u32,
    pub count: u32,
}

/// `lxc.init.*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Init {
    pub cmd: Option<String>,
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    pub cwd: Option<String>,
}

/// `lxc.log.*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    pub file: Option<String>,
    /// 0 TRACE … 8 FATAL.
    pub level: Option<u8>,
    pub syslog: Option<String>,
}

/// `lxc.monitor.*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Monitor {
    pub unshare: u32,
    /// Signal number the container gets when the monitor dies; `None` = SIGKILL.
    pub pdeath_signal: Option<u32>,
}

/// How `proc` of `lxc.mount.auto` is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoProc {
    Mixed,
    Rw,
}

/// How `sys` of `lxc.mount.auto` is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoSys {
    Mixed,
    Ro,
    Rw,
}

/// Access of an automatic cgroup mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoAccess {
    /// No `:x` given: rw when CAP_SYS_ADMIN is kept, else mixed.
    Unspecified,
    Mixed,
    Ro,
    Rw,
}

/// Which cgroup word of `lxc.mount.auto` was given last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoCgroupForm {
    /// `cgroup…`: the container's own subtree.
    Own,
    /// `cgroup-full…`: the whole hierarchy.
    Full,
    /// `cgroup2…`.
    Cgroup2,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AutoCgroup {
    pub form: AutoCgroupForm,
    pub access: AutoAccess,
    /// `:force`: also when the container has a cgroup namespace.
    pub force: bool,
}

/// `shmounts:HOST[:CONT]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShMounts {
    pub host: String,
    /// As configured; default `/dev/.lxc-mounts`.
    pub container: String,
}

/// `lxc.mount.auto`, later words of one class having replaced earlier ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AutoMounts {
    pub proc: Option<AutoProc>,
    pub sys: Option<AutoSys>,
    pub cgroup: Option<AutoCgroup>,
    pub shmounts: Option<ShMounts>,
    pub origin: Origin,
}

/// `lxc.mount.*`. Entries are kept as text here; `value::mount_entry` parses one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mounts {
    pub auto: AutoMounts,
    pub entries: Vec<Item<String>>,
    pub fstab: Option<String>,
}

/// Namespaces in the fixed order used by getters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(usize)]
pub enum Ns {
    User,
    Mnt,
    Pid,
    Uts,
    Ipc,
    Net,
    Cgroup,
    Time,
}

impl Ns {
    pub const ALL: [Ns; 8] = [Ns::User, Ns::Mnt, Ns::Pid, Ns::Uts, Ns::Ipc, Ns::Net, Ns::Cgroup, Ns::Time];

    /// The word of the configuration and of `/proc/PID/ns/`.
    pub fn word(self) -> &'static str {
        match self {
            Ns::User => "user",
            Ns::Mnt => "mnt",
            Ns::Pid => "pid",
            Ns::Uts => "uts",
            Ns::Ipc => "ipc",
            Ns::Net => "net",
            Ns::Cgroup => "cgroup",
            Ns::Time => "time",
        }
    }

    /// The `CLONE_NEW*` bit (clone(2)).
    pub fn clone_flag(self) -> u64 {
        match self {
            Ns::User => 0x1000_0000,
            Ns::Mnt => 0x0002_0000,
            Ns::Pid => 0x2000_0000,
            Ns::Uts => 0x0400_0000,
            Ns::Ipc => 0x0800_0000,
            Ns::Net => 0x4000_0000,
            Ns::Cgroup => 0x0200_0000,
            Ns::Time => 0x0000_0080,
        }
    }
}

/// `lxc.namespace.*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespaces {
    pub clone: Option<Vec<Ns>>,
    pub keep: Option<Vec<Ns>>,
    /// By `Ns as usize`: pid, container name, `LXCPATH/NAME` or path.
    pub share: [Option<Item<String>>; 8],
}

/// `lxc.time.offset.*` in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeOffsets {
    pub boot: i64,
    pub monotonic: i64,
}

/// `lxc.net.N.type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NicType {
    #[default]
    Empty,
    None,
    Veth,
    Macvlan,
    Ipvlan,
    Vlan,
    Phys,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VethMode {
    #[default]
    Bridge,
    Router,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MacvlanMode {
    #[default]
    Private,
    Vepa,
    Bridge,
    Passthru,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpvlanMode {
    L2,
    L3,
    L3s,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpvlanIsolation {
    Bridge,
    Private,
    Vepa,
}

/// `ipv4.gateway` / `ipv6.gateway`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gateway {
    /// The first address of the link on the host.
    Auto,
    /// A device route.
    Dev,
    Addr(std::net::IpAddr),
}

/// An interface address or route destination with its prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpNet {
    pub addr: std::net::IpAddr,
    pub prefix: u8,
    /// IPv4 only; `None` for /31 and /32.
    pub broadcast: Option<std::net::Ipv4Addr>,
}

/// `veth.vlan.id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UntaggedVlan {
    None,
    Id(u16),
}

/// Everything of one `lxc.net.N`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nic {
    pub kind: NicType,
    pub link: Option<String>,
    pub up: bool,
    pub name: Option<String>,
    pub hwaddr: Option<String>,
    pub mtu: Option<String>,
    pub ipv4: Vec<IpNet>,
    pub ipv4_gateway: Option<Gateway>,
    pub ipv6: Vec<IpNet>,
    pub ipv6_gateway: Option<Gateway>,
    pub l2proxy: bool,
    pub script_up: Option<String>,
    pub script_down: Option<String>,
    pub macvlan_mode: MacvlanMode,
    pub ipvlan_mode: Option<IpvlanMode>,
    pub ipvlan_isolation: Option<IpvlanIsolation>,
    pub vlan_id: u16,
    pub veth_mode: VethMode,
    pub veth_rx_queues: Option<u32>,
    pub veth_tx_queues: Option<u32>,
    pub veth_pair: Option<String>,
    pub veth_routes4: Vec<IpNet>,
    pub veth_routes6: Vec<IpNet>,
    pub veth_vlan: Option<UntaggedVlan>,
    pub veth_vlan_tagged: Vec<u16>,
    /// The line of `.type`, or of the first sub-key.
    pub origin: Origin,
}

/// One `lxc.prlimit.NAME`; `u64::MAX` is unlimited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prlimit {
    pub name: String,
    pub soft: u64,
    pub hard: u64,
    /// One number (not `SOFT:HARD`) was written; the getter prints it that way.
    pub single: bool,
    pub origin: Origin,
}

/// `lxc.rootfs.path`, split at the type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RootfsPath {
    /// `dir`, `overlay` (also for `overlayfs`), `btrfs`, `zfs`, `lvm`, `loop`, `nbd`, `rbd`; `None` = to be detected.
    pub kind: Option<String>,
    pub path: String,
}

/// `lxc.rootfs.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rootfs {
    pub path: Option<RootfsPath>,
    pub mount: Option<String>,
    pub options: Option<String>,
    pub managed: bool,
}

impl Default for Rootfs {
    fn default() -> Self {
        Rootfs { path: None, mount: None, options: None, managed: true }
    }
}

/// `lxc.seccomp.*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seccomp {
    pub profile: Option<String>,
    pub allow_nesting: bool,
    pub notify_cookie: Option<String>,
    /// As the getter prints it (without `unix:`), abstract names keep nothing of their `@`.
    pub notify_proxy: Option<NotifyProxy>,
}

/// `lxc.seccomp.notify.proxy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotifyProxy {
    Path(String),
    Abstract(String),
}

/// `lxc.signal.*`; `None` = the documented default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signals {
    pub halt: Option<u32>,
    pub reboot: Option<u32>,
    pub stop: Option<u32>,
}

/// `lxc.start.*`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Start {
    pub auto: bool,
    pub delay: u32,
    pub order: i32,
}

/// A `lxc.sysctl.KEY` or `lxc.proc.KEY` line; `key` with dots as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelSetting {
    pub key: String,
    pub value: String,
    pub origin: Origin,
}

/// All settings of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub arch: Option<Arch>,
    pub apparmor: AppArmor,
    pub autodev: bool,
    /// `lxc.autodev.tmpfs.size`; 0 = use 500000.
    pub autodev_tmpfs_size: i32,
    pub capabilities: Capabilities,
    pub cgroup: CgroupPaths,
    /// `lxc.cgroup2.*` in config order.
    pub cgroup2: Vec<CgroupSetting>,
    /// Legacy `lxc.cgroup.*` (v1 controllers) in config order.
    pub cgroup1: Vec<CgroupSetting>,
    pub console: Console,
    pub environment: Vec<EnvVar>,
    pub environment_runtime: Vec<EnvVar>,
    pub environment_hooks: Vec<EnvVar>,
    pub ephemeral: bool,
    pub execute_cmd: Option<String>,
    pub groups: Vec<String>,
    pub hooks: Hooks,
    pub idmap: Vec<IdMap>,
    pub init: Init,
    /// The raw value of `lxc.keyring.session`: **false = make a new session keyring** (the man page has it inverted).
    pub keyring_session: bool,
    pub log: Log,
    pub monitor: Monitor,
    pub mounts: Mounts,
    pub namespaces: Namespaces,
    pub time: TimeOffsets,
    /// By index N of `lxc.net.N`.
    pub nics: BTreeMap<u32, Nic>,
    pub no_new_privs: bool,
    pub prlimits: Vec<Prlimit>,
    pub pty_max: u32,
    pub rootfs: Rootfs,
    pub sched_core: bool,
    pub seccomp: Seccomp,
    pub selinux: SeLinux,
    pub signals: Signals,
    pub start: Start,
    pub tty_dir: Option<String>,
    pub tty_max: u32,
    pub uts_name: Option<String>,
    pub sysctls: Vec<KernelSetting>,
    pub procs: Vec<KernelSetting>,
    /// Line that last set a scalar key, by key.
    pub origins: BTreeMap<String, Origin>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            arch: None,
            apparmor: AppArmor::default(),
            autodev: true,
            autodev_tmpfs_size: 0,
            capabilities: Capabilities::default(),
            cgroup: CgroupPaths::default(),
            cgroup2: Vec::new(),
            cgroup1: Vec::new(),
            console: Console::default(),
            environment: Vec::new(),
            environment_runtime: Vec::new(),
            environment_hooks: Vec::new(),
            ephemeral: false,
            execute_cmd: None,
            groups: Vec::new(),
            hooks: Hooks::default(),
            idmap: Vec::new(),
            init: Init::default(),
            keyring_session: false,
            log: Log::default(),
            monitor: Monitor::default(),
            mounts: Mounts::default(),
            namespaces: Namespaces::default(),
            time: TimeOffsets::default(),
            nics: BTreeMap::new(),
            no_new_privs: false,
            prlimits: Vec::new(),
            pty_max: 0,
            rootfs: Rootfs::default(),
            sched_core: false,
            seccomp: Seccomp::default(),
            selinux: SeLinux::default(),
            signals: Signals::default(),
            start: Start::default(),
            tty_dir: None,
            tty_max: 0,
            uts_name: None,
            sysctls: Vec::new(),
            procs: Vec::new(),
            origins: BTreeMap::new(),
        }
    }
}

impl Settings {
    /// Where `key` was last set, if it was.
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        self.origins.get(key)
    }
}
