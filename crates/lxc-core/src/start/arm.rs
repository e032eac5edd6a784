//! Everything that needs privilege or descriptors in the host's context, opened before the clone.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use lxc_conf::model::{IdKind, Ns};
use lxc_sys::cred;
use lxc_sys::proc::ProcFs;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{PidfdFlags, pidfd_open};

use super::Prepared;
use super::favours::Favours;
use crate::command::Client;
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::idmap;
use crate::plan::{ConsolePlan, Join, Kind, Mode as StartMode, StartPlan};
use crate::rootfs::RootfsPlan;
use crate::seccomp::notify::Proxy;
use crate::seccomp::{self, SeccompFacts};

/// A pty of the host's devpts.
#[derive(Debug)]
pub(super) struct HostPty {
    pub ptx: OwnedFd,
    pub pts: OwnedFd,
    /// A detached mount of `pts`, to be attached inside.
    pub mount: PtyMount,
}

/// How the child gets at a pty as something to mount.
#[derive(Debug)]
pub(super) enum PtyMount {
    /// A detached mount of it.
    Cloned(OwnedFd),
    /// Its path, for starters that may not clone mounts.
    Path(CString),
}

/// Namespaces with their `CLONE_NEW*` bit.
pub(super) type JoinList<'a> = Vec<(BorrowedFd<'a>, u64)>;

/// What the clone and the child need, besides the plan.
#[derive(Debug)]
pub(super) struct Armed {
    /// The monitor's and the child's end of the handshake.
    pub sync: (OwnedFd, OwnedFd),
    pub proc: ProcFs,
    /// pidfd of this process.
    pub monitor: OwnedFd,
    pub joins: Vec<(OwnedFd, Ns)>,
    pub favours: Favours,
    /// Keeps the root file system's file system from being remounted read-only by the container.
    pub pin: Option<OwnedFd>,
    pub console: Option<HostPty>,
    /// Read and write end for the output of hooks in the child.
    pub hook_output: Option<(OwnedFd, OwnedFd)>,
    pub seccomp: Option<seccomp::Program>,
    /// The connection to the proxy that is asked about calls.
    pub seccomp_proxy: Option<Proxy>,
}

/// Opens it all.
///
/// - Context: monitor, after the pre-start hooks.
pub(super) fn arm(prepared: &Prepared, joins: Vec<(OwnedFd, Ns)>, hooks_in_child: bool) -> Result<Armed> {
    let plan = &prepared.plan;
    make_work_dir(plan)?;
    let sync = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .what(|| "make a socket pair for the container's init")?;
    let proc = ProcFs::open()
        .what(|| "open /proc")
        .map_err(|error| error.cure("mount a proc file system on /proc"))?;
    let monitor =
        pidfd_open(rustix::process::getpid(), PidfdFlags::empty()).what(|| "open a pidfd of the monitor")?;
    let seccomp = match &plan.seccomp {
        Some((path, origin)) => load_policy(prepared, Path::new(path)).map_err(|error| error.at(origin))?,
        None => None,
    };
    Ok(Armed {
        sync,
        proc,
        monitor,
        joins,
        favours: Favours::arm(plan)?,
        pin: pin_rootfs(plan)?,
        console: match plan.dev.console {
            ConsolePlan::Host => Some(open_host_pty(plan)?),
            ConsolePlan::None | ConsolePlan::Inside => None,
        },
        hook_output: match hooks_in_child {
            true => Some(pipe_with(PipeFlags::CLOEXEC).what(|| "make a pipe for hook output")?),
            false => None,
        },
        seccomp_proxy: match &seccomp {
            Some(program) if program.notify => Proxy::connect(prepared.request.config.settings())?,
            _ => None,
        },
        seccomp,
    })
}

/// Opens the namespaces to join.
pub(super) fn open_joins(prepared: &Prepared) -> Result<Vec<(OwnedFd, Ns)>> {
    let joins = prepared.plan.namespaces.join.iter();
    joins.map(|join| Ok((open_namespace(&prepared.request.lxcpath, join)?, join.ns))).collect()
}

fn load_policy(prepared: &Prepared, path: &Path) -> Result<Option<seccomp::Program>> {
    seccomp::compile(path, prepared.request.config.settings(), SeccompFacts::survey())
}

