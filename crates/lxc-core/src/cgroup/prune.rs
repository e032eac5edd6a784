//! Removing a cgroup with everything below it.
//!
//! Depth first and by fd, so that nobody can swap a directory for another; only directories are touched, as the files of
//! a cgroup go with it. Not here: emptying cgroups of processes.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::fs::{AtFlags, Dir, FileType, OFlags};
use rustix::io::Errno;

use super::file;

/// A dead process leaves its cgroup a moment after it was reaped; this long altogether is granted to it.
const PAUSES: [u64; 7] = [0, 1, 1, 2, 4, 8, 16];

/// Removes the cgroup `path` below `base` and all its descendants. A missing one is fine.
///
/// - Errors: `BUSY` when processes remain after some 30 ms.
pub(super) fn remove(base: &OwnedFd, path: &str) -> Result<(), Errno> {
    let mut result = Ok(());
    for pause in PAUSES {
        std::thread::sleep(Duration::from_millis(pause));
        // The usual case: no children, one call.
        result = rustix::fs::unlinkat(base, path, AtFlags::REMOVEDIR);
        match result {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::BUSY | Errno::NOTEMPTY) => {}
            Err(errno) => return Err(errno),
        }
        match file::open(base, path, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(dir) => remove_children(&dir, 0),
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(errno),
        }
    }
    result
}

/// Removes all cgroups below the one that `dir` refers to, but not itself.
pub(super) fn empty(dir: &OwnedFd) -> Result<(), Errno> {
    let dir = file::open(dir, ".", OFlags::RDONLY | OFlags::DIRECTORY)?;
    remove_children(&dir, 0);
    Ok(())
}

/// Names of the cgroups directly below `dir`.
pub(super) fn children(dir: &OwnedFd) -> Vec<String> {
    let Ok(dir) = file::open(dir, ".", OFlags::RDONLY | OFlags::DIRECTORY) else { return Vec::new() };
    let Ok(entries) = Dir::read_from(dir.as_fd()) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| entry.file_type() == FileType::Directory)
        .filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned))
        .filter(|name| name != "." && name != "..")
        .collect()
}

/// Whether a cgroup has others below it; a directory's link count is 2 plus its subdirectories.
pub(super) fn has_children(dir: &OwnedFd) -> bool {
    rustix::fs::fstat(dir).is_ok_and(|stat| stat.st_nlink > 2)
}

/// Best effort: what stays makes the parent's removal fail, which is reported.
fn remove_children(dir: &OwnedFd, depth: u32) {
    // A cgroup tree deeper than this is hostile; the kernel itself has no limit.
    if depth > 128 {
        return;
    }
    let Ok(entries) = Dir::read_from(dir.as_fd()) else { return };
    for entry in entries {
        let Ok(entry) = entry else { return };
        let name = entry.file_name();
        if entry.file_type() != FileType::Directory || name == c"." || name == c".." {
            continue;
        }
        if rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR).is_ok() {
            continue;
        }
        let Ok(text) = name.to_str() else { continue };
        if let Ok(child) = file::open(dir, text, OFlags::RDONLY | OFlags::DIRECTORY) {
            remove_children(&child, depth + 1);
            let _ = rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR);
        }
    }
}
