//! Closing ranges, descriptor passing, memfds.
//!
//! Everything else about descriptors is std's `OwnedFd`/`BorrowedFd` and rustix.

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::{Errno, IoSlice, IoSliceMut};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};

/// Marks every descriptor from `first` on close-on-exec (close_range(2), Linux 5.11).
///
/// - Context: child between clone and exec; does not allocate.
pub fn cloexec_from(first: u32) -> Result<(), Errno> {
    close_range(first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC)
}

/// Closes every descriptor in `first..=last` that no Rust value of this process owns.
///
/// - Context: child or daemon right after a fork: the caller promises that no `OwnedFd` in the range is used again.
pub fn close_between(first: u32, last: u32) -> Result<(), Errno> {
    close_range(first, last, 0)
}

fn close_range(first: u32, last: u32, flags: libc::c_uint) -> Result<(), Errno> {
    if first > last {
        return Ok(());
    }
    // SAFETY: close_range only touches the descriptor table; see the Context line of `close_between` for ownership.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    if result == 0 {
        Ok(())
    } else {
        Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
    }
}

/// Closes every descriptor from `first` on except those in `keep`.
///
/// - Shape: `first` at least 3; `keep` need not be sorted.
/// - Context: a daemon right after its fork; allocates.
pub fn close_all_but(first: u32, keep: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let mut first = first.max(3);
    let mut kept: Vec<u32> = keep.iter().map(|fd| fd.as_raw_fd() as u32).filter(|fd| *fd >= first).collect();
    kept.sort_unstable();
    for fd in kept {
        if fd > first {
            close_between(first, fd - 1)?;
        }
        first = first.max(fd + 1);
    }
    close_between(first, u32::MAX)
}

/// Takes ownership of a descriptor that this process was given by number (`LISTEN_FDS`, a command-line argument).
///
/// - Errors: `EBADF` when it is not open.
pub fn adopt(raw: RawFd) -> Result<OwnedFd, Errno> {
    // SAFETY: only used to ask whether the descriptor is open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(raw) };
    rustix::io::fcntl_getfd(borrowed)?;
    // SAFETY: it is open, and by the contract of passing descriptors by number nothing else in this process owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Duplicates `fd` onto number `target` (0–2), replacing what is there and clearing close-on-exec.
///
/// - Context: child between clone and exec; does not allocate.
pub fn dup_onto(fd: BorrowedFd<'_>, target: RawFd) -> Result<(), Errno> {
    if fd.as_raw_fd() == target {
        return rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty());
    }
    // SAFETY: dup2 onto a standard descriptor replaces it as a whole; std's handles for 0–2 do not own them.
    let result = unsafe { libc::dup2(fd.as_raw_fd(), target) };
    if result < 0 {
        Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
    } else {
        Ok(())
    }
}

/// The most descriptors one message of [`send`] carries.
pub const MAX_FDS: usize = 24;

/// Sends one message with descriptors attached.
///
/// - Shape: at most [`MAX_FDS`] descriptors; with descriptors, `bytes` must not be empty.
/// - Context: child between clone and exec; does not allocate.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Errno::TOOBIG);
    }
    let sent = rustix::io::retry_on_intr(|| {
        rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)
    })?;
    if sent == bytes.len() { Ok(()) } else { Err(Errno::MSGSIZE) }
}

/// Receives one message; descriptors are handed to `take` in order, close-on-exec.
///
/// - Shape: returns the number of bytes, 0 at end of file.
/// - Errors: `EMSGSIZE` when descriptors were cut off.
/// - Context: does not allocate itself.
pub fn receive(
    socket: BorrowedFd<'_>,
    bytes: &mut [u8],
    mut take: impl FnMut(OwnedFd),
) -> Result<usize, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = rustix::io::retry_on_intr(|| {
        rustix::net::recvmsg(socket, &mut [IoSliceMut::new(bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    for received in control.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = received {
            fds.for_each(&mut take);
        }
    }
    if message.flags.contains(rustix::net::ReturnFlags::CTRUNC) {
        return Err(Errno::MSGSIZE);
    }
    Ok(message.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn descriptors_travel_in_order_and_close_on_exec() {
        let (a, b) = rustix::net::socketpair(
            rustix::net::AddressFamily::UNIX,
            rustix::net::SocketType::SEQPACKET,
            rustix::net::SocketFlags::CLOEXEC,
            None,
        )
        .expect("socketpair");
        let null =
            rustix::fs::open("/dev/null", rustix::fs::OFlags::RDWR, rustix::fs::Mode::empty()).expect("open");
        let zero =
            rustix::fs::open("/dev/zero", rustix::fs::OFlags::RDWR, rustix::fs::Mode::empty()).expect("open");
        send(a.as_fd(), b"hi", &[null.as_fd(), zero.as_fd()]).expect("send");
        let mut got = Vec::new();
        let mut bytes = [0; 8];
        assert_eq!(receive(b.as_fd(), &mut bytes, |fd| got.push(fd)), Ok(2));
        let minors: Vec<_> =
            got.iter().map(|fd| rustix::fs::minor(rustix::fs::fstat(fd).expect("fstat").st_rdev)).collect();
        assert_eq!(minors, [3, 5]);
        assert!(rustix::io::fcntl_getfd(&got[0]).expect("fcntl").contains(rustix::io::FdFlags::CLOEXEC));
    }
}
