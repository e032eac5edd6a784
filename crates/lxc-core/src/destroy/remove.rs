//! Removes a directory tree: by descriptors, of any depth, never across a mount and never through a symbolic link.
//!
//! The tree was written by a guest and may still be changed by somebody while it is removed. Nothing here looks at a
//! configuration, and nothing decides what may be removed.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use lxc_sys::tree::{self, Resolve};
use rustix::fs::{AtFlags, Dir, FileType, IFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Error, ErrorKind, Result, ResultExt};

/// Flags that keep even root from removing a file; chattr(1) letters i and a.
const PROTECTED: IFlags = IFlags::IMMUTABLE.union(IFlags::APPEND);

/// Somebody who keeps making files in the tree is not raced for ever.
const PATIENCE: u32 = 64;

/// How many leftovers an error lists.
const LISTED: usize = 3;

/// A directory the walk came through. The descriptor is not kept, so that depth costs memory only.
struct Level {
    /// Name in the parent directory.
    name: CString,
    identity: Identity,
    /// Entries that could not be removed and are not tried again.
    failed: Vec<CString>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

struct Walk {
    root: PathBuf,
    levels: Vec<Level>,
    leftovers: Vec<(PathBuf, Errno)>,
    /// How often an emptied directory may turn out to be filled again.
    patience: u32,
}

/// Removes `path` and everything below it. A `path` that does not exist is fine.
///
/// - Shape:  a last component that is a symbolic link is an error; earlier ones may be links.
/// - Errors: the leftovers, after everything else was removed; `Busy` for a mount found on the way, which is left alone
///   together with what is mounted there.
pub fn remove_tree(path: &Path) -> Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Error::new(ErrorKind::Config, format!("refuse to remove {}", path.display())));
    };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let flags = OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC;
    let parent = match rustix::fs::open(parent, flags, Mode::empty()) {
        Ok(parent) => parent,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(errno).what(|| format!("open directory {}", parent.display())),
    };
    remove_tree_at(parent.as_fd(), name, path)
}

/// As [`remove_tree`], for the entry `name` of `parent`; `shown` is its path in messages.
pub fn remove_tree_at(parent: BorrowedFd<'_>, name: &OsStr, shown: &Path) -> Result<()> {
    let name = CString::new(name.as_bytes()).what_nul(shown)?;
    let stat = match rustix::fs::statat(parent, &name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(errno).what(|| format!("look at {}", shown.display())),
    };
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => {}
        FileType::Symlink => {
            return Err(Error::new(ErrorKind::Config, format!("{} is a symbolic link", shown.display()))
                .cure("nothing was followed: remove the link, or name the directory it points to"));
        }
        _ => return unlink(parent, &name).what(|| format!("remove {}", shown.display())),
    }
    let top = open_below(parent, &name).map_err(|errno| refused(shown, errno))?;
    let mut walk =
        Walk { root: shown.to_owned(), levels: Vec::new(), leftovers: Vec::new(), patience: PATIENCE };
    let top = walk.empty(top)?;
    drop(top);
    if walk.leftovers.is_empty()
        && let Err(errno) = remove_directory(parent, &name)
    {
        walk.leftovers.push((shown.to_owned(), errno));
    }
    walk.report()
}

impl Walk {
    /// Empties the directory `top`, which it gives back.
    fn empty(&mut self, top: OwnedFd) -> Result<OwnedFd> {
        let mut current = top;
        let mut failed = Vec::new();
        loop {
            match self.clear_files(current.as_fd(), &mut failed)? {
                Some((name, child)) => {
                    let identity = identify(current.as_fd())
                        .what(|| format!("look at {}", self.shown(None).display()))?;
                    self.levels.push(Level { name, identity, failed: std::mem::take(&mut failed) });
                    current = child;
                }
                None => {
                    let Some(level) = self.levels.pop() else { return Ok(current) };
                    let parent = self.climb(current.as_fd(), &level)?;
                    let kept = failed;
                    failed = level.failed;
                    if kept.is_empty() {
                        self.note(&parent, &level.name, &mut failed);
                    } else {
                        failed.push(level.name);
                    }
                    current = parent;
                }
            }
        }
    }

