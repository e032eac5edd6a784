//! The life of one connection to the command socket, from accept to close.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use lxc_sys::socket::peer_cred;
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_passcred;
use rustix::net::{SocketFlags, accept_with};
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

use super::Running;
use super::connections::{Phase, Table, Ticket};
use super::freeze::freeze;
use super::serve::{After, answer};
use super::socket::{
    Asked, Socket, first_byte, hung_up, may_command, read_descriptor, read_request, write_reply,
};
use super::watch::watch;
use crate::cgroup::freezer::Motion;
use crate::command::{Refusal, Reply, Request};

/// What all connections share.
#[derive(Debug)]
pub(super) struct Server<'a> {
    pub(super) running: RefCell<&'a mut Running>,
    pub(super) table: RefCell<Table>,
    /// The console was lent or given back.
    pub(super) console_changed: Notify,
    /// Seccomp listeners of attached processes that nobody serves yet.
    pub(super) new_listeners: RefCell<Vec<OwnedFd>>,
    pub(super) listener_added: Notify,
}

/// Takes a connection's ticket out of the table however its task ends.
struct Seat<'s> {
    table: &'s RefCell<Table>,
    ticket: Ticket,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.table.borrow_mut().remove(self.ticket.id);
    }
}

impl Server<'_> {
    /// The next connection.
    pub(super) async fn accept(&self, listener: &AsyncFd<OwnedFd>) -> Result<Arc<OwnedFd>, Errno> {
        loop {
            let mut ready = listener.readable().await.map_err(|_| Errno::IO)?;
            match accept_with(listener.get_ref(), SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok(socket) => {
                    set_socket_passcred(&socket, true)?;
                    return Ok(Arc::new(socket));
                }
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    /// Serves a new connection.
    pub(super) async fn serve(&self, socket: Arc<OwnedFd>) {
        let trusted = peer_cred(&socket).is_ok_and(may_command);
        let ticket = self.table.borrow_mut().admit(&socket, trusted, Phase::Idle);
        let Some(ticket) = ticket else { return };
        let seat = Seat { table: &self.table, ticket };
        let Ok(socket) = watch(socket) else { return };
        tokio::select! {
            () = seat.ticket.cancel.notified() => {}
            _ = self.converse(&socket, &seat) => {}
        }
    }

    /// Watches a connection that was answered in an earlier run of the container.
    pub(super) async fn resume(&self, socket: Arc<OwnedFd>) {
        let ticket = self.table.borrow_mut().admit(&socket, true, Phase::Kept);
        let Some(ticket) = ticket else { return };
        let _seat = Seat { table: &self.table, ticket };
        if let Ok(socket) = watch(socket) {
            hung_up(&socket).await;
            self.forget(&socket);
        }
    }

    fn forget(&self, socket: &Socket) {
        self.running.borrow_mut().announcer.forget(socket.get_ref());
    }

    async fn converse(&self, socket: &Socket, seat: &Seat<'_>) -> Result<(), Errno> {
        first_byte(socket).await?;
        self.table.borrow_mut().set_phase(seat.ticket.id, Phase::Busy);
        let answer = match read_request(socket).await? {
            Asked::Denied => Err(Refusal::Errno(Errno::PERM)),
            Asked::Refused(refusal) => Err(refusal),
            Asked::Request(Request::Freeze { timeout }) => {
                Ok((Some(freeze(&self.running, Motion::Frozen, timeout).await), After::Close))
            }
            Asked::Request(Request::Unfreeze { timeout }) => {
                Ok((Some(freeze(&self.running, Motion::Running, timeout).await), After::Close))
            }
            Asked::Request(Request::SeccompNotifyAddListener) => {
                // The second message is part of the request, also of one that is refused.
                let listener = read_descriptor(socket).await?;
                match self.running.borrow().seccomp_proxy {
                    Some(_) => {
                        self.new_listeners.borrow_mut().push(listener);
                        self.listener_added.notify_one();
                        Ok((Some(Reply::ok()), After::Close))
                    }
                    None => Err(Refusal::Errno(Errno::INVAL)),
                }
            }
            Asked::Request(request) => answer(&mut self.running.borrow_mut(), request, socket.get_ref()),
        };
        let (reply, after) = match answer {
            Ok((reply, after)) => (reply, after),
            Err(Refusal::Errno(errno)) => (Some(Reply::errno(errno)), After::Close),
            Err(Refusal::Close) => return Ok(()),
        };
        let loan = Loan { server: self, after };
        if after == After::Tty(0) {
            self.console_changed.notify_one();
        }
        if after == After::Stopping {
            self.running.borrow_mut().announcer.park(socket.get_ref());
        }
        let result = match &reply {
            Some(reply) => write_reply(socket, reply).await,
            None => Ok(()),
        };
        // Our copies of the descriptors in the reply go now, above all that of a lent terminal.
        drop(reply);
        if result.is_ok() && after != After::Close {
            self.table.borrow_mut().set_phase(seat.ticket.id, Phase::Kept);
            hung_up(socket).await;
        }
        drop(loan);
        if matches!(after, After::Waiting | After::Stopping) {
            self.forget(socket);
        }
        result
    }
}

/// Gives a lent terminal back however the connection ends.
struct Loan<'s, 'a> {
    server: &'s Server<'a>,
    after: After,
}

impl Drop for Loan<'_, '_> {
    fn drop(&mut self) {
        let mut running = self.server.running.borrow_mut();
        match self.after {
            After::Tty(0) => {
                running.console.take_back();
                self.server.console_changed.notify_one();
            }
            After::Tty(number) => running.ttys.take_back(number),
            _ => {}
        }
    }
}
