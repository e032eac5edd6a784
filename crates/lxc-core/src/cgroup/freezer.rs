//! Stopping and resuming all processes of a cgroup.
//!
//! Works on one directory fd, which a client gets from the monitor. Not here: the container states that go with it.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::file;
use super::layout::Version;
use super::limit::explain;
use crate::error::{Error, ErrorKind, Result, ResultExt};

/// Frozen or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Motion {
    Frozen,
    Running,
}

/// Freezes a cgroup and waits until every process has stopped.
///
/// - Shape: `timeout` `None` waits for ever. On v2 the freeze stays requested after a time-out; on v1 it is taken back.
/// - Errors: `TimedOut`; `NotFound` when the cgroup has no freezer.
pub fn freeze(dir: impl AsFd, version: Version, timeout: Option<Duration>) -> Result<()> {
    set(dir, version, Motion::Frozen, timeout)
}

/// Resumes a cgroup and waits until it runs.
pub fn unfreeze(dir: impl AsFd, version: Version, timeout: Option<Duration>) -> Result<()> {
    set(dir, version, Motion::Running, timeout)
}

/// Sets the wanted state and waits for it.
///
/// - Source: kernel Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst, cgroup-v2.rst (cgroup.freeze).
pub fn set(dir: impl AsFd, version: Version, motion: Motion, timeout: Option<Duration>) -> Result<()> {
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    match version {
        Version::V1 => set_v1(&dir, motion, deadline),
        Version::V2 => set_v2(&dir, motion, deadline),
    }
}

/// The present state.
///
/// - Shape: `Running` also while freezing is under way.
pub fn state(dir: impl AsFd, version: Version) -> Result<Motion> {
    let frozen = match version {
        Version::V1 => read_v1(&dir)? == "FROZEN",
        Version::V2 => {
            let text = file::read(&dir, "cgroup.events").what(|| "read cgroup file cgroup.events")?;
            is_frozen(&text)
        }
    };
    Ok(if frozen { Motion::Frozen } else { Motion::Running })
}

fn read_v1(dir: impl AsFd) -> Result<String> {
    let text = file::read(&dir, "freezer.state").what(|| "read cgroup file freezer.state")?;
    Ok(text.trim().to_owned())
}

fn set_v1(dir: impl AsFd, motion: Motion, deadline: Option<Instant>) -> Result<()> {
    let word = if motion == Motion::Frozen { "FROZEN" } else { "THAWED" };
    let mut pause = Duration::from_millis(1);
    loop {
        // A process that forks while being frozen can leave the cgroup FREEZING; asking again moves it on.
        file::write(&dir, "freezer.state", word.as_bytes()).map_err(|errno| {
            explain(errno, format!("write `{word}` to cgroup file freezer.state"), "freezer.state")
        })?;
        if read_v1(&dir)? == word {
            return Ok(());
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            if motion == Motion::Frozen {
                // Half a frozen container is worse than a running one.
                let _ = file::write(&dir, "freezer.state", b"THAWED");
            }
            return Err(timed_out(motion));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

fn set_v2(dir: impl AsFd, motion: Motion, deadline: Option<Instant>) -> Result<()> {
    let value: &[u8] = if motion == Motion::Frozen { b"1" } else { b"0" };
    // The kernel announces changes of the events file at most every 10 ms; looking oneself is faster.
    let mut pause = Duration::from_micros(100);
    // ORDER: opened before the write, so that no change of the events file is missed.
    let events = file::open(&dir, "cgroup.events", OFlags::RDONLY)
        .map_err(|errno| explain(errno, "open cgroup file cgroup.events".to_owned(), "cgroup.events"))?;
    file::write(&dir, "cgroup.freeze", value)
        .map_err(|errno| explain(errno, "write cgroup file cgroup.freeze".to_owned(), "cgroup.freeze"))?;
    loop {
        rustix::fs::seek(&events, rustix::fs::SeekFrom::Start(0))
            .what(|| "read cgroup file cgroup.events")?;
        let bytes = file::read_all(&events).what(|| "read cgroup file cgroup.events")?;
        if is_frozen(&String::from_utf8_lossy(&bytes)) == (motion == Motion::Frozen) {
            return Ok(());
        }
        let left = match deadline {
            None => pause,
            Some(deadline) => match deadline.checked_duration_since(Instant::now()) {
                Some(left) if !left.is_zero() => left.min(pause),
                _ => return Err(timed_out(motion)),
            },
        };
        pause = (pause * 2).min(Duration::from_millis(100));
        let mut fds = [PollFd::new(&events, PollFlags::PRI)];
        match poll(&mut fds, Timespec::try_from(left).ok().as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::kernel(errno, "wait for cgroup file cgroup.events")),
        }
    }
}

/// Reads `frozen 1` in cgroup.events.
fn is_frozen(events: &str) -> bool {
    events.lines().any(|line| line.trim() == "frozen 1")
}

fn timed_out(motion: Motion) -> Error {
    let what = match motion {
        Motion::Frozen => "freeze the container: some processes did not stop in time",
        Motion::Running => "unfreeze the container: some processes did not resume in time",
    };
    Error::new(ErrorKind::TimedOut, what)
        .cure("a process in uninterruptible sleep (state D) cannot be frozen; see ps")
}
