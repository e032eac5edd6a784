//! The disposition of SIGPIPE this process was started with.
//!
//! Rust's start-up code sets SIGPIPE to "ignore" before `main`; a command line tool must behave as its parent asked
//! (`lxc-ls | head` dies silently, `nohup`-like parents keep it ignored). Not here: resetting signals for an exec.

use std::sync::atomic::{AtomicBool, Ordering};

static INHERITED_IGNORE: AtomicBool = AtomicBool::new(false);

/// Runs before Rust's start-up code: the only moment the inherited disposition can still be seen.
extern "C" fn remember() {
    let mut old = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null new action only queries; `old` is valid for writes of one sigaction.
    let result = unsafe { libc::sigaction(libc::SIGPIPE, std::ptr::null(), old.as_mut_ptr()) };
    if result == 0 {
        // SAFETY: zeroed is a valid sigaction, and the kernel filled it on success.
        let old = unsafe { old.assume_init() };
        INHERITED_IGNORE.store(old.sa_sigaction == libc::SIG_IGN, Ordering::Relaxed);
    }
}

#[used]
// SAFETY: `.init_array` holds pointers to `extern "C"` functions run by the loader; `remember` only does one system
// call and one atomic store, neither of which needs Rust's runtime.
#[unsafe(link_section = ".init_array")]
static REMEMBER: extern "C" fn() = remember;

/// Gives SIGPIPE back the disposition the parent process left.
///
/// - Context: start of `main`, one thread.
pub fn restore_inherited() {
    let action = if INHERITED_IGNORE.load(Ordering::Relaxed) { libc::SIG_IGN } else { libc::SIG_DFL };
    // SAFETY: both values are valid dispositions for signal(2) and no handler runs Rust code.
    unsafe { libc::signal(libc::SIGPIPE, action) };
}
