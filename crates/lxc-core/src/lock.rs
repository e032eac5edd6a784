//! The disk lock of a container: one file below the runtime directory, shared with every C LXC on the machine.
//!
//! Not here: the in-memory lock of a handle (its owner's business). Lock files are never removed, as in the original:
//! removing one would let two processes hold "the" lock. Source: abi-and-wire.md D4; CVE-2015-1331 is why no symbolic
//! link is ever followed below the runtime directory.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use lxc_sys::lock::{Block, write_lock};
use lxc_sys::tree::{self, Resolve};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::paths;

/// Pause between attempts while waiting with a time limit.
const RETRY: Duration = Duration::from_millis(20);

/// The lock, held until dropped. Copies of the descriptor in forked children keep it held.
#[derive(Debug)]
pub struct DiskLock {
    _file: OwnedFd,
}

/// The open lock file of a container, not locked.
///
/// - Shape: `RUNDIR/lxc/lock/LXCPATH/.NAME`, mode 0600, directories 0755 created as needed.
#[derive(Debug)]
pub struct LockFile {
    file: OwnedFd,
    name: String,
}

impl LockFile {
    /// Opens (creates) the lock file below this user's runtime directory.
    ///
    /// - Errors: `Permission` without a usable runtime directory, or when something is planted in the way.
    pub fn open(lxcpath: &Path, name: &str) -> Result<LockFile> {
        let rundir = paths::runtime_dir().ok_or_else(|| {
            Error::new(ErrorKind::Permission, "no runtime directory for lock files")
                .cure("set XDG_RUNTIME_DIR or HOME")
        })?;
        LockFile::open_below(&rundir, lxcpath, name)
    }

    /// The same below a given runtime directory.
    pub fn open_below(rundir: &Path, lxcpath: &Path, name: &str) -> Result<LockFile> {
        let path = paths::lock_file(rundir, lxcpath, name);
        let what = || format!("open the lock file {}", path.display());
        if name.is_empty() || name.bytes().any(|byte| byte == b'/' || byte == 0) {
            return Err(Errno::INVAL).what(what);
        }
        std::fs::create_dir_all(rundir).what(|| format!("create {}", rundir.display()))?;
        let root =
            rustix::fs::open(rundir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
                .what(|| format!("open {}", rundir.display()))?;
        let inside = Path::new("lxc/lock").join(relative(lxcpath));
        let dir = open_dirs(&root, &inside).what(what)?;
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NOCTTY;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = tree::open_or_make(dir.as_fd(), &*format!(".{name}"), flags, mode, Resolve::NoSymlinks)
            .what(what)?;
        let kind = rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&file).what(what)?.st_mode);
        if kind != rustix::fs::FileType::RegularFile {
            return Err(Errno::INVAL).what(what);
        }
        Ok(LockFile { file, name: name.to_owned() })
    }

    /// Takes the lock, however long that takes.
    pub fn lock(self) -> Result<DiskLock> {
        write_lock(&self.file, Block::Yes).what(|| format!("lock container {}", self.name))?;
        Ok(DiskLock { _file: self.file })
    }

    /// Takes the lock, waiting at most `limit` (zero = not at all).
    ///
    /// - Errors: `Busy` when somebody else held it all the time.
    pub fn lock_within(self, limit: Duration) -> Result<DiskLock> {
        let deadline = Instant::now() + limit;
        loop {
            match write_lock(&self.file, Block::No) {
                Ok(()) => return Ok(DiskLock { _file: self.file }),
                Err(Errno::AGAIN) if Instant::now() < deadline => std::thread::sleep(RETRY),
                Err(Errno::AGAIN) => {
                    let what = format!("container {} is locked by another process", self.name);
                    return Err(Error::new(ErrorKind::Busy, what));
                }
                Err(errno) => return Err(errno).what(|| format!("lock container {}", self.name)),
            }
        }
    }
}

impl DiskLock {
    /// Opens the lock file of a container and takes the lock, however long that takes.
    pub fn acquire(lxcpath: &Path, name: &str) -> Result<DiskLock> {
        LockFile::open(lxcpath, name)?.lock()
    }

