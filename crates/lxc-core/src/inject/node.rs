//! Device nodes put into a running container's tree and taken out of it.
//!
//! Everything works on descriptors below the container's root; what its processes put in the way meanwhile is replaced
//! or refused, never followed. Not here: the permission to open the device (`cgroup`).

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use lxc_sys::tree::{self, Resolve};
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, Stat, Uid, chmodat, chownat, fstat, mknodat, open, openat,
    renameat, unlinkat,
};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_string, fsmount,
    fsopen, open_tree,
};

use super::enter::Running;
use super::target::{Target, retry_as};
use crate::{Error, ErrorKind, Result, ResultExt};

/// A device node of the host.
#[derive(Clone, Debug)]
pub struct HostNode {
    path: PathBuf,
    id: DeviceId,
    /// Permission bits.
    mode: u32,
}

/// Which device a node stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceId {
    block: bool,
    number: u64,
}

impl DeviceId {
    fn of(stat: &Stat) -> Option<DeviceId> {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::BlockDevice => Some(DeviceId { block: true, number: stat.st_rdev }),
            FileType::CharacterDevice => Some(DeviceId { block: false, number: stat.st_rdev }),
            _ => None,
        }
    }

    fn kind(self) -> FileType {
        if self.block { FileType::BlockDevice } else { FileType::CharacterDevice }
    }

    /// The device in the grammar of `devices.allow`, all accesses: `c 10:229 rwm`.
    pub fn rule(self) -> String {
        format!("{self} rwm")
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = if self.block { 'b' } else { 'c' };
        write!(f, "{letter} {}:{}", rustix::fs::major(self.number), rustix::fs::minor(self.number))
    }
}

impl HostNode {
    /// Looks at a node; links of the host are followed.
    ///
    /// - Errors: `NotFound`; `Config` for something that is no device.
    pub fn open(path: &Path) -> Result<HostNode> {
        let stat = rustix::fs::stat(path).map_err(|errno| {
            let error = Error::kernel(errno, format!("look at device {}", path.display()));
            match errno {
                Errno::NOENT => {
                    error.cure("name a device node of the host, or a network interface of the host")
                }
                _ => error,
            }
        })?;
        let id = DeviceId::of(&stat).ok_or_else(|| {
            Error::new(
                ErrorKind::Config,
                format!("{} is neither a block nor a character device", path.display()),
            )
        })?;
        Ok(HostNode { path: path.to_owned(), id, mode: stat.st_mode & 0o7777 })
    }

    pub fn id(&self) -> DeviceId {
        self.id
    }
}

/// Makes the node at `target` in the container, with the mode of the host's node, owned by the container's root.
///
/// What is there is replaced, a directory excepted; missing directories are made. Where no node can be opened (file
/// systems a user namespace mounted, Linux 4.18; `nodev` mounts) a node from elsewhere is mounted on an empty file.
///
/// - Context: caller, single-threaded, root of the host.
/// - Errors: `Config` for a target that is not absolute; `Permission`; nothing is left behind.
pub fn add_node(running: &Running, node: &HostNode, target: &Path) -> Result<()> {
    let target = Target::parse(target)?;
    let owner = running.root_ids();
    let (dir, name) = target.parent(&running.root()?, Some(owner))?;
    let what = || format!("make the device {} in the container", target.display());
    match make(&dir, name, node, owner) {
        Ok(true) => Ok(()),
        Ok(false) | Err(Errno::OVERFLOW | Errno::PERM) => {
            bind(running, &dir, name, node, owner).map_err(|error| error.context(what()))
        }
        Err(errno) => Err(explain(errno, what())),
    }
}

