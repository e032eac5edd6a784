//! Seccomp user notifications: receiving a system call that waits, and saying what becomes of it.
//!
//! Not here: whom to ask (`lxc-core`), installing the filter (`cred`).

use std::os::fd::{AsFd, AsRawFd};

use rustix::io::Errno;

/// `struct seccomp_notif` of linux/seccomp.h: the call that waits.
///
/// - Shape: `pid` as seen from the pid namespace of the listener's holder, 0 if invisible there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Notification {
    pub id: u64,
    pub pid: u32,
    pub flags: u32,
    pub call: i32,
    pub arch: u32,
    pub instruction_pointer: u64,
    pub args: [u64; 6],
}

/// `struct seccomp_notif_resp` of linux/seccomp.h: the verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Response {
    pub id: u64,
    pub val: i64,
    /// A negative errno, or 0.
    pub error: i32,
    pub flags: u32,
}

mod raw {
    use super::{Notification, Response};

    nix::ioctl_readwrite!(receive, b'!', 0, Notification);
    nix::ioctl_readwrite!(respond, b'!', 1, Response);
    nix::ioctl_write_ptr!(is_valid, b'!', 2, u64);
}

fn errno(error: nix::errno::Errno) -> Errno {
    Errno::from_raw_os_error(error as i32)
}

/// Takes the next waiting call.
///
/// - Context: only when poll(2) says the listener is readable; otherwise it blocks, on old kernels for ever.
/// - Errors: `NOENT` when the caller was killed meanwhile.
/// - Source: seccomp_unotify(2).
pub fn receive(listener: impl AsFd) -> Result<Notification, Errno> {
    // The kernel insists on zeroed memory.
    let mut notification = Notification::default();
    // SAFETY: the pointer is to a live struct of the size the request number carries.
    let result = unsafe { raw::receive(listener.as_fd().as_raw_fd(), &raw mut notification) };
    result.map(|_| notification).map_err(errno)
}

/// Lets the call end with the response.
///
/// - Errors: `NOENT` when the caller is gone.
pub fn respond(listener: impl AsFd, response: Response) -> Result<(), Errno> {
    let mut response = response;
    // SAFETY: the pointer is to a live struct of the size the request number carries.
    let result = unsafe { raw::respond(listener.as_fd().as_raw_fd(), &raw mut response) };
    result.map(drop).map_err(errno)
}

/// Whether the caller still waits, so that what was opened by its pid is really its own.
pub fn is_valid(listener: impl AsFd, id: u64) -> bool {
    // SAFETY: the pointer is to a live u64, as the request wants.
    unsafe { raw::is_valid(listener.as_fd().as_raw_fd(), &raw const id) }.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layouts_are_the_kernels() {
        assert_eq!((size_of::<Notification>(), size_of::<Response>()), (80, 24));
    }

    #[test]
    fn what_is_no_listener_is_refused() {
        let null = std::fs::File::open("/dev/null").expect("open");
        assert_eq!(receive(&null), Err(Errno::NOTTY));
        assert_eq!(respond(&null, Response::default()), Err(Errno::NOTTY));
        assert!(!is_valid(&null, 1));
    }
}
