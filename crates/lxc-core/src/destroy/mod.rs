//! Destroying containers: what `lxc-destroy` does, and what the monitor does at the end of an ephemeral one.
//!
//! Everything that can be refused is refused before the first file goes. Not here: stopping a container first.

pub mod dependents;
pub mod hook;
pub mod ownership;
pub mod remove;
mod storage;

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lxc_conf::{Config, Settings};

use crate::create;
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::lock::DiskLock;
use crate::paths;
use dependents::{Clones, Reference};
use storage::Storage;

/// How long another program may hold a container's lock. Programs hold it to read or write a file.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What to do with the snapshots in `snaps/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Snapshots {
    /// Refuse to destroy a container that has some.
    Keep,
    /// Destroy them first.
    Destroy,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A tool or a program: the container must not be running, and destroy hooks run.
    User,
    /// The monitor of an ephemeral container that has just stopped. No hooks.
    Monitor,
}

/// A container to destroy.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub name: &'a str,
    pub lxcpath: &'a Path,
    pub settings: &'a Settings,
    pub snapshots: Snapshots,
    pub caller: Caller,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Destroyed,
    /// `lxc.rootfs.managed = 0`: hooks ran, every file is still there.
    Kept,
}

/// Destroys a container: its rootfs wherever it is, its bookkeeping, its directory.
///
/// - Context: host; root, or a user who can map the ids of `lxc.idmap`. The caller holds no lock of this container.
/// - Errors:  `NotFound` when it is not defined; `AlreadyRunning`; `Busy` with clones, snapshots or mounts in the way;
///   `Hook`; `Unsupported` storage. In all these cases nothing was removed.
/// - Source:  reference cli.md §2.10, abi-and-wire.md A3, D2.
pub fn destroy(request: Request<'_>) -> Result<Outcome> {
    let dir = request.lxcpath.join(request.name);
    let file = dir.join("config");
    if !file.exists() {
        return Err(Error::new(ErrorKind::NotFound, "Container is not defined"));
    }
    if request.caller == Caller::User && is_running(request.lxcpath, request.name)? {
        return Err(Error::new(ErrorKind::AlreadyRunning, format!("{} is running", request.name)));
    }
    let plan = match request.settings.rootfs.managed {
        true => Some(Plan::new(&request, &dir)?),
        false => None,
    };
    if request.caller == Caller::User {
        hook::run(request.name, &file, request.settings)?;
    }
    match plan {
        None => Ok(Outcome::Kept),
        Some(plan) => plan.carry_out(&request).map(|()| Outcome::Destroyed),
    }
}

/// Refuses what [`destroy`] would refuse of a stopped container: clones, snapshots, mounts, storage.
pub fn check(request: &Request<'_>) -> Result<()> {
    match request.settings.rootfs.managed {
        true => Plan::new(request, &request.lxcpath.join(request.name)).map(drop),
        false => Ok(()),
    }
}

/// Whether a monitor serves the container's command socket.
///
/// - Errors: anything but "nobody listens": a container whose state is unknown is not destroyed.
pub fn is_running(lxcpath: &Path, name: &str) -> Result<bool> {
    let shown = || format!("ask the monitor of {name}");
    let address = SocketAddr::from_abstract_name(paths::command_socket(lxcpath, name)).what(shown)?;
    match UnixStream::connect_addr(&address) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => Ok(false),
        Err(error) => Err(error).what(shown),
    }
}

/// The directory of a container's snapshots: `snaps` in its own, or `LXCPATHsnaps/NAME` where old LXC made one.
pub fn snapshots_dir(lxcpath: &Path, name: &str) -> PathBuf {
    let mut old = lxcpath.as_os_str().to_owned();
    old.push("snaps");
    match Path::new(&old).is_dir() {
        true => Path::new(&old).join(name),
        false => lxcpath.join(name).join("snaps"),
    }
}

