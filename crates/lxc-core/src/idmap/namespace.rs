//! A user namespace that only serves as an id map (`idmap=u:…`): nobody lives in it once it is open.

use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use lxc_conf::model::{IdKind, IdMap};
use lxc_sys::clone::{self, CloneArgs, SingleThreaded, exit_now};
use lxc_sys::proc::ProcFs;
use lxc_sys::{ns, pidfd};
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

/// The maps of the user namespace `userns`, which is not the caller's.
///
/// - Context: as [`make`]; a process of ours enters it to read them.
/// - Errors: `Permission` when the namespace is somebody else's.
pub fn maps_of(userns: &OwnedFd) -> Result<Vec<IdMap>> {
    let what = || "read the id maps of a user namespace";
    let single = SingleThreaded::check().what(what)?;
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).what(what)?;
    let child = clone::into(&single, &CloneArgs::default(), tell_maps, &(userns.as_fd(), write.as_fd()))
        .what(what)?;
    drop(write);
    let mut text = String::new();
    let heard = std::fs::File::from(read).read_to_string(&mut text);
    let exit = pidfd::reap(child.pidfd.as_fd()).what(what)?;
    heard.what(what)?;
    match exit {
        pidfd::Exit::Code(0) => Ok(parse(&text)),
        pidfd::Exit::Code(errno) => Err(rustix::io::Errno::from_raw_os_error(errno)).what(what),
        pidfd::Exit::Signal(_) => Err(rustix::io::Errno::INTR).what(what),
    }
}

/// Lines of uid_map, an empty one, lines of gid_map.
fn parse(text: &str) -> Vec<IdMap> {
    let (users, groups) = text.split_once("\n\n").unwrap_or((text, ""));
    let of = |text: &str, kind| -> Vec<IdMap> {
        let range = |line: &str| {
            let mut numbers = line.split_whitespace().map(|word| word.parse().ok());
            let (ns_id, host_id, count) = (numbers.next()??, numbers.next()??, numbers.next()??);
            Some(IdMap { kind, ns_id, host_id, count })
        };
        text.lines().filter_map(range).collect()
    };
    [of(users, IdKind::User), of(groups, IdKind::Group)].concat()
}

/// Ends with the errno of what failed.
extern "C" fn tell_maps((userns, out): &(BorrowedFd<'_>, BorrowedFd<'_>)) -> ! {
    let told = ns::join(*userns, NEWUSER)
        .and_then(|()| copy_file(c"/proc/self/uid_map", *out))
        .and_then(|()| rustix::io::write(out, b"\n").map(drop))
        .and_then(|()| copy_file(c"/proc/self/gid_map", *out));
    exit_now(told.map_or_else(rustix::io::Errno::raw_os_error, |()| 0))
}

fn copy_file(path: &std::ffi::CStr, out: BorrowedFd<'_>) -> std::result::Result<(), rustix::io::Errno> {
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut buffer = [0; 1024];
    loop {
        let count = rustix::io::read(&file, &mut buffer)?;
        match buffer.get(..count) {
            None | Some([]) => return Ok(()),
            Some(bytes) => lxc_sys::proc::write_all(out, bytes)?,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_maps_are_read_with_the_blanks_of_the_kernel() {
        let maps = parse("         0     100000         10\n        10       1000          1\n\n 0 7 3\n");
        let ids: Vec<_> = maps.iter().map(|map| (map.kind, map.ns_id, map.host_id, map.count)).collect();
        assert_eq!(
            ids,
            [(IdKind::User, 0, 100_000, 10), (IdKind::User, 10, 1000, 1), (IdKind::Group, 0, 7, 3)]
        );
    }
}
