//! clone3(2) and fork(2) behind a proof of single-threadedness.
//!
//! The child of a clone gets a copy of one thread; locks held by others stay locked in it for ever. So the only way to
//! clone is with a [`SingleThreaded`] token, and the only way to run the child is an entry point that cannot return.
//! Not here: `CLONE_VM` (vfork-like) clones and threads.

use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;

/// Proof that the process had one thread when it was made.
#[derive(Debug)]
pub struct SingleThreaded(());

impl SingleThreaded {
    /// Counts `/proc/self/task`.
    ///
    /// - Errors: `EBUSY` when there is more than one thread; what opening the directory gave otherwise.
    pub fn check() -> Result<SingleThreaded, Errno> {
        // A directory's link count is 2 plus its subdirectories: one stat instead of reading the directory.
        let stat = rustix::fs::stat("/proc/self/task")?;
        if stat.st_nlink == 3 { Ok(SingleThreaded(())) } else { Err(Errno::BUSY) }
    }

    /// For the child of a clone, which has exactly one thread by definition.
    pub fn after_clone() -> SingleThreaded {
        SingleThreaded(())
    }
}

/// What the clone shall be.
#[derive(Debug, Default)]
pub struct CloneArgs<'fd> {
    /// `CLONE_NEW*`, `CLONE_PARENT` and the like; `CLONE_PIDFD` is added.
    pub flags: u64,
    /// A cgroup v2 directory to be born in (`CLONE_INTO_CGROUP`, Linux 5.7).
    pub cgroup: Option<BorrowedFd<'fd>>,
}

/// A cloned process.
#[derive(Debug)]
pub struct Child {
    /// Its pid as seen from the caller's pid namespace.
    pub pid: i32,
    pub pidfd: OwnedFd,
    /// The child was born in `CloneArgs::cgroup`.
    pub in_cgroup: bool,
}

/// What a child runs. `extern "C"`: a panic aborts at this boundary instead of unwinding into the parent's copied stack.
pub type Entry<T> = extern "C" fn(&T) -> !;

#[repr(C)]
#[derive(Default)]
struct Clone3Args {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

const CLONE_PIDFD: u64 = 0x1000;
const CLONE_PARENT: u64 = 0x8000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

fn clone3(args: &CloneArgs<'_>, into_cgroup: bool) -> Result<(i32, i32), Errno> {
    let mut pidfd: i32 = -1;
    let mut raw = Clone3Args {
        flags: args.flags | CLONE_PIDFD,
        pidfd: (&raw mut pidfd) as u64,
        // With CLONE_PARENT the exit signal is the caller's own, and clone3 insists on 0.
        exit_signal: if args.flags & CLONE_PARENT == 0 { libc::SIGCHLD as u64 } else { 0 },
        ..Clone3Args::default()
    };
    if let (true, Some(cgroup)) = (into_cgroup, args.cgroup) {
        raw.flags |= CLONE_INTO_CGROUP;
        raw.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: the structure is valid for its size; without CLONE_VM the child runs on a copy of this stack, and the
    // callers (below) end the child in `entry`, or go on in it as after fork(2).
    // Why not nix: nix::sched::clone takes a stack and a closure and lacks clone3.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const raw, size_of::<Clone3Args>()) };
    if pid < 0 {
        return Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO));
    }
    Ok((pid as i32, pidfd))
}

/// Clones and runs `entry(script)` in the child; the parent gets the pid and a pidfd.
///
/// The child is born in `args.cgroup` when the kernel can; else `Child::in_cgroup` is false and the caller moves it.
///
/// - Context: monitor or attach caller, single-threaded.
/// - Errors: what clone3(2) gives (`EPERM` for a user namespace that is not allowed, `ENOSPC` for namespace limits).
/// - Source: clone(2).
pub fn into<T>(
    _: &SingleThreaded,
    args: &CloneArgs<'_>,
    entry: Entry<T>,
    script: &T,
) -> Result<Child, Errno> {
    match run(args, args.cgroup.is_some(), entry, script) {
        Err(errno) if args.cgroup.is_some() && is_refused_cgroup(errno) => run(args, false, entry, script),
        other => other,
    }
}

/// As [`into`], for callers whose script depends on where the child is born: it fails instead of being born elsewhere.
///
/// - Errors: also those of [`is_refused_cgroup`].
pub fn into_cgroup<T>(
    _: &SingleThreaded,
    args: &CloneArgs<'_>,
    entry: Entry<T>,
    script: &T,
) -> Result<Child, Errno> {
    run(args, args.cgroup.is_some(), entry, script)
}

