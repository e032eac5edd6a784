//! Reading and writing one control file relative to a cgroup's directory fd.
//!
//! A cgroup file takes a whole value in one write(2), so a short write is an error. Not here: which file, and why.

use std::os::fd::{AsFd, OwnedFd};

use lxc_sys::tree::{self, Resolve};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// Opens `file` of the cgroup `dir`.
pub(super) fn open(dir: impl AsFd, file: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    // openat2(2) refuses flags that mean nothing with O_PATH.
    let terminal = if flags.contains(OFlags::PATH) { OFlags::empty() } else { OFlags::NOCTTY };
    let flags = flags | OFlags::CLOEXEC | terminal;
    match tree::open(dir.as_fd(), file, flags, Resolve::SameMount) {
        // Until Linux 5.6 is the floor: seccomp policies of outer containers also hide openat2 this way.
        Err(Errno::NOSYS) => rustix::fs::openat(&dir, file, flags | OFlags::NOFOLLOW, Mode::empty()),
        result => result,
    }
}

/// Opens a cgroup below `dir` for lookups only.
pub(super) fn open_dir(dir: impl AsFd, path: &str) -> Result<OwnedFd, Errno> {
    open(dir, path, OFlags::PATH | OFlags::DIRECTORY)
}

/// Reads everything an open file has.
pub(super) fn read_all(fd: impl AsFd) -> Result<Vec<u8>, Errno> {
    let mut bytes = vec![0_u8; 4096];
    let mut filled = 0;
    while let Some(space) = bytes.get_mut(filled..) {
        match rustix::io::read(&fd, space) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno),
        }
        if filled == bytes.len() {
            bytes.resize(bytes.len() * 2, 0);
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Reads `file` of the cgroup `dir` as text.
pub(super) fn read(dir: impl AsFd, file: &str) -> Result<String, Errno> {
    let fd = open(dir, file, OFlags::RDONLY)?;
    Ok(String::from_utf8_lossy(&read_all(fd)?).into_owned())
}

/// Writes `value` to `file` of the cgroup `dir` with a single write(2).
pub(super) fn write(dir: impl AsFd, file: &str, value: &[u8]) -> Result<(), Errno> {
    let fd = open(dir, file, OFlags::WRONLY)?;
    write_fd(fd, value)
}

/// The write half of `write`, for a file opened earlier.
pub(super) fn write_fd(fd: impl AsFd, value: &[u8]) -> Result<(), Errno> {
    loop {
        return match rustix::io::write(&fd, value) {
            Ok(count) if count == value.len() => Ok(()),
            Ok(_) => Err(Errno::IO),
            Err(Errno::INTR) => continue,
            Err(errno) => Err(errno),
        };
    }
}
