//! The console and the ttys of a container: the monitor's side, and the relay of a client (`proxy`).
//!
//! Everything here is plain descriptors and buffers; the event loop that moves the bytes is `monitor::pump`.
//! Source: abi-and-wire.md D7; config.md rows 17–21; files observed on 5.0.2.

pub mod holders;
mod logfile;
mod peer;
pub mod proxy;
mod queue;
mod ring;
mod ttys;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lxc_conf::model;
use lxc_sys::tty;
use rustix::io::Errno;

use crate::error::{Result, ResultExt};
use logfile::LogFile;
use peer::Peer;
pub use queue::Queue;
use ring::Ring;
pub use ttys::Ttys;

/// Most bytes that wait for a reader which does not keep up.
pub(crate) const BACKLOG: usize = 64 * 1024;

/// What is asked of the ring buffer (command CONSOLE_LOG; `command::wire` has its bytes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConsoleLogRequest {
    /// Empty the ring buffer.
    pub clear: bool,
    /// Send its contents, oldest first; without `clear` what was sent is gone from the buffer.
    pub read: bool,
    /// Most bytes to send; 0 = all.
    pub read_max: u64,
    /// Write the contents to `lxc.console.logfile`.
    pub write_logfile: bool,
}

/// Both ends of a pseudo terminal whose ptx the monitor keeps.
#[derive(Debug)]
pub struct Pty {
    pub ptx: Arc<OwnedFd>,
    /// Held so that the ptx never reads as hung up while nobody inside has the terminal open.
    pub pts: Option<OwnedFd>,
    /// Path of the pts in the devpts instance it belongs to, such as `/dev/pts/3` or `pts/1`.
    pub name: PathBuf,
}

impl Pty {
    /// Takes over a pair made elsewhere (by the container's init in its own devpts).
    pub fn new(ptx: OwnedFd, pts: Option<OwnedFd>, name: impl Into<PathBuf>) -> Pty {
        Pty { ptx: Arc::new(ptx), pts, name: name.into() }
    }

    /// A new pair in the host's devpts, as a container with `lxc.pty.max` of at most 1 gets for its console.
    pub fn on_host() -> Result<Pty> {
        let pair = tty::open().what(|| "open a pseudo terminal")?;
        let name = rustix::termios::ttyname(&pair.pts, Vec::new()).what(|| "name a pseudo terminal")?;
        let name = PathBuf::from(name.to_string_lossy().into_owned());
        Ok(Pty { ptx: Arc::new(pair.ptx), pts: Some(pair.pts), name })
    }
}

/// The pseudo terminal on loan for `GET_TTY_FD 0`: a client has its ptx, we move bytes between its pts and the console.
#[derive(Debug)]
struct Loan {
    pts: Arc<OwnedFd>,
    output: Queue,
    size: Option<(u16, u16)>,
}

/// The console of a running container.
#[derive(Debug, Default)]
pub struct Console {
    pty: Option<Pty>,
    ring: Option<Ring>,
    logfile: Option<LogFile>,
    peer: Option<Peer>,
    loan: Option<Loan>,
    /// Typed, not yet taken by the container.
    input: Queue,
}

/// Where the bytes of the console come from or go to.
#[derive(Clone, Debug)]
pub struct Endpoints {
    pub console: Option<Arc<OwnedFd>>,
    pub peer: Option<Arc<OwnedFd>>,
    pub loan: Option<Arc<OwnedFd>>,
}

impl Console {
    /// A container without console (`lxc.console.path = none`).
    pub fn none() -> Console {
        Console::default()
    }

    /// The console on `pty`, with the ring buffer and the log file of the configuration.
    pub fn new(pty: Pty, conf: &model::Console) -> Result<Console> {
        set_nonblocking(&pty.ptx).what(|| "prepare the console")?;
        let ring = usize::try_from(conf.buffer_size).ok().filter(|size| *size > 0).map(Ring::new);
        let logfile = match &conf.logfile {
            Some(path) => Some(LogFile::open(Path::new(path), conf.size, conf.rotate)?),
            None => None,
        };
        Ok(Console { pty: Some(pty), ring, logfile, ..Console::default() })
    }

