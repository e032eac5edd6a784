//! The daemon: one fifo that container monitors write to, one socket that listeners connect to.
//!
//! A listener that does not read is cut off rather than waited for: it must not hold up the others. Source:
//! abi-and-wire.md C2; the file and socket names are shared with the original and with Proxmox.

use std::fs::DirBuilder;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lxc_core::state::LxcMsg;
use lxc_core::{Error, ErrorKind, Result, ResultExt, paths};
use lxc_sys::signal::{Mask, set_mask, signalfd};
use lxc_sys::socket::{Wait, listen_abstract, peer_cred, recv, send};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
use rustix::io::Errno;
use rustix::net::SocketFlags;

/// How long the daemon stays without a listener.
pub(crate) const IDLE: Duration = Duration::from_secs(30);
/// How long it waits before it tries again to admit a connection it has no descriptor for.
const FULL: Duration = Duration::from_secs(1);
/// How long a daemon that is ending may keep the socket's name after it gave up the fifo.
const HANDOVER: [Duration; 5] = [Duration::from_millis(20); 5];
/// Pending connections, as the original.
const BACKLOG: i32 = 100;
/// What ends it in good order. SIGINT is ours: the original cannot be interrupted. A genuine fault still kills, because
/// the kernel does not let a program block its own.
const ENDING: [i32; 5] = [SIGINT, SIGILL, SIGBUS, SIGSEGV, SIGTERM];
const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGILL: i32 = 4;
const SIGBUS: i32 = 7;
const SIGSEGV: i32 = 11;
const SIGTERM: i32 = 15;

/// When the daemon ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// When nothing happened for so long (`IDLE`) and there is no listener.
    WhileWatched(Duration),
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
    /// The last connection could not be admitted for want of descriptors.
    full: bool,
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
        // COMPAT: a hang-up of the terminal it was started from is nothing to it.
        set_mask(Mask(Mask::of(&ENDING).0 | Mask::of(&[SIGHUP]).0)).what(|| "block signals")?;
        let signals = signalfd(Mask::of(&ENDING)).what(|| "receive signals")?;
        let fifo_path = paths::monitor_fifo(&rundir, lxcpath);
        let fifo = claim_fifo(&fifo_path)?;
        let listener = match claim_socket(&address) {
            Ok(listener) => listener,
            Err(errno) => {
                // The lock is ours, so the fifo is: without a reader it would only mislead.
                let _ = std::fs::remove_file(&fifo_path);
                return Err(match errno {
                    Errno::ADDRINUSE => already_running(lxcpath),
                    errno => Error::kernel(errno, format!("listen for {}", lxcpath.display())),
                });
            }
        };
        Ok(Daemon {
            fifo,
            fifo_path,
            listener,
            signals,
            clients: Vec::new(),
            lifetime,
            pending: Vec::new(),
            full: false,
        })
    }

    /// Serves until told to end, or nobody listens any more.
    pub(crate) fn run(&mut self) -> Result<()> {
        while self.round()? == Next::GoOn {}
        Ok(())
    }

    fn round(&mut self) -> Result<Next> {
        let idle = match self.lifetime {
            _ if self.full => Some(FULL),
            Lifetime::WhileWatched(idle) => Some(idle),
            Lifetime::Unlimited => None,
        };
        let idle = idle.and_then(|idle| Timespec::try_from(idle).ok());
        let ready: Vec<bool> = {
            // A connection that cannot be admitted would keep the loop turning.
            let welcome = if self.full { PollFlags::empty() } else { PollFlags::IN };
            let mut fds = vec![
                PollFd::new(&self.signals, PollFlags::IN),
                PollFd::new(&self.fifo, PollFlags::IN),
                PollFd::new(&self.listener, welcome),
            ];
            fds.extend(self.clients.iter().map(|client| PollFd::new(client, PollFlags::IN)));
            match poll(&mut fds, idle.as_ref()) {
                Ok(0) if self.clients.is_empty() && !self.full => return Ok(Next::End),
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
        self.full = false;
        // Before the event: whoever connected before it happened is to hear it.
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
        let client = match rustix::net::accept_with(&self.listener, flags) {
            Ok(client) => client,
            Err(Errno::INTR | Errno::AGAIN | Errno::CONNABORTED) => return,
            Err(_) => {
                self.full = true;
                return;
            }
        };
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
        let mut rest = self.pending.split_off(whole);
        if read < chunk.len() {
            // Messages are written at a stroke, so what is left in an empty fifo is no message of LXC, and must not
            // shift all those to come.
            rest.clear();
        }
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
        match mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0) {
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
        if FileType::from_raw_mode(rustix::fs::fstat(&fifo).what(object)?.st_mode) != FileType::Fifo {
            return Err(Error::new(ErrorKind::Config, format!("{} is not a fifo", path.display())));
        }
        // A daemon that was ending may have removed it between the opening and the lock.
        let (held, found) = (rustix::fs::fstat(&fifo).what(object)?, rustix::fs::stat(path));
        if found.is_ok_and(|found| (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino)) {
            return Ok(fifo);
        }
    }
}

/// Listens, giving a daemon that no longer has the fifo the time to let go of the name.
fn claim_socket(address: &[u8]) -> std::result::Result<OwnedFd, Errno> {
    for pause in HANDOVER {
        match listen_abstract(address, BACKLOG) {
            Err(Errno::ADDRINUSE) => std::thread::sleep(pause),
            other => return other,
        }
    }
    listen_abstract(address, BACKLOG)
}

fn already_running(what: &Path) -> Error {
    Error::new(ErrorKind::AlreadyRunning, format!("another lxc-monitord has {}", what.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn it_ends_after_an_idle_time_without_a_listener_and_not_before() {
        let lxcpath = std::env::temp_dir().join(format!("monitord-idle-{}", std::process::id()));
        let idle = Duration::from_millis(150);
        let mut daemon = Daemon::start(&lxcpath, Lifetime::WhileWatched(idle)).unwrap();
        let fifo = daemon.fifo_path.clone();
        let address = paths::monitor_socket(&lxcpath).unwrap();
        let listener = lxc_sys::socket::connect_abstract(&address, None).unwrap();
        let stays = 4 * idle;
        let leaving = std::thread::spawn(move || {
            std::thread::sleep(stays);
            drop(listener);
        });
        let start = Instant::now();
        daemon.run().unwrap();
        assert!(start.elapsed() >= stays + idle, "{:?}", start.elapsed());
        leaving.join().unwrap();
        assert!(fifo.exists());
        drop(daemon);
        assert!(!fifo.exists());
        std::fs::remove_dir_all(fifo.parent().unwrap()).unwrap();
    }

    #[test]
    fn what_is_not_a_fifo_is_refused() {
        let directory = std::env::temp_dir().join(format!("monitord-file-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("monitor-fifo");
        std::fs::write(&path, "text").unwrap();
        assert!(claim_fifo(&path).unwrap_err().to_string().contains("not a fifo"));
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
