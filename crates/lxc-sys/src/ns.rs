//! setns(2), unshare(2) and namespace descriptors.
//!
//! Functions may be called between clone and exec; none allocates.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

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

/// The user namespace that owns the namespace behind `fd`.
///
/// - Errors: `ENOTTY` when `fd` is no namespace, `EPERM` when the owner is outside the caller's own user namespace.
/// - Source: ioctl_ns(2) `NS_GET_USERNS`.
pub fn owning_user_ns(fd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    const NS_GET_USERNS: libc::c_ulong = 0xb701;
    related(fd, NS_GET_USERNS)
}

/// The parent of the user (or pid) namespace behind `fd`.
///
/// - Errors: as `owning_user_ns`; the caller's own user namespace is the last one it gets.
/// - Source: ioctl_ns(2) `NS_GET_PARENT`.
pub fn parent(fd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    const NS_GET_PARENT: libc::c_ulong = 0xb702;
    related(fd, NS_GET_PARENT)
}

/// Who made the user namespace behind `fd`, as seen in the caller's.
///
/// - Source: ioctl_ns(2) `NS_GET_OWNER_UID`.
pub fn owner_uid(fd: BorrowedFd<'_>) -> Result<u32, Errno> {
    const NS_GET_OWNER_UID: libc::c_ulong = 0xb704;
    let mut uid: libc::uid_t = 0;
    // SAFETY: the kernel writes one uid_t.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), NS_GET_OWNER_UID as _, &raw mut uid) };
    if result == 0 { Ok(uid) } else { Err(last()) }
}

/// The `CLONE_NEW*` bit of the namespace behind `fd`.
///
/// - Errors: `ENOTTY` when `fd` is no namespace.
/// - Source: ioctl_ns(2) `NS_GET_NSTYPE`.
pub fn kind(fd: BorrowedFd<'_>) -> Result<u64, Errno> {
    const NS_GET_NSTYPE: libc::c_ulong = 0xb703;
    // SAFETY: the request takes no argument.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), NS_GET_NSTYPE as _) };
    if result < 0 { Err(last()) } else { Ok(result as u32 as u64) }
}

fn related(fd: BorrowedFd<'_>, request: libc::c_ulong) -> Result<OwnedFd, Errno> {
    // SAFETY: these requests take no argument.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), request as _) };
    if result < 0 {
        return Err(last());
    }
    // SAFETY: a new descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(result) })
}

/// Every `CLONE_NEW*` bit (time namespaces use 0x80).
pub const ALL: u64 = 0x7e02_0000 | 0x80;

fn last() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
