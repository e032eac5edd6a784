//! The container's pid 1 to be: one straight line from clone to exec.

use core::convert::Infallible;
use core::ffi::CStr;

use lxc_sys::clone::exit_now;
use lxc_sys::rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use lxc_sys::rustix::fs::{CWD, FileType, Mode, OFlags, fstat, makedev, openat};
use lxc_sys::rustix::io::Errno;
use lxc_sys::{cred, fd, netlink, ns, pidfd, proc, signal, title, tree};

use crate::dev::Made;
use crate::joiner::join_item;
use crate::script::{Console, InitScript, Program, Resolve, Rootfs, Stdio};
use crate::sync::{Fault, Milestone, Msg, Parcel, Step, Talk, meet, tell};
use crate::{confine, dev, hook, mini_init, mounts, rootfs};

/// The entry point of the clone. Never returns: it execs, or reports why not and exits 1.
pub extern "C" fn init(script: &InitScript<'_>) -> ! {
    let Err(fault) = run(script);
    // The monitor may be gone; then there is nobody to tell.
    let _ = tell(script.sync, Msg::Fault(fault), &[]);
    exit_now(1)
}

fn run(script: &InitScript<'_>) -> Result<Infallible, Fault> {
    die_with_monitor(script)?;
    signal::reset_dispositions();
    signal::set_mask(script.mask).map_err(|errno| Fault::new(Step::SignalMask, 0, errno))?;
    confine::raise_ambient(script.become_root.is_some())?;
    for (item, entry) in script.cgroup_entries.iter().enumerate() {
        proc::write_all(*entry, b"0").map_err(|errno| Fault::new(Step::Cgroup, item as u32, errno))?;
    }
    meet(script.sync, Milestone::Cloned, &[])?;

    join_namespaces(script)?;
    become_namespace_root(script)?;
    // ORDER: when there is a root to own it, and before anybody asks for it.
    unshare_network(script)?;
    let mut network = Talk::new(script.sync, script.network.send_socket);
    hand_over_network(script)?;
    unshare_late(script)?;

    let root = match script.rootfs {
        Rootfs::Untouched => rootfs::enter(&script.rootfs, &mut network)?,
        _ => {
            rootfs::make_slave()?;
            if !script.hooks.pre_mount.is_empty() {
                network.settle()?;
                hook::run(&script.hooks, script.hooks.pre_mount, Step::PreMountHook)?;
            }
            rootfs::enter(&script.rootfs, &mut network)?
        }
    };
    if let Some(name) = script.hostname {
        lxc_sys::rustix::system::sethostname(name.to_bytes())
            .map_err(|errno| Fault::new(Step::Hostname, 0, errno))?;
    }
    if script.new_session_keyring {
        if let Some(label) = &script.keyring_label {
            confine::set_label(script.proc, label)?;
        }
        match cred::new_session_keyring() {
            // A kernel without keys has none to hide.
            Ok(()) | Err(Errno::NOSYS | Errno::OPNOTSUPP) => {}
            Err(errno) => return Err(Fault::new(Step::Keyring, 0, errno)),
        }
        if let Some(label) = &script.keyring_label {
            // Only this keyring: an empty write goes back to the default.
            confine::set_label(script.proc, &crate::script::LsmLabel { label: b"\n", ..*label })?;
        }
    }

    dev::mount_tmpfs(root.as_fd(), &script.dev)?;
    mounts::run(root.as_fd(), script.mounts, 0, &mut network)?;
    mounts::run(root.as_fd(), script.cgroup_mounts, script.mounts.len() as u32, &mut network)?;
    if !script.hooks.mount.is_empty() || !script.hooks.autodev.is_empty() {
        network.settle()?;
    }
    hook::run(&script.hooks, script.hooks.mount, Step::MountHook)?;
    // ORDER: hooks may have put another /dev over the one mounted above; everything below works on what is on top.
    let mut made = Made { devpts: None, console: None, ttys: [const { None }; _] };
    if let Some(dir) = open_dev(script, root.as_fd())? {
        hook::run(&script.hooks, script.hooks.autodev, Step::AutodevHook)?;
        dev::make_nodes(dir.as_fd(), script.dev.nodes)?;
        if let Some(params) = script.dev.devpts {
            made.devpts = Some(dev::mount_devpts(dir.as_fd(), params)?);
        }
        dev::make_terminals(dir.as_fd(), &script.dev, &mut made)?;
        dev::make_symlinks(dir.as_fd(), script.dev.symlinks)?;
    } else if script.dev.ttys > 0 {
        dev::make_terminals(root.as_fd(), &script.dev, &mut made)?;
    }
    check_start_hook(script, root.as_fd())?;

    if !matches!(script.rootfs, Rootfs::HostRoot | Rootfs::Untouched) {
        rootfs::pivot(root.as_fd())?;
    }
    if let Some(text) = script.boot_id
        && let Err(errno) = confine::bind_boot_id(root.as_fd(), text)
    {
        // COMPAT: a boot id of its own is a nicety; the original starts without it too.
        note(script, Step::BootId, errno)?;
    }
    if let Some(personality) = script.personality {
        cred::set_personality(personality).map_err(|errno| Fault::new(Step::Personality, 0, errno))?;
    }
    confine::write_sysctls(script.proc, script.sysctls)?;
    confine::drop_capabilities(script.drop_capabilities)?;
    if script.hooks.start.is_empty() {
        // ORDER: before the seccomp filter, which may forbid it; but start hooks are to have what other hooks had.
        confine::clear_inheritable()?;
    }
    if let Some(label) = &script.lsm {
        // ORDER: before no_new_privs, which forbids a change of label.
        confine::set_label(script.proc, label)?;
    }
    if script.no_new_privs {
        cred::set_no_new_privs().map_err(|errno| Fault::new(Step::NoNewPrivs, 0, errno))?;
    }
    network.settle()?;
    // Whatever the caller leaked into us stays out of the container; our own descriptors are close-on-exec from birth.
    // ORDER: before the filter, which need not know close_range(2).
    fd::cloexec_from(3).map_err(|errno| Fault::new(Step::Exec, 1, errno))?;
    let listener = match &script.seccomp {
        Some(seccomp) => confine::load_seccomp(seccomp)?,
        None => None,
    };
    if !script.hooks.start.is_empty() {
        hook::run(&script.hooks, script.hooks.start, Step::StartHook)?;
        confine::clear_inheritable()?;
    }

    set_up_stdio(script, &made)?;
    if let Some(path) = script.cwd {
        confine::enter_cwd(path)?;
    }
    hand_over(script, &made, listener.as_ref())?;
    drop(made);
    drop(listener);

    become_final_user(script)?;
    tell(script.sync, Msg::Reached(Milestone::Ready), &[])
        .map_err(|errno| Fault::new(Step::Protocol, Milestone::Ready as u32, errno))?;
    match script.program {
        Program::Exec(image) => Err(Fault::new(Step::Exec, 0, image.exec())),
        Program::UnderMiniInit(image) => {
            // No exec closes them here: the monitor takes the end of the handshake socket for success. Nothing owned or
            // borrowed above is used or dropped any more, since this does not return.
            // Nobody but ps(1) minds if it cannot be set. By the host's /proc: the container's may be anything.
            // Not a constant, which the kernel would not show; this frame is never left.
            let text = core::hint::black_box(*b"init\0");
            let _ = title::set_title_by(script.proc, CStr::from_bytes_with_nul(&text).unwrap_or_default());
            fd::close_between(3, u32::MAX).map_err(|errno| Fault::new(Step::Exec, 1, errno))?;
            exit_now(mini_init::run(|| {
                image.exec();
                CANNOT_EXECUTE
            }))
        }
    }
}

