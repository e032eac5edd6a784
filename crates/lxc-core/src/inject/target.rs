//! The place in the container a mount goes to: found and made from the container's root by descriptor only.
//!
//! Nothing here follows a symbolic link out of the container (`lxc_sys::tree`), and what was found stays found: a path
//! that changes meanwhile is not looked at again. Not here: mounting.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path};

use lxc_conf::value::mount_entry::Create;
use lxc_sys::tree::{self, Resolve};
use rustix::fs::{AtFlags, FileType, OFlags, Statx, StatxFlags, chownat, fstat, statx};
use rustix::fs::{Gid, Uid};
use rustix::io::Errno;

use super::enter::Running;
use crate::{Error, ErrorKind, Result, ResultExt};

/// A path in a container, without `.` and `..`; empty = the container's root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    components: Vec<String>,
}

const PATH: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

impl Target {
    /// - Errors: `Config` for a relative path, `..`, or the root itself.
    pub(super) fn parse(path: &Path) -> Result<Target> {
        let config = |what: &str| Error::new(ErrorKind::Config, format!("target {}: {what}", path.display()));
        if !path.is_absolute() {
            return Err(config("not an absolute path of the container"));
        }
        let mut components = Vec::new();
        for component in path.components() {
            match component {
                Component::Normal(name) => match name.to_str() {
                    Some(name) => components.push(name.to_owned()),
                    None => return Err(config("not valid UTF-8")),
                },
                Component::ParentDir => return Err(config("'..' is not allowed")),
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            }
        }
        if components.is_empty() {
            return Err(config("the container's root directory cannot be a target"));
        }
        Ok(Target { components })
    }

    pub(super) fn display(&self) -> String {
        format!("/{}", self.components.join("/"))
    }

    /// Opens what is there.
    pub(super) fn open(&self, root: &OwnedFd) -> Result<OwnedFd> {
        lookup(root, &self.components.join("/"), PATH).map_err(|errno| {
            let error = Error::kernel(errno, format!("find {} in the container", self.display()));
            match errno {
                Errno::NOENT => error.cure("make it there first, or use -o create=dir or -o create=file"),
                Errno::LOOP => error.cure("it is, or leads through, a symbolic link that cannot be followed"),
                _ => error,
            }
        })
    }

    /// Opens what is there, or makes it: directories 0755, files 0644, owned by the container's root.
    pub(super) fn open_or_create(&self, root: &OwnedFd, kind: Create, owner: (u32, u32)) -> Result<OwnedFd> {
        let mut dir = root.try_clone().what(|| "duplicate a descriptor")?;
        let last = self.components.len().saturating_sub(1);
        for (index, name) in self.components.iter().enumerate() {
            let so_far = self.components.get(..=index).unwrap_or_default().join("/");
            let what = || format!("make /{so_far} in the container");
            dir = match lookup(root, &so_far, PATH) {
                Err(Errno::NOENT) => {
                    make(&dir, name, if index == last { kind } else { Create::Dir }, owner)
                        .map_err(|errno| explain_make(errno, what()))?;
                    lookup(root, &so_far, PATH).what(what)?
                }
                other => other.what(|| format!("find /{so_far} in the container"))?,
            };
        }
        Ok(dir)
    }

    /// The directory the target is in, and its name there; missing directories are made for `owner`, if given.
    ///
    /// - Errors: `NotFound` for a missing directory without `owner`.
    pub(super) fn parent(&self, root: &OwnedFd, owner: Option<(u32, u32)>) -> Result<(OwnedFd, &str)> {
        let Some((name, parents)) = self.components.split_last() else {
            return Err(Error::new(ErrorKind::Internal, "a target without a name"));
        };
        let parents = Target { components: parents.to_vec() };
        let dir = match owner {
            _ if parents.components.is_empty() => root.try_clone().what(|| "duplicate a descriptor")?,
            Some(owner) => parents.open_or_create(root, Create::Dir, owner)?,
            None => parents.open(root)?,
        };
        Ok((dir, name))
    }

    /// Parent directory and name of the mount point at the target.
    ///
    /// - Errors: `NotFound` when nothing is mounted there.
    pub(super) fn mount_point(&self, running: &Running, root: &OwnedFd) -> Result<(OwnedFd, CString)> {
        let place = self.open(root)?;
        let id = mount_id(&place).what(|| format!("look at {} in the container", self.display()))?;
        drop(place);
        let nothing = || {
            Error::new(
                ErrorKind::NotFound,
                format!("nothing is mounted on {} of the container", self.display()),
            )
        };
        let mounts = running.mountinfo()?;
        let mount = mounts.iter().find(|mount| mount.id == id).ok_or_else(nothing)?;
        // A path on a mount is not yet its mount point.
        let canonical = Target::parse(Path::new(&mount.mount_point)).map_err(|_| nothing())?;
        let again = canonical.open(root)?;
        if self.resolved(root)? != identity(&again)? {
            return Err(nothing());
        }
        let (name, parents) = canonical.components.split_last().ok_or_else(nothing)?;
        let parent = match parents {
            [] => root.try_clone().what(|| "duplicate a descriptor")?,
            // The names come from the kernel and have no symbolic links in them; one that is there now is a trick.
            parents => {
                tree::open(root.as_fd(), &*parents.join("/"), PATH | OFlags::DIRECTORY, Resolve::NoSymlinks)
            }
            .what(|| format!("find /{} in the container", parents.join("/")))?,
        };
        let name = CString::new(name.as_str()).map_err(|_| nothing())?;
        Ok((parent, name))
    }