/// The names of the snapshots in `dir`, sorted.
pub fn snapshots_in(dir: &Path) -> Result<Vec<String>> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.what(|| format!("list {}", dir.display()))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.what(|| format!("list {}", dir.display()))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// A destruction that nothing speaks against.
struct Plan {
    dir: PathBuf,
    snaps: PathBuf,
    /// Snapshots to destroy first.
    snapshots: Vec<String>,
    storage: Storage,
    originals: Vec<Reference>,
}

impl Plan {
    fn new(request: &Request<'_>, dir: &Path) -> Result<Plan> {
        let meta = std::fs::symlink_metadata(dir).what(|| format!("look at {}", dir.display()))?;
        if !meta.is_dir() {
            return Err(Error::new(ErrorKind::Config, format!("{} is not a directory", dir.display()))
                .cure("links are not followed: destroy the container where it really is"));
        }
        let snaps = snapshots_dir(request.lxcpath, request.name);
        let snapshots = snapshots_in(&snaps)?;
        if !snapshots.is_empty() && request.snapshots == Snapshots::Keep {
            let text = format!("{} has snapshots", request.name);
            let cure = "destroy them as well with -s, or one by one with lxc-snapshot -d";
            return Err(Error::new(ErrorKind::Busy, text).cure(cure));
        }
        check_clones(request.name, dir, &snaps, &snapshots)?;
        let storage = Storage::plan(request.settings, dir)?;
        let originals = dependents::originals(dir)?;
        Ok(Plan { dir: dir.to_owned(), snaps, snapshots, storage, originals })
    }

    fn carry_out(self, request: &Request<'_>) -> Result<()> {
        // ORDER: before this container is locked: a snapshot locks the container it was taken of to leave its list.
        for snapshot in &self.snapshots {
            destroy_snapshot(&self.snaps, snapshot).what(|| format!("destroy snapshot {snapshot}"))?;
        }
        let _lock = DiskLock::acquire_within(request.lxcpath, request.name, PATIENCE)?;
        if request.caller == Caller::User && is_running(request.lxcpath, request.name)? {
            let text = format!("{} was started meanwhile", request.name);
            return Err(Error::new(ErrorKind::AlreadyRunning, text));
        }
        if let Err(error) = std::fs::remove_dir(&self.snaps)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(error).what(|| format!("remove {}", self.snaps.display()));
        }
        let idmap = &request.settings.idmap;
        self.storage.remove(idmap)?;
        let lxcpath = request.lxcpath.to_string_lossy().into_owned();
        let gone = Reference { lxcpath, name: request.name.to_owned() };
        // A list that cannot be corrected must not keep the container: its original would claim a clone for ever, which
        // the message says how to mend.
        if let Err(error) = dependents::forget(&gone, &self.originals) {
            tracing::error!("{} still lists {} as a clone: {error}", "lxc_snapshots", request.name);
        }
        ownership::remove_tree(&self.dir, idmap)
    }
}

/// Clones other than the container's own snapshots would lose the files they are made of.
fn check_clones(name: &str, dir: &Path, snaps: &Path, snapshots: &[String]) -> Result<()> {
    let others = match dependents::clones(dir)? {
        Clones::Counted(count) => count > snapshots.len() as u64,
        Clones::Listed(list) => {
            list.iter().any(|clone| Path::new(&clone.lxcpath) != snaps || !snapshots.contains(&clone.name))
        }
    };
    match others {
        false => Ok(()),
        true => Err(Error::new(ErrorKind::Busy, format!("{name} has clones"))
            .cure(format!("destroy them first; they are listed in {}", dir.join("lxc_snapshots").display()))),
    }
}

fn destroy_snapshot(snaps: &Path, name: &str) -> Result<()> {
    let file = snaps.join(name).join("config");
    if !file.exists() {
        // A snapshot that was never finished: nothing of it is anywhere else.
        return ownership::remove_tree(&snaps.join(name), &[]);
    }
    let config: Config = create::load(&file)?;
    destroy(Request {
        name,
        lxcpath: snaps,
        settings: config.settings(),
        snapshots: Snapshots::Destroy,
        caller: Caller::User,
    })
    .map(drop)
}

#[cfg(test)]
#[path = "destroy_tests.rs"]
mod tests;