/// Takes the node at `target` out of the container; a target that is gone is fine.
///
/// - Shape: the device that was there, if any.
/// - Errors: `Config` when the target is not `device` (or, without one, no device at all).
pub fn remove_node(running: &Running, device: Option<DeviceId>, target: &Path) -> Result<Option<DeviceId>> {
    let target = Target::parse(target)?;
    let (dir, name) = match target.parent(&running.root()?, None) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let what = || format!("remove the device {} from the container", target.display());
    let stat = match rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(None),
        other => other.what(what)?,
    };
    let found = DeviceId::of(&stat);
    if found.is_none() || device.is_some_and(|device| found != Some(device)) {
        let wanted = device.map_or_else(|| "a device".to_owned(), |device| format!("the device {device}"));
        return Err(Error::new(
            ErrorKind::Config,
            format!("{}: {} in the container is not {wanted}", what(), target.display()),
        )
        .cure("look at it with lxc-attach; what else is there is not lxc-device's to remove"));
    }
    // A mount on it in the container's namespace goes with the name (unlink(2) since Linux 3.18).
    unlinkat(&dir, name, AtFlags::empty()).what(what)?;
    Ok(found)
}

/// Makes the node and puts it in place in one step; false when it could not be opened there.
fn make(dir: &OwnedFd, name: &str, node: &HostNode, owner: (u32, u32)) -> std::result::Result<bool, Errno> {
    let temporary = format!(".lxc-device-{}", std::process::id());
    fresh(dir, &temporary, node.id, node.mode, owner)?;
    let placed = (|| {
        if !opens(dir, owner)? {
            return Ok(false);
        }
        renameat(dir, &temporary, dir, name)?;
        Ok(true)
    })();
    if placed != Ok(true) {
        // The first failure is the one to report.
        let _ = unlinkat(dir, &temporary, AtFlags::empty());
    }
    placed
}

/// A new node under a name that was free; owner and mode go to the node itself, whatever the name means by then.
fn fresh(
    dir: &OwnedFd,
    name: &str,
    id: DeviceId,
    mode: u32,
    owner: (u32, u32),
) -> std::result::Result<(), Errno> {
    mknodat(dir, name, id.kind(), Mode::from_raw_mode(mode), id.number)?;
    let set_up = (|| {
        let fd = openat(dir, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        if DeviceId::of(&fstat(&fd)?) != Some(id) {
            return Err(Errno::STALE);
        }
        if owner != (0, 0) {
            let (uid, gid) = (Some(Uid::from_raw(owner.0)), Some(Gid::from_raw(owner.1)));
            chownat(&fd, "", uid, gid, AtFlags::EMPTY_PATH)?;
        }
        // mknod's mode is cut by the umask.
        chmodat(CWD, itself(&fd), Mode::from_raw_mode(mode), AtFlags::empty())
    })();
    if set_up.is_err() {
        let _ = unlinkat(dir, name, AtFlags::empty());
    }
    set_up
}

fn itself(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// Whether devices can be opened in this directory, tried with a node of /dev/null.
fn opens(dir: &OwnedFd, owner: (u32, u32)) -> std::result::Result<bool, Errno> {
    let name = format!(".lxc-device-{}-try", std::process::id());
    let null = DeviceId { block: false, number: rustix::fs::makedev(1, 3) };
    fresh(dir, &name, null, 0o600, owner)?;
    let opened = (|| {
        let fd = openat(dir, &name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        if DeviceId::of(&fstat(&fd)?) != Some(null) {
            return Err(Errno::STALE);
        }
        match open(itself(&fd), OFlags::RDONLY | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(_) => Ok(true),
            Err(Errno::ACCESS) => Ok(false),
            Err(errno) => Err(errno),
        }
    })();
    let _ = unlinkat(dir, &name, AtFlags::empty());
    opened
}

/// Mounts a node on an empty file.
fn bind(running: &Running, dir: &OwnedFd, name: &str, node: &HostNode, owner: (u32, u32)) -> Result<()> {
    let tree = match elsewhere(node, owner) {
        // Until Linux 6.15 is the floor: a detached mount cannot be copied; the host's node has the host's owner.
        Err(Errno::INVAL) => of_host(node)?,
        other => other.what(|| "make the node on a file system of its own")?,
    };
    match unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(explain(errno, "replace what is there".to_owned())),
    }
    retry_as(owner, || tree::make_file(dir.as_fd(), name, 0).map(drop)).what(|| "make a file to mount on")?;
    let placed = tree::open(dir.as_fd(), name, OFlags::PATH, Resolve::NoSymlinks)
        .what(|| "open the file to mount on")
        .and_then(|place| running.attach(&tree, &place));
    if placed.is_err() {
        let _ = unlinkat(dir, name, AtFlags::empty());
    }
    placed
}

/// A node on a tmpfs of the host's root that is mounted nowhere.
fn elsewhere(node: &HostNode, owner: (u32, u32)) -> std::result::Result<OwnedFd, Errno> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "source", "lxc-device")?;
    fsconfig_set_string(&context, "size", "4k")?;
    fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let tmpfs = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    fresh(&tmpfs, "node", node.id, node.mode, owner)?;
    open_tree(&tmpfs, "node", OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)
}

