//! Mounts and devices put into, taken out of, and listed of a running container.
//!
//! Two ways in. By descriptor: the caller makes a detached mount, a child joins the container's mount namespace and
//! moves it onto the target (`inject`, `eject`). Through the shared directory of `lxc.mount.auto = shmounts:…`, the way
//! of the C library's `mount()` (`shared`). Not here: mounts made at start (`mounts`).

mod detached;
mod enter;
mod mountinfo;
mod node;
mod options;
mod record;
mod shared;
mod target;

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use lxc_conf::model::Settings;
use lxc_conf::value::mount_entry::flag;
use rustix::io::Errno;

pub use enter::Running;
pub use mountinfo::{MountInfo, parse as parse_mountinfo};
pub use node::{DeviceId, HostNode, add_node, remove_node};
pub use options::{Detach, Options};
pub use record::Record;
pub use shared::{Attributes, SharedMount, mount as mount_shared, umount as umount_shared};

use crate::{Error, ErrorKind, Result, ResultExt};

/// A mount to make in a running container.
#[derive(Clone, Debug)]
pub struct MountRequest {
    /// A path of the host for bind mounts; what the file system takes as its source otherwise.
    pub source: PathBuf,
    /// Path in the container, looked up from its root; symbolic links cannot lead out.
    pub target: PathBuf,
    /// `None` = a bind mount.
    pub fstype: Option<String>,
    pub options: Options,
}

/// One injected mount that is there now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Injected {
    pub record: Record,
    /// Where it is now, as the container sees it: processes in there can move it.
    pub mount_point: String,
}

/// Mounts something in a running container.
///
/// By descriptor where the kernel can (open_tree(2), Linux 5.2; mount_setattr(2), 5.12), which needs nothing of the
/// container; else through its shared directory, if it has one (`settings`).
///
/// - Context: caller, single-threaded; CAP_SYS_ADMIN over the caller's and the container's mount namespaces.
/// - Errors: `NotRunning`; `NotFound` for a missing source or target (cure: `create=`); `Config` for options that do not
///   fit; `Permission`.
pub fn inject(
    running: &Running,
    settings: &Settings,
    request: &MountRequest,
    rundir: &Path,
) -> Result<Record> {
    let target = target::Target::parse(&request.target)?;
    let record = match by_descriptor(running, request, &target) {
        // Until Linux 5.12 is the floor:
        Err(error) if error.errno() == Some(Errno::NOSYS) && settings.mounts.auto.shmounts.is_some() => {
            by_shared_directory(running, settings, request, &target, rundir)?
        }
        other => other?,
    };
    // The mount is there from here on; a list that cannot be written must not make it look as if it were not.
    let kept = record::append(rundir, running, &record);
    kept.what(|| format!("mounted on {} of the container, but cannot remember it", target.display()))?;
    Ok(record)
}

fn by_descriptor(running: &Running, request: &MountRequest, target: &target::Target) -> Result<Record> {
    let root = running.root()?;
    let mount = detached::make(running, request)?;
    let place = match request.options.create {
        Some(kind) => target.open_or_create(&root, kind, running.root_ids())?,
        None => target.open(&root)?,
    };
    target::check_kinds(&mount.fd, &place, target)?;
    let record = Record::of(request, target, &mount.fd)?;
    running.attach(&mount.fd, &place).map_err(|error| explain_attach(error, target))?;
    Ok(record)
}

fn by_shared_directory(
    running: &Running,
    settings: &Settings,
    request: &MountRequest,
    target: &target::Target,
    rundir: &Path,
) -> Result<Record> {
    let text = |bytes: &[u8]| {
        CString::new(bytes).map_err(|_| Error::new(ErrorKind::Config, "a NUL byte in the arguments"))
    };
    if request.options.create.is_none() {
        // This way makes the target; without create= it must be there.
        target.open(&running.root()?)?;
    }
    let source = text(request.source.as_os_str().as_bytes())?;
    let fstype = request.fstype.as_ref().map(|fstype| text(fstype.as_bytes())).transpose()?;
    let data = text(request.options.data.join(",").as_bytes())?;
    let flags = request.options.to_flags()?;
    let bind = if request.options.recursive { flag::BIND | flag::REC } else { flag::BIND };
    let directory = record::directory(rundir)?;
    let attributes = fstype.is_none().then_some(Attributes { flags, prepare_in: &directory });
    let mount = SharedMount {
        source: Some(&source),
        target: &request.target,
        fstype: fstype.as_deref(),
        flags: if fstype.is_some() { flags } else { bind },
        attributes,
        data: &data,
    };
    shared::mount(running, settings, &mount)?;
    Record::of(request, target, &target.open(&running.root()?)?)
}

fn explain_attach(error: Error, target: &target::Target) -> Error {
    let error = error.context(format!("mount on {} of the container", target.display()));
    match error.errno() {
        Some(Errno::NOTDIR) => {
            error.cure("a directory can only be mounted on a directory, a file only on a file")
        }
        Some(Errno::PERM) => error.cure("run lxc-mount as root of the host"),
        _ => error,
    }
}

/// Takes the topmost mount on `target` away.
///
/// - Errors: `NotFound` when nothing is mounted there; `Busy` while it is in use (cure: `lazy`).
pub fn eject(running: &Running, target: &Path, how: Detach) -> Result<()> {
    let target = target::Target::parse(target)?;
    let root = running.root()?;
    let (parent, name) = target.mount_point(running, &root)?;
    running.detach(&parent, &name, how).map_err(|error| {
        let error = error.context(format!("unmount {} of the container", target.display()));
        match error.kind() {
            ErrorKind::Busy => error.cure("end the processes that use it, or unmount with -o lazy"),
            _ => error,
        }
    })
}

/// The injected mounts of this run of the container that are still there, oldest first.
pub fn list(running: &Running, rundir: &Path) -> Result<Vec<Injected>> {
    let mounts = running.mountinfo()?;
    let records = record::load(rundir, running)?;
    let there = |record: Record| {
        let mount = mounts.iter().find(|mount| record.is(mount))?;
        Some(Injected { mount_point: mount.mount_point.clone(), record })
    };
    Ok(records.into_iter().filter_map(there).collect())
}

/// The shared directory of a container.
///
/// - Errors: `Config` when `lxc.mount.auto` has no `shmounts`.
fn shared_directory(settings: &Settings) -> Result<&lxc_conf::model::ShMounts> {
    settings.mounts.auto.shmounts.as_ref().ok_or_else(|| {
        Error::new(ErrorKind::Config, "the container has no shared mount directory")
            .at(&settings.mounts.auto.origin)
            .cure("set lxc.mount.auto = shmounts:HOSTDIR and restart it, or use lxc-mount")
    })
}
