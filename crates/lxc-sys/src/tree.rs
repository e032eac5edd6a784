//! Paths in a tree that somebody else writes: a container's root file system, a cgroup it was given, a runtime directory.
//!
//! The one layer through which such a path becomes a descriptor. What holds, whatever the tree does meanwhile:
//!
//! 1. A path is looked up once, by openat2(2), from a descriptor of the tree's root; nothing leads out of it.
//! 2. What follows (mounting, making, writing) works on the descriptor that came out, or on a name in it.
//! 3. What was made is looked up again and may be something else by then; it is inside all the same.
//! 4. Nothing is opened for its content before it is known to be a regular file: devices and fifos have effects.
//!
//! A rename in the tree at the wrong moment makes openat2 give up rather than be fooled (`EAGAIN`); it is asked again.
//! Nothing here allocates: all of it may be used between clone and exec. Not here: /proc, which must first be proven to
//! be one (`proc`), and which paths are whose.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, openat, openat2, symlinkat};
use rustix::io::Errno;
use rustix::path::Arg;

/// Where a lookup may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolve {
    /// Refuse any symlink (`/proc`, `/sys`, `/dev` and what is below).
    NoSymlinks,
    /// Follow symlinks, absolute ones too, but inside the root only.
    InRoot,
    /// Refuse symlinks, and whatever is mounted in the tree (`EXDEV`).
    SameMount,
}

impl Resolve {
    fn flags(self) -> ResolveFlags {
        let strict = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        match self {
            Resolve::NoSymlinks => strict,
            Resolve::InRoot => ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
            Resolve::SameMount => strict | ResolveFlags::NO_XDEV,
        }
    }
}

/// How often a lookup that a rename disturbed is tried again.
const PATIENCE: u32 = 128;

/// Opens `path` below `root` with `flags` (close-on-exec is added); the empty path is the root itself.
///
/// - Errors: those of openat2(2): `ELOOP` for a refused symlink, `EXDEV` for a way out.
pub fn open<P: Arg + Copy>(
    root: BorrowedFd<'_>,
    path: P,
    flags: OFlags,
    resolve: Resolve,
) -> Result<OwnedFd, Errno> {
    let mut tries = 0;
    loop {
        match openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve.flags()) {
            Err(Errno::AGAIN) if tries < PATIENCE => tries += 1,
            other => return other,
        }
    }
}

/// As [`open`], making the file (`O_CREAT`) with `mode` when it is missing.
pub fn open_or_make<P: Arg + Copy>(
    root: BorrowedFd<'_>,
    path: P,
    flags: OFlags,
    mode: Mode,
    resolve: Resolve,
) -> Result<OwnedFd, Errno> {
    openat2(root, path, flags | OFlags::CREATE | OFlags::CLOEXEC, mode, resolve.flags())
}

/// Opens `path` below `root` as a place (`O_PATH`): to mount on or from, or to start other lookups at.
pub fn find(root: BorrowedFd<'_>, path: &CStr, resolve: Resolve) -> Result<OwnedFd, Errno> {
    open(root, if path.is_empty() { c"." } else { path }, OFlags::PATH, resolve)
}

