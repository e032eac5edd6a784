//! What the child executes: borrowed, flat, finished.
//!
//! `lxc-core::plan` makes these from a `StartPlan`. Every path is a C string, every question is answered.

use core::ffi::CStr;

use lxc_sys::cred::{Personality, SockFilter};
use lxc_sys::exec::Image;
use lxc_sys::mount::MountAttr;
use lxc_sys::proc::ProcFs;
use lxc_sys::rustix::fd::BorrowedFd;
use lxc_sys::signal::Mask;
pub use lxc_sys::tree::Resolve;

/// A whole start, from clone to exec, in the order in which it is executed.
#[derive(Debug)]
pub struct InitScript<'a> {
    /// The handshake socket.
    pub sync: BorrowedFd<'a>,
    /// pidfd of the monitor: turns readable when it dies.
    pub monitor: BorrowedFd<'a>,
    /// The host's procfs, verified.
    pub proc: &'a ProcFs,
    /// Signal mask init starts with.
    pub mask: Mask,
    /// Files of the payload's cgroups into which the child writes itself, before anything else.
    pub cgroup_entries: &'a [BorrowedFd<'a>],
    /// Namespaces to join with their `CLONE_NEW*` bit, once in the cgroups; the others `joiner` has joined.
    pub join: &'a [(BorrowedFd<'a>, u64)],
    /// Namespaces to create only now: cgroup (after the move into the final cgroup) and time.
    pub unshare_late: u64,
    /// Content for `/proc/self/timens_offsets`; empty = none.
    pub time_offsets: &'a [u8],
    /// uid and gid that are root in the user namespace the child was cloned into.
    pub become_root: Option<(u32, u32)>,
    pub network: Network,
    pub hooks: Hooks<'a>,
    pub rootfs: Rootfs<'a>,
    pub hostname: Option<&'a CStr>,
    pub new_session_keyring: bool,
    /// Label of that keyring.
    pub keyring_label: Option<LsmLabel<'a>>,
    pub dev: Dev<'a>,
    /// `lxc.mount.auto` (all but cgroup), fstab, `lxc.mount.entry`.
    pub mounts: &'a [MountOp<'a>],
    /// `lxc.mount.auto = cgroup…`: after the others, since they live below /sys.
    pub cgroup_mounts: &'a [MountOp<'a>],
    /// Text of `/dev/.lxc-boot-id`; bound over the container's boot_id.
    pub boot_id: Option<&'a [u8]>,
    pub personality: Option<Personality>,
    /// Path below `/proc/sys` and value.
    pub sysctls: &'a [(&'a CStr, &'a [u8])],
    /// Capabilities to take out of the bounding set, as a mask.
    pub drop_capabilities: u64,
    pub lsm: Option<LsmLabel<'a>>,
    pub no_new_privs: bool,
    pub seccomp: Option<Seccomp<'a>>,
    pub stdio: Stdio,
    /// Working directory of init; missing directories are made (0755).
    pub cwd: Option<&'a CStr>,
    pub groups: Groups<'a>,
    /// Final uid and gid inside.
    pub ids: (u32, u32),
    /// `lxc.monitor.signal.pdeath`.
    pub death_signal: u32,
    pub program: Program<'a>,
}

/// What the child does about networking; the monitor does the rest through the socket it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Send a NETLINK_ROUTE socket of the new network namespace with `Mapped`, and wait for `Configured`.
    pub send_socket: bool,
    /// Bring `lo` up.
    pub raise_loopback: bool,
}

/// Hooks that run in the child.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hooks<'a> {
    pub pre_mount: &'a [Hook<'a>],
    pub mount: &'a [Hook<'a>],
    pub autodev: &'a [Hook<'a>],
    pub start: &'a [Hook<'a>],
    /// Write end of the pipe hooks get as stdout and stderr; the monitor logs what comes.
    pub output: Option<BorrowedFd<'a>>,
    /// The program of the first start hook, checked to exist inside before anything runs.
    pub start_program: Option<&'a CStr>,
}

#[derive(Clone, Copy, Debug)]
pub struct Hook<'a> {
    pub image: &'a Image,
}

/// Where the root file system comes from and goes to.
#[derive(Clone, Copy, Debug)]
pub enum Rootfs<'a> {
    /// None configured: the host's `/` in a private mount namespace.
    HostRoot,
    /// The mount namespace is shared with another container or kept: nothing is mounted at all.
    Untouched,
    /// A directory, bound (recursively) onto `mount`.
    Dir { source: &'a CStr, mount: &'a CStr, attr: MountAttr },
    /// The same with the ids of `lxc.rootfs.options = idmap=`.
    IdmappedDir { source: &'a CStr, mount: &'a CStr, attr: MountAttr },
    /// An overlay whose layers have those ids: an overlay itself cannot be id-mapped.
    ///
    /// Each layer is attached below a tmpfs on `mount`, under the name `data` knows it by.
    IdmappedOverlay { layers: &'a [Layer<'a>], data: &'a CStr, mount: &'a CStr, attr: MountAttr },
    /// A new file system instance by mount(2) onto `mount` (overlay: its options may exceed fsconfig(2)'s 255 bytes).
    Fs { source: &'a CStr, fstype: &'a CStr, flags: u64, data: &'a CStr, mount: &'a CStr, attr: MountAttr },
}

/// A directory of the host that an overlay is made of.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    /// Name below the mount point.
    pub name: &'a CStr,
    pub source: &'a CStr,
}

