//! Unix stream sockets as LXC uses them: abstract names, passed descriptors, kernel-verified credentials.
//!
//! Not here: what the bytes mean (`lxc-core::command::wire`). Why not rustix's recvmsg: it reads a sender's pid as a
//! non-zero integer, but the kernel reports 0 for a process it cannot name in our pid namespace.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use rustix::io::{Errno, IoSlice, Result};
use rustix::net::sockopt::{Timeout, set_socket_passcred, set_socket_timeout};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType, UCred, bind, connect, listen, sendmsg, socket_with,
};

/// Who is at the other end of a Unix socket, as seen from our namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerCred {
    /// 0 when the process has no number in our pid namespace.
    pub pid: i32,
    /// 65534 when the user has no number in our user namespace.
    pub uid: u32,
    pub gid: u32,
}

/// What one recvmsg(2) brought.
#[derive(Debug, Default)]
pub struct Received {
    /// Bytes written to the buffer; 0 is end of file.
    pub len: usize,
    /// Only when `SO_PASSCRED` is set on the socket.
    pub cred: Option<PeerCred>,
    /// Close-on-exec from birth.
    pub fds: Vec<OwnedFd>,
    /// Control data did not fit: descriptors above the accepted number were dropped by the kernel.
    pub truncated: bool,
}

/// Whether a call may sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    Yes,
    No,
}

/// A listening stream socket with an abstract name, close-on-exec, whose connections deliver credentials.
///
/// - Shape:  `name` without the leading NUL, at most 107 bytes.
/// - Errors: `ADDRINUSE` when somebody listens there already.
pub fn listen_abstract(name: &[u8], backlog: i32) -> Result<OwnedFd> {
    let address = SocketAddrUnix::new_abstract_name(name)?;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // Before Linux 6.16 accepted sockets do not inherit it; the accepting side sets it again.
    set_socket_passcred(&socket, true)?;
    bind(&socket, &address)?;
    listen(&socket, backlog)?;
    Ok(socket)
}

/// A stream socket connected to an abstract name, close-on-exec.
///
/// - Units:  `patience` bounds the connect itself (a full backlog blocks) and every later send; `None` = for ever.
/// - Errors: `CONNREFUSED` when nobody listens; `AGAIN` when the backlog stayed full.
pub fn connect_abstract(name: &[u8], patience: Option<Duration>) -> Result<OwnedFd> {
    let address = SocketAddrUnix::new_abstract_name(name)?;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    set_socket_timeout(&socket, Timeout::Send, patience)?;
    connect(&socket, &address)?;
    Ok(socket)
}

/// Credentials of the peer at the time it connected (or made the pair).
pub fn peer_cred(socket: impl AsFd) -> Result<PeerCred> {
    let cred = nix::sys::socket::getsockopt(&socket.as_fd(), nix::sys::socket::sockopt::PeerCredentials)
        .map_err(|errno| Errno::from_raw_os_error(errno as i32))?;
    Ok(PeerCred { pid: cred.pid(), uid: cred.uid(), gid: cred.gid() })
}

/// sendmsg(2) without SIGPIPE: `data`, descriptors, and on request our credentials (real ids).
///
/// - Returns: bytes taken, possibly fewer than given; descriptors travel with the first byte.
pub fn send(
    socket: impl AsFd,
    data: &[u8],
    fds: &[BorrowedFd<'_>],
    with_cred: bool,
    wait: Wait,
) -> Result<usize> {
    let space = rustix::cmsg_space!(ScmCredentials(1), ScmRights(1)) + fds.len() * 4 + 64;
    let mut space = vec![std::mem::MaybeUninit::uninit(); space];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if with_cred {
        let cred = UCred {
            pid: rustix::process::getpid(),
            uid: rustix::process::getuid(),
            gid: rustix::process::getgid(),
        };
        if !control.push(SendAncillaryMessage::ScmCredentials(cred)) {
            return Err(Errno::NOBUFS);
        }
    }
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Errno::NOBUFS);
    }
    let flags = SendFlags::NOSIGNAL | if wait == Wait::No { SendFlags::DONTWAIT } else { SendFlags::empty() };
    loop {
        match sendmsg(&socket, &[IoSlice::new(data)], &mut control, flags) {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

/// Bytes of a control header, and the alignment of control data: both the size of a `usize` multiple (cmsg(3)).
const CMSG_HEADER: usize = size_of::<libc::cmsghdr>();
const CMSG_ALIGN: usize = size_of::<usize>();

const fn cmsg_space(payload: usize) -> usize {
    CMSG_HEADER + payload.div_ceil(CMSG_ALIGN) * CMSG_ALIGN
}

/// recvmsg(2) of up to `buffer.len()` bytes, credentials and at most `max_fds` descriptors.
pub fn recv(socket: impl AsFd, buffer: &mut [u8], max_fds: usize, wait: Wait) -> Result<Received> {
    let mut control = vec![0u8; cmsg_space(size_of::<libc::ucred>()) + cmsg_space(4 * max_fds)];
    let mut iov = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: msghdr is a C struct of integers and pointers, for which all zeroes is a value.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut iov;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = control.len() as _;
    let flags = libc::MSG_CMSG_CLOEXEC | if wait == Wait::No { libc::MSG_DONTWAIT } else { 0 };
    let len = loop {
        // SAFETY: the header points at `buffer` and `control`, which outlive the call and have the given lengths.
        let got = unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &raw mut header, flags) };
        match usize::try_from(got) {
            Ok(len) => break len,
            Err(_) => match last_errno() {
                Errno::INTR => {}
                errno => return Err(errno),
            },
        }
    };
    let filled = (header.msg_controllen as usize).min(control.len());
    let mut received = parse_control(control.get(..filled).unwrap_or_default());
    received.len = len;
    // Room for credentials that did not come may have been used for descriptors.
    received.truncated = header.msg_flags & libc::MSG_CTRUNC != 0 || received.fds.len() > max_fds;
    received.fds.truncate(max_fds);
    Ok(received)
}

