//! The client's side of a pseudo terminal: the user's terminal on one hand, the ptx of a container's tty on the other.
//!
//! Used by attach and by lxc-console. Not here: the monitor's proxying of the console (`console`), getting hold of a
//! ptx, and what to tell the user.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use lxc_sys::signal::{self, Mask};
use lxc_sys::{pidfd, tty};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::{Termios, isatty};

use crate::{Result, ResultExt};

const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGQUIT: i32 = 3;
const SIGTERM: i32 = 15;
const SIGWINCH: i32 = 28;

/// How much is written to a ptx in one go. A terminal that reports room has room for this much; more could block.
const PTX_CHUNK: usize = 64;
/// How long the container may stay silent after the input has ended before the rest of its output is given up.
const QUIET_MS: i64 = 100;

/// What ends a relay when the input does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtInputEnd {
    /// Go on until the container's side closes.
    Continue,
    /// Show what still comes, then leave.
    Leave,
}

/// Everything a relay connects.
#[derive(Debug)]
pub struct Relay<'fd> {
    pub ptx: BorrowedFd<'fd>,
    /// Where keys come from.
    pub input: Option<BorrowedFd<'fd>>,
    pub output: BorrowedFd<'fd>,
    /// Gets a copy of the output.
    pub log: Option<BorrowedFd<'fd>>,
    /// The byte that starts a command (`q` leaves; itself sends it once).
    pub escape: Option<u8>,
    /// The process that SIGINT, SIGQUIT, SIGTERM and SIGHUP are meant for; `None` = they end the relay.
    pub signals_to: Option<BorrowedFd<'fd>>,
    pub at_input_end: AtInputEnd,
}

/// Why a relay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The container's side was closed.
    HungUp,
    /// The escape sequence was typed.
    Left,
    /// The input ended.
    InputEnded,
    /// A signal asked for it.
    Signal(i32),
}

/// The user's terminal in raw mode until this is dropped.
#[derive(Debug)]
pub struct RawTerminal<'fd> {
    tty: BorrowedFd<'fd>,
    old: Termios,
}

impl<'fd> RawTerminal<'fd> {
    /// Switches `fd` if it is a terminal.
    pub fn enter(fd: BorrowedFd<'fd>) -> Result<Option<RawTerminal<'fd>>> {
        if !isatty(fd) {
            return Ok(None);
        }
        let old = tty::make_raw(fd).what(|| "put the terminal into raw mode")?;
        Ok(Some(RawTerminal { tty: fd, old }))
    }
}

impl Drop for RawTerminal<'_> {
    fn drop(&mut self) {
        // A terminal that went away needs no restoring.
        let _ = tty::restore(self.tty, &self.old);
    }
}

/// The signals a relay takes care of, blocked until this is dropped.
#[derive(Debug)]
pub struct Signals {
    fd: OwnedFd,
    old: Mask,
}

impl Signals {
    /// Blocks them. Do this before anything whose window size or death must not be missed.
    pub fn block() -> Result<Signals> {
        let wanted = Mask::of(&[SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH]);
        let fd = signal::signalfd(wanted).what(|| "open a signalfd")?;
        let old = signal::set_mask(wanted).what(|| "block signals")?;
        let both = Mask(old.0 | wanted.0);
        signal::set_mask(both).what(|| "block signals")?;
        Ok(Signals { fd, old })
    }

    /// The same, with another mask to put in force afterwards.
    #[must_use]
    pub fn restoring(mut self, mask: Mask) -> Signals {
        self.old = mask;
        self
    }

    fn read(&self) -> Result<Option<i32>> {
        let mut bytes = [0; 128];
        match rustix::io::read(&self.fd, &mut bytes) {
            Ok(_) => Ok(i32::try_from(signal::decode_signalfd(&bytes).signal).ok()),
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(errno) => Err(errno).what(|| "read a signal"),
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // Blocking was possible, so unblocking is.
        let _ = signal::set_mask(self.old);
    }
}

/// The key that starts a command while connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Escape(Option<u8>);

impl Escape {
    /// Reads `^a` or `a` (any case).
    ///
    /// COMPAT: whatever is not a letter, as in `-e -1`, switches commands off.
    ///
    /// - Errors: nothing, or more than one key.
    pub fn parse(text: &str) -> std::result::Result<Escape, String> {
        let key = text.strip_prefix('^').filter(|rest| !rest.is_empty()).unwrap_or(text);
        match key.as_bytes() {
            [letter] if letter.is_ascii_alphabetic() => Ok(Escape(Some(letter.to_ascii_lowercase()))),
            [_] | b"-1" => Ok(Escape(None)),
            _ => Err(format!("{text:?} is not a key")),
        }
    }

