//! The asynchronous side: a current-thread runtime and one connection per network namespace, used from blocking code.
//!
//! The only file with tokio in it. Requests go out in batches: one send for many messages, answers matched by sequence
//! number. Built by the monitor after the clone, gone before the next one. Not here: what is asked (see `request`).

use std::borrow::Cow;
use std::os::fd::OwnedFd;
use std::time::Duration;

use futures_util::StreamExt;
use lxc_sys::netlink;
use netlink_proto::sys::{SocketAddr, TokioSocket};
use netlink_proto::{ConnectionHandle, NetlinkCodec, from_socket_with_codec};
use rtnetlink::packet_core::{NetlinkHeader, NetlinkMessage, NetlinkPayload};
use rustix::io::Errno;
use tokio::runtime::{Builder, Runtime};

use crate::error::{Error, ErrorKind, Result, ResultExt};

use super::answer::{LinkFacts, Packet};
use super::request::Ask;

/// The runtime all connections of one set-up share.
#[derive(Debug)]
pub(super) struct Rt {
    runtime: Runtime,
}

/// A route socket of one network namespace.
#[derive(Clone, Debug)]
pub(super) struct Conn {
    handle: ConnectionHandle<Packet>,
}

/// How long answers may take. The kernel works while it is being sent to, so only a lost answer makes this pass.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came back for one request: its data (empty for changes) or the kernel's errno.
pub(super) type Answer = std::result::Result<Vec<Packet>, Errno>;

impl Rt {
    /// - Context: monitor, after the clone.
    pub(super) fn new() -> Result<Rt> {
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .what(|| "start the runtime for network configuration")?;
        Ok(Rt { runtime })
    }

    /// Takes over a route socket.
    pub(super) fn connect(&self, socket: OwnedFd) -> Result<Conn> {
        let _inside = self.runtime.enter();
        let socket = netlink::adopt(socket).what(|| "adopt a route socket")?;
        let (mut connection, handle, unsolicited) =
            from_socket_with_codec::<Packet, TokioSocket, NetlinkCodec>(socket);
        // Without this only errors come back, and a batch could not tell which request they belong to.
        connection.set_forward_ack(true);
        connection.set_forward_done(true);
        drop(unsolicited);
        self.runtime.spawn(connection);
        Ok(Conn { handle })
    }

    /// Sends all requests at once; the kernel carries out every one, whatever became of those before it.
    ///
    /// - Shape: one answer per request, in order.
    /// - Errors: only when the socket itself fails.
    pub(super) fn ask(&self, conn: &Conn, asks: &[Ask]) -> Result<Vec<Answer>> {
        if asks.is_empty() {
            return Ok(Vec::new());
        }
        let closed = || Error::new(ErrorKind::Kernel, "the route socket was closed");
        let messages = asks.iter().map(|ask| {
            let mut header = NetlinkHeader::default();
            header.flags = ask.flags;
            NetlinkMessage::new(header, NetlinkPayload::InnerMessage(ask.packet()))
        });
        let messages: Vec<_> = messages.collect();
        let stream = conn.handle.request_batch(messages, SocketAddr::new(0, 0)).map_err(|_| closed())?;
        let collected = async { tokio::time::timeout(PATIENCE, stream.collect::<Vec<_>>()).await };
        let replies = self.runtime.block_on(collected).map_err(|_| {
            let what = asks.first().map_or(Cow::Borrowed("ask the kernel"), |ask| ask.what.clone());
            Error::kernel(Errno::TIMEDOUT, what)
        })?;
        sort(asks, replies).ok_or_else(closed)
    }

    /// Like [`Rt::ask`], with the first failure as the error.
    pub(super) fn all(&self, conn: &Conn, asks: &[Ask]) -> Result<Vec<Vec<Packet>>> {
        let answers = self.ask(conn, asks)?;
        asks.iter().zip(answers).map(|(ask, answer)| answer.what(|| ask.what.clone())).collect()
    }

    /// Looks one link up.
    pub(super) fn link(&self, conn: &Conn, ask: &Ask) -> Result<LinkFacts> {
        let answers = self.all(conn, std::slice::from_ref(ask))?;
        let facts = answers.iter().flatten().find_map(LinkFacts::of);
        facts.ok_or_else(|| Error::kernel(Errno::NODEV, ask.what.clone()))
    }
}

/// Assigns replies to requests: every request ends with one acknowledgement or error, queries with their data.
fn sort(asks: &[Ask], replies: Vec<NetlinkMessage<Packet>>) -> Option<Vec<Answer>> {
    let mut answers: Vec<Answer> = vec![Ok(Vec::new()); asks.len()];
    let mut answered = vec![false; asks.len()];
    // The connection numbers messages itself, consecutively within a batch; the first reply is not always for the first
    // request only if the socket broke, and then the count below is wrong too.
    let first = replies.iter().map(|reply| reply.header.sequence_number).min()?;
    for reply in replies {
        let at = reply.header.sequence_number.wrapping_sub(first) as usize;
        let (answer, done) = (answers.get_mut(at)?, answered.get_mut(at)?);
        match reply.payload {
            NetlinkPayload::Error(error) => {
                *done = true;
                if let Some(code) = error.code {
                    *answer = Err(Errno::from_raw_os_error(code.get().abs()));
                }
            }
            NetlinkPayload::InnerMessage(message) => {
                *done = true;
                if let Ok(messages) = answer {
                    messages.push(message);
                }
            }
            NetlinkPayload::Done(_) => *done = true,
            _ => {}
        }
    }
    answered.into_iter().all(|done| done).then_some(answers)
}
