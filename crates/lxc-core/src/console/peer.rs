//! The terminal of the host that shows the console: the user's own in the foreground, or `lxc.console.path`.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use lxc_sys::tty;
use rustix::fs::{Mode, OFlags};
use rustix::termios::Termios;

use super::Queue;
use crate::error::{Result, ResultExt};

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

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.output.write_to(self.fd.as_fd());
        if let Some(before) = &self.before {
            // A terminal that is gone needs no mode.
            let _ = tty::restore(self.fd.as_fd(), before);
        }
    }
}
