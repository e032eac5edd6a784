//! The `partial` file: a creation is going on in this container directory.
//!
//! Mode 0000 and locked for as long as the creation runs, as `lxc-start` and other tools expect it.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Error, ErrorKind, Result, ResultExt};

const NAME: &str = "partial";

/// The mark of a running creation; removed when dropped.
#[derive(Debug)]
pub struct Partial {
    dir: OwnedFd,
    _locked: File,
}

impl Partial {
    /// Puts the mark into the container directory `dir`.
    ///
    /// - Errors: `Busy` when another creation is going on there. A mark left by a process that died is replaced.
    pub fn begin(dir: &Path) -> Result<Partial> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(dir, flags, Mode::empty()).what(|| format!("open {}", dir.display()))?;
        let create = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let shown = || format!("make {}", dir.join(NAME).display());
        for _ in 0..2 {
            match rustix::fs::openat(&fd, NAME, create, Mode::empty()) {
                Ok(file) => {
                    let file = File::from(file);
                    lock(&file).what(|| format!("lock {}", dir.join(NAME).display()))?;
                    return Ok(Partial { dir: fd, _locked: file });
                }
                Err(Errno::EXIST) if is_stale(&fd) => {
                    tracing::warn!("removing the mark of a creation that died in {}", dir.display());
                    rustix::fs::unlinkat(&fd, NAME, AtFlags::empty()).what(shown)?;
                }
                Err(Errno::EXIST) => break,
                Err(errno) => return Err(errno).what(shown),
            }
        }
        let text = format!("{}: another creation is going on", dir.display());
        Err(Error::new(ErrorKind::Busy, text)
            .cure(format!("if none is, remove {}", dir.join(NAME).display())))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if let Err(errno) = rustix::fs::unlinkat(self.dir.as_fd(), NAME, AtFlags::empty())
            && errno != Errno::NOENT
        {
            tracing::error!("cannot remove {NAME}: {errno}");
        }
    }
}

/// An open file description lock, as the original's: it ends with the last copy of the descriptor.
fn lock(file: &File) -> std::result::Result<(), nix::errno::Errno> {
    nix::fcntl::fcntl(file, nix::fcntl::FcntlArg::F_OFD_SETLK(&whole_file())).map(drop)
}

fn whole_file() -> nix::libc::flock {
    nix::libc::flock {
        l_type: nix::libc::F_WRLCK as nix::libc::c_short,
        l_whence: nix::libc::SEEK_SET as nix::libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

/// Nobody holds the lock on the mark that is there.
fn is_stale(dir: &OwnedFd) -> bool {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let Ok(file) = rustix::fs::openat(dir, NAME, flags, Mode::empty()) else { return false };
    lock(&File::from(file)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_creation_at_a_time() {
        let dir = std::env::temp_dir().join(format!("create-partial-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("mkdir");
        let mark = Partial::begin(&dir).expect("first");
        let mode = rustix::fs::stat(dir.join(NAME)).expect("stat").st_mode;
        assert_eq!(mode & 0o7777, 0);
        assert_eq!(Partial::begin(&dir).expect_err("second").kind(), ErrorKind::Busy);
        drop(mark);
        assert!(!dir.join(NAME).exists());
        std::fs::write(dir.join(NAME), "").expect("a left-over mark");
        drop(Partial::begin(&dir).expect("replaces it"));
        std::fs::remove_dir_all(dir).expect("clean up");
    }
}