const SIGKILL: u32 = 9;

const CLONE_NEWTIME: u64 = 0x80;

const CLONE_NEWNET: u64 = 0x4000_0000;

/// What lxc-execute reports for a command that could not be executed, whatever the reason (cli.md §1.5).
const CANNOT_EXECUTE: i32 = 255;

/// The kernel kills this process when the monitor's thread ends; a monitor that is dead already is noticed here.
fn die_with_monitor(script: &InitScript<'_>) -> Result<(), Fault> {
    let fault = |errno| Fault::new(Step::DieWithMonitor, 0, errno);
    cred::set_parent_death_signal(SIGKILL).map_err(fault)?;
    match pidfd::ended(script.monitor, 0) {
        Ok(false) => Ok(()),
        Ok(true) => Err(fault(Errno::SRCH)),
        Err(errno) => Err(fault(errno)),
    }
}

fn join_namespaces(script: &InitScript<'_>) -> Result<(), Fault> {
    for (fd, kind) in script.join {
        ns::join(*fd, *kind).map_err(|errno| Fault::new(Step::JoinNamespace, join_item(*kind), errno))?;
    }
    Ok(())
}

fn become_namespace_root(script: &InitScript<'_>) -> Result<(), Fault> {
    let Some((uid, gid)) = script.become_root else { return Ok(()) };
    let fault = |item: u32| move |errno| Fault::new(Step::BecomeRoot, item, errno);
    match cred::set_groups(&[]) {
        Ok(()) | Err(Errno::PERM) => {}
        Err(errno) => return Err(fault(0)(errno)),
    }
    cred::set_gids(gid).map_err(fault(1))?;
    cred::set_uids(uid).map_err(fault(2))?;
    // ORDER: a change of ids clears both of these (prctl(2)).
    cred::set_dumpable(true).map_err(fault(3))?;
    die_with_monitor(script)
}