/// A namespace of another container, a process, or a file.
fn open_namespace(lxcpath: &Path, join: &Join) -> Result<OwnedFd> {
    let target = join.target.value.as_str();
    let word = join.ns.word();
    let open = |path: String| {
        openat(CWD, path.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .what(|| format!("open the {word} namespace {path} (lxc.namespace.share.{word})"))
            .map_err(|error| error.at(&join.target.origin))
    };
    if target.starts_with('/') && Path::new(target).is_file() {
        return open(target.to_owned());
    }
    if let Ok(pid) = target.parse::<u32>() {
        return open(format!("/proc/{pid}/ns/{word}"));
    }
    let (lxcpath, name) = match target.rsplit_once('/') {
        Some((path, name)) if target.starts_with('/') => (Path::new(path), name),
        _ => (lxcpath, target),
    };
    let pid = Client::new(lxcpath, name).init_pid().map_err(|error| {
        error
            .context(format!("find the {word} namespace of container {name} (lxc.namespace.share.{word})"))
            .at(&join.target.origin)
            .cure(format!("start container {name} first"))
    })?;
    open(format!("/proc/{pid}/ns/{word}"))
}

/// `.lxc_keep`, open for writing and unlinked: the kernel refuses to remount its file system read-only meanwhile.
///
/// COMPAT: the original pins directories of privileged containers only, and goes on when it cannot.
fn pin_rootfs(plan: &StartPlan) -> Result<Option<OwnedFd>> {
    let RootfsPlan::Dir { source, .. } = &plan.rootfs else { return Ok(None) };
    if !plan.idmap.is_empty() {
        return Ok(None);
    }
    let dir =
        openat(CWD, source.as_c_str(), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .what(|| format!("open the root file system {}", source.to_string_lossy()))?;
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(&dir, c".lxc_keep", flags, Mode::from_raw_mode(0o600)) {
        Ok(pin) => {
            let _ = rustix::fs::unlinkat(&dir, c".lxc_keep", rustix::fs::AtFlags::empty());
            Ok(Some(pin))
        }
        Err(Errno::ROFS) => Ok(None),
        Err(errno) => {
            tracing::debug!("root file system {} is not pinned: {errno}", source.to_string_lossy());
            Ok(None)
        }
    }
}

fn open_host_pty(plan: &StartPlan) -> Result<HostPty> {
    use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let ptx = openpt(flags).what(|| "open /dev/ptmx for the console")?;
    unlockpt(&ptx).what(|| "unlock the console's pty")?;
    let pts = ioctl_tiocgptpeer(&ptx, flags).what(|| "open the console's pty")?;
    if !plan.idmap.is_empty() {
        give(&pts, plan).what(|| "give the console's pty to the container's root")?;
    }
    let mount = match lxc_child::mounts::clone_tree(pts.as_fd(), false) {
        Ok(mount) => PtyMount::Cloned(mount),
        Err(Errno::PERM) => {
            let path =
                rustix::termios::ttyname(&pts, Vec::new()).what(|| "find the name of the console's pty")?;
            PtyMount::Path(path)
        }
        Err(errno) => return Err(errno).what(|| "clone the console's pty as a mount"),
    };
    Ok(HostPty { ptx, pts, mount })
}

/// Makes the container's root the owner of an open file.
fn give(file: &OwnedFd, plan: &StartPlan) -> Result<()> {
    const CAP_CHOWN: u64 = 1;
    let Some(host) = idmap::host_id(&plan.idmap, IdKind::User, 0) else { return Ok(()) };
    let give = |file: &OwnedFd, uid| rustix::fs::fchown(file, Some(rustix::fs::Uid::from_raw(uid)), None);
    let able = cred::capabilities().what(|| "read capabilities")?.effective & CAP_CHOWN != 0;
    let refused = if able {
        give(file, host).err()
    } else {
        // A group without a place in the namespace (tty, of a devpts with gid=5) would take the say from its root.
        let group = rustix::fs::fstat(file).what(|| "look at the group")?.st_gid;
        let own = rustix::process::getegid();
        if group != own.as_raw() {
            rustix::fs::fchown(file, None, Some(own)).what(|| "chgrp")?;
        }
        let inside = |file: &OwnedFd| {
            rustix::fs::fchown(file, Some(rustix::fs::Uid::ROOT), None).map_err(|errno| (0, errno))
        };
        idmap::inside::run(&plan.idmap, inside, file)?.map(|(_, errno)| errno)
    };
    refused.map_or(Ok(()), |errno| Err(Error::kernel(errno, "chown")))
}

/// Makes the work directory of an overlay when it is missing, as the original does, and gives it to who will write there:
/// an overlay whose work directory refuses its mounter becomes read-only without a word.
fn make_work_dir(plan: &StartPlan) -> Result<()> {
    let RootfsPlan::Overlay { work, .. } = &plan.rootfs else { return Ok(()) };
    let what = || format!("make the work directory {work} of the overlay");
    match rustix::fs::mkdir(work, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno).what(what),
    }
    // Mapped layers show the starter's own directory as the container root's.
    if plan.idmap.is_empty() || plan.rootfs.idmap().is_some() {
        return Ok(());
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = match openat(CWD, work, flags, Mode::empty()) {
        // Not ours to look into, so it has been given already.
        Err(Errno::ACCESS) => return Ok(()),
        opened => opened.what(what)?,
    };
    let owner = rustix::fs::fstat(&dir).what(what)?.st_uid;
    match idmap::host_id(&plan.idmap, IdKind::User, 0) {
        Some(root) if root != owner => give(&dir, plan).what(what),
        _ => Ok(()),
    }
}

impl Armed {
    /// Namespaces to join before the clone, and those init joins itself.
    ///
    /// The cgroup namespace can wait until init is in its cgroup, which it may have to be born in from outside; but not
    /// until it is in a user namespace, where it has no say over those of others.
    pub(super) fn join_lists(&self, plan: &StartPlan) -> (JoinList<'_>, JoinList<'_>) {
        let early_cgroup = plan.namespaces.owns(Ns::User) || plan.namespaces.shares(Ns::User);
        let list = self.joins.iter().map(|(fd, ns)| (fd.as_fd(), ns.clone_flag()));
        list.partition(|(_, kind)| early_cgroup || *kind != Ns::Cgroup.clone_flag())
    }
}

/// What init gets as standard streams.
///
/// Source: observed on the original: a daemonised init has /dev/null, whatever its console; in the foreground the console
/// pty, or the caller's own streams when there is no console. lxc-execute passes its streams on when none is a terminal.
pub(super) fn stdio(plan: &StartPlan) -> lxc_child::script::Stdio {
    use lxc_child::script::Stdio;
    match (plan.mode, plan.dev.console) {
        (StartMode::Daemon, _) => Stdio::Null,
        (StartMode::Foreground, ConsolePlan::None) => Stdio::Inherit,
        (StartMode::Foreground, _) if plan.kind == Kind::Execute && !plan.terminal => Stdio::Inherit,
        (StartMode::Foreground, _) => Stdio::Console,
    }
}

/// For the unreachable: a plan that promised a descriptor and none was opened.
pub(super) fn missing(what: &'static str) -> Error {
    Error::new(ErrorKind::Internal, what)
}
