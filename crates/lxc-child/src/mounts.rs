//! Executes mount operations.
//!
//! Every target is found by `lxc_sys::tree` below the container's root and mounted on by descriptor. Sources on the host are the host's own business and may contain symlinks.

use core::ffi::CStr;

use lxc_sys::mount::{Depth, set_attributes};
use lxc_sys::rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use lxc_sys::rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use lxc_sys::rustix::io::Errno;
use lxc_sys::rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};
use lxc_sys::tree;

use crate::script::{Create, MountKind, MountOp, Param, Propagation};
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
        MountKind::Symlink { to } => return tree::place_symlink(root, op.target, to, op.resolve),
        MountKind::Directory => return tree::make_dirs(root, op.target, op.resolve).map(drop),
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
                true => tree::find(root, source, op.resolve)?,
                false => open_source(source, OFlags::empty(), &mut help)?,
            };
            let mount = clone_tree(fd.as_fd(), recursive)?;
            let (item, talk) = help.as_mut().ok_or(Errno::OPNOTSUPP)?;
            talk.map_ids(*item, mount.as_fd())?;
            Some(mount)
        }
        MountKind::BindInside { source, recursive } => {
            let fd = tree::find(root, source, op.resolve)?;
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
            let top = tree::find(root, op.target, op.resolve)?;
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
    let mut path = tree::FdPath::new();
    lxc_sys::mount::mount(source, path.of(target), fstype, flags, data)
}

fn target(root: BorrowedFd<'_>, op: &MountOp<'_>) -> Result<OwnedFd, Errno> {
    match op.create {
        Create::No => tree::find(root, op.target, op.resolve),
        Create::Dir => tree::find_or_make_dir(root, op.target, op.resolve),
        Create::File => tree::find_or_make_file(root, op.target, op.resolve),
    }
}
