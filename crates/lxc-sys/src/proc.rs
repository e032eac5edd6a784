//! Verified procfs descriptors and writes through them.
//!
//! A container may mount anything over its /proc. Whoever writes a label, an id map or a limit must know that the file
//! really is procfs; so every such path starts at a [`ProcFs`], which checked. May be used between clone and exec.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

/// The root directory of a proc file system, proven to be one.
#[derive(Debug)]
pub struct ProcFs(OwnedFd);

const PROC_ROOT_INO: u64 = 1;

impl ProcFs {
    /// Opens `/proc` of the calling process's mount namespace.
    ///
    /// - Errors: `ENOTTY`-like surprises do not happen: `EXDEV` when `/proc` is not the root of a procfs.
    pub fn open() -> Result<ProcFs, Errno> {
        let fd = rustix::fs::open(
            "/proc",
            OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        ProcFs::verify(fd)
    }

    /// Takes a descriptor that shall be a procfs root (for example of a detached mount).
    pub fn verify(fd: OwnedFd) -> Result<ProcFs, Errno> {
        if rustix::fs::fstatfs(&fd)?.f_type as u64 != rustix::fs::PROC_SUPER_MAGIC as u64
            || rustix::fs::fstat(&fd)?.st_ino != PROC_ROOT_INO
        {
            return Err(Errno::XDEV);
        }
        Ok(ProcFs(fd))
    }

    /// Opens a file below, never leaving this procfs and never through a symlink other than `self`/`thread-self`.
    pub fn open_at<P: rustix::path::Arg>(&self, path: P, flags: OFlags) -> Result<OwnedFd, Errno> {
        openat2(
            &self.0,
            path,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS,
        )
    }

    /// Writes `bytes` in one write(2).
    pub fn write_at<P: rustix::path::Arg>(&self, path: P, bytes: &[u8]) -> Result<(), Errno> {
        let file = self.open_at(path, OFlags::WRONLY)?;
        write_all(file.as_fd(), bytes)
    }
}

impl AsFd for ProcFs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// One write(2) that must take everything: kernel files accept no second part.
pub fn write_all(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<(), Errno> {
    let written = rustix::io::retry_on_intr(|| rustix::io::write(fd, bytes))?;
    if written == bytes.len() { Ok(()) } else { Err(Errno::IO) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_procfs_and_tmp_is_not() {
        let proc = ProcFs::open().expect("open");
        proc.open_at("self/status", OFlags::RDONLY).expect("status");
        assert_eq!(proc.open_at("self/root/etc", OFlags::RDONLY).map(drop), Err(Errno::LOOP));
        let tmp = rustix::fs::open("/tmp", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).expect("open");
        assert_eq!(ProcFs::verify(tmp).map(drop), Err(Errno::XDEV));
    }
}
