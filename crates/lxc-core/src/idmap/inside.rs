//! Work that only root of a container's user namespace may do, for starters that are not root on the host.
//!
//! A short-lived child is cloned into a user namespace with the container's map plus the starter's own ids, and does the
//! work there. Not here: what the work is.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use lxc_conf::model::{IdKind, IdMap};
use lxc_sys::clone::{self, CloneArgs, SingleThreaded, exit_now};
use lxc_sys::{cred, pidfd, proc::ProcFs};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use super::apply;
use crate::error::{Result, ResultExt};

/// What the child is given: it waits, becomes root, works, reports.
struct Job<'a, T> {
    /// Read end: one byte once the maps are written.
    go: BorrowedFd<'a>,
    /// Write end of the same, closed by the child so that a dead parent is noticed.
    other: BorrowedFd<'a>,
    /// Write end: the number of the failed item and its errno.
    report: BorrowedFd<'a>,
    work: Work<T>,
    data: &'a T,
}

/// The work: an errno and the number of what failed.
///
/// - Context: child of a clone; descriptors of the parent are open in it.
pub type Work<T> = fn(&T) -> std::result::Result<(), (u32, Errno)>;

/// Runs `work(data)` as root of a user namespace with `maps`, in which the caller's own ids are mapped as well.
///
/// - Shape: `Ok(Some(item, errno))` is a failure of the work itself.
/// - Context: single-threaded; the child is reaped before this returns.
/// - Errors: the namespace could not be made or mapped.
pub fn run<T>(maps: &[IdMap], work: Work<T>, data: &T) -> Result<Option<(u32, Errno)>> {
    let what = || "make a helper in the container's user namespace";
    let single = SingleThreaded::check().what(what)?;
    let (go, start) = pipe_with(PipeFlags::CLOEXEC).what(what)?;
    let (report, done) = pipe_with(PipeFlags::CLOEXEC).what(what)?;
    let job = Job { go: go.as_fd(), other: start.as_fd(), report: done.as_fd(), work, data };
    let args = CloneArgs { flags: NEWUSER, cgroup: None };
    let child = clone::into(&single, &args, entry::<T>, &job).what(what)?;
    drop(done);
    let answer = steer(maps, child.pid, start, &report);
    // It ends by itself: it has been told, or its pipe is closed.
    let exit = pidfd::reap(child.pidfd.as_fd());
    let answer = answer?;
    exit.what(|| "wait for the helper in the container's user namespace")?;
    Ok(answer)
}

const NEWUSER: u64 = 0x1000_0000;

fn steer(maps: &[IdMap], pid: i32, start: OwnedFd, report: &OwnedFd) -> Result<Option<(u32, Errno)>> {
    let proc = ProcFs::open().what(|| "open /proc")?;
    apply::write(&proc, pid, &with_own_ids(maps))?;
    rustix::io::write(&start, b"g").what(|| "start the helper in the container's user namespace")?;
    drop(start);
    let mut answer = [0; 8];
    let mut filled = 0;
    while let Some(space) = answer.get_mut(filled..).filter(|space| !space.is_empty()) {
        match rustix::io::read(report, space) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno).what(|| "hear the helper in the container's user namespace"),
        }
    }
    let [a, b, c, d, e, f, g, h] = answer;
    let errno = i32::from_ne_bytes([e, f, g, h]);
    match (filled, errno) {
        (8, 0) => Ok(None),
        (8, errno) => Ok(Some((u32::from_ne_bytes([a, b, c, d]), Errno::from_raw_os_error(errno)))),
        _ => Err(Errno::PIPE).what(|| "hear the helper in the container's user namespace"),
    }
}

/// The maps and, at the first free id inside, the caller's own.
fn with_own_ids(maps: &[IdMap]) -> Vec<IdMap> {
    let mut all = maps.to_vec();
    let own = [
        (IdKind::User, rustix::process::geteuid().as_raw()),
        (IdKind::Group, rustix::process::getegid().as_raw()),
    ];
    for (kind, host_id) in own {
        let covered = |map: &IdMap| host_id >= map.host_id && host_id - map.host_id < map.count;
        if maps.iter().any(|map| map.kind == kind && covered(map)) {
            continue;
        }
        let ends = maps.iter().filter(|map| map.kind == kind).map(|map| map.ns_id.saturating_add(map.count));
        all.push(IdMap { kind, ns_id: ends.max().unwrap_or(0), host_id, count: 1 });
    }
    all
}

extern "C" fn entry<T>(job: &Job<'_, T>) -> ! {
    let outcome = inside(job);
    let (item, errno) = match outcome {
        Ok(()) => (0, 0),
        Err((item, errno)) => (item, errno.raw_os_error()),
    };
    let mut answer = [0; 8];
    for (to, from) in answer.iter_mut().zip(item.to_ne_bytes().into_iter().chain(errno.to_ne_bytes())) {
        *to = from;
    }
    let sent = rustix::io::write(job.report, &answer);
    exit_now(i32::from(sent.is_err()))
}

fn inside<T>(job: &Job<'_, T>) -> std::result::Result<(), (u32, Errno)> {
    let failed = |errno| (u32::MAX, errno);
    // Our copy of the write end would keep a dead parent from being noticed.
    lxc_sys::fd::close_between(raw(job.other), raw(job.other)).map_err(failed)?;
    let mut byte = [0];
    match rustix::io::read(job.go, &mut byte) {
        Ok(1) => {}
        Ok(_) => return Err(failed(Errno::PIPE)),
        Err(errno) => return Err(failed(errno)),
    }
    for become_root in [cred::set_gids, cred::set_uids] {
        match become_root(0) {
            // A map without 0: who made the namespace has its capabilities under any id.
            Ok(()) | Err(Errno::INVAL) => {}
            Err(errno) => return Err(failed(errno)),
        }
    }
    (job.work)(job.data)
}

fn raw(fd: BorrowedFd<'_>) -> u32 {
    use std::os::fd::AsRawFd;
    fd.as_raw_fd().cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_ids_go_behind_the_container_s() {
        let maps = vec![
            IdMap { kind: IdKind::User, ns_id: 0, host_id: 900_000, count: 1000 },
            IdMap { kind: IdKind::Group, ns_id: 5, host_id: 900_000, count: 10 },
        ];
        let all = with_own_ids(&maps);
        let own = rustix::process::geteuid().as_raw();
        assert_eq!(all[2], IdMap { kind: IdKind::User, ns_id: 1000, host_id: own, count: 1 });
        assert_eq!(all[3].ns_id, 15);
        let covering = vec![IdMap { kind: IdKind::User, ns_id: 0, host_id: own, count: 1 }];
        assert_eq!(with_own_ids(&covering).iter().filter(|map| map.kind == IdKind::User).count(), 1);
    }
}
