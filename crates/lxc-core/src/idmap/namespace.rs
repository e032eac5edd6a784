//! A user namespace that only serves as an id map (`idmap=u:…`): nobody lives in it once it is open.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use lxc_conf::model::IdMap;
use lxc_sys::clone::{self, CloneArgs, SingleThreaded, exit_now};
use lxc_sys::pidfd;
use lxc_sys::proc::ProcFs;
use rustix::fs::{Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};

use super::apply;
use crate::error::{Result, ResultExt};

const NEWUSER: u64 = 0x1000_0000;

/// A user namespace with `maps`.
///
/// - Context: single-threaded; the process that holds it open meanwhile is reaped before this returns.
/// - Errors: as [`apply::write`].
pub fn make(maps: &[IdMap]) -> Result<OwnedFd> {
    let what = || "make a user namespace for idmap=";
    let single = SingleThreaded::check().what(what)?;
    let (wait, go) = pipe_with(PipeFlags::CLOEXEC).what(what)?;
    let ends = (wait.as_fd(), go.as_fd());
    let args = CloneArgs { flags: NEWUSER, cgroup: None };
    let child = clone::into(&single, &args, idle, &ends).what(what)?;
    let opened = open(maps, child.pid);
    // Its pipe is closed: it ends by itself.
    drop(go);
    pidfd::reap(child.pidfd.as_fd()).what(what)?;
    opened
}

fn open(maps: &[IdMap], pid: i32) -> Result<OwnedFd> {
    let proc = ProcFs::open().what(|| "open /proc")?;
    apply::write(&proc, pid, maps)?;
    let dir = proc.open_at(format!("{pid}/ns"), OFlags::PATH | OFlags::DIRECTORY);
    dir.and_then(|dir| rustix::fs::openat(&dir, "user", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()))
        .what(|| "open the user namespace of idmap=")
}

extern "C" fn idle((wait, go): &(BorrowedFd<'_>, BorrowedFd<'_>)) -> ! {
    use std::os::fd::AsRawFd;
    let own = go.as_raw_fd().cast_unsigned();
    // With our copy of the write end open the wait would never end.
    if lxc_sys::fd::close_between(own, own).is_ok() {
        let _ = rustix::io::read(wait, &mut [0; 1]);
    }
    exit_now(0)
}
