//! Route sockets in the right network namespace, adopting one that a child opened in its own, and raising `lo`.
//!
//! Not here: any message. The functions marked so may be called between clone and exec.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
#[cfg(feature = "full")]
use std::os::fd::{FromRawFd, IntoRawFd};

#[cfg(feature = "full")]
use netlink_sys::{Socket, TokioSocket};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use crate::ns;

/// Opens an unbound `AF_NETLINK` route socket in the caller's network namespace; the kernel binds it on first use.
///
/// - Context: anywhere, also between clone and exec; no allocation.
/// - Source: netlink(7).
pub fn open_route_socket() -> Result<OwnedFd, Errno> {
    // NETLINK_ROUTE is protocol 0.
    socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)
}

/// Opens a route socket inside `netns` by visiting it with the calling thread.
///
/// A socket belongs to the namespace it was opened in for ever, so the thread is back in its own when this returns.
///
/// - Context: CAP_SYS_ADMIN in the user namespace that owns `netns` and in the caller's; other threads are unaffected.
/// - Errors: what setns(2) gives. When only the way back fails the thread is in the wrong namespace and the error says
///   so (`EXDEV`); callers must not go on using the network.
pub fn open_route_socket_in(netns: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let home = File::open("/proc/thread-self/ns/net")?;
    ns::join(netns, NEW_NET)?;
    let socket = open_route_socket();
    if ns::join(home.as_fd(), NEW_NET).is_err() {
        return Err(Errno::XDEV.into());
    }
    Ok(socket?)
}

const NEW_NET: u64 = 0x4000_0000;

/// Makes an asynchronous socket of a route socket opened elsewhere (by a child, in its own namespace).
///
/// - Context: inside a tokio runtime with I/O enabled; panics outside one, as all of tokio does.
/// - Errors: `EBADF` and the like when `fd` is no socket.
#[cfg(feature = "full")]
pub fn adopt(fd: OwnedFd) -> io::Result<TokioSocket> {
    // The constructor below unwraps this call; asking first turns its panic into an error.
    rustix::io::ioctl_fionbio(&fd, true)?;
    // SAFETY: `into_raw_fd` hands over the only owner of an open socket.
    Ok(unsafe { TokioSocket::from_raw_fd(fd.into_raw_fd()) })
}

/// The same for blocking use.
#[cfg(feature = "full")]
pub fn adopt_blocking(fd: OwnedFd) -> Socket {
    // SAFETY: `into_raw_fd` hands over the only owner of an open socket.
    unsafe { Socket::from_raw_fd(fd.into_raw_fd()) }
}

/// Brings `lo` of the caller's network namespace up.
///
/// - Context: anywhere, also between clone and exec; no allocation. CAP_NET_ADMIN over the namespace.
/// - Source: netdevice(7) SIOCGIFFLAGS, SIOCSIFFLAGS.
pub fn raise_loopback() -> Result<(), Errno> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let mut name = [0; libc::IFNAMSIZ];
    name[0] = b'l' as libc::c_char;
    name[1] = b'o' as libc::c_char;
    let mut request =
        libc::ifreq { ifr_name: name, ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_flags: 0 } };
    // SAFETY: the kernel reads the name of and fills the flags in a valid ifreq.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut request) };
    check(result)?;
    // SAFETY: SIOCGIFFLAGS filled this member of the union.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    request.ifr_ifru = libc::__c_anonymous_ifr_ifru { ifru_flags: flags | libc::IFF_UP as libc::c_short };
    // SAFETY: the kernel only reads a valid ifreq.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    check(result)
}

/// Turns on `NETLINK_GET_STRICT_CHK`: requests the kernel does not fully understand fail instead of being half obeyed.
///
/// - Errors: `ENOPROTOOPT` before Linux 4.20.
/// - Source: netlink(7).
pub fn check_strictly(socket: &OwnedFd) -> Result<(), Errno> {
    const NETLINK_GET_STRICT_CHK: libc::c_int = 12;
    let on: libc::c_int = 1;
    // SAFETY: the kernel reads an int of the given size.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_NETLINK,
            NETLINK_GET_STRICT_CHK,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    check(result)
}

fn check(result: libc::c_int) -> Result<(), Errno> {
    match result {
        0 => Ok(()),
        _ => Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_namespace_gets_its_loopback_raised_and_the_thread_comes_home() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        // A thread of its own: the test harness' other threads stay where they are.
        std::thread::spawn(|| {
            ns::unshare(NEW_NET).expect("unshare");
            let flags = || std::fs::read_to_string("/proc/thread-self/net/dev_mcast").expect("dev_mcast");
            let inside = File::open("/proc/thread-self/ns/net").expect("open");
            // The all-hosts group is joined when an interface goes up.
            let igmp = || std::fs::read_to_string("/proc/thread-self/net/igmp").expect("igmp");
            assert!(!igmp().contains("010000E0"), "{}", igmp());
            raise_loopback().expect("raise");
            assert!(igmp().contains("010000E0"), "{}{}", igmp(), flags());
            ns::unshare(NEW_NET).expect("unshare");
            let before = std::fs::read_link("/proc/thread-self/ns/net").expect("readlink");
            open_route_socket_in(inside.as_fd()).expect("socket");
            assert_eq!(std::fs::read_link("/proc/thread-self/ns/net").expect("readlink"), before);
        })
        .join()
        .expect("thread");
    }
}
