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

/// How often somebody else may be faster in replacing a dead mark.
const TRIES: u32 = 8;

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
        let shown = || format!("make {}", dir.join(NAME).display());
        // ORDER: locked under a name of its own first: a mark that is visible is locked, or its maker is dead.
        let own = format!("{NAME}.{}.{:?}", std::process::id(), std::thread::current().id());
        let create = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = File::from(rustix::fs::openat(&fd, &own, create, Mode::empty()).what(shown)?);
        let linked = lock(&file).what(|| format!("lock {}", dir.join(NAME).display())).and_then(|()| {
            for _ in 0..TRIES {
                match rustix::fs::linkat(&fd, &own, &fd, NAME, AtFlags::empty()) {
                    Err(Errno::EXIST) if clear_stale(&fd) => {}
                    Err(Errno::EXIST) => break,
                    other => return other.what(shown),
                }
            }
            let text = format!("{}: another creation is going on", dir.display());
            Err(Error::new(ErrorKind::Busy, text))
        });
        let _ = rustix::fs::unlinkat(&fd, &own, AtFlags::empty());
        linked.map(|()| Partial { dir: fd, _locked: file })
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

/// Removes a mark that nobody holds the lock of; true when it is worth trying again.
fn clear_stale(dir: &OwnedFd) -> bool {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = match rustix::fs::openat(dir, NAME, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(errno) => return errno == Errno::NOENT,
    };
    if lock(&file).is_err() {
        return false;
    }
    // Only whoever holds the lock of the file that has the name may take the name away: not of one replaced meanwhile.
    let named =
        rustix::fs::statat(dir, NAME, AtFlags::SYMLINK_NOFOLLOW).map(|stat| (stat.st_dev, stat.st_ino));
    let ours = rustix::fs::fstat(&file).map(|stat| (stat.st_dev, stat.st_ino));
    if matches!((named, ours), (Ok(named), Ok(ours)) if named == ours) {
        tracing::warn!("removing the mark of a creation that died");
        return rustix::fs::unlinkat(dir, NAME, AtFlags::empty()).is_ok();
    }
    true
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn many_at_once_and_never_two() {
        let dir = std::env::temp_dir().join(format!("create-partial-race-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("mkdir");
        let (inside, won) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        if let Ok(mark) = Partial::begin(&dir) {
                            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two creations at once");
                            won.fetch_add(1, Ordering::SeqCst);
                            std::thread::yield_now();
                            inside.fetch_sub(1, Ordering::SeqCst);
                            drop(mark);
                        }
                    }
                });
            }
        });
        assert!(won.load(Ordering::SeqCst) > 0);
        std::fs::remove_dir_all(dir).expect("clean up");
    }

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
        assert_eq!(std::fs::read_dir(&dir).expect("list").count(), 0, "no other name stays");
        std::fs::remove_dir_all(dir).expect("clean up");
    }
}
