//! Pseudo terminals, raw mode, window sizes and controlling terminals.
//!
//! Policy-free: who proxies what to whom is `lxc_core::console`. Not here: the terminals' owners and names.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pty::OpenptFlags;
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize,
    tcsetattr, tcsetwinsize,
};

/// Both ends of a pseudo terminal.
#[derive(Debug)]
pub struct Pty {
    /// The end a terminal emulator (or a proxy) holds.
    pub ptx: OwnedFd,
    /// The end programs use as their terminal.
    pub pts: OwnedFd,
}

/// `f_type` of devpts (statfs(2)); rustix does not name it.
const DEVPTS_SUPER_MAGIC: rustix::fs::FsWord = 0x1cd1;

/// A new pseudo terminal of the devpts instance `devpts` (a descriptor of its root).
///
/// - Errors: `ENODEV` when `devpts` is no devpts; `ENOSPC` when the instance has no terminal left.
/// - Source: pts(4), ioctl_tty(2) `TIOCGPTPEER` (Linux 4.13).
pub fn open_in(devpts: BorrowedFd<'_>) -> Result<Pty, Errno> {
    if rustix::fs::fstatfs(devpts)?.f_type != DEVPTS_SUPER_MAGIC {
        return Err(Errno::NODEV);
    }
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    finish(rustix::fs::openat(devpts, c"ptmx", flags, Mode::empty())?)
}

/// A new pseudo terminal of the caller's own `/dev/pts`.
pub fn open() -> Result<Pty, Errno> {
    finish(rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?)
}

fn finish(ptx: OwnedFd) -> Result<Pty, Errno> {
    rustix::pty::unlockpt(&ptx)?;
    // The peer is opened through the descriptor: a path could mean another devpts instance.
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let pts = rustix::pty::ioctl_tiocgptpeer(&ptx, flags)?;
    Ok(Pty { ptx, pts })
}

/// Puts `tty` into the mode in which every byte goes through unchanged, and returns what it was.
///
/// Input is taken byte by byte, no key makes a signal, nothing is echoed, output is not post-processed (what ssh(1)
/// does with its side of a session).
pub fn make_raw(tty: BorrowedFd<'_>) -> Result<Termios, Errno> {
    let old = tcgetattr(tty)?;
    let mut raw = old.clone();
    raw.input_modes |= InputModes::IGNPAR;
    raw.input_modes &= !(InputModes::ISTRIP
        | InputModes::INLCR
        | InputModes::IGNCR
        | InputModes::ICRNL
        | InputModes::IXON
        | InputModes::IXANY
        | InputModes::IXOFF
        | InputModes::IUCLC);
    raw.local_modes &= !(LocalModes::ISIG
        | LocalModes::ICANON
        | LocalModes::ECHO
        | LocalModes::ECHOE
        | LocalModes::ECHOK
        | LocalModes::ECHONL
        | LocalModes::IEXTEN);
    raw.output_modes &= !OutputModes::OPOST;
    raw.special_codes[SpecialCodeIndex::VMIN] = 1;
    raw.special_codes[SpecialCodeIndex::VTIME] = 0;
    tcsetattr(tty, OptionalActions::Drain, &raw)?;
    Ok(old)
}

/// Gives `tty` back the mode [`make_raw`] returned.
pub fn restore(tty: BorrowedFd<'_>, mode: &Termios) -> Result<(), Errno> {
    tcsetattr(tty, OptionalActions::Drain, mode)
}

/// Copies the window size of `from` to `to`; the foreground process group of `to` gets SIGWINCH when it changed.
pub fn copy_window_size(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Errno> {
    tcsetwinsize(to, tcgetwinsize(from)?)
}

/// Gives up the controlling terminal of the calling process, if it has one, without leaving its session.
///
/// Afterwards `/dev/tty` cannot be opened any more. Does nothing for a session leader, which would lose its whole
/// session (ioctl_tty(2) `TIOCNOTTY`).
///
/// - Context: child between clone and exec; does not allocate.
pub fn drop_controlling() -> Result<(), Errno> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let tty = match rustix::fs::open(c"/dev/tty", flags, Mode::empty()) {
        Ok(tty) => tty,
        Err(Errno::NXIO | Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(errno),
    };
    if leads_session() {
        return Ok(());
    }
    notty(tty.as_fd())
}

fn leads_session() -> bool {
    // SAFETY: plain integers.
    // Why not rustix: it takes the 0 of a session whose leader is in another pid namespace for impossible.
    let session = unsafe { libc::getsid(0) };
    // SAFETY: no preconditions.
    session == unsafe { libc::getpid() }
}

fn notty(tty: BorrowedFd<'_>) -> Result<(), Errno> {
    use std::os::fd::AsRawFd;
    // SAFETY: TIOCNOTTY takes no argument.
    let result = unsafe { libc::ioctl(tty.as_raw_fd(), libc::TIOCNOTTY) };
    if result == 0 {
        Ok(())
    } else {
        Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
    }
}

/// Makes `tty` the controlling terminal of the calling session leader, taking it from another session if allowed.
///
/// - Context: child between clone and exec; does not allocate.
pub fn make_controlling(tty: BorrowedFd<'_>) -> Result<(), Errno> {
    rustix::process::ioctl_tiocsctty(tty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_connected_and_raw_mode_is_undone() {
        let pty = open().expect("pty");
        let old = make_raw(pty.pts.as_fd()).expect("raw");
        assert!(old.local_modes.contains(LocalModes::ICANON));
        rustix::io::write(&pty.ptx, b"x\x03").expect("write");
        let mut bytes = [0; 8];
        assert_eq!(rustix::io::read(&pty.pts, &mut bytes), Ok(2), "raw input arrives without a newline");
        restore(pty.pts.as_fd(), &old).expect("restore");
        assert!(tcgetattr(&pty.pts).expect("attr").local_modes.contains(LocalModes::ICANON));
    }

    #[test]
    fn sizes_travel_between_terminals() {
        let (a, b) = (open().expect("pty"), open().expect("pty"));
        let size = rustix::termios::Winsize { ws_row: 31, ws_col: 101, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&a.ptx, size).expect("set");
        copy_window_size(a.ptx.as_fd(), b.ptx.as_fd()).expect("copy");
        let got = tcgetwinsize(&b.pts).expect("get");
        assert_eq!((got.ws_row, got.ws_col), (31, 101));
    }

    #[test]
    fn a_directory_that_is_no_devpts_is_refused() {
        let tmp = rustix::fs::open("/tmp", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).expect("open");
        assert_eq!(open_in(tmp.as_fd()).map(drop), Err(Errno::NODEV));
    }
}