    /// The letter to press together with Ctrl.
    pub fn key(self) -> Option<char> {
        self.0.map(char::from)
    }

    /// The byte that arrives.
    pub fn byte(self) -> Option<u8> {
        self.0.map(|letter| letter & 0x1f)
    }
}

/// Whether epoll(7) can wait for `fd`: terminals, pipes and sockets, not regular files or `/dev/null`.
pub fn can_wait_for(fd: BorrowedFd<'_>) -> bool {
    use rustix::event::epoll;
    let Ok(set) = epoll::create(epoll::CreateFlags::CLOEXEC) else { return true };
    epoll::add(&set, fd, epoll::EventData::new_u64(0), epoll::EventFlags::IN) != Err(Errno::PERM)
}

/// What the escape byte and the byte after it mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct EscapeState {
    pending: bool,
}

impl EscapeState {
    /// Takes `input`, appends what is to be sent to `out`; true = leave.
    ///
    /// An escape followed by anything but `q` or itself sends both bytes on.
    fn filter(&mut self, escape: Option<u8>, input: &[u8], out: &mut Vec<u8>) -> bool {
        let Some(escape) = escape else {
            out.extend_from_slice(input);
            return false;
        };
        for byte in input {
            match (self.pending, *byte) {
                (true, b'q') => return true,
                (true, byte) if byte == escape => {
                    self.pending = false;
                    out.push(escape);
                }
                (true, byte) => {
                    self.pending = false;
                    out.extend_from_slice(&[escape, byte]);
                }
                (false, byte) if byte == escape => self.pending = true,
                (false, byte) => out.push(byte),
            }
        }
        false
    }
}

/// Copies bytes both ways until one of the ends named in [`Ended`].
///
/// The window size of the output's (else the input's) terminal is copied to the ptx at once and on every SIGWINCH.
///
/// - Context: caller; blocks. Output that arrived before the end is always delivered.
/// - Errors: the user's output cannot be written.
pub fn relay(relay: &Relay<'_>, signals: &Signals) -> Result<Ended> {
    let sized = [Some(relay.output), relay.input].into_iter().flatten().find(|fd| isatty(fd));
    let resize = || {
        if let Some(from) = sized {
            // A terminal without a size (0×0) is legal; one that vanished shows up as end of file soon.
            let _ = tty::copy_window_size(from, relay.ptx);
        }
    };
    resize();
    let mut state = State { input: relay.input, to_ptx: Vec::new(), escape: EscapeState::default() };
    loop {
        let leaving = relay.input.is_some()
            && state.input.is_none()
            && state.to_ptx.is_empty()
            && relay.at_input_end == AtInputEnd::Leave;
        let timeout = leaving.then_some(Timespec { tv_sec: 0, tv_nsec: QUIET_MS * 1_000_000 });
        let ready = wait(relay, signals, &state, timeout.as_ref())?;
        if ready.nothing() && leaving {
            return Ok(Ended::InputEnded);
        }
        if ready.signal {
            match signals.read()? {
                Some(SIGWINCH) => resize(),
                Some(number) => match relay.signals_to {
                    // The process may be gone already; its end shows on the ptx.
                    Some(process) => drop(pidfd::send_signal(process, number)),
                    None => return Ok(Ended::Signal(number)),
                },
                None => {}
            }
        }
        if ready.input && state.read_input(relay)? {
            state.flush(relay);
            return Ok(Ended::Left);
        }
        if ready.ptx_writable {
            state.write_ptx(relay);
        }
        if ready.ptx && copy_output(relay)? {
            return Ok(Ended::HungUp);
        }
    }
}

struct State<'fd> {
    input: Option<BorrowedFd<'fd>>,
    to_ptx: Vec<u8>,
    escape: EscapeState,
}

