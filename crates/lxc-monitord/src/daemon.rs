//! The daemon: one fifo that container monitors write to, one socket that listeners connect to.
//!
//! A listener that does not read is cut off rather than waited for: it must not hold up the others. Source:
//! abi-and-wire.md C2; the file and socket names are shared with the original and with Proxmox.

use std::fs::DirBuilder;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lxc_core::state::LxcMsg;
use lxc_core::{Error, ErrorKind, Result, ResultExt, paths};
use lxc_sys::signal::{Mask, set_mask, signalfd};
use lxc_sys::socket::{Wait, listen_abstract, peer_cred, recv, send};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, mknodat, open};
use rustix::io::Errno;
use rustix::net::SocketFlags;

/// How long the daemon stays without a listener.
const IDLE: Duration = Duration::from_secs(30);
/// Pending connections, as the original.
const BACKLOG: i32 = 100;
const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;

/// When the daemon ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// Half a minute after the last listener.
    WhileWatched,
    Unlimited,
}

/// A running daemon; dropping it removes the fifo.
#[derive(Debug)]
pub(crate) struct Daemon {
    fifo: OwnedFd,
    fifo_path: PathBuf,
    listener: OwnedFd,
    signals: OwnedFd,
    clients: Vec<OwnedFd>,
    lifetime: Lifetime,
    /// The start of a message that has not come whole.
    pending: Vec<u8>,
}

/// What one round of the loop came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    GoOn,
    End,
}

impl Daemon {
    /// Claims the lxcpath.
    ///
    /// - Errors: `AlreadyRunning` when another daemon, ours or the original's, has it.
    pub(crate) fn start(lxcpath: &Path, lifetime: Lifetime) -> Result<Daemon> {
        let rundir = paths::runtime_dir()
            .ok_or_else(|| Error::new(ErrorKind::Permission, "there is no runtime directory to use"))?;
        let address = paths::monitor_socket(lxcpath).ok_or_else(|| {
            Error::new(
                ErrorKind::Unsupported,
                format!("path {} is too long to be monitored", lxcpath.display()),
            )
        })?;
        let quiet = Mask::of(&[SIGHUP, SIGINT, SIGTERM]);
        set_mask(quiet).what(|| "block signals")?;
        let signals = signalfd(quiet).what(|| "receive signals")?;
        let fifo_path = paths::monitor_fifo(&rundir, lxcpath);
        let fifo = claim_fifo(&fifo_path)?;
        let listener = match listen_abstract(&address, BACKLOG) {
            Err(Errno::ADDRINUSE) => Err(already_running(lxcpath)),
            other => other.what(|| format!("listen for {}", lxcpath.display())),
        };
        let listener = listener?;
        Ok(Daemon { fifo, fifo_path, listener, signals, clients: Vec::new(), lifetime, pending: Vec::new() })
    }

    /// Serves until told to end, or nobody listens any more.
    pub(crate) fn run(&mut self) -> Result<()> {
        while self.round()? == Next::GoOn {}
        Ok(())
    }

    fn round(&mut self) -> Result<Next> {
        let idle = match self.lifetime {
            Lifetime::WhileWatched => Timespec::try_from(IDLE).ok(),
            Lifetime::Unlimited => None,
        };
        let ready: Vec<bool> = {
            let fixed = [&self.signals, &self.fifo, &self.listener];
            let all = fixed.into_iter().chain(&self.clients);
            let mut fds: Vec<PollFd<'_>> =
                all.map(|fd| PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)).collect();
            match poll(&mut fds, idle.as_ref()) {
                Ok(0) if self.clients.is_empty() => return Ok(Next::End),
                Ok(_) => fds.iter().map(|fd| !fd.revents().is_empty()).collect(),
                Err(Errno::INTR) => return Ok(Next::GoOn),
                Err(errno) => return Err(errno).what(|| "wait for events"),
            }
        };
        let mut ready = ready.into_iter();
        let (signal, event, connection) =
            (ready.next() == Some(true), ready.next() == Some(true), ready.next() == Some(true));
        if signal || self.hear(ready) == Next::End {
            return Ok(Next::End);
        }
        if connection {
            self.admit();
        }
        if event {
            self.pass_on()?;
        }
        Ok(Next::GoOn)
    }

    /// Reads what listeners say: `quit`, or nothing but their end.
    fn hear(&mut self, mut ready: impl Iterator<Item = bool>) -> Next {
        let mut next = Next::GoOn;
        self.clients.retain(|client| {
            if ready.next() != Some(true) {
                return true;
            }
            let mut word = [0; 16];
            match recv(client, &mut word, 0, Wait::No) {
                Ok(got) if got.len > 0 => {
                    if word.starts_with(b"quit") {
                        next = Next::End;
                    }
                    true
                }
                Err(Errno::AGAIN | Errno::INTR) => true,
                _ => false,
            }
        });
        next
    }

    /// Accepts a listener: root, or the user the daemon runs as.
    fn admit(&mut self) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let Ok(client) = rustix::net::accept_with(&self.listener, flags) else { return };
        let own = rustix::process::geteuid().as_raw();
        if peer_cred(&client).is_ok_and(|peer| peer.uid == 0 || peer.uid == own) {
            self.clients.push(client);
        }
    }

    /// Passes whole messages from the fifo to every listener.
    fn pass_on(&mut self) -> Result<()> {
        let mut chunk = [0; 16 * LxcMsg::SIZE];
        let read = match rustix::io::read(&self.fifo, &mut chunk) {
            Ok(read) => read,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(errno) => return Err(errno).what(|| "read the fifo"),
        };
        self.pending.extend_from_slice(chunk.get(..read).unwrap_or_default());
        let whole = self.pending.len() / LxcMsg::SIZE * LxcMsg::SIZE;
        let rest = self.pending.split_off(whole);
        let messages = std::mem::replace(&mut self.pending, rest);
        for message in messages.chunks_exact(LxcMsg::SIZE) {
            self.clients
                .retain(|client| matches!(send(client, message, &[], false, Wait::No), Ok(LxcMsg::SIZE)));
        }
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.fifo_path);
    }
}

/// Makes the fifo if need be, opens it and locks it.
fn claim_fifo(path: &Path) -> Result<OwnedFd> {
    let object = || format!("use the fifo {}", path.display());
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(directory).what(object)?;
    }
    loop {
        match mknodat(CWD, path, rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno).what(object),
        }
        // Opened for both, so that it never reads as ended while no container writes.
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fifo = match open(path, flags, Mode::empty()) {
            Err(Errno::NOENT) => continue,
            other => other.what(object)?,
        };
        match lxc_sys::lock::process_lock(&fifo) {
            Ok(()) => {}
            Err(Errno::AGAIN | Errno::ACCESS) => return Err(already_running(path)),
            Err(errno) => return Err(errno).what(object),
        }
        // A daemon that was ending may have removed it between the opening and the lock.
        let (held, found) = (rustix::fs::fstat(&fifo).what(object)?, rustix::fs::stat(path));
        if found.is_ok_and(|found| (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino)) {
            return Ok(fifo);
        }
    }
}

fn already_running(what: &Path) -> Error {
    Error::new(ErrorKind::AlreadyRunning, format!("another lxc-monitord has {}", what.display()))
}
