//! Telling everybody who waits that a container changed state: the starter, the state clients, the monitor fifo.
//!
//! Owned by the monitor process for as long as the container lives, across reboots. Never sleeps: a reader that does
//! not keep up loses its message, not our time. Not here: who may register (`monitor::serve`).
//! Source: abi-and-wire.md C3, C4, E3; order observed with strace on 5.0.2.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lxc_sys::socket::{Wait, send};
use rustix::fs::{FileType, Mode, OFlags};

use super::{LxcMsg, State};
use crate::command::wire::{STATES, SURVIVE_REBOOT, StateInterest};
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::paths;

/// How a run of the container ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Stop,
    Reboot,
}

/// One registered ADD_STATE_CLIENT connection.
#[derive(Debug)]
struct StateClient {
    socket: Arc<OwnedFd>,
    interest: StateInterest,
}

impl StateClient {
    fn word(&self, state: State) -> i32 {
        usize::try_from(state.number())
            .ok()
            .and_then(|index| self.interest.0.get(index))
            .copied()
            .unwrap_or(0)
    }
}

/// What became of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registered {
    /// The container is in a wanted state already; nothing was registered.
    Now(State),
    /// A message will follow on the socket.
    Later,
}

/// The current state and everybody to tell.
#[derive(Debug)]
pub struct Announcer {
    name: String,
    lxcpath: PathBuf,
    state: State,
    start: Option<OwnedFd>,
    clients: Vec<StateClient>,
    parked: Vec<Arc<OwnedFd>>,
}

impl Announcer {
    /// State STOPPED, nobody to tell.
    pub fn new(lxcpath: &Path, name: &str) -> Announcer {
        Announcer {
            name: name.to_owned(),
            lxcpath: lxcpath.to_owned(),
            state: State::Stopped,
            start: None,
            clients: Vec::new(),
            parked: Vec::new(),
        }
    }

    /// The monitor's end of the socket on which the starter waits for the outcome (see `read_start_result`).
    pub fn set_start_socket(&mut self, socket: OwnedFd) {
        self.start = Some(socket);
    }

    pub fn state(&self) -> State {
        self.state
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn lxcpath(&self) -> &Path {
        &self.lxcpath
    }

    /// Enters `state`: tells the starter (its first state after STARTING), then the clients, then the fifo.
    ///
    /// For the two ends of a run use `stopped` instead: STOPPED is special.
    pub fn announce(&mut self, state: State) {
        self.state = state;
        if state != State::Starting
            && let Some(socket) = self.start.take()
        {
            let result = send(&socket, &state.number().to_ne_bytes(), &[], true, Wait::No);
            if let Err(errno) = result {
                tracing::debug!("starter of {} is gone: {errno}", self.name);
            }
        }
        self.notify(state);
        publish(&self.lxcpath, &LxcMsg::state(&self.name, state));
    }

    /// Enters `state` on behalf of SERVE_STATE_CLIENTS: only the clients are told, because whoever freezes a container
    /// writes to the fifo itself; THAWED is remembered as RUNNING.
    pub fn serve(&mut self, state: State) {
        self.state = if state == State::Thawed { State::Running } else { state };
        self.notify(state);
    }

    /// Publishes the raw wait status of init, on the fifo only.
    pub fn exit_code(&self, wait_status: i32) {
        publish(&self.lxcpath, &LxcMsg::exit_code(&self.name, wait_status));
    }

    /// The container is down. Before a reboot this is an ordinary state; otherwise only the fifo hears of it, and
    /// clients learn by end-of-file when `close_clients` runs.
    pub fn stopped(&mut self, ending: Ending) {
        match ending {
            Ending::Reboot => self.announce(State::Stopped),
            Ending::Stop => {
                self.state = State::Stopped;
                publish(&self.lxcpath, &LxcMsg::state(&self.name, State::Stopped));
            }
        }
    }

    /// Hangs up on everybody, which on a stop *is* the STOPPED event. Those who asked to survive a reboot do.
    ///
    /// - Context: the very end of a run, after the post-stop hooks.
    pub fn close_clients(&mut self, ending: Ending) {
        self.clients.retain(|client| {
            let keep = ending == Ending::Reboot && client.word(State::Running) == SURVIVE_REBOOT;
            if !keep {
                hang_up(&client.socket);
            }
            keep
        });
        for socket in self.parked.drain(..) {
            hang_up(&socket);
        }
    }

    /// Registers a connection, unless its wish is fulfilled already (a word of exactly 1 for the current state).
    pub fn register(&mut self, socket: &Arc<OwnedFd>, interest: StateInterest) -> Registered {
        let client = StateClient { socket: Arc::clone(socket), interest };
        if client.word(self.state) == 1 {
            return Registered::Now(self.state);
        }
        self.clients.push(client);
        Registered::Later
    }

    /// Keeps a connection open until `close_clients`.
    pub fn park(&mut self, socket: &Arc<OwnedFd>) {
        self.parked.push(Arc::clone(socket));
    }

    /// Forgets a connection whose other end is gone.
    pub fn forget(&mut self, socket: &Arc<OwnedFd>) {
        self.clients.retain(|client| !Arc::ptr_eq(&client.socket, socket));
        self.parked.retain(|parked| !Arc::ptr_eq(parked, socket));
    }

    /// Every connection held, for a monitor loop that watches them for hang-ups.
    pub fn held(&self) -> Vec<Arc<OwnedFd>> {
        self.clients.iter().map(|client| &client.socket).chain(&self.parked).map(Arc::clone).collect()
    }

    fn notify(&mut self, state: State) {
        let message = LxcMsg::state(&self.name, state).encode();
        self.clients.retain(|client| {
            if client.word(state) == 0 {
                return true;
            }
            if send(&client.socket, &message, &[], false, Wait::No) != Ok(message.len()) {
                tracing::debug!("a client waiting for {state} did not take the message");
            }
            hang_up(&client.socket);
            false
        });
    }
}

/// Ends a connection although other owners of the descriptor may exist; queued data still arrives.
fn hang_up(socket: &OwnedFd) {
    let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Both);
}

