//! The attached process: from the clone to the exec of the command, in one straight line.
//!
//! Context: a fresh clone with one thread, a member of the container's pid namespace, otherwise still in the caller's.
//! Does not allocate. Not here: decisions.

use lxc_sys::clone::exit_now;
use lxc_sys::rustix::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use lxc_sys::rustix::fs::OFlags;
use lxc_sys::rustix::io::Errno;
use lxc_sys::rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use lxc_sys::{cred, fd, ns, proc, rustix, signal, tty};

use crate::attach_script::{At, AttachFault, AttachMessage, AttachScript, AttachStep};

/// Exit code when the command was found but cannot be executed.
pub const NOT_EXECUTABLE: i32 = 126;
/// Exit code when the command was not found.
pub const NOT_FOUND: i32 = 127;
/// Exit code when exec failed in another way.
pub const EXEC_FAILED: i32 = 255;

/// Runs the script; entry point of a clone.
pub extern "C" fn attached(script: &AttachScript<'_>) -> ! {
    let result = prepare(script).and_then(|()| {
        let label = open_label(script)?;
        join(script)?;
        finish(script, label)
    });
    match result {
        Ok(never) => match never {},
        Err(fault) => fail(script, fault),
    }
}

pub(crate) enum Never {}

/// What needs the caller's privileges and name space.
pub(crate) fn prepare(script: &AttachScript<'_>) -> Result<(), AttachFault> {
    // Not dumpable until exec: a tracer in the container must not reach the host's descriptors (CVE-2016-8649).
    let _ = cred::set_dumpable(false);
    for (index, procs) in script.cgroups.iter().enumerate() {
        proc::write_all(*procs, b"0").at(AttachStep::Cgroup, index)?;
    }
    for (index, limit) in script.limits.iter().enumerate() {
        cred::set_limit(0, limit.resource, limit.soft, limit.hard).at(AttachStep::Limit, index)?;
    }
    for (index, write) in script.proc_writes.iter().enumerate() {
        script.proc.write_at(write.path, write.value).at(AttachStep::ProcWrite, index)?;
    }
    if script.new_session_keyring {
        // ORDER: still as the caller, so that a container that used up its quota of keys cannot keep him out.
        match cred::new_session_keyring() {
            // A kernel without keys has none to hide.
            Ok(()) | Err(Errno::NOSYS | Errno::OPNOTSUPP) => {}
            Err(errno) => return Err(errno).at(AttachStep::Keyring, 0),
        }
    }
    if script.drop_terminal {
        match tty::drop_controlling() {
            // The container's device list keeps this process from /dev/tty: it leads nowhere in there either.
            Err(Errno::PERM) => {}
            other => other.at(AttachStep::DropTerminal, 0)?,
        }
    }
    Ok(())
}

/// Opens the LSM attribute file while only the host's procfs is in reach (CVE-2015-1334).
pub(crate) fn open_label(script: &AttachScript<'_>) -> Result<Option<OwnedFd>, AttachFault> {
    script
        .label
        .map(|label| script.proc.open_at(label.path, OFlags::WRONLY).at(AttachStep::OpenLabel, 0))
        .transpose()
}

pub(crate) fn join(script: &AttachScript<'_>) -> Result<(), AttachFault> {
    for (index, op) in script.joins.iter().enumerate() {
        ns::join(op.fd, op.kinds).at(AttachStep::Join, index)?;
    }
    Ok(())
}

/// Everything after the namespaces were joined. The numbers are those of the ordering rules in the reference, §F.
pub(crate) fn finish(script: &AttachScript<'_>, label: Option<OwnedFd>) -> Result<Never, AttachFault> {
    // ORDER: first of all, so that no code below runs with a host descriptor open.
    close_foreign(script, label.as_ref()).at(AttachStep::CloseForeign, 0)?;
    if let Some(cwd) = script.cwd {
        // A directory the container lacks is not an error: the joined mount namespace's root is the start then.
        let _ = rustix::process::chdir(cwd);
    }
    if script.remount {
        remount()?;
    }
    if let Some(pid) = script.core_of {
        cred::join_core_scheduling_domain(pid).at(AttachStep::CoreScheduling, 0)?;
    }
    if let Some(personality) = script.personality {
        cred::set_personality(personality).at(AttachStep::Personality, 0)?;
    }
    confine_capabilities(script.drop_bounding)?;
    become_namespace_root(script)?;
    // ORDER: the label before no_new_privs, after which LSMs refuse transitions.
    if let (Some(fd), Some(op)) = (label, script.label) {
        proc::write_all(fd.as_fd(), op.text).at(AttachStep::Label, 0)?;
        drop(fd);
    }
    if script.no_new_privs {
        cred::set_no_new_privs().at(AttachStep::NoNewPrivs, 0)?;
    }
    terminal(script)?;
    // ORDER: the filter before the ids, since it needs CAP_SYS_ADMIN; the listener is sent while sendmsg may yet work.
    if let Some(op) = script.seccomp {
        let listener = cred::load_seccomp(op.program, op.notify).at(AttachStep::Seccomp, 0)?;
        if let Some(listener) = listener {
            let message = AttachMessage::SeccompListener.encode();
            fd::send(script.report, &message, &[listener.as_fd()]).at(AttachStep::Seccomp, 1)?;
        }
    }
    cred::set_gids(script.gid).at(AttachStep::Gid, 0)?;
    cred::set_uids(script.uid).at(AttachStep::Uid, 0)?;
    signal::set_mask(script.mask).at(AttachStep::SignalMask, 0)?;
    let errno = script.image.exec();
    let errno = script.fallback.map_or(errno, lxc_sys::exec::Image::exec);
    Err(AttachFault { step: AttachStep::Exec, item: 0, errno })
}