impl State<'_> {
    /// True = the escape sequence was typed.
    fn read_input(&mut self, relay: &Relay<'_>) -> Result<bool> {
        let Some(input) = self.input else { return Ok(false) };
        let mut bytes = [0; 4096];
        match rustix::io::read(input, &mut bytes) {
            Ok(0) | Err(Errno::IO) => self.input = None,
            Ok(count) => {
                let bytes = bytes.get(..count).unwrap_or_default();
                return Ok(self.escape.filter(relay.escape, bytes, &mut self.to_ptx));
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => return Err(errno).what(|| "read the input"),
        }
        Ok(false)
    }

    fn write_ptx(&mut self, relay: &Relay<'_>) {
        let chunk = self.to_ptx.get(..PTX_CHUNK).unwrap_or(&self.to_ptx);
        match rustix::io::write(relay.ptx, chunk) {
            Ok(count) => drop(self.to_ptx.drain(..count.min(self.to_ptx.len()))),
            Err(Errno::AGAIN | Errno::INTR) => {}
            // Nobody has the other end open; its close is seen when reading.
            Err(_) => self.to_ptx.clear(),
        }
    }
}

impl State<'_> {
    /// Sends what was typed before the escape, unless the container does not take it.
    fn flush(&mut self, relay: &Relay<'_>) {
        let patience = Timespec { tv_sec: 1, tv_nsec: 0 };
        while !self.to_ptx.is_empty() {
            let mut fds = [PollFd::from_borrowed_fd(relay.ptx, PollFlags::OUT)];
            match poll(&mut fds, Some(&patience)) {
                Ok(1..) => self.write_ptx(relay),
                Err(Errno::INTR) => {}
                Ok(_) | Err(_) => return,
            }
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Ready {
    signal: bool,
    input: bool,
    ptx: bool,
    ptx_writable: bool,
}

impl Ready {
    fn nothing(self) -> bool {
        !(self.signal || self.input || self.ptx || self.ptx_writable)
    }
}

fn wait(
    relay: &Relay<'_>,
    signals: &Signals,
    state: &State<'_>,
    timeout: Option<&Timespec>,
) -> Result<Ready> {
    let ptx_events = match state.to_ptx.is_empty() {
        true => PollFlags::IN,
        false => PollFlags::IN | PollFlags::OUT,
    };
    // Reading more than the container takes would only buffer it here.
    let input_events = if state.to_ptx.len() < 65536 { PollFlags::IN } else { PollFlags::empty() };
    let mut fds =
        vec![PollFd::new(&signals.fd, PollFlags::IN), PollFd::from_borrowed_fd(relay.ptx, ptx_events)];
    if let Some(input) = state.input {
        fds.push(PollFd::from_borrowed_fd(input, input_events));
    }
    match poll(&mut fds, timeout) {
        Ok(_) => {}
        Err(Errno::INTR) => return Ok(Ready { signal: true, ..Ready::default() }),
        Err(errno) => return Err(errno).what(|| "wait for the terminal"),
    }
    let events = |index: usize| fds.get(index).map_or(PollFlags::empty(), PollFd::revents);
    let gone = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
    Ok(Ready {
        signal: events(0).intersects(PollFlags::IN),
        ptx: events(1).intersects(PollFlags::IN | gone),
        ptx_writable: events(1).intersects(PollFlags::OUT),
        input: events(2).intersects(PollFlags::IN | gone),
    })
}

/// True = the other end is closed and everything it wrote was delivered.
fn copy_output(relay: &Relay<'_>) -> Result<bool> {
    let mut bytes = [0; 8192];
    let count = match rustix::io::read(relay.ptx, &mut bytes) {
        Ok(0) | Err(Errno::IO) => return Ok(true),
        Ok(count) => count,
        Err(Errno::AGAIN | Errno::INTR) => return Ok(false),
        Err(errno) => return Err(errno).what(|| "read the pseudo terminal"),
    };
    let bytes = bytes.get(..count).unwrap_or_default();
    write_all(relay.output, bytes).what(|| "write to the terminal")?;
    if let Some(log) = relay.log {
        write_all(log, bytes).what(|| "write to the pty log")?;
    }
    Ok(false)
}

fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> std::result::Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(fd, bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            // A terminal shared with a program that made it non-blocking.
            Err(Errno::AGAIN) => {
                let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
                rustix::io::retry_on_intr(|| poll(&mut fds, None))?;
            }
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// The terminal among `fds` to speak to the user on, output first.
pub fn terminal_of<'fd>(fds: [BorrowedFd<'fd>; 3]) -> Option<BorrowedFd<'fd>> {
    let [stdin, stdout, stderr] = fds;
    [stdout, stderr, stdin].into_iter().find(|fd| isatty(fd.as_fd()))
}

#[cfg(test)]
mod tests;