fn hand_over_network(script: &InitScript<'_>) -> Result<(), Fault> {
    if script.network.raise_loopback {
        netlink::raise_loopback().map_err(|errno| Fault::new(Step::Loopback, 0, errno))?;
    }
    let tell = |fds: &[BorrowedFd<'_>]| {
        tell(script.sync, Msg::Reached(Milestone::Mapped), fds)
            .map_err(|errno| Fault::new(Step::Protocol, Milestone::Mapped as u32, errno))
    };
    if script.network.send_socket {
        let socket =
            netlink::open_route_socket().map_err(|errno| Fault::new(Step::NetlinkSocket, 0, errno))?;
        tell(&[socket.as_fd()])
    } else {
        Ok(())
    }
}

fn unshare_network(script: &InitScript<'_>) -> Result<(), Fault> {
    match script.unshare_late & CLONE_NEWNET {
        0 => Ok(()),
        net => ns::unshare(net).map_err(|errno| Fault::new(Step::UnshareNamespaces, 1, errno)),
    }
}

fn unshare_late(script: &InitScript<'_>) -> Result<(), Fault> {
    let late = script.unshare_late & !CLONE_NEWNET;
    if late == 0 {
        return Ok(());
    }
    ns::unshare(late).map_err(|errno| Fault::new(Step::UnshareNamespaces, 0, errno))?;
    if script.unshare_late & CLONE_NEWTIME == 0 {
        return Ok(());
    }
    let fault = |item: u32| move |errno| Fault::new(Step::TimeOffsets, item, errno);
    if !script.time_offsets.is_empty() {
        script.proc.write_at(c"self/timens_offsets", script.time_offsets).map_err(fault(0))?;
    }
    let own =
        openat(CWD, c"/proc/self/ns/time_for_children", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(fault(1))?;
    ns::join(own.as_fd(), 0).map_err(fault(2))
}

/// The directory that /dev work happens in, if there is any to do.
fn open_dev(script: &InitScript<'_>, root: BorrowedFd<'_>) -> Result<Option<OwnedFd>, Fault> {
    let dev = &script.dev;
    let wanted = dev.tmpfs_size.is_some()
        || dev.devpts.is_some()
        || !script.hooks.autodev.is_empty()
        || dev.has_rootfs
            && (dev.ttys > 0 || !matches!(dev.console, Console::None) || !dev.symlinks.is_empty());
    if !wanted {
        return Ok(None);
    }
    match tree::find(root, c"dev", Resolve::NoSymlinks) {
        Ok(dir) => Ok(Some(dir)),
        // A rootfs without /dev and without autodev gets no terminals (an application container of one binary).
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(Fault::new(Step::DevTmpfs, 5, errno)),
    }
}

/// Only the first start hook is looked for, as in the original: later ones may be made by earlier ones.
fn check_start_hook(script: &InitScript<'_>, root: BorrowedFd<'_>) -> Result<(), Fault> {
    let Some(program) = script.hooks.start_program else { return Ok(()) };
    tree::find(root, program, Resolve::InRoot)
        .map(drop)
        .map_err(|errno| Fault::new(Step::StartHookMissing, 0, errno))
}

fn note(script: &InitScript<'_>, step: Step, errno: Errno) -> Result<(), Fault> {
    tell(script.sync, Msg::Note(Fault::new(step, 0, errno)), &[])
        .map_err(|errno| Fault::new(Step::Protocol, 0, errno))
}

fn set_up_stdio(script: &InitScript<'_>, made: &Made) -> Result<(), Fault> {
    let fault = |item: u32| move |errno| Fault::new(Step::Stdio, item, errno);
    match script.stdio {
        Stdio::Inherit => new_session(),
        Stdio::Null => {
            let null = match open_null() {
                Ok(null) => null,
                // A root without /dev/null: the descriptors the monitor has are /dev/null already.
                Err(_) => return new_session(),
            };
            replace_stdio(null.as_fd()).map_err(fault(0))?;
            new_session()
        }
        Stdio::Console => {
            let pts = match (&made.console, script.dev.console) {
                (Some((_, pts)), _) => pts.as_fd(),
                (None, Console::Host { tty, .. } | Console::HostPath { tty, .. }) => tty,
                (None, Console::None | Console::Inside) => return new_session(),
            };
            new_session()?;
            lxc_sys::rustix::process::ioctl_tiocsctty(pts)
                .map_err(|errno| Fault::new(Step::Session, 1, errno))?;
            replace_stdio(pts).map_err(fault(1))
        }
    }
}

/// The container's /dev/null, if it is one: what an image put there is not opened (CVE-2025-31133).
fn open_null() -> Result<OwnedFd, Errno> {
    let root = openat(CWD, c"/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let is_null = |fd: &OwnedFd| -> Result<(), Errno> {
        let stat = fstat(fd)?;
        let good = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
            && stat.st_rdev == makedev(1, 3);
        if good { Ok(()) } else { Err(Errno::NODEV) }
    };
    is_null(&tree::find(root.as_fd(), c"dev/null", Resolve::InRoot)?)?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK;
    let null = tree::open(root.as_fd(), c"dev/null", flags, Resolve::InRoot)?;
    is_null(&null)?;
    Ok(null)
}

fn replace_stdio(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    for number in 0..3 {
        fd::dup_onto(fd, number)?;
    }
    Ok(())
}

fn new_session() -> Result<(), Fault> {
    match lxc_sys::rustix::process::setsid() {
        // Already a group leader: possible only as the first process of a kept pid namespace.
        Ok(_) | Err(Errno::PERM) => Ok(()),
        Err(errno) => Err(Fault::new(Step::Session, 0, errno)),
    }
}

/// Sends up what the monitor keeps, and waits for its blessing.
fn hand_over(script: &InitScript<'_>, made: &Made, listener: Option<&OwnedFd>) -> Result<(), Fault> {
    let send = |parcel, fds: &[BorrowedFd<'_>]| {
        tell(script.sync, Msg::Sent(parcel), fds)
            .map_err(|errno| Fault::new(Step::Protocol, Milestone::Mounted as u32, errno))
    };
    if let Some(devpts) = &made.devpts {
        send(Parcel::Devpts, &[devpts.as_fd()])?;
    }
    if let Some(listener) = listener {
        send(Parcel::SeccompListener, &[listener.as_fd()])?;
    }
    if let Some((ptx, pts)) = &made.console {
        send(Parcel::Console, &[ptx.as_fd(), pts.as_fd()])?;
    }
    for chunk in made.ttys.chunks(fd::MAX_FDS / 2) {
        let mut fds = [script.sync; fd::MAX_FDS];
        let mut count = 0;
        for end in chunk.iter().flatten().flat_map(|(ptx, pts)| [ptx, pts]) {
            if let Some(slot) = fds.get_mut(count) {
                *slot = end.as_fd();
                count += 1;
            }
        }
        if let (Some(fds), true) = (fds.get(..count), count > 0) {
            send(Parcel::Ttys, fds)?;
        }
    }
    meet(script.sync, Milestone::Mounted, &[])
}

fn become_final_user(script: &InitScript<'_>) -> Result<(), Fault> {
    confine::become_user(&script.groups, script.ids)?;
    let fault = |item: u32| move |errno| Fault::new(Step::Ids, item, errno);
    cred::clear_ambient().map_err(fault(2))?;
    if script.ids.0 != 0 && matches!(script.program, Program::UnderMiniInit(_)) {
        // Without a root in the map no change of ids took them away, and no exec will.
        cred::set_capabilities(cred::CapSets { effective: 0, permitted: 0, inheritable: 0 })
            .map_err(fault(4))?;
    }
    if script.ids != (0, 0) {
        cred::set_dumpable(true).map_err(fault(3))?;
    }
    // ORDER: last, since every change of ids resets it.
    let fault = |errno| Fault::new(Step::DieWithMonitor, 0, errno);
    cred::set_parent_death_signal(script.death_signal).map_err(fault)?;
    match pidfd::ended(script.monitor, 0) {
        Ok(true) => Err(fault(Errno::SRCH)),
        // COMPAT: the container's filter is in force by now, and one made for the original need not let us ask. The signal
        // is set; only a monitor that died this very moment is missed.
        Ok(false) | Err(_) => Ok(()),
    }
}