    /// Removes the directory `name`, which should be empty by now.
    fn note(&mut self, parent: &OwnedFd, name: &CStr, failed: &mut Vec<CString>) {
        match remove_directory(parent.as_fd(), name) {
            Ok(()) | Err(Errno::NOENT) => {}
            // Somebody put a new file there meanwhile: the next look at the parent goes down again.
            Err(Errno::NOTEMPTY) if self.patience > 0 => self.patience -= 1,
            Err(errno) => {
                self.leftovers.push((self.shown(Some(name)), errno));
                failed.push(name.to_owned());
            }
        }
    }

    /// Removes every entry that is not a filled directory; returns the first of those, opened.
    fn clear_files(
        &mut self,
        dir: BorrowedFd<'_>,
        failed: &mut Vec<CString>,
    ) -> Result<Option<(CString, OwnedFd)>> {
        let entries = Dir::read_from(dir).what(|| format!("list {}", self.shown(None).display()))?;
        for entry in entries {
            let entry = entry.what(|| format!("list {}", self.shown(None).display()))?;
            let name = entry.file_name();
            if name == c"." || name == c".." || failed.iter().any(|known| known.as_c_str() == name) {
                continue;
            }
            let mut result = match entry.file_type() {
                FileType::Directory => Err(Errno::ISDIR),
                _ => unlink(dir, name),
            };
            // Not every file system tells types; POSIX lets unlink say EPERM for a directory.
            if matches!(result, Err(Errno::ISDIR | Errno::PERM)) && is_directory(dir, name) {
                result = match remove_directory(dir, name) {
                    Err(Errno::NOTEMPTY | Errno::EXIST) => match open_below(dir, name) {
                        Ok(child) => return Ok(Some((name.to_owned(), child))),
                        Err(errno) => Err(errno),
                    },
                    other => other,
                };
            }
            match result {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => {
                    self.leftovers.push((self.shown(Some(name)), errno));
                    failed.push(name.to_owned());
                }
            }
        }
        Ok(None)
    }

    /// Goes up from the directory of `level` and proves to be where the walk came from.
    fn climb(&self, from: BorrowedFd<'_>, level: &Level) -> Result<OwnedFd> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let shown = || format!("go back up to {}", self.shown(None).display());
        let parent = rustix::fs::openat(from, c"..", flags, Mode::empty()).what(shown)?;
        if identify(parent.as_fd()).what(shown)? == level.identity {
            return Ok(parent);
        }
        let text = format!("{} was moved while it was removed", self.shown(Some(&level.name)).display());
        Err(Error::new(ErrorKind::Busy, text))
    }

    fn shown(&self, entry: Option<&CStr>) -> PathBuf {
        let mut path = self.root.clone();
        let names = self.levels.iter().map(|level| level.name.as_c_str()).chain(entry);
        path.extend(names.map(|name| OsStr::from_bytes(name.to_bytes())));
        path
    }

    fn report(self) -> Result<()> {
        let Some((_, errno)) = self.leftovers.first() else { return Ok(()) };
        let busy = self.leftovers.iter().any(|(_, errno)| is_mount_error(*errno));
        let listed: Vec<_> =
            self.leftovers.iter().take(LISTED).map(|(path, _)| path.display().to_string()).collect();
        let more = self.leftovers.len().saturating_sub(LISTED);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let error = Error::kernel(*errno, format!("remove {}{more}", listed.join(", ")));
        Err(match busy {
            true => {
                error.with_kind(ErrorKind::Busy).cure("something is mounted there: unmount it and try again")
            }
            false => error,
        })
    }
}

