//! Reading requests and writing replies on connections that may be slow, silent or hostile.
//!
//! Nothing here blocks, trusts a length, or keeps more than one request's bytes.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use lxc_sys::socket::{PeerCred, Wait, peer_cred, recv, send};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::time::timeout;

use crate::command::wire::{HEADER, RequestHeader};
use crate::command::{Refusal, Reply, Request};

/// How long a request may take from its first byte to its last, and a reply to be taken.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) type Socket = AsyncFd<Arc<OwnedFd>>;

/// The user the kernel shows for one it cannot name (`/proc/sys/kernel/overflowuid`).
const NOBODY: u32 = 65534;

/// A request as it came.
#[derive(Debug)]
pub(super) enum Asked {
    Request(Request),
    Refused(Refusal),
    /// The sender may not give commands.
    Denied,
}

/// Waits for the first byte of a request (or the end of the connection), however long that takes.
pub(super) async fn first_byte(socket: &Socket) -> Result<(), Errno> {
    socket.readable().await.map(drop).map_err(|_| Errno::IO)
}

/// Reads one request.
///
/// - Errors: the connection ended or the request did not come in time.
pub(super) async fn read_request(socket: &Socket) -> Result<Asked, Errno> {
    timeout(PATIENCE, read_within(socket)).await.map_err(|_| Errno::TIMEDOUT)?
}

async fn read_within(socket: &Socket) -> Result<Asked, Errno> {
    let mut head = [0; HEADER];
    if !fill(socket, &mut head).await? {
        return Ok(Asked::Denied);
    }
    let header = RequestHeader::decode(head);
    let Some(len) = header.payload_len() else { return Ok(Asked::Refused(Refusal::Close)) };
    // What we do not know we cannot ask for: the refusal does not wait for its payload.
    if let Err(refusal @ Refusal::Errno(Errno::NOSYS)) = Request::decode(header, &[]) {
        return Ok(Asked::Refused(refusal));
    }
    let mut payload = vec![0; len];
    if len > 0 && !fill(socket, &mut payload).await? {
        return Ok(Asked::Denied);
    }
    Ok(match Request::decode(header, &payload) {
        Ok(request) => Asked::Request(request),
        Err(refusal) => Asked::Refused(refusal),
    })
}

/// Reads exactly `buffer.len()` bytes; whether every one of them came from somebody who may give commands.
async fn fill(socket: &Socket, buffer: &mut [u8]) -> Result<bool, Errno> {
    let mut have = 0;
    while have < buffer.len() {
        let rest = buffer.get_mut(have..).unwrap_or_default();
        let got = receive(socket, rest, 0).await?;
        if got.len == 0 {
            return Err(Errno::CONNRESET);
        }
        if !sender(socket, got.cred).is_some_and(may_command) {
            return Ok(false);
        }
        have += got.len;
    }
    Ok(true)
}

/// The second message of SECCOMP_NOTIFY_ADD_LISTENER: one byte and one descriptor.
pub(super) async fn read_descriptor(socket: &Socket) -> Result<OwnedFd, Errno> {
    let mut byte = [0];
    let got = timeout(PATIENCE, receive(socket, &mut byte, 1)).await.map_err(|_| Errno::TIMEDOUT)??;
    if got.truncated || !sender(socket, got.cred).is_some_and(may_command) {
        return Err(Errno::INVAL);
    }
    got.fds.into_iter().next().ok_or(Errno::INVAL)
}

async fn receive(
    socket: &Socket,
    buffer: &mut [u8],
    max_fds: usize,
) -> Result<lxc_sys::socket::Received, Errno> {
    loop {
        let mut ready = socket.readable().await.map_err(|_| Errno::IO)?;
        match recv(socket.get_ref(), buffer, max_fds, Wait::No) {
            Err(Errno::AGAIN) => ready.clear_ready(),
            other => return other,
        }
    }
}

/// Who sent a message. A message from before the kernel knew that we want credentials shows nobody's; then it is who
/// connected that counts.
fn sender(socket: &Socket, cred: Option<PeerCred>) -> Option<PeerCred> {
    match cred {
        Some(cred) if cred.pid != 0 || cred.uid != NOBODY => Some(cred),
        _ => peer_cred(socket.get_ref()).ok(),
    }
}

/// Root, or the user and group the monitor runs as.
pub(super) fn may_command(cred: PeerCred) -> bool {
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    cred.uid == 0 || (cred.uid == uid && cred.gid == gid)
}

/// Writes one reply: header and descriptors in one message, the payload after it.
pub(super) async fn write_reply(socket: &Socket, reply: &Reply) -> Result<(), Errno> {
    timeout(PATIENCE, write_within(socket, reply)).await.map_err(|_| Errno::TIMEDOUT)?
}

async fn write_within(socket: &Socket, reply: &Reply) -> Result<(), Errno> {
    let fds: Vec<_> = reply.fds.iter().map(AsFd::as_fd).collect();
    let head = reply.header().encode();
    let sent = write_some(socket, &head, &fds).await?;
    for mut bytes in [head.get(sent..).unwrap_or_default(), reply.payload.as_slice()] {
        while !bytes.is_empty() {
            let sent = write_some(socket, bytes, &[]).await?;
            bytes = bytes.get(sent..).unwrap_or_default();
        }
    }
    Ok(())
}

async fn write_some(
    socket: &Socket,
    bytes: &[u8],
    fds: &[std::os::fd::BorrowedFd<'_>],
) -> Result<usize, Errno> {
    // Without yielding first: the reply to a state client must be out before anything else is sent to it.
    match send(socket.get_ref(), bytes, fds, false, Wait::No) {
        Err(Errno::AGAIN) => {}
        other => return other,
    }
    loop {
        let mut ready = socket.writable().await.map_err(|_| Errno::IO)?;
        match send(socket.get_ref(), bytes, fds, false, Wait::No) {
            Err(Errno::AGAIN) => ready.clear_ready(),
            other => return other,
        }
    }
}

/// Waits until the other end hangs up; what it says before that is thrown away.
pub(super) async fn hung_up(socket: &Socket) {
    let mut buffer = [0; 256];
    while receive(socket, &mut buffer, 0).await.is_ok_and(|got| got.len > 0) {}
}
