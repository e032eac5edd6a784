//! The terminal of the host that shows the console: the user's own in the foreground, or `lxc.console.path`.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use lxc_sys::tty;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::termios::Termios;

use super::Queue;
use crate::error::{Result, ResultExt};

/// How long a terminal may take nothing before the rest of the output is given up.
const PATIENCE: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

#[derive(Debug)]
pub(super) struct Peer {
    fd: Arc<OwnedFd>,
    /// Mode to go back to; `None` for a peer that is no terminal.
    before: Option<Termios>,
    pub(super) output: Queue,
}

impl Peer {
    /// Opens the terminal by itself, so that our non-blocking flag is not seen by others who have it open.
    pub(super) fn open(path: &Path) -> Result<Peer> {
        let what = || format!("open {} for the console", path.display());
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        let fd = rustix::fs::open(path, flags, Mode::empty()).what(what)?;
        let before = match rustix::termios::isatty(&fd) {
            true => Some(tty::make_raw(fd.as_fd()).what(what)?),
            false => None,
        };
        Ok(Peer { fd: Arc::new(fd), before, output: Queue::default() })
    }

    pub(super) fn fd(&self) -> &Arc<OwnedFd> {
        &self.fd
    }
}

impl Peer {
    /// Shows everything that is left, as long as the terminal takes something within `PATIENCE`.
    ///
    /// A container that prints and ends would otherwise lose its last words to a slow terminal.
    pub(super) fn flush(&mut self) {
        loop {
            let before = self.output.len();
            if self.output.write_to(self.fd.as_fd()).is_err() || self.output.is_empty() {
                return;
            }
            let mut fds = [PollFd::new(&self.fd, PollFlags::OUT)];
            let ready = rustix::io::retry_on_intr(|| poll(&mut fds, Some(&PATIENCE)));
            let hung_up =
                fds.first().is_none_or(|fd| fd.revents().intersects(PollFlags::HUP | PollFlags::ERR));
            if ready != Ok(1) || (hung_up && self.output.len() == before) {
                return;
            }
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // A terminal that is gone needs no mode.
            let _ = tty::restore(self.fd.as_fd(), before);
        }
    }
}
