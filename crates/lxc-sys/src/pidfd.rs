//! Processes by descriptor: rustix has the calls, this adds the three questions the runtime asks of a pidfd.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

pub use rustix::process::{PidfdFlags, pidfd_getfd, pidfd_open, pidfd_send_signal};

/// Sends signal number `signal` (also real-time ones) to the process.
pub fn send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> Result<(), Errno> {
    use std::os::fd::AsRawFd;
    // SAFETY: plain integers; a NULL siginfo and no flags.
    // Why not rustix: its Signal type has no unchecked safe constructor for real-time numbers.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, 0, 0) };
    if result == 0 {
        Ok(())
    } else {
        Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
    }
}

/// Whether the process has ended (a pidfd turns readable then), waiting at most `timeout_ms` (-1 = for ever).
pub fn ended(pidfd: BorrowedFd<'_>, timeout_ms: i32) -> Result<bool, Errno> {
    let timeout = (timeout_ms >= 0).then(|| Timespec {
        tv_sec: i64::from(timeout_ms / 1000),
        tv_nsec: i64::from(timeout_ms % 1000) * 1_000_000,
    });
    let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
    let ready = rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, timeout.as_ref()))?;
    Ok(ready > 0)
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    /// Killed by a signal (with or without a core dump).
    Signal(i32),
}

impl Exit {
    /// The status word of wait(2): `code << 8`, or the signal number.
    pub fn wait_status(self) -> i32 {
        match self {
            Exit::Code(code) => (code & 0xff) << 8,
            Exit::Signal(signal) => signal & 0x7f,
        }
    }

    /// What a shell reports: the code, or 128 + signal.
    pub fn shell_code(self) -> i32 {
        match self {
            Exit::Code(code) => code,
            Exit::Signal(signal) => 128 + signal,
        }
    }
}

/// Reaps a child by its pidfd, waiting until it ends.
///
/// - Errors: `ECHILD` when it is not the caller's child.
pub fn reap(pidfd: BorrowedFd<'_>) -> Result<Exit, Errno> {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    loop {
        let status =
            rustix::io::retry_on_intr(|| waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED))?;
        let Some(status) = status else { continue };
        if let Some(code) = status.exit_status() {
            return Ok(Exit::Code(code));
        }
        if let Some(signal) = status.terminating_signal() {
            return Ok(Exit::Signal(signal));
        }
    }
}
