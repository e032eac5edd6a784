//! Signal masks, signalfds, and putting every disposition back before exec.
//!
//! Masks themselves are nix's `SigSet`; this adds what the stages of a start need. No handler is ever installed.

use std::os::fd::{FromRawFd, OwnedFd};

use rustix::io::Errno;

/// A signal mask as the kernel keeps it: bit `n - 1` is signal `n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mask(pub u64);

impl Mask {
    pub const EMPTY: Mask = Mask(0);

    /// All signals but those given.
    pub fn all_but(signals: &[i32]) -> Mask {
        signals.iter().fold(Mask(u64::MAX), |mask, signal| Mask(mask.0 & !bit(*signal)))
    }

    /// Just those given.
    pub fn of(signals: &[i32]) -> Mask {
        signals.iter().fold(Mask(0), |mask, signal| Mask(mask.0 | bit(*signal)))
    }

    pub fn contains(self, signal: i32) -> bool {
        self.0 & bit(signal) != 0
    }
}

fn bit(signal: i32) -> u64 {
    match signal {
        1..=64 => 1 << (signal - 1),
        _ => 0,
    }
}

/// Replaces the calling thread's mask and returns the old one.
///
/// - Context: any; does not allocate.
pub fn set_mask(mask: Mask) -> Result<Mask, Errno> {
    let mut old = 0u64;
    // SAFETY: both pointers are to 8-byte masks, the size passed.
    // Why not nix: pthread_sigmask hides glibc's two internal signals, which init must not inherit blocked.
    let result = unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const mask.0,
            &raw mut old,
            size_of::<u64>(),
        )
    };
    if result == 0 { Ok(Mask(old)) } else { Err(last()) }
}

/// A signalfd for `mask`, non-blocking and close-on-exec; the signals must be blocked to arrive there.
pub fn signalfd(mask: Mask) -> Result<OwnedFd, Errno> {
    // SAFETY: the pointer is to an 8-byte mask, the size passed; -1 asks for a new descriptor.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_signalfd4,
            -1,
            &raw const mask.0,
            size_of::<u64>(),
            libc::SFD_CLOEXEC | libc::SFD_NONBLOCK,
        )
    };
    if fd < 0 {
        return Err(last());
    }
    // SAFETY: a new descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// One signal read from a signalfd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    pub signal: u32,
    /// Sender, or the child a SIGCHLD is about.
    pub pid: u32,
    pub uid: u32,
}

/// Decodes the first fields of `struct signalfd_siginfo` (128 bytes).
pub fn decode_signalfd(bytes: &[u8; 128]) -> Received {
    let word = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    Received { signal: word(0), pid: word(12), uid: word(16) }
}

/// Every disposition to default, as a fresh program expects it (SIGPIPE above all, which Rust ignores).
///
/// - Context: child between clone and exec; does not allocate.
pub fn reset_dispositions() {
    for signal in 1..=64 {
        if signal != libc::SIGKILL && signal != libc::SIGSTOP {
            default_disposition(signal);
        }
    }
}

/// One disposition to default.
pub fn default_disposition(signal: i32) {
    // SAFETY: SIG_DFL is always a valid disposition; failure (a reserved signal) changes nothing.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// One signal ignored.
pub fn ignore(signal: i32) {
    // SAFETY: SIG_IGN is always a valid disposition; failure changes nothing.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

fn last() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_bits_below_the_signal_number() {
        assert_eq!(Mask::of(&[1, 64]).0, 1 | 1 << 63);
        assert!(!Mask::all_but(&[libc::SIGBUS]).contains(libc::SIGBUS));
        assert!(Mask::all_but(&[libc::SIGBUS]).contains(libc::SIGCHLD));
    }

    #[test]
    fn a_blocked_signal_arrives_at_the_signalfd() {
        let old = set_mask(Mask::of(&[libc::SIGUSR2])).expect("mask");
        let fd = signalfd(Mask::of(&[libc::SIGUSR2])).expect("signalfd");
        // SAFETY: sends a signal to this thread only, where it is blocked.
        unsafe { libc::raise(libc::SIGUSR2) };
        let mut bytes = [0; 128];
        rustix::io::read(&fd, &mut bytes).expect("read");
        assert_eq!(decode_signalfd(&bytes).signal, libc::SIGUSR2 as u32);
        set_mask(old).expect("mask");
    }
}