    /// Connects the console with a terminal of the host: `lxc.console.path`, or the user's own terminal in the
    /// foreground. Puts it into raw mode until the console is dropped.
    pub fn connect_peer(&mut self, path: &Path) -> Result<()> {
        if self.pty.is_some() {
            self.peer = Some(Peer::open(path)?);
            self.resize_from_peer();
        }
        Ok(())
    }

    /// Whether a terminal of the host is connected.
    pub fn has_peer(&self) -> bool {
        self.peer.is_some()
    }

    /// The pts to become `/dev/console`, if there is a console.
    pub fn pty(&self) -> Option<&Pty> {
        self.pty.as_ref()
    }

    /// Name of the pts for `LXC_CONSOLE`.
    pub fn name(&self) -> Option<&Path> {
        self.pty.as_ref().map(|pty| pty.name.as_path())
    }

    /// Gives the console its peer's window size.
    pub fn resize_from_peer(&self) {
        if let (Some(peer), Some(pty)) = (&self.peer, &self.pty) {
            // A peer that is no terminal has no size; that is fine.
            let _ = tty::copy_window_size(peer.fd().as_fd(), pty.ptx.as_fd());
        }
    }

    /// Lends the console through a fresh pseudo terminal; its ptx is the borrower's.
    ///
    /// - Errors: `BADF` when there is no console or it is lent already; what opening a terminal gives.
    pub fn lend(&mut self) -> std::result::Result<OwnedFd, Errno> {
        let (Some(pty), None) = (&self.pty, &self.loan) else { return Err(Errno::BADF) };
        let pair = tty::open()?;
        tty::make_raw(pair.pts.as_fd())?;
        // The borrower sees a terminal of the right size before it sets its own.
        let _ = tty::copy_window_size(pty.ptx.as_fd(), pair.pts.as_fd());
        set_nonblocking(&pair.pts)?;
        self.loan = Some(Loan { pts: Arc::new(pair.pts), output: Queue::default(), size: None });
        Ok(pair.ptx)
    }

    /// The borrower is gone.
    pub fn take_back(&mut self) {
        self.loan = None;
    }

    /// Descriptors to watch; changes with `lend`, `take_back` and `drop_peer`.
    pub fn endpoints(&self) -> Endpoints {
        Endpoints {
            console: self.pty.as_ref().map(|pty| Arc::clone(&pty.ptx)),
            peer: self.peer.as_ref().map(|peer| Arc::clone(peer.fd())),
            loan: self.loan.as_ref().map(|loan| Arc::clone(&loan.pts)),
        }
    }

    /// Whether more output of the container can be taken: a peer that does not read holds it up, as a terminal would.
    pub fn wants_output(&self) -> bool {
        self.peer.as_ref().is_none_or(|peer| peer.output.len() < BACKLOG)
    }

    /// Takes output of the container to everybody who gets it. A borrower that does not read loses the oldest.
    pub fn output(&mut self, bytes: &[u8]) {
        if let Some(ring) = &mut self.ring {
            ring.push(bytes);
        }
        if let Some(logfile) = &mut self.logfile {
            logfile.append(bytes);
        }
        if let Some(peer) = &mut self.peer {
            peer.output.push(bytes);
        }
        if let Some(loan) = &mut self.loan {
            loan.output.push_dropping(bytes, BACKLOG);
        }
    }

    /// Whether more keys can be taken.
    pub fn wants_input(&self) -> bool {
        self.input.len() < BACKLOG
    }

    /// Takes keys typed at the peer or by the borrower.
    pub fn type_in(&mut self, bytes: &[u8]) {
        self.input.push(bytes);
    }