/// Closes all but 0–2 and the few descriptors still needed, which are close-on-exec.
fn close_foreign(script: &AttachScript<'_>, label: Option<&OwnedFd>) -> Result<(), Errno> {
    let [stdin, stdout, stderr] = script.stdio;
    let mut keep: [RawFd; 6] = [
        script.report.as_raw_fd(),
        label.map_or(-1, AsRawFd::as_raw_fd),
        script.terminal.map_or(-1, |fd| fd.as_raw_fd()),
        stdin.map_or(-1, |fd| fd.as_raw_fd()),
        stdout.map_or(-1, |fd| fd.as_raw_fd()),
        stderr.map_or(-1, |fd| fd.as_raw_fd()),
    ];
    keep.sort_unstable();
    let mut first: u32 = 3;
    for kept in keep.into_iter().filter_map(|kept| u32::try_from(kept).ok()) {
        if kept >= first {
            fd::close_between(first, kept.saturating_sub(1))?;
            first = kept.saturating_add(1);
        }
    }
    fd::close_between(first, u32::MAX)
}

fn confine_capabilities(drop: u64) -> Result<(), AttachFault> {
    for number in 0..64u8 {
        if drop & (1 << number) != 0 {
            match cred::drop_bounding(number) {
                // Past the last capability this kernel knows.
                Err(Errno::INVAL) => break,
                result => result.at(AttachStep::Capability, usize::from(number))?,
            }
        }
    }
    // An inheritable set that is not empty would survive the exec (CVE-2022-29162); the ambient one goes with it.
    let sets = cred::capabilities().at(AttachStep::Capability, 64)?;
    if sets.inheritable != 0 {
        let sets = cred::CapSets { inheritable: 0, ..sets };
        cred::set_capabilities(sets).at(AttachStep::Capability, 64)?;
    }
    Ok(())
}

fn become_namespace_root(script: &AttachScript<'_>) -> Result<(), AttachFault> {
    match cred::set_groups(script.groups) {
        // COMPAT: without CAP_SETGID, or where the namespace denies setgroups(2), there is nothing to drop with.
        Err(Errno::PERM) if script.groups.is_empty() => {}
        result => result.at(AttachStep::Groups, 0)?,
    }
    if let Some((uid, gid)) = script.namespace_root {
        cred::set_gids(gid).at(AttachStep::NamespaceRoot, 1)?;
        cred::set_uids(uid).at(AttachStep::NamespaceRoot, 0)?;
        // set*id made the process dumpable or not by its own rules; see `prepare`.
        let _ = cred::set_dumpable(false);
    }
    Ok(())
}

fn terminal(script: &AttachScript<'_>) -> Result<(), AttachFault> {
    if let Some(pts) = script.terminal {
        rustix::process::setsid().at(AttachStep::Terminal, 0)?;
        tty::make_controlling(pts).at(AttachStep::Terminal, 1)?;
    }
    for (index, (wanted, target)) in script.stdio.into_iter().zip(0..).enumerate() {
        if let Some(fd) = wanted {
            fd::dup_onto(fd, target).at(AttachStep::Stdio, index)?;
        }
    }
    Ok(())
}

/// A mount namespace of its own in which `/proc` and `/sys` belong to the joined pid and network namespaces.
fn remount() -> Result<(), AttachFault> {
    const CLONE_NEWNS: u64 = 0x2_0000;
    ns::unshare(CLONE_NEWNS).at(AttachStep::Remount, 2)?;
    // ORDER: nothing mounted below may travel back to the host.
    let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    rustix::mount::mount_change(c"/", slave).at(AttachStep::Remount, 3)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    for (index, (kind, target)) in [(c"proc", c"/proc"), (c"sysfs", c"/sys")].into_iter().enumerate() {
        // When the old one cannot be taken away the new one covers it.
        let _ = rustix::mount::unmount(target, UnmountFlags::DETACH);
        rustix::mount::mount(kind, target, kind, flags, None).at(AttachStep::Remount, index)?;
    }
    Ok(())
}

/// Tells the caller what failed and ends.
pub(crate) fn fail(script: &AttachScript<'_>, fault: AttachFault) -> ! {
    let code = match (fault.step, fault.errno) {
        (AttachStep::Exec, Errno::NOENT) => NOT_FOUND,
        (AttachStep::Exec, Errno::ACCESS | Errno::NOEXEC) => NOT_EXECUTABLE,
        _ => EXEC_FAILED,
    };
    // The caller may be gone; then nobody is left to tell.
    let _ = fd::send(script.report, &AttachMessage::Fault(fault).encode(), &[]);
    exit_now(code)
}
