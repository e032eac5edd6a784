//! FREEZE and UNFREEZE: the commands that wait for the kernel, without holding up anybody else.
//!
//! Only on pure version 2 hosts, as in the original; elsewhere clients freeze by themselves. Proxmox uses them.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::Running;
use crate::ErrorKind;
use crate::cgroup::freezer::{self, Motion};
use crate::cgroup::layout::Version;
use crate::cgroup::serve::Which;
use crate::command::Reply;
use crate::state::State;

/// How often the kernel is asked whether everything has stopped.
const LOOK: Duration = Duration::from_millis(10);

/// Freezes or thaws the container and answers when it is done.
///
/// - Units: `timeout` in seconds, negative = for ever.
pub(super) async fn freeze(running: &RefCell<&mut Running>, motion: Motion, timeout: i32) -> Reply {
    let dir = {
        let running = running.borrow();
        let dir = running.cgroups.as_ref().and_then(|tree| tree.unified_fd(Which::Limit).ok());
        dir.map(|dir| dir.try_clone_to_owned())
    };
    let dir = match dir {
        None => return Reply::errno(Errno::NOENT),
        Some(Err(_)) => return Reply::errno(Errno::MFILE),
        Some(Ok(dir)) => dir,
    };
    let (under_way, done) = match motion {
        Motion::Frozen => (State::Freezing, State::Frozen),
        Motion::Running => (State::Thawed, State::Running),
    };
    running.borrow_mut().announcer.announce(under_way);
    let deadline = u64::try_from(timeout).ok().map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let result = reach(&dir, motion, deadline).await;
    let mut running = running.borrow_mut();
    match result {
        Ok(()) => {
            running.announcer.announce(done);
            Reply::ok()
        }
        Err(errno) => {
            // What it was before: a freeze that failed leaves it running, and the other way round.
            let before = if motion == Motion::Frozen { State::Running } else { State::Frozen };
            running.announcer.announce(before);
            Reply::errno(errno)
        }
    }
}

async fn reach(dir: &OwnedFd, motion: Motion, deadline: Option<Instant>) -> Result<(), Errno> {
    match freezer::set(dir, Version::V2, motion, Some(Duration::ZERO)) {
        Err(error) if error.kind() != ErrorKind::TimedOut => return Err(error.errno().unwrap_or(Errno::IO)),
        _ => {}
    }
    loop {
        match freezer::state(dir, Version::V2) {
            Ok(now) if now == motion => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(error.errno().unwrap_or(Errno::IO)),
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            if motion == Motion::Frozen {
                let _ = freezer::set(dir, Version::V2, Motion::Running, Some(Duration::ZERO));
            }
            return Err(Errno::TIMEDOUT);
        }
        tokio::time::sleep(LOOK).await;
    }
}
