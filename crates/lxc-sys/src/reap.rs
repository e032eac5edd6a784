//! What a minimal init needs from the kernel: fork, signals taken synchronously, and kill by raw number.
//!
//! Not here: policy (see `lxc_child::mini_init`), clone(2) with namespaces (see `clone`). Nothing in this file
//! allocates, so a child between clone and exec may call all of it.

use std::mem::MaybeUninit;

use rustix::io::Errno;
use rustix::process::Pid;

/// Signals that report a bug in the process itself; blocking them would hide it.
const FATAL: [i32; 5] = [libc::SIGILL, libc::SIGBUS, libc::SIGSEGV, libc::SIGTRAP, libc::SIGFPE];

/// Highest signal number of Linux (signal(7), real-time signals).
pub const LAST_SIGNAL: i32 = 64;

/// fork(2), without the C library's fork handlers. The child runs `child` and exits with what it returns.
///
/// - Context: the caller has one thread, or `child` calls only async-signal-safe functions and does not allocate.
/// - Errors: those of fork(2).
pub fn fork_into(child: impl FnOnce() -> i32) -> Result<Pid, Errno> {
    #[cfg(not(target_arch = "s390x"))]
    let arguments: [libc::c_long; 5] = [libc::c_long::from(libc::SIGCHLD), 0, 0, 0, 0];
    #[cfg(target_arch = "s390x")]
    let arguments: [libc::c_long; 5] = [0, libc::c_long::from(libc::SIGCHLD), 0, 0, 0];
    let [a, b, c, d, e] = arguments;
    // SAFETY: without CLONE_VM and with a null stack, clone(2) is fork: the child gets private copies of everything.
    let pid = unsafe { libc::syscall(libc::SYS_clone, a, b, c, d, e) };
    match pid {
        0 => {
            let code = child();
            // SAFETY: ends this process; never returns.
            unsafe { libc::_exit(code) }
        }
        pid => i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(last_error),
    }
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::AGAIN)
}

fn empty_set() -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the pointer is valid for writes of a sigset_t.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: sigemptyset initialised the whole set and cannot fail.
    unsafe { set.assume_init() }
}

fn waited_set() -> libc::sigset_t {
    let mut set = empty_set();
    for signal in 1..=LAST_SIGNAL {
        if !FATAL.contains(&signal) {
            // SAFETY: `set` is initialised; a number libc keeps for itself is refused, not written.
            unsafe { libc::sigaddset(&raw mut set, signal) };
        }
    }
    set
}

fn set_mask(set: &libc::sigset_t) {
    // SAFETY: both pointers are valid for the call; a null old set is allowed (sigprocmask(2)).
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, set, std::ptr::null_mut()) };
}

/// Blocks every signal but those that report a bug, so that [`next_signal`] gets them.
pub fn block_signals() {
    set_mask(&waited_set());
}

/// Default action for every signal and an empty mask: what a program expects after exec.
pub fn default_signals() {
    for signal in 1..=LAST_SIGNAL {
        // SAFETY: installing SIG_DFL runs no code of ours; numbers that cannot be changed are refused with EINVAL.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    set_mask(&empty_set());
}

/// Takes the next blocked signal, at most `milliseconds` later.
///
/// - Shape:  the signal's number; `None` when the time is over or the wait was interrupted.
/// - Source: sigtimedwait(2).
pub fn next_signal(milliseconds: Option<u32>) -> Option<i32> {
    let set = waited_set();
    let limit = milliseconds.map(|ms| libc::timespec {
        tv_sec: libc::time_t::from(ms / 1000),
        tv_nsec: libc::c_long::from(ms % 1000) * 1_000_000,
    });
    let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `set` and `limit` outlive the call; a null siginfo and a null timeout are allowed.
    let signal = unsafe { libc::sigtimedwait(&raw const set, std::ptr::null_mut(), limit) };
    (signal > 0).then_some(signal)
}

/// kill(2) by numbers, so that real-time signals pass and `-1` (everyone else) can be said. Failures are ignored:
/// the receiver may be gone.
pub fn kill(pid: i32, signal: i32) {
    // SAFETY: kill takes plain numbers and touches no memory.
    unsafe { libc::kill(pid, signal) };
}