    fn resolved(&self, root: &OwnedFd) -> Result<(u64, u64, u64)> {
        identity(&self.open(root)?)
    }
}

fn identity(fd: &OwnedFd) -> Result<(u64, u64, u64)> {
    let stat = fstat(fd).what(|| "look at a path of the container")?;
    let id = mount_id(fd).what(|| "look at a path of the container")?;
    Ok((id, stat.st_dev, stat.st_ino))
}

fn lookup(root: &OwnedFd, path: &str, flags: OFlags) -> std::result::Result<OwnedFd, Errno> {
    tree::open(root.as_fd(), path, flags, Resolve::InRoot)
}

/// Runs `op`, and once more as the container's root where the host's cannot make anything.
///
/// On a file system that was mounted in a user namespace the host's root may have no id, and what it makes no owner
/// (`EOVERFLOW`).
pub(super) fn retry_as<T>(
    owner: (u32, u32),
    op: impl Fn() -> std::result::Result<T, Errno>,
) -> std::result::Result<T, Errno> {
    use nix::unistd::{Gid, Uid, setfsgid, setfsuid};
    match op() {
        Err(Errno::OVERFLOW) => {
            // Of this thread alone, and of file accesses alone.
            let (gid, uid) = (setfsgid(Gid::from_raw(owner.1)), setfsuid(Uid::from_raw(owner.0)));
            let result = op();
            setfsuid(uid);
            setfsgid(gid);
            result
        }
        other => other,
    }
}

fn make(dir: &OwnedFd, name: &str, kind: Create, owner: (u32, u32)) -> std::result::Result<(), Errno> {
    retry_as(owner, || match kind {
        Create::Dir => tree::make_dir(dir.as_fd(), name),
        Create::File => tree::make_file(dir.as_fd(), name, 0o644).map(drop),
    })?;
    if owner != (0, 0) {
        let (uid, gid) = (Some(Uid::from_raw(owner.0)), Some(Gid::from_raw(owner.1)));
        chownat(dir, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}

fn explain_make(errno: Errno, what: String) -> Error {
    let error = Error::kernel(errno, what);
    match errno {
        Errno::ROFS => {
            error.cure("the container's file system is read-only there; choose a target that exists")
        }
        Errno::EXIST => error.cure("a dangling symbolic link is in the way"),
        _ => error,
    }
}

/// Id of the mount a descriptor is on, as in mountinfo.
pub(super) fn mount_id(fd: &OwnedFd) -> std::result::Result<u64, Errno> {
    let statx: Statx = statx(fd, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?;
    Ok(statx.stx_mnt_id)
}

/// A directory fits onto a directory, anything else onto anything else.
pub(super) fn check_kinds(mount: &OwnedFd, place: &OwnedFd, target: &Target) -> Result<()> {
    let is_dir = |fd: &OwnedFd| -> Result<bool> {
        let stat = fstat(fd).what(|| "look at source and target")?;
        Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
    };
    let error = |what: &str, cure: &'static str| {
        Err(Error::new(ErrorKind::Config, format!("mount on {} of the container: {what}", target.display()))
            .cure(cure))
    };
    match (is_dir(mount)?, is_dir(place)?) {
        (true, false) => {
            error("the source is a directory, the target is not", "choose a directory as target")
        }
        (false, true) => error("the source is not a directory, the target is", "choose a file as target"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::Mode;

    #[test]
    fn targets_are_absolute_and_plain() {
        let target = Target::parse(Path::new("//a/./b//c/")).expect("target");
        assert_eq!(target.display(), "/a/b/c");
        for wrong in ["a/b", "/", "", "/a/../b", "/.."] {
            assert!(Target::parse(Path::new(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn links_lead_nowhere_outside_and_missing_parts_are_made_inside() {
        let base = std::env::temp_dir().join(format!("attach-target-{}", std::process::id()));
        let tree = base.join("root");
        std::fs::create_dir_all(&tree).expect("mkdir");
        std::os::unix::fs::symlink("/../../..", tree.join("up")).expect("symlink");
        std::os::unix::fs::symlink("/nowhere", tree.join("dangling")).expect("symlink");
        let root = rustix::fs::open(&tree, PATH | OFlags::DIRECTORY, Mode::empty()).expect("open");
        let made = Target::parse(Path::new("/up/x/y")).expect("target");
        made.open_or_create(&root, Create::File, (0, 0)).expect("made");
        assert!(tree.join("x/y").is_file(), "`up` is the container's root");
        let blocked = Target::parse(Path::new("/dangling/z")).expect("target");
        assert!(blocked.open_or_create(&root, Create::Dir, (0, 0)).is_err());
        let missing = Target::parse(Path::new("/missing")).expect("target").open(&root).expect_err("missing");
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        assert!(missing.cure_text().is_some_and(|cure| cure.contains("create=dir")));
        std::fs::remove_dir_all(&base).expect("clean up");
    }
}
