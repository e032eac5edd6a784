//! Executes mount operations.
//!
//! Every target is opened below the container's root by openat2(2) and mounted on by descriptor; a path is never looked
//! up twice. Sources on the host are the host's own business and may contain symlinks.

use core::ffi::CStr;

use lxc_sys::mount::{Depth, set_attributes};
use lxc_sys::rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use lxc_sys::rustix::fs::{
    CWD, FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, openat, openat2, symlinkat,
};
use lxc_sys::rustix::io::Errno;
use lxc_sys::rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

use crate::script::{Create, MountKind, MountOp, Param, Propagation, Resolve};
use crate::sync::{Fault, Step, Talk};

/// Runs `ops` below `root` in order. `base` is added to an operation's index in faults.
pub fn run(root: BorrowedFd<'_>, ops: &[MountOp<'_>], base: u32, talk: &mut Talk<'_>) -> Result<(), Fault> {
    for (index, op) in ops.iter().enumerate() {
        let item = base + index as u32;
        match perform(root, op, Some((item, &mut *talk))) {
            Ok(()) => {}
            Err(errno) => {
                let fault = Fault::new(Step::Mount, item, errno);
                if !op.optional {
                    return Err(fault);
                }
                talk.note(fault)?;
            }
        }
    }
    Ok(())
}

/// Runs one operation without a monitor to ask: what needs one is `EOPNOTSUPP`.
pub fn one(root: BorrowedFd<'_>, op: &MountOp<'_>) -> Result<(), Errno> {
    perform(root, op, None)
}

/// The monitor, and what it knows the mount at work by.
pub(crate) type Help<'t, 'a> = Option<(u32, &'t mut Talk<'a>)>;

/// Opens a source on the host. It may be an automount point or a symlink, which is followed: it is the host's.
pub(crate) fn open_source(source: &CStr, flags: OFlags, help: &mut Help<'_, '_>) -> Result<OwnedFd, Errno> {
    match (openat(CWD, source, OFlags::PATH | OFlags::CLOEXEC | flags, Mode::empty()), help) {
        // Root of a user namespace is a stranger to directories of the host; who configured the mount is not.
        (Err(Errno::ACCESS), Some((item, talk))) => talk.open(*item),
        (result, _) => result,
    }
}

fn perform(root: BorrowedFd<'_>, op: &MountOp<'_>, mut help: Help<'_, '_>) -> Result<(), Errno> {
    match op.kind {
        MountKind::Symlink { to } => return place_symlink(root, op, to),
        MountKind::Directory => return make_dirs(root, op.target, op.resolve).map(drop),
        _ => {}
    }
    let target = target(root, op)?;
    let mount = match op.kind {
        MountKind::Fs { fstype, source, params, read_only } => {
            Some(new_fs(fstype, source, params, read_only)?)
        }
        MountKind::Bind { source, recursive } => {
            let fd = open_source(source, OFlags::empty(), &mut help)?;
            Some(clone_tree(fd.as_fd(), recursive)?)
        }
        MountKind::Idmapped { source, inside, recursive } => {
            let fd = match inside {
                true => open_inside(root, source, op.resolve)?,
                false => open_source(source, OFlags::empty(), &mut help)?,
            };
            let tree = clone_tree(fd.as_fd(), recursive)?;
            let (item, talk) = help.as_mut().ok_or(Errno::OPNOTSUPP)?;
            talk.map_ids(*item, tree.as_fd())?;
            Some(tree)
        }
        MountKind::BindInside { source, recursive } => {
            let fd = open_inside(root, source, op.resolve)?;
            Some(clone_tree(fd.as_fd(), recursive)?)
        }
        MountKind::BindFd { source, recursive } => Some(clone_tree(source, recursive)?),
        MountKind::Classic { fstype, source, flags, data } => {
            classic(source, target.as_fd(), fstype, flags, data)?;
            None
        }
        MountKind::Change | MountKind::Symlink { .. } | MountKind::Directory => None,
    };
    match mount {
        Some(mount) => {
            if !op.attr.is_empty() {
                // COMPAT: the original's idmapped recursive binds get their flags all the way down, its others do not.
                let depth = match op.kind {
                    MountKind::Idmapped { recursive: true, .. } => Depth::Recursive,
                    _ => Depth::Top,
                };
                set_attributes(mount.as_fd(), &op.attr, depth)?;
            }
            attach(mount.as_fd(), target.as_fd()).map_err(|errno| {
                let mismatch = errno == Errno::INVAL && is_dir(mount.as_fd()) != is_dir(target.as_fd());
                // move_mount(2) says EINVAL for a directory on a file, where mount(2) has the word for it.
                if mismatch { Errno::NOTDIR } else { errno }
            })?;
            propagate(mount.as_fd(), op.propagation)
        }
        None => {
            // `target` still names the directory below what mount(2) put there, so open what is on top now.
            let top = open_inside(root, op.target, op.resolve)?;
            if !op.attr.is_empty() {
                set_attributes(top.as_fd(), &op.attr, Depth::Top)?;
            }
            propagate(top.as_fd(), op.propagation)
        }
    }
}

