//! The blocking side: a route socket for short work where no runtime may exist (lxc-info, lxc-ls, teardown, preflight).
//!
//! Not here: what is asked (see `request`), and set-up, which goes through `rt`.

use std::os::fd::{BorrowedFd, OwnedFd};

use lxc_sys::netlink;
use rtnetlink::packet_core::{NetlinkHeader, NetlinkMessage, NetlinkPayload};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::error::{Result, ResultExt};

use super::answer::{LinkFacts, Packet};
use super::request::{self, Ask};

/// Larger than any datagram the kernel builds for a dump (32 KiB).
const BUFFER: usize = 64 * 1024;

/// What came back for one request.
pub(super) type Answer = std::result::Result<Vec<Packet>, Errno>;

/// A blocking route socket.
#[derive(Debug)]
pub(super) struct Route {
    socket: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Route {
    /// Opens one in the caller's network namespace.
    pub(super) fn open() -> Result<Route> {
        let socket = netlink::open_route_socket().what(|| "open a route socket")?;
        Ok(Route::over(socket))
    }

    /// Opens one in another namespace, visiting it with the calling thread.
    pub(super) fn open_in(netns: BorrowedFd<'_>) -> Result<Route> {
        let socket = netlink::open_route_socket_in(netns)
            .what(|| "open a route socket in the container's network namespace")?;
        Ok(Route::over(socket))
    }

    fn over(socket: OwnedFd) -> Route {
        Route { socket, sequence: 0, buffer: Vec::new() }
    }

    /// Makes the kernel check requests strictly; needed for `IFA_TARGET_NETNSID`.
    ///
    /// - Source: netlink(7) `NETLINK_GET_STRICT_CHK`, Linux 4.20.
    pub(super) fn check_strictly(&self) -> std::result::Result<(), Errno> {
        lxc_sys::netlink::check_strictly(&self.socket)
    }

    /// Sends all requests at once and collects one answer per request, in order.
    ///
    /// - Errors: only when the socket itself fails.
    pub(super) fn ask(&mut self, asks: &[Ask]) -> Result<Vec<Answer>> {
        if asks.is_empty() {
            return Ok(Vec::new());
        }
        let first = self.sequence.wrapping_add(1);
        let mut datagram = Vec::new();
        for ask in asks {
            self.sequence = self.sequence.wrapping_add(1);
            encode(ask, self.sequence, &mut datagram);
        }
        send(&self.socket, &datagram, SendFlags::empty()).what(|| "send to the route socket")?;
        let mut answers: Vec<Answer> = vec![Ok(Vec::new()); asks.len()];
        let mut open = asks.len();
        while open > 0 {
            self.buffer.resize(BUFFER, 0);
            let (length, _) = match recv(&self.socket, self.buffer.as_mut_slice(), RecvFlags::empty()) {
                Ok(result) => result,
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno).what(|| "receive from the route socket"),
            };
            let mut rest = self.buffer.get(..length).unwrap_or_default();
            while let Some((head, payload, next)) = split(rest) {
                rest = next;
                let at = head.sequence.wrapping_sub(first) as usize;
                let (Some(answer), Some(ask)) = (answers.get_mut(at), asks.get(at)) else { continue };
                if head.ends(ask) {
                    open -= 1;
                }
                match payload {
                    Some(NetlinkPayload::Error(error)) => {
                        if let Some(code) = error.code {
                            *answer = Err(Errno::from_raw_os_error(code.get().abs()));
                        }
                    }
                    Some(NetlinkPayload::InnerMessage(message)) => {
                        if let Ok(messages) = answer {
                            messages.push(message);
                        }
                    }
                    _ => {}
                }
            }
        }
        Ok(answers)
    }

    /// One request; its failure is the error.
    pub(super) fn one(&mut self, ask: &Ask) -> Result<Vec<Packet>> {
        let mut answers = self.ask(std::slice::from_ref(ask))?;
        answers.pop().unwrap_or(Err(Errno::IO)).what(|| ask.what.clone())
    }

    /// A link by name; `None` when there is none.
    pub(super) fn link(&mut self, ask: &Ask) -> Result<Option<LinkFacts>> {
        match self.one(ask) {
            Ok(messages) => Ok(messages.iter().find_map(LinkFacts::of)),
            Err(error) if error.errno() == Some(Errno::NODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Every link of the socket's namespace.
    pub(super) fn links(&mut self) -> Result<Vec<LinkFacts>> {
        Ok(self.one(&request::links(None))?.iter().filter_map(LinkFacts::of).collect())
    }
}

fn encode(ask: &Ask, sequence: u32, datagram: &mut Vec<u8>) {
    let mut header = NetlinkHeader::default();
    header.flags = ask.flags;
    header.sequence_number = sequence;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(ask.packet()));
    message.finalize();
    let start = datagram.len();
    // Messages in one datagram are aligned to 4 bytes (NLMSG_ALIGN).
    datagram.resize(start + message.buffer_len().next_multiple_of(4), 0);
    if let Some(buffer) = datagram.get_mut(start..start + message.buffer_len()) {
        message.serialize(buffer);
    }
}

/// The parts of a message header that decide whether a request is answered.
struct Head {
    kind: u16,
    multipart: bool,
    sequence: u32,
}

impl Head {
    /// This message is the last one for `ask`.
    fn ends(&self, ask: &Ask) -> bool {
        const ERROR: u16 = 2;
        const DONE: u16 = 3;
        matches!(self.kind, ERROR | DONE) || (ask.is_query() && !self.multipart)
    }
}

type Payload = NetlinkPayload<Packet>;

/// The first message of a datagram and what follows it; `None` at the end.
///
/// The payload is `None` when it is cut short; the request still counts as answered.
fn split(datagram: &[u8]) -> Option<(Head, Option<Payload>, &[u8])> {
    const MULTIPART: u16 = 2;
    let (length, rest) = datagram.split_first_chunk::<4>()?;
    let (kind, rest) = rest.split_first_chunk::<2>()?;
    let (flags, rest) = rest.split_first_chunk::<2>()?;
    let (sequence, _) = rest.split_first_chunk::<4>()?;
    let length = u32::from_ne_bytes(*length) as usize;
    let bytes = datagram.get(..length)?;
    let head = Head {
        kind: u16::from_ne_bytes(*kind),
        multipart: u16::from_ne_bytes(*flags) & MULTIPART != 0,
        sequence: u32::from_ne_bytes(*sequence),
    };
    let next = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    let message = NetlinkMessage::<Packet>::deserialize(bytes).ok();
    Some((head, message.map(|message| message.payload), next))
}
