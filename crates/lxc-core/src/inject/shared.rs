//! Mounts through the shared directory of `lxc.mount.auto = shmounts:HOST[:CONT]`, as `struct lxc_container`'s `mount` and
//! `umount` make them.
//!
//! The mount is made below HOST, travels into the container because HOST is a shared mount, and is moved from CONT to
//! the target there. Not here: mounts by descriptor (`detached`), which need no such directory.

use std::ffi::CStr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use lxc_conf::model::{Settings, ShMounts};
use lxc_conf::value::mount_entry::{Create, flag as ms};
use rustix::fs::FileType;
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};

use super::enter::Running;
use super::shared_directory;
use super::target::Target;
use crate::{Error, ErrorKind, Result, ResultExt};

/// Change an existing mount (mount(2)).
const MS_REMOUNT: u64 = 32;

/// Arguments of mount(2), the target being a path of the container.
#[derive(Clone, Copy, Debug)]
pub struct SharedMount<'a> {
    /// `None` = a new file system.
    pub source: Option<&'a CStr>,
    pub target: &'a Path,
    pub fstype: Option<&'a CStr>,
    /// `MS_*` bits.
    pub flags: u64,
    /// Flags of a bind mount, which mount(2) ignores when it makes one.
    pub attributes: Option<Attributes<'a>>,
    pub data: &'a CStr,
}

/// What a bind mount shall have from the moment the container sees it.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a> {
    /// `MS_*` bits.
    pub flags: u64,
    /// A directory outside of the shared one to prepare the mount in.
    pub prepare_in: &'a Path,
}

/// Mounts in a running container.
///
/// - Errors: `Config` without `shmounts`; `Unsupported` when HOST is not a shared mount.
/// - Source: abi-and-wire.md A3 `mount`.
pub fn mount(running: &Running, settings: &Settings, request: &SharedMount<'_>) -> Result<()> {
    let shared = shared_directory(settings)?;
    let target = Target::parse(request.target)?;
    let kind = match request.source {
        Some(source) => kind_of(source)?,
        None => Create::Dir,
    };
    let source = request.source.or(request.fstype).unwrap_or(c"none");
    let what = || format!("mount {} in the shared directory", source.to_string_lossy());
    // ORDER: with its attributes before it is shared. Changing them later changes the host's copy only.
    let prepared = match request.attributes.filter(|attributes| attributes.flags != 0) {
        None => None,
        Some(attributes) => {
            let mut prepared = Stage::make(attributes.prepare_in, kind)?;
            let path = prepared.c_path()?;
            lxc_sys::mount::mount(source, &path, c"", request.flags, c"").what(what)?;
            prepared.mounted = true;
            let flags = attributes.flags | ms::BIND | MS_REMOUNT;
            lxc_sys::mount::mount(c"none", &path, c"", flags, c"")
                .what(|| format!("set the options of the mount of {}", source.to_string_lossy()))?;
            Some(prepared)
        }
    };
    let mut stage = Stage::make(Path::new(&shared.host), kind)?;
    let from = prepared.as_ref().map(Stage::c_path).transpose()?;
    let from = from.as_deref().unwrap_or(source);
    let fstype = request.fstype.unwrap_or(c"");
    lxc_sys::mount::mount(from, &stage.c_path()?, fstype, request.flags, request.data).what(what)?;
    stage.mounted = true;
    drop(prepared);
    let root = running.root()?;
    let inside = arrived(running, &root, shared, &stage)?;
    let place = target.open_or_create(&root, kind, running.root_ids())?;
    running.attach(&inside, &place).what(|| format!("mount on {} of the container", target.display()))
}

/// Unmounts in a running container.
///
/// - Shape: `flags` are those of umount2(2).
/// - Source: abi-and-wire.md A3 `umount`.
pub fn umount(running: &Running, settings: &Settings, target: &Path, flags: u32) -> Result<()> {
    shared_directory(settings)?;
    let target = Target::parse(target)?;
    let root = running.root()?;
    let (parent, name) = target.mount_point(running, &root)?;
    let flags = UnmountFlags::from_bits_retain(flags);
    running
        .detach_with(&parent, &name, flags)
        .what(|| format!("unmount {} of the container", target.display()))
}

fn kind_of(source: &CStr) -> Result<Create> {
    let stat = rustix::fs::stat(source).what(|| format!("look at {}", source.to_string_lossy()))?;
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory | FileType::BlockDevice => Create::Dir,
        _ => Create::File,
    })
}

/// A place of its own in a directory, unmounted and removed when dropped.
#[derive(Debug)]
struct Stage {
    path: PathBuf,
    name: String,
    mounted: bool,
    kind: Create,
}

impl Stage {
    fn make(dir: &Path, kind: Create) -> Result<Stage> {
        for _ in 0..100 {
            let mut random = [0; 8];
            rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
                .what(|| "get random bytes")?;
            let name = format!(".lxcmount_{:016x}", u64::from_ne_bytes(random));
            let path = dir.join(&name);
            let made = match kind {
                Create::Dir => std::fs::create_dir(&path),
                Create::File => std::fs::File::create_new(&path).map(drop),
            };
            match made {
                Ok(()) => return Ok(Stage { path, name, mounted: false, kind }),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(error).what(|| format!("make {}", path.display()));
                }
            }
        }
        Err(Error::kernel(Errno::EXIST, format!("make a name in {}", dir.display())))
    }

    fn c_path(&self) -> Result<std::ffi::CString> {
        use std::os::unix::ffi::OsStrExt;
        std::ffi::CString::new(self.path.as_os_str().as_bytes())
            .map_err(|_| Error::new(ErrorKind::Config, "shmounts: NUL in the path"))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // What is left over is an empty name in a directory that only holds such names; nothing depends on it.
        if self.mounted {
            let _ = unmount(&self.path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
        }
        let _ = match self.kind {
            Create::Dir => std::fs::remove_dir(&self.path),
            Create::File => std::fs::remove_file(&self.path),
        };
    }
}

/// The mount as it arrived in the container.
fn arrived(running: &Running, root: &OwnedFd, shared: &ShMounts, stage: &Stage) -> Result<OwnedFd> {
    let inside = Path::new("/").join(&shared.container).join(&stage.name);
    let target = Target::parse(&inside)?;
    let missing = || {
        Error::new(ErrorKind::Unsupported, format!("the mount did not arrive at {} of the container", target.display()))
            .cure(format!("{0} must be a shared mount when the container starts: mount --bind {0} {0}; mount --make-shared {0}", shared.host))
    };
    let fd = target.open(root)?;
    let id = super::target::mount_id(&fd).what(|| "look at the new mount")?;
    let mounts = running.mountinfo()?;
    match mounts.iter().any(|mount| mount.id == id && mount.mount_point == target.display()) {
        true => Ok(fd),
        false => Err(missing()),
    }
}