fn is_dir(fd: BorrowedFd<'_>) -> bool {
    fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

/// Puts the detached mount `mount` on what `target` refers to.
pub fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<(), Errno> {
    move_mount(
        mount,
        c"",
        target,
        c"",
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH,
    )
}

/// A detached copy of the mount (and with `recursive` of all below) at `fd`.
pub fn clone_tree(fd: BorrowedFd<'_>, recursive: bool) -> Result<OwnedFd, Errno> {
    let mut flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    open_tree(fd, c"", flags)
}

/// A detached mount of a new file system instance.
pub fn new_fs(fstype: &CStr, source: &CStr, params: &[Param<'_>], read_only: bool) -> Result<OwnedFd, Errno> {
    let context = fsopen(fstype, FsOpenFlags::FSOPEN_CLOEXEC)?;
    if !source.is_empty() {
        fsconfig_set_string(context.as_fd(), c"source", source)?;
    }
    for param in params {
        match param {
            Param::Flag(key) => fsconfig_set_flag(context.as_fd(), *key)?,
            // COMPAT: the original never tells the file system of words without `=`, so unknown ones start there.
            Param::Word(key) => match fsconfig_set_flag(context.as_fd(), *key) {
                Ok(()) | Err(Errno::INVAL) => {}
                Err(errno) => return Err(errno),
            },
            Param::String(key, value) => fsconfig_set_string(context.as_fd(), *key, *value)?,
        }
    }
    if read_only {
        fsconfig_set_flag(context.as_fd(), c"ro")?;
    }
    fsconfig_create(context.as_fd())?;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
}

fn propagate(mount: BorrowedFd<'_>, propagation: Propagation) -> Result<(), Errno> {
    use lxc_sys::mount::MountAttr;
    let (kind, depth) = match propagation {
        Propagation::Default => return Ok(()),
        Propagation::Top(kind) => (kind, Depth::Top),
        Propagation::Recursive(kind) => (kind, Depth::Recursive),
    };
    set_attributes(mount, &MountAttr::propagating(kind), depth)
}

fn classic(
    source: &CStr,
    target: BorrowedFd<'_>,
    fstype: &CStr,
    flags: u64,
    data: &CStr,
) -> Result<(), Errno> {
    let mut path = FdPath::new();
    lxc_sys::mount::mount(source, path.of(target), fstype, flags, data)
}

/// `/proc/self/fd/N` without allocating; only while the host's /proc is the one at `/proc`.
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
        use lxc_sys::rustix::fd::AsRawFd;
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

fn resolve_flags(resolve: Resolve) -> ResolveFlags {
    match resolve {
        Resolve::NoSymlinks => {
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS
        }
        Resolve::InRoot => ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
    }
}

/// Opens `path` below `root` as a place to mount on or from.
pub fn open_inside(root: BorrowedFd<'_>, path: &CStr, resolve: Resolve) -> Result<OwnedFd, Errno> {
    let path = if path.is_empty() { c"." } else { path };
    // A concurrent rename in the tree makes openat2 give up with EAGAIN rather than be fooled; it says to try again.
    let mut tries = 0;
    loop {
        let opened =
            openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve_flags(resolve));
        match opened {
            Err(Errno::AGAIN) if tries < 128 => tries += 1,
            other => return other,
        }
    }
}

fn target(root: BorrowedFd<'_>, op: &MountOp<'_>) -> Result<OwnedFd, Errno> {
    match open_inside(root, op.target, op.resolve) {
        Err(Errno::NOENT) if op.create != Create::No => {}
        other => return other,
    }
    match op.create {
        Create::Dir => make_dirs(root, op.target, op.resolve),
        Create::File => {
            let (parent, name) = split(op.target);
            let mut buffer = [0; PATH_MAX];
            let parent = make_dirs(root, copy(parent, &mut buffer)?, op.resolve)?;
            let made = openat(
                &parent,
                name,
                OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC,
                Mode::from_raw_mode(0o644),
            );
            match made {
                Ok(_) | Err(Errno::EXIST) => open_inside(root, op.target, op.resolve),
                Err(errno) => Err(errno),
            }
        }
        Create::No => Err(Errno::NOENT),
    }
}

const PATH_MAX: usize = 4096;

/// Everything before the last component, and the last component.
fn split(path: &CStr) -> (&[u8], &[u8]) {
    let bytes = path.to_bytes();
    match bytes.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
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

/// mkdir -p below `root`; each component is opened in turn, so what was made is what is used.
fn make_dirs(root: BorrowedFd<'_>, path: &CStr, resolve: Resolve) -> Result<OwnedFd, Errno> {
    let bytes = path.to_bytes();
    let mut buffer = [0; PATH_MAX];
    let mut end = 0;
    let mut current = open_inside(root, c"", resolve)?;
    while end < bytes.len() {
        let start = end;
        end = bytes[start..].iter().position(|byte| *byte == b'/').map_or(bytes.len(), |at| start + at);
        let component = &bytes[start..end];
        // Prefixes are resolved from the root again, so that `..` and symlinks keep their meaning.
        let prefix = copy(&bytes[..end], &mut buffer)?;
        end += 1;
        if component.is_empty() {
            continue;
        }
        current = match open_inside(root, prefix, resolve) {
            Err(Errno::NOENT) => {
                match mkdirat(&current, component, Mode::from_raw_mode(0o755)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(errno) => return Err(errno),
                }
                open_inside(root, prefix, resolve)?
            }
            other => other?,
        };
    }
    Ok(current)
}

fn place_symlink(root: BorrowedFd<'_>, op: &MountOp<'_>, to: &CStr) -> Result<(), Errno> {
    let (parent, name) = split(op.target);
    let mut buffer = [0; PATH_MAX];
    let parent = open_inside(root, copy(parent, &mut buffer)?, op.resolve)?;
    match symlinkat(to, &parent, name) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno),
    }
}