/// Whether a failed clone may succeed outside of the cgroup.
///
/// Until Linux 5.7 is the floor (CLONE_INTO_CGROUP): E2BIG or EINVAL for the unknown field or flag. EOPNOTSUPP and EBUSY
/// come from a cgroup that may hold no process yet (threaded, or with controllers enabled).
pub fn is_refused_cgroup(errno: Errno) -> bool {
    matches!(errno, Errno::TOOBIG | Errno::INVAL | Errno::OPNOTSUPP | Errno::BUSY | Errno::ACCESS)
}

fn run<T>(args: &CloneArgs<'_>, in_cgroup: bool, entry: Entry<T>, script: &T) -> Result<Child, Errno> {
    let (pid, pidfd) = clone3(args, in_cgroup)?;
    if pid == 0 {
        entry(script)
    }
    // SAFETY: the kernel stored a new descriptor for us in `pidfd` (CLONE_PIDFD succeeded).
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Child { pid, pidfd, in_cgroup })
}

/// The two sides of a fork in which the child goes on with the caller's code.
#[derive(Debug)]
pub enum Forked {
    Parent(Child),
    Child,
}

/// fork(2) for the daemonising steps, where parent and child both go on.
///
/// - Context: single-threaded processes only, hence the token. The child must leave by [`exit_now`] or exec.
pub fn fork(_: &SingleThreaded) -> Result<Forked, Errno> {
    // SAFETY: fork is async-signal-unsafe only for multi-threaded processes; the token rules those out.
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)),
        0 => Ok(Forked::Child),
        pid => {
            let raw = rustix::process::Pid::from_raw(pid).ok_or(Errno::SRCH)?;
            let pidfd = rustix::process::pidfd_open(raw, rustix::process::PidfdFlags::empty())?;
            Ok(Forked::Parent(Child { pid, pidfd, in_cgroup: false }))
        }
    }
}

/// As [`fork`], but the child is born in a unified cgroup when the kernel can; says whether it was.
///
/// Moving a process into a cgroup2 directory costs the kernel a wait for all CPUs, some 10 ms; being born there nothing.
///
/// - Context: as [`fork`]. No pthread_atfork handler runs, and none is needed in a single-threaded process of ours.
pub fn fork_into(_: &SingleThreaded, cgroup: Option<BorrowedFd<'_>>) -> Result<(Forked, bool), Errno> {
    let args = CloneArgs { flags: 0, cgroup };
    let mut in_cgroup = cgroup.is_some();
    let mut result = clone3(&args, in_cgroup);
    if in_cgroup && result.is_err() {
        in_cgroup = false;
        result = clone3(&args, false);
    }
    let (pid, pidfd) = result?;
    if pid == 0 {
        return Ok((Forked::Child, in_cgroup));
    }
    // SAFETY: the kernel stored a new descriptor for us in `pidfd` (CLONE_PIDFD succeeded).
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok((Forked::Parent(Child { pid, pidfd, in_cgroup }), in_cgroup))
}

/// `_exit(2)`: ends the process without running destructors or flushing the parent's copied buffers.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: _exit has no preconditions.
    unsafe { libc::_exit(status) }
}

#[cfg(test)]
mod tests {
    use super::*;

    extern "C" fn leave(status: &i32) -> ! {
        exit_now(*status)
    }

    // Test binaries are multi-threaded; the children here call nothing but _exit, so a token made by hand is sound.
    #[test]
    fn a_cloned_child_runs_its_entry_and_never_returns() {
        let child = into(&SingleThreaded(()), &CloneArgs::default(), leave, &7).expect("clone3");
        let status = rustix::process::waitid(
            rustix::process::WaitId::PidFd(std::os::fd::AsFd::as_fd(&child.pidfd)),
            rustix::process::WaitIdOptions::EXITED,
        )
        .expect("waitid")
        .expect("exited");
        assert_eq!(status.exit_status(), Some(7));
    }

    #[test]
    fn a_test_binary_is_not_single_threaded() {
        let handle = std::thread::spawn(|| SingleThreaded::check().map(|_| ()));
        assert_eq!(handle.join().expect("thread"), Err(Errno::BUSY));
    }
}