/// The host's own node.
fn of_host(node: &HostNode) -> Result<OwnedFd> {
    let what = || format!("take a copy of the mount at {}", node.path.display());
    let tree = open_tree(CWD, &node.path, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)
        .what(what)?;
    // CVE-2025-31133: what is bound must be what was looked at.
    match DeviceId::of(&fstat(&tree).what(what)?) == Some(node.id) {
        true => Ok(tree),
        false => Err(Error::new(ErrorKind::Config, format!("{}: it is another device now", what()))),
    }
}

fn explain(errno: Errno, what: String) -> Error {
    let error = Error::kernel(errno, what);
    match errno {
        Errno::ROFS => error.cure("the container's file system is read-only there; choose another path"),
        Errno::ISDIR | Errno::EXIST => error.cure("a directory is in the way; choose another path"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_device_is_refused_and_devices_are_named_by_numbers() {
        assert_eq!(HostNode::open(Path::new("/dev/null")).expect("null").id().rule(), "c 1:3 rwm");
        assert_eq!(HostNode::open(Path::new("/etc/passwd")).expect_err("a file").kind(), ErrorKind::Config);
        assert_eq!(HostNode::open(Path::new("/dev")).expect_err("a directory").kind(), ErrorKind::Config);
        assert_eq!(HostNode::open(Path::new("/dev/none")).expect_err("nothing").kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_node_takes_the_place_of_files_and_links_but_not_of_directories() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let base = std::env::temp_dir().join(format!("inject-node-{}", std::process::id()));
        std::fs::create_dir_all(base.join("dir/full")).expect("mkdir");
        std::fs::write(base.join("file"), "x").expect("write");
        std::os::unix::fs::symlink("/etc/passwd", base.join("link")).expect("symlink");
        let dir =
            open(&base, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).expect("open");
        let node = HostNode { mode: 0o666, ..HostNode::open(Path::new("/dev/zero")).expect("zero") };
        for name in ["file", "link", "new"] {
            match make(&dir, name, &node, (100_000, 100_001)) {
                // A temporary directory without devices: nothing may have changed.
                Ok(false) => assert!(!base.join("new").exists()),
                made => {
                    assert_eq!(made, Ok(true), "{name}");
                    let stat = rustix::fs::lstat(base.join(name)).expect("stat");
                    assert_eq!(DeviceId::of(&stat), Some(node.id), "{name}");
                    assert_eq!((stat.st_uid, stat.st_gid, stat.st_mode & 0o7777), (100_000, 100_001, 0o666));
                }
            }
        }
        assert_eq!(make(&dir, "dir", &node, (0, 0)), Err(Errno::ISDIR));
        let names = std::fs::read_dir(&base).expect("list").flatten().map(|entry| entry.file_name());
        assert!(names.into_iter().all(|name| !name.to_string_lossy().starts_with(".lxc")), "left behind");
        std::fs::remove_dir_all(&base).expect("clean up");
    }
}
