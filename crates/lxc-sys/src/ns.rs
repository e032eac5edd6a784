//! setns(2), unshare(2) and namespace descriptors.
//!
//! Functions may be called between clone and exec; none allocates.

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

/// Joins the namespace(s) `fd` refers to: a namespace file, or a pidfd together with several `CLONE_NEW*` bits.
///
/// - Shape: `kinds` 0 with a namespace file means whatever kind it is.
/// - Source: setns(2); pidfds need Linux 5.8.
pub fn join(fd: BorrowedFd<'_>, kinds: u64) -> Result<(), Errno> {
    // SAFETY: plain integers. Joining a mount or user namespace fails in a multi-threaded process instead of harming it.
    let result = unsafe { libc::setns(fd.as_raw_fd(), kinds as i32) };
    if result == 0 { Ok(()) } else { Err(last()) }
}

/// Moves the calling process into new namespaces.
pub fn unshare(kinds: u64) -> Result<(), Errno> {
    // SAFETY: only CLONE_NEW* bits are passed on, which change no memory sharing.
    let result = unsafe { libc::unshare((kinds & ALL) as i32) };
    if result == 0 { Ok(()) } else { Err(last()) }
}

/// Every `CLONE_NEW*` bit (time namespaces use 0x80).
pub const ALL: u64 = 0x7e02_0000 | 0x80;

fn last() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