/// What to make of a missing target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Create {
    No,
    Dir,
    File,
}

/// One mount into the container's tree.
#[derive(Clone, Copy, Debug)]
pub struct MountOp<'a> {
    pub kind: MountKind<'a>,
    /// Relative to the container's root, without a leading `/`; empty = the root itself.
    pub target: &'a CStr,
    pub resolve: Resolve,
    pub create: Create,
    /// A failure is noted, not fatal.
    pub optional: bool,
    /// Applied to the new mount before it becomes visible.
    pub attr: MountAttr,
    /// Propagation to set on the mount and everything below it, after it is attached.
    pub propagation: Propagation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// As the kernel leaves it.
    Default,
    /// `MS_*` of this mount alone.
    Top(u64),
    /// `MS_*` of this mount and all below.
    Recursive(u64),
}

#[derive(Clone, Copy, Debug)]
pub enum MountKind<'a> {
    /// A new file system instance.
    Fs {
        fstype: &'a CStr,
        source: &'a CStr,
        params: &'a [Param<'a>],
        /// `SB_*` state of the superblock itself.
        read_only: bool,
    },
    /// A new instance through mount(2), for parameters that fsconfig(2) cannot take.
    Classic { fstype: &'a CStr, source: &'a CStr, flags: u64, data: &'a CStr },
    /// A clone of a subtree of the host.
    Bind { source: &'a CStr, recursive: bool },
    /// A clone of a subtree of the container (the `relative` option, and parts of /proc and /sys).
    BindInside { source: &'a CStr, recursive: bool },
    /// A clone of a subtree of the host (or with `inside` of the container) whose ids the monitor maps.
    Idmapped { source: &'a CStr, inside: bool, recursive: bool },
    /// A clone of a subtree that the monitor opened.
    BindFd { source: BorrowedFd<'a>, recursive: bool },
    /// Only the attributes of the mount at `target` are changed.
    Change,
    /// A symlink at `target` instead of a mount (co-mounted v1 controllers).
    Symlink { to: &'a CStr },
    /// A directory at `target` instead of a mount.
    Directory,
}

/// One fsconfig(2) parameter.
#[derive(Clone, Copy, Debug)]
pub enum Param<'a> {
    Flag(&'a CStr),
    /// A flag of a mount entry, left out when the file system does not know it.
    Word(&'a CStr),
    String(&'a CStr, &'a CStr),
}

/// The container's /dev, consoles and ttys.
#[derive(Clone, Copy, Debug)]
pub struct Dev<'a> {
    /// `size=` of a fresh tmpfs, decimal; `None` = keep the rootfs's own /dev.
    pub tmpfs_size: Option<&'a CStr>,
    pub nodes: &'a [DevNode<'a>],
    /// `(target, name)` below /dev.
    pub symlinks: &'a [(&'a CStr, &'a CStr)],
    /// Parameters of a private devpts; `None` = no devpts.
    pub devpts: Option<&'a [Param<'a>]>,
    pub console: Console<'a>,
    /// `lxc.tty.dir`, below /dev.
    pub tty_dir: Option<&'a CStr>,
    /// How many ttys; at most [`MAX_TTYS`].
    pub ttys: usize,
    /// The container has a root of its own: console and ttys are bound into it.
    pub has_rootfs: bool,
}

/// The most ttys one container can have; descriptors of all travel in a few messages.
pub const MAX_TTYS: usize = 64;

#[derive(Clone, Copy, Debug)]
pub struct DevNode<'a> {
    pub name: &'a CStr,
    pub major: u32,
    pub minor: u32,
    pub mode: u32,
    /// Path of the host's node, bound in when mknod(2) is not permitted.
    pub host: &'a CStr,
}

#[derive(Clone, Copy, Debug)]
pub enum Console<'a> {
    /// `lxc.console.path = none`.
    None,
    /// A pty of the host's devpts, opened by the monitor, and a detached mount of it: what is in the monitor's mount
    /// namespace cannot be cloned from within the container's.
    Host { tty: BorrowedFd<'a>, mount: BorrowedFd<'a> },
    /// The same, with its path on the host: starters without privilege cannot clone mounts, their child in its own mount
    /// namespace can.
    HostPath { tty: BorrowedFd<'a>, path: &'a CStr },
    /// To be opened from the container's own devpts.
    Inside,
}

/// A label for init, written when nothing but exec is left that needs another.
#[derive(Clone, Copy, Debug)]
pub struct LsmLabel<'a> {
    /// Below `/proc`: `thread-self/attr/apparmor/current`, `thread-self/attr/exec`, …
    pub file: &'a CStr,
    pub label: &'a [u8],
}

#[derive(Clone, Copy, Debug)]
pub struct Seccomp<'a> {
    pub program: &'a [SockFilter],
    pub notify: bool,
}

/// What init gets as descriptors 0–2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdio {
    /// The caller's own (foreground without a console of its own).
    Inherit,
    /// `/dev/null` (daemonised without a console).
    Null,
    /// The console pty, which becomes the controlling terminal.
    Console,
}

/// Supplementary groups of init.
#[derive(Clone, Copy, Debug)]
pub enum Groups<'a> {
    Keep,
    Set(&'a [u32]),
}

/// What ends the script.
#[derive(Clone, Copy, Debug)]
pub enum Program<'a> {
    /// lxc-start: the image replaces the child.
    Exec(&'a Image),
    /// lxc-execute: the child stays as a minimal init and runs the image as its child.
    UnderMiniInit(&'a Image),
}