    /// The same, waiting at most `limit`; `Busy` after that.
    pub fn acquire_within(lxcpath: &Path, name: &str, limit: Duration) -> Result<DiskLock> {
        LockFile::open(lxcpath, name)?.lock_within(limit)
    }
}

/// The lxcpath as a path below something else; the kernel ignores the doubled slash the original writes.
fn relative(lxcpath: &Path) -> &Path {
    let bytes = lxcpath.as_os_str().as_bytes();
    let start = bytes.iter().position(|byte| *byte != b'/').unwrap_or(bytes.len());
    Path::new(std::ffi::OsStr::from_bytes(bytes.get(start..).unwrap_or_default()))
}

/// Opens a directory below `root`, creating missing parts with mode 0755; never through a symbolic link, never above.
fn open_dirs(root: &OwnedFd, inside: &Path) -> std::result::Result<OwnedFd, Errno> {
    let path = std::ffi::CString::new(inside.as_os_str().as_bytes()).map_err(|_| Errno::INVAL)?;
    tree::find_or_make_dir(root.as_fd(), &path, Resolve::NoSymlinks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, symlink};

    struct Dir(std::path::PathBuf);

    impl Dir {
        fn new(label: &str) -> Dir {
            let path = std::env::temp_dir().join(format!("cmd-lock-{label}-{}", std::process::id()));
            std::fs::create_dir(&path).unwrap();
            Dir(path)
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_file_is_where_the_original_looks_for_it() {
        let run = Dir::new("where");
        let _lock = LockFile::open_below(&run.0, Path::new("/var/lib/lxc"), "c1").unwrap();
        let meta = std::fs::metadata(run.0.join("lxc/lock/var/lib/lxc/.c1")).unwrap();
        assert_eq!(meta.mode() & 0o7777, 0o600);
        assert_eq!(std::fs::metadata(run.0.join("lxc/lock/var")).unwrap().mode() & 0o777, 0o755);
        assert_eq!(
            std::fs::metadata(paths::lock_file(&run.0, Path::new("/var/lib/lxc"), "c1")).unwrap().ino(),
            meta.ino()
        );
    }

    #[test]
    fn one_holder_at_a_time_and_death_frees_it() {
        let run = Dir::new("one");
        let open = || LockFile::open_below(&run.0, Path::new("/p"), "c1").unwrap();
        let held = open().lock().unwrap();
        let error = open().lock_within(Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy);
        let other = LockFile::open_below(&run.0, Path::new("/p"), "c2").unwrap();
        other.lock_within(Duration::ZERO).unwrap();
        drop(held);
        open().lock_within(Duration::ZERO).unwrap();
    }

    #[test]
    fn cve_2015_1331_planted_links_are_refused_and_nothing_is_created_behind_them() {
        for planted in ["lxc", "lxc/lock", "lxc/lock/p", "lxc/lock/p/.c1"] {
            let run = Dir::new(&format!("plant-{}", planted.replace('/', "-")));
            let target = Dir::new(&format!("target-{}", planted.replace('/', "-")));
            let at = run.0.join(planted);
            std::fs::create_dir_all(at.parent().unwrap()).unwrap();
            let goal = if planted.ends_with(".c1") { target.0.join("file") } else { target.0.clone() };
            symlink(goal, &at).unwrap();
            let error = LockFile::open_below(&run.0, Path::new("/p"), "c1").unwrap_err();
            assert_eq!(error.errno(), Some(Errno::LOOP), "{planted}: {error}");
            assert_eq!(std::fs::read_dir(&target.0).unwrap().count(), 0, "{planted}");
        }
    }

    #[test]
    fn names_and_paths_cannot_climb_out() {
        let run = Dir::new("climb");
        for name in ["", "a/b", "../x", "a\0b"] {
            assert!(LockFile::open_below(&run.0, Path::new("/p"), name).is_err(), "{name:?}");
        }
        assert!(LockFile::open_below(&run.0, Path::new("/../../../x"), "c1").is_err());
    }
}
