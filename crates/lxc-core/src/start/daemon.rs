//! The fork of the monitor and how its starter learns of the outcome.
//!
//! The starter gets the first state after STARTING on a socket, as the original's does, and on a failure the error itself
//! through a pipe that stays open until the monitor has cleaned up.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use lxc_sys::clone::{Forked, SingleThreaded, exit_now, fork_into};
use lxc_sys::fd::{close_all_but, dup_onto};
use lxc_sys::pidfd::reap;
use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};

use super::lifecycle::log_all;
use super::{Outcome, Prepared, lifecycle};
use crate::cgroup::tree::{Spawned, Tree};
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::state::{self, State};

/// What the monitor tells its starter.
#[derive(Debug)]
pub(super) struct Starter {
    pub socket: OwnedFd,
    pub report: OwnedFd,
}

impl Starter {
    /// Sends the reason of a failure; must come before the state that says so.
    pub(super) fn explain(&self, error: &Error) {
        let Ok(copy) = self.report.try_clone() else { return };
        // A starter that is gone does not need to know.
        let _ = File::from(copy).write_all(&error.encode());
    }
}

/// Forks the monitor and waits until the container runs or has failed.
pub(super) fn start(prepared: Prepared, listener: OwnedFd) -> Result<Outcome> {
    let token = SingleThreaded::check().what(|| "fork the monitor from a process with several threads")?;
    let (mine, socket) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .what(|| "make a socket pair for the monitor")?;
    let (explanation, report) = pipe_with(PipeFlags::CLOEXEC).what(|| "make a pipe for the monitor")?;
    // ORDER: the monitor's cgroup before the fork, so that the monitor can be born there.
    let mut tree = Tree::open(prepared.plan.cgroups.clone())?;
    tree.create_monitor()?;
    if let Err(error) = tree.shelter_starter() {
        log_all(tree.destroy());
        return Err(error);
    }
    let (home, orphan) = match prepared.request.caller_exits {
        true => (tree.monitor_dir(), Orphan::Later),
        false => (None, Orphan::Now),
    };
    let forked = fork_into(&token, home).what(|| "fork the monitor");
    match forked {
        Err(error) => {
            log_all(tree.destroy());
            Err(error)
        }
        Ok((Forked::Child, in_cgroup)) => {
            drop(mine);
            drop(explanation);
            let spawned = match orphan {
                Orphan::Later => in_cgroup,
                Orphan::Now => fork_again(&tree),
            };
            let spawned = if spawned { Spawned::IntoUnified } else { Spawned::Elsewhere };
            exit_now(monitor(prepared, listener, Starter { socket, report }, (tree, spawned)))
        }
        Ok((Forked::Parent(child), _)) => {
            drop(socket);
            drop(report);
            drop(listener);
            if orphan == Orphan::Now {
                reap(child.pidfd.as_fd()).what(|| "reap the monitor's parent")?;
            }
            outcome(&mine, explanation)
        }
    }
}

/// When the monitor loses its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Orphan {
    /// By a second fork, so that a long-lived caller need not reap it.
    Now,
    /// When the caller exits, which it does right after the start.
    Later,
}

/// The second fork: its child goes on as the monitor, the process itself ends. Says whether the child was born in the
/// monitor's cgroup.
fn fork_again(tree: &Tree) -> bool {
    match fork_into(&SingleThreaded::after_clone(), tree.monitor_dir()) {
        Ok((Forked::Child, in_cgroup)) => in_cgroup,
        Ok((Forked::Parent(_), _)) => exit_now(0),
        Err(_) => exit_now(1),
    }
}

fn outcome(mine: &OwnedFd, explanation: OwnedFd) -> Result<Outcome> {
    let told = state::announce::read_start_result(mine);
    if matches!(told, Ok(State::Running)) {
        return Ok(Outcome::Daemonised);
    }
    // End of file comes when the monitor is gone: by then it has put everything away.
    let mut bytes = Vec::new();
    let _ = File::from(explanation).read_to_end(&mut bytes);
    Err(Error::decode(&bytes).unwrap_or_else(|| {
        Error::new(ErrorKind::Internal, "the monitor ended without saying why")
            .cure("look at the log file (--logfile, --logpriority=DEBUG)")
    }))
}

/// The monitor's whole life; returns its exit code.
fn monitor(prepared: Prepared, listener: OwnedFd, starter: Starter, (tree, spawned): (Tree, Spawned)) -> i32 {
    let name = prepared.request.name.clone();
    let mut keep = vec![listener.as_fd(), starter.socket.as_fd(), starter.report.as_fd()];
    keep.extend(tree.descriptors());
    if let Err(error) = detach(&prepared, &keep) {
        starter.explain(&error);
        log_all(tree.destroy());
        return 1;
    }
    match lifecycle::run(prepared, listener, Some(starter), Some((tree, spawned))) {
        Ok(_) => 0,
        Err(error) => {
            tracing::error!("{error}");
            tracing::error!("container {name} did not start");
            1
        }
    }
}

/// Leaves the starter's session, directory, descriptors and title behind.
fn detach(prepared: &Prepared, keep: &[BorrowedFd<'_>]) -> Result<()> {
    rustix::process::setsid().what(|| "start a new session for the monitor")?;
    rustix::process::chdir("/").what(|| "enter /")?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .what(|| "open /dev/null")?;
    for number in 0..3 {
        dup_onto(null.as_fd(), number).what(|| "redirect the monitor's standard streams")?;
    }
    drop(null);
    close_inherited_fds(keep)?;
    let title = format!("[lxc monitor] {} {}", prepared.request.lxcpath.display(), prepared.request.name);
    if let Err(errno) = lxc_sys::title::set_title(&title) {
        tracing::debug!("the monitor keeps its starter's title: {errno}");
    }
    Ok(())
}

/// Closes what the caller inherited, keeping `keep`, the log and a range passed by the service manager (LISTEN_FDS).
pub(super) fn close_inherited(keep: &[&OwnedFd]) -> Result<()> {
    let keep: Vec<BorrowedFd<'_>> = keep.iter().map(|fd| fd.as_fd()).collect();
    close_inherited_fds(&keep)
}

fn close_inherited_fds(keep: &[BorrowedFd<'_>]) -> Result<()> {
    let log = crate::log::file();
    let mut all: Vec<BorrowedFd<'_>> = keep.to_vec();
    all.extend(log.as_deref().map(AsFd::as_fd));
    close_all_but(3 + crate::host::passed_descriptors(), &all).what(|| "close inherited descriptors")
}