fn last_errno() -> Errno {
    Errno::from_raw_os_error(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}

/// Splits control data the kernel has just written.
fn parse_control(mut control: &[u8]) -> Received {
    let mut received = Received::default();
    while let Some((length, level, kind)) = parse_cmsg_header(control) {
        let Some(payload) = control.get(CMSG_HEADER..length) else { break };
        let words =
            payload.chunks_exact(4).map(|word| i32::from_ne_bytes([word[0], word[1], word[2], word[3]]));
        match (level, kind) {
            (libc::SOL_SOCKET, libc::SCM_RIGHTS) => received.fds.extend(words.map(adopt)),
            (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) => {
                let words: Vec<i32> = words.collect();
                if let [pid, uid, gid] = words[..] {
                    received.cred =
                        Some(PeerCred { pid, uid: uid.cast_unsigned(), gid: gid.cast_unsigned() });
                }
            }
            _ => {}
        }
        control = control.get(length.div_ceil(CMSG_ALIGN) * CMSG_ALIGN..).unwrap_or_default();
    }
    received
}

fn parse_cmsg_header(control: &[u8]) -> Option<(usize, i32, i32)> {
    let (length, rest) = control.split_first_chunk::<{ size_of::<usize>() }>()?;
    let (level, rest) = rest.split_first_chunk::<4>()?;
    let (kind, _) = rest.split_first_chunk::<4>()?;
    let length = usize::from_ne_bytes(*length);
    (length >= CMSG_HEADER).then_some((length, i32::from_ne_bytes(*level), i32::from_ne_bytes(*kind)))
}

fn adopt(fd: i32) -> OwnedFd {
    // SAFETY: the kernel installed this descriptor for the message just received; nothing else knows its number.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::socketpair;

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap()
    }

    #[test]
    fn descriptors_and_credentials_arrive_with_the_data() {
        let (a, b) = pair();
        set_socket_passcred(&b, true).unwrap();
        assert_eq!(send(&a, b"hello", &[a.as_fd(), b.as_fd()], true, Wait::No), Ok(5));
        let mut buffer = [0; 16];
        let got = recv(&b, &mut buffer, 4, Wait::No).unwrap();
        assert_eq!((got.len, got.fds.len(), got.truncated), (5, 2, false));
        let cred = got.cred.unwrap();
        assert_eq!(cred.pid, std::process::id().cast_signed());
        assert_eq!(cred.uid, rustix::process::getuid().as_raw());
        for fd in &got.fds {
            assert!(rustix::io::fcntl_getfd(fd).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        }
    }

    #[test]
    fn descriptors_beyond_the_limit_are_dropped_and_reported() {
        let (a, b) = pair();
        send(&a, b"x", &[a.as_fd(), a.as_fd(), a.as_fd(), a.as_fd(), a.as_fd()], false, Wait::No).unwrap();
        let before = std::fs::read_dir("/proc/self/fd").unwrap().count();
        let got = recv(&b, &mut [0; 4], 0, Wait::No).unwrap();
        assert!(got.truncated, "{got:?}");
        drop(got);
        assert!(std::fs::read_dir("/proc/self/fd").unwrap().count() <= before);
    }

    #[test]
    fn names_are_exclusive_and_refusal_is_told_apart() {
        let name = format!("lxc-sys-test/{}", std::process::id());
        assert_eq!(connect_abstract(name.as_bytes(), None).unwrap_err(), Errno::CONNREFUSED);
        let listener = listen_abstract(name.as_bytes(), 1).unwrap();
        assert_eq!(listen_abstract(name.as_bytes(), 1).unwrap_err(), Errno::ADDRINUSE);
        // A full backlog ends in a time-out, not in a hang.
        let patience = Some(Duration::from_millis(50));
        let mut held = Vec::new();
        let error = loop {
            match connect_abstract(name.as_bytes(), patience) {
                Ok(socket) => held.push(socket),
                Err(errno) => break errno,
            }
            assert!(held.len() < 10);
        };
        assert_eq!(error, Errno::AGAIN);
        assert_eq!(peer_cred(&held[0]).unwrap().uid, rustix::process::getuid().as_raw());
        drop(listener);
    }
}