/// Writes one event to the fifo of lxc-monitord, if one runs for this lxcpath.
///
/// Used by the monitor for its states, and by whoever freezes or thaws a container for FREEZING, FROZEN and THAWED
/// (the monitor does not publish those). Best effort, never sleeps, follows no symbolic link.
pub fn publish(lxcpath: &Path, message: &LxcMsg) {
    let Some(rundir) = paths::runtime_dir() else { return };
    let path = paths::monitor_fifo(&rundir, lxcpath);
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NOCTTY;
    // ENOENT: no daemon ever ran; ENXIO: none is running. Both are the ordinary case.
    let Ok(fifo) = rustix::fs::open(&path, flags, Mode::empty()) else { return };
    let is_fifo =
        rustix::fs::fstat(&fifo).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo);
    if !is_fifo {
        tracing::warn!("{} is not a fifo", path.display());
        return;
    }
    if let Err(errno) = rustix::io::write(&fifo, &message.encode()) {
        tracing::debug!("event lost on {}: {errno}", path.display());
    }
}

/// Waits for the outcome of a daemonised start on the starter's end of the socket pair.
///
/// - Returns: RUNNING, or the state the container went to instead.
/// - Errors:  `Internal` when the monitor went away without a word.
pub fn read_start_result(socket: &impl AsFd) -> Result<State> {
    let mut bytes = [0; 4];
    let mut have = 0;
    while have < bytes.len() {
        let rest = bytes.get_mut(have..).unwrap_or_default();
        let got = lxc_sys::socket::recv(socket, rest, 0, Wait::Yes).what(|| "wait for the monitor")?;
        if got.len == 0 {
            return Err(Error::new(ErrorKind::Internal, "the monitor exited before it reported a state"));
        }
        have += got.len;
    }
    let number = i32::from_ne_bytes(bytes);
    State::from_number(number).ok_or_else(|| {
        Error::new(ErrorKind::Protocol, format!("monitor reported state {number} of {STATES}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::StateSet;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    fn pair() -> (Arc<OwnedFd>, UnixStream) {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        let theirs = UnixStream::from(theirs);
        theirs.set_nonblocking(true).unwrap();
        (Arc::new(ours), theirs)
    }

    fn announcer() -> Announcer {
        Announcer::new(Path::new("/nonexistent-cmd-test"), "c1")
    }

    /// What a client has received so far: messages' states, and whether the connection ended.
    fn received(stream: &mut UnixStream) -> (Vec<i32>, bool) {
        let mut bytes = Vec::new();
        let ended = match stream.read_to_end(&mut bytes) {
            Ok(_) => true,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => false,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(bytes.len() % LxcMsg::SIZE, 0);
        let states = bytes.chunks(LxcMsg::SIZE).map(|chunk| {
            let msg = LxcMsg::decode(chunk.try_into().unwrap());
            assert_eq!(msg.name, "c1");
            msg.as_state().unwrap().number()
        });
        (states.collect(), ended)
    }

    fn waiting(announcer: &mut Announcer, interest: StateInterest) -> UnixStream {
        let (ours, theirs) = pair();
        assert_eq!(announcer.register(&ours, interest), Registered::Later);
        theirs
    }

    #[test]
    fn the_starter_hears_the_first_state_after_starting_and_nothing_more() {
        for outcome in [State::Running, State::Aborting] {
            let mut announcer = announcer();
            let (ours, theirs) = pair();
            announcer.set_start_socket(Arc::into_inner(ours).unwrap());
            theirs.set_nonblocking(false).unwrap();
            announcer.announce(State::Starting);
            announcer.announce(outcome);
            announcer.announce(State::Stopping);
            assert_eq!(read_start_result(&theirs).unwrap(), outcome);
            assert_eq!(read_start_result(&theirs).unwrap_err().kind(), ErrorKind::Internal);
        }
    }

    #[test]
    fn stopped_is_told_by_hanging_up_at_the_end() {
        let mut announcer = announcer();
        announcer.announce(State::Running);
        let mut client = waiting(&mut announcer, StateSet::new(&[State::Stopped]).interest());
        announcer.announce(State::Stopping);
        announcer.stopped(Ending::Stop);
        assert_eq!(received(&mut client), (vec![], false));
        announcer.close_clients(Ending::Stop);
        assert_eq!(received(&mut client), (vec![], true));
    }

    #[test]
    fn before_a_reboot_stopped_is_a_message_and_marked_clients_survive() {
        let mut announcer = announcer();
        announcer.announce(State::Running);
        let mut stopped = waiting(&mut announcer, StateSet::new(&[State::Stopped]).interest());
        let mut frozen = waiting(&mut announcer, StateSet::new(&[State::Frozen]).interest());
        let mut rebooted = waiting(&mut announcer, StateInterest([0, 0, SURVIVE_REBOOT, 0, 0, 0, 0, 0]));
        announcer.announce(State::Stopping);
        announcer.stopped(Ending::Reboot);
        announcer.close_clients(Ending::Reboot);
        assert_eq!(received(&mut stopped), (vec![0], true));
        assert_eq!(received(&mut frozen), (vec![], true));
        assert_eq!(received(&mut rebooted), (vec![], false));
        announcer.announce(State::Starting);
        announcer.announce(State::Running);
        assert_eq!(received(&mut rebooted), (vec![2], true));
    }

    #[test]
    fn a_wish_fulfilled_is_answered_at_once_but_not_a_reboot_wish() {
        let mut announcer = announcer();
        announcer.announce(State::Running);
        let (ours, _theirs) = pair();
        let interest = |word| StateInterest([0, 0, word, 0, 0, 0, 0, 0]);
        assert_eq!(announcer.register(&ours, interest(1)), Registered::Now(State::Running));
        assert_eq!(announcer.register(&ours, interest(2)), Registered::Later);
        assert_eq!(announcer.held().len(), 1);
        announcer.forget(&ours);
        assert!(announcer.held().is_empty());
    }

    #[test]
    fn thawed_is_told_as_such_and_kept_as_running() {
        let mut announcer = announcer();
        announcer.announce(State::Running);
        let mut client = waiting(&mut announcer, StateSet::new(&[State::Thawed]).interest());
        announcer.serve(State::Frozen);
        assert_eq!(announcer.state(), State::Frozen);
        announcer.serve(State::Thawed);
        assert_eq!(announcer.state(), State::Running);
        assert_eq!(received(&mut client), (vec![7], true));
    }
}