/// Opens a regular file for reading; anything else (a device, a fifo) is `EINVAL` and was not opened.
///
/// - Context: the caller's own `/proc` is mounted.
pub fn open_file<P: Arg + Copy>(root: BorrowedFd<'_>, path: P, resolve: Resolve) -> Result<OwnedFd, Errno> {
    use std::os::fd::AsFd;
    let place = open(root, path, OFlags::PATH, resolve)?;
    if FileType::from_raw_mode(fstat(&place)?.st_mode) != FileType::RegularFile {
        return Err(Errno::INVAL);
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let mut path = FdPath::new();
    rustix::fs::open(path.of(place.as_fd()), flags, Mode::empty())
}

/// Makes the directory `name` of `dir`; one that is there already will do.
///
/// - Shape: `name` is one component. What is there may also be something else: `find` it.
pub fn make_dir<P: Arg>(dir: BorrowedFd<'_>, name: P) -> Result<(), Errno> {
    match mkdirat(dir, name, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Makes the empty file `name` of `dir`, new; `EEXIST` for anything that is there, a dangling symlink too.
pub fn make_file<P: Arg>(dir: BorrowedFd<'_>, name: P, mode: u32) -> Result<OwnedFd, Errno> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
    openat(dir, name, flags, Mode::from_raw_mode(mode))
}

/// The file `name` of `dir` as a place to mount on, made when missing (`mode`), never through a symlink.
pub fn file_to_mount_on(dir: BorrowedFd<'_>, name: &CStr, mode: u32) -> Result<OwnedFd, Errno> {
    match make_file(dir, name, mode) {
        Ok(_) | Err(Errno::EXIST) => find(dir, name, Resolve::NoSymlinks),
        Err(errno) => Err(errno),
    }
}

/// `path` as a place, a directory made when missing, with every directory on the way.
pub fn find_or_make_dir(root: BorrowedFd<'_>, path: &CStr, resolve: Resolve) -> Result<OwnedFd, Errno> {
    match find(root, path, resolve) {
        Err(Errno::NOENT) => make_dirs(root, path, resolve),
        other => other,
    }
}

/// `path` as a place, an empty file made when missing, with every directory on the way.
pub fn find_or_make_file(root: BorrowedFd<'_>, path: &CStr, resolve: Resolve) -> Result<OwnedFd, Errno> {
    match find(root, path, resolve) {
        Err(Errno::NOENT) => {}
        other => return other,
    }
    let (parent, name) = split(path);
    let mut buffer = [0; PATH_MAX];
    let parent = make_dirs(root, copy(parent, &mut buffer)?, resolve)?;
    use std::os::fd::AsFd;
    match make_file(parent.as_fd(), name, 0o644) {
        Ok(_) | Err(Errno::EXIST) => find(root, path, resolve),
        Err(errno) => Err(errno),
    }
}

/// mkdir -p below `root`; each component is opened in turn, so what was made is what is used.
pub fn make_dirs(root: BorrowedFd<'_>, path: &CStr, resolve: Resolve) -> Result<OwnedFd, Errno> {
    use std::os::fd::AsFd;
    let bytes = path.to_bytes();
    let mut buffer = [0; PATH_MAX];
    let mut end = 0;
    let mut current = find(root, c"", resolve)?;
    while end < bytes.len() {
        let start = end;
        let rest = bytes.get(start..).unwrap_or_default();
        let length = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
        let component = rest.get(..length).unwrap_or_default();
        end = start + length;
        // Prefixes are resolved from the root again, so that `..` and symlinks keep their meaning.
        let prefix = copy(bytes.get(..end).unwrap_or_default(), &mut buffer)?;
        end += 1;
        if component.is_empty() {
            continue;
        }
        current = match find(root, prefix, resolve) {
            Err(Errno::NOENT) => {
                make_dir(current.as_fd(), component)?;
                find(root, prefix, resolve)?
            }
            other => other?,
        };
    }
    Ok(current)
}

/// Puts a symlink with the text `to` at `path`; one that is there, or anything else, stays.
pub fn place_symlink(root: BorrowedFd<'_>, path: &CStr, to: &CStr, resolve: Resolve) -> Result<(), Errno> {
    let (parent, name) = split(path);
    let mut buffer = [0; PATH_MAX];
    let parent = find(root, copy(parent, &mut buffer)?, resolve)?;
    match symlinkat(to, &parent, name) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// `/proc/self/fd/N` without allocating, for the few calls that take nothing but a path; only while the host's /proc is
/// the one at `/proc`.
#[derive(Debug)]
pub struct FdPath([u8; 32]);

impl Default for FdPath {
    fn default() -> Self {
        FdPath::new()
    }
}

impl FdPath {
    pub const fn new() -> FdPath {
        FdPath([0; 32])
    }

    pub fn of(&mut self, fd: BorrowedFd<'_>) -> &CStr {
        self.0 = [0; 32];
        let prefix = b"/proc/self/fd/";
        let mut digits = [0u8; 12];
        let mut number = fd.as_raw_fd().unsigned_abs();
        let mut count = 0;
        for digit in &mut digits {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
            count += 1;
            if number == 0 {
                break;
            }
        }
        let text = prefix.iter().copied().chain(digits.iter().take(count).rev().copied());
        for (slot, byte) in self.0.iter_mut().zip(text) {
            *slot = byte;
        }
        CStr::from_bytes_until_nul(&self.0).unwrap_or(c"")
    }
}

const PATH_MAX: usize = 4096;

/// Everything before the last component, and the last component.
fn split(path: &CStr) -> (&[u8], &[u8]) {
    let bytes = path.to_bytes();
    match bytes.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (bytes.get(..at).unwrap_or_default(), bytes.get(at + 1..).unwrap_or_default()),
        None => (b"", bytes),
    }
}

fn copy<'b>(bytes: &[u8], buffer: &'b mut [u8; PATH_MAX]) -> Result<&'b CStr, Errno> {
    let space = buffer.get_mut(..=bytes.len()).ok_or(Errno::NAMETOOLONG)?;
    let (text, nul) = space.split_at_mut(bytes.len());
    text.copy_from_slice(bytes);
    nul.fill(0);
    CStr::from_bytes_until_nul(space).map_err(|_| Errno::INVAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::fd::AsFd;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    fn world(name: &str) -> (PathBuf, OwnedFd) {
        let base = std::env::temp_dir().join(format!("lxc-tree-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&base));
        fs::create_dir_all(base.join("root/dir")).expect("mkdir");
        fs::create_dir_all(base.join("outside")).expect("mkdir");
        fs::write(base.join("outside/file"), "host").expect("write");
        symlink(base.join("outside"), base.join("root/absolute")).expect("symlink");
        symlink("../outside", base.join("root/relative")).expect("symlink");
        symlink("../outside/new", base.join("root/dangling")).expect("symlink");
        symlink("dir", base.join("root/inner")).expect("symlink");
        let root = rustix::fs::open(base.join("root"), OFlags::PATH | OFlags::DIRECTORY, Mode::empty());
        (base, root.expect("open"))
    }

    #[test]
    fn nothing_leads_out_and_nothing_is_made_there() {
        let (base, root) = world("out");
        let root = root.as_fd();
        for way in [c"absolute/file", c"relative/file", c"../outside/file", c"/../outside/file"] {
            for resolve in [Resolve::NoSymlinks, Resolve::InRoot, Resolve::SameMount] {
                find(root, way, resolve).expect_err("must not be found");
            }
        }
        for way in
            [c"absolute/new", c"relative/new", c"dangling", c"dangling/new", c"../new", c"dir/../../new"]
        {
            for resolve in [Resolve::NoSymlinks, Resolve::InRoot] {
                // Some of these have a meaning inside, and then that is what is made.
                let _ = find_or_make_file(root, way, resolve);
                let _ = find_or_make_dir(root, way, resolve);
                let _ = place_symlink(root, way, c"x", resolve);
            }
        }
        let names: Vec<_> =
            fs::read_dir(&base).expect("list").flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
        assert_eq!(fs::read_dir(base.join("outside")).expect("list").count(), 1);
        fs::remove_dir_all(&base).expect("clean up");
    }

    #[test]
    fn links_inside_are_followed_where_they_may_be() {
        let (base, root) = world("in");
        let root = root.as_fd();
        find_or_make_file(root, c"inner/a/file", Resolve::InRoot).expect("made");
        assert!(base.join("root/dir/a/file").is_file());
        find_or_make_dir(root, c"/inner/b", Resolve::InRoot).expect("made");
        assert!(base.join("root/dir/b").is_dir());
        assert_eq!(find(root, c"inner/a", Resolve::NoSymlinks).map(drop), Err(Errno::LOOP));
        assert_eq!(find_or_make_dir(root, c"inner/c", Resolve::NoSymlinks).map(drop), Err(Errno::LOOP));
        fs::remove_dir_all(&base).expect("clean up");
    }

    #[test]
    fn only_regular_files_are_read() {
        let (base, root) = world("read");
        fs::write(base.join("root/dir/text"), "x").expect("write");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            base.join("root/dir/fifo"),
            FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .expect("mkfifo");
        open_file(root.as_fd(), "inner/text", Resolve::InRoot).expect("a file");
        for wrong in ["inner/fifo", "dir"] {
            assert_eq!(open_file(root.as_fd(), wrong, Resolve::InRoot).map(drop), Err(Errno::INVAL));
        }
        fs::remove_dir_all(&base).expect("clean up");
    }

    #[test]
    fn a_descriptor_s_path_leads_to_it() {
        let (base, root) = world("fdpath");
        let mut path = FdPath::new();
        let stat = rustix::fs::stat(path.of(root.as_fd())).expect("stat");
        assert_eq!(stat.st_ino, fstat(&root).expect("stat").st_ino);
        fs::remove_dir_all(&base).expect("clean up");
    }
}