fn refused(shown: &Path, errno: Errno) -> Error {
    let error = Error::kernel(errno, format!("open {}", shown.display()));
    match is_mount_error(errno) {
        true => error.with_kind(ErrorKind::Busy).cure("something is mounted there: unmount it and try again"),
        false => error,
    }
}

fn is_mount_error(errno: Errno) -> bool {
    matches!(errno, Errno::XDEV | Errno::BUSY)
}

/// Opens the directory `name` of `dir` for reading, refusing links and mount points (`EXDEV`).
fn open_below(dir: BorrowedFd<'_>, name: &CStr) -> std::result::Result<OwnedFd, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    match tree::open(dir, name, flags, Resolve::SameMount) {
        // Until Linux 5.6 is the floor; some seccomp filters say EPERM for what they do not know.
        Err(Errno::NOSYS | Errno::PERM) => {
            let child = rustix::fs::openat(dir, name, flags, Mode::empty())?;
            match (mount_id(dir)?, mount_id(child.as_fd())?) {
                (parent, own) if parent == own => Ok(child),
                _ => Err(Errno::XDEV),
            }
        }
        other => other,
    }
}

/// The id of the mount a descriptor is on (proc(5), fdinfo).
fn mount_id(fd: BorrowedFd<'_>) -> std::result::Result<u64, Errno> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd()))
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    let id = text.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok());
    id.ok_or(Errno::IO)
}

fn identify(fd: BorrowedFd<'_>) -> std::result::Result<Identity, Errno> {
    let stat = rustix::fs::fstat(fd)?;
    Ok(Identity { device: stat.st_dev, inode: stat.st_ino })
}

fn is_directory(dir: BorrowedFd<'_>, name: &CStr) -> bool {
    rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

fn unlink(dir: BorrowedFd<'_>, name: &CStr) -> std::result::Result<(), Errno> {
    unlink_with(dir, name, AtFlags::empty())
}

fn remove_directory(dir: BorrowedFd<'_>, name: &CStr) -> std::result::Result<(), Errno> {
    unlink_with(dir, name, AtFlags::REMOVEDIR)
}

fn unlink_with(dir: BorrowedFd<'_>, name: &CStr, flags: AtFlags) -> std::result::Result<(), Errno> {
    match rustix::fs::unlinkat(dir, name, flags) {
        Err(Errno::PERM) => {
            unprotect(dir, name);
            rustix::fs::unlinkat(dir, name, flags)
        }
        other => other,
    }
}

/// Clears the immutable and append-only flags of an entry and of its directory, as far as they are set and we may.
fn unprotect(dir: BorrowedFd<'_>, name: &CStr) {
    clear_flags(dir);
    // Only regular files and directories carry the flags; opening a device or a fifo could have effects.
    let Ok(stat) = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) else { return };
    if matches!(FileType::from_raw_mode(stat.st_mode), FileType::RegularFile | FileType::Directory) {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        if let Ok(fd) = rustix::fs::openat(dir, name, flags, Mode::empty()) {
            clear_flags(fd.as_fd());
        }
    }
}

fn clear_flags(fd: BorrowedFd<'_>) {
    if let Ok(flags) = rustix::fs::ioctl_getflags(fd)
        && flags.intersects(PROTECTED)
    {
        // Refused without CAP_LINUX_IMMUTABLE; the removal that follows then reports the reason.
        let _ = rustix::fs::ioctl_setflags(fd, flags.difference(PROTECTED));
    }
}

trait WhatNul<T> {
    fn what_nul(self, shown: &Path) -> Result<T>;
}

impl<T> WhatNul<T> for std::result::Result<T, std::ffi::NulError> {
    fn what_nul(self, shown: &Path) -> Result<T> {
        self.map_err(|_| Error::new(ErrorKind::Config, format!("{} contains a zero byte", shown.display())))
    }
}

#[cfg(test)]
#[path = "remove_tests.rs"]
mod tests;