    /// The borrower's window size, given to the console when it has changed.
    pub fn resize_from_loan(&mut self) {
        let (Some(loan), Some(pty)) = (&mut self.loan, &self.pty) else { return };
        if let Ok(size) = rustix::termios::tcgetwinsize(&*loan.pts) {
            let now = (size.ws_row, size.ws_col);
            if loan.size != Some(now) && now != (0, 0) {
                let _ = tty::copy_window_size(loan.pts.as_fd(), pty.ptx.as_fd());
            }
            loan.size = Some(now);
        }
    }

    /// What waits to be written to the container, the peer and the borrower.
    pub fn queues(&mut self) -> Queues<'_> {
        Queues {
            console: &mut self.input,
            peer: self.peer.as_mut().map(|peer| &mut peer.output),
            loan: self.loan.as_mut().map(|loan| &mut loan.output),
        }
    }

    /// The peer hung up.
    pub fn drop_peer(&mut self) {
        self.peer = None;
    }

    /// CONSOLE_LOG: reads, clears or saves the ring buffer.
    ///
    /// - Errors: `FAULT` without a ring buffer; `NODATA` when there is nothing to read or to save.
    pub fn log_request(&mut self, wanted: ConsoleLogRequest) -> std::result::Result<Vec<u8>, Errno> {
        let ring = self.ring.as_mut().ok_or(Errno::FAULT)?;
        let mut bytes = Vec::new();
        if wanted.read {
            if ring.is_empty() {
                return Err(Errno::NODATA);
            }
            let most = usize::try_from(wanted.read_max).unwrap_or(usize::MAX);
            bytes = ring.read(if most == 0 { usize::MAX } else { most });
        }
        if wanted.write_logfile && !wanted.read {
            if let Some(logfile) = &mut self.logfile
                && !ring.is_empty()
            {
                logfile.rewrite(&ring.read(usize::MAX))?;
            }
            ring.clear();
        }
        if wanted.clear {
            ring.clear();
        }
        Ok(bytes)
    }

    /// The container has ended: what is left is shown, and what the ring buffer still holds replaces the log file, cut to `lxc.console.size`.
    ///
    /// COMPAT: with `lxc.console.size` unset the original empties the file here; we leave it alone.
    pub fn finish(&mut self) {
        if let Some(peer) = &mut self.peer {
            peer.flush();
        }
        let (Some(ring), Some(logfile)) = (&mut self.ring, &mut self.logfile) else { return };
        if ring.is_empty() || !logfile.is_limited() {
            return;
        }
        if let Err(errno) = logfile.rewrite(&ring.read(usize::MAX)) {
            tracing::warn!("cannot save the console log: {errno}");
        }
    }

    /// Reads what the container has left in its terminal, without waiting.
    pub fn drain(&mut self) {
        /// A terminal holds a few pages; anything beyond is somebody who still writes.
        const MOST: usize = 1 << 20;
        let Some(ptx) = self.pty.as_ref().map(|pty| Arc::clone(&pty.ptx)) else { return };
        let mut buffer = [0; 4096];
        let mut sum = 0;
        while sum < MOST {
            match rustix::io::read(&*ptx, &mut buffer) {
                Ok(read) if read > 0 => {
                    sum += read;
                    self.output(buffer.get(..read).unwrap_or_default());
                }
                Err(Errno::INTR) => {}
                _ => break,
            }
        }
        if let Some(loan) = &mut self.loan {
            let _ = loan.output.write_to(loan.pts.as_fd());
        }
    }
}

/// See `Console::queues`.
#[derive(Debug)]
pub struct Queues<'a> {
    pub console: &'a mut Queue,
    pub peer: Option<&'a mut Queue>,
    pub loan: Option<&'a mut Queue>,
}

/// Makes reads and writes through this descriptor (and its copies) return instead of sleeping.
pub(crate) fn set_nonblocking(fd: impl AsFd) -> std::result::Result<(), Errno> {
    let fd: BorrowedFd<'_> = fd.as_fd();
    let flags = rustix::fs::fcntl_getfl(fd)?;
    rustix::fs::fcntl_setfl(fd, flags | rustix::fs::OFlags::NONBLOCK)
}

#[cfg(test)]
mod tests;
