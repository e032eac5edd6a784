//! Making the directories of cgroups: paths of them, and what a v1 cpuset needs before it takes a process.
//!
//! Relative to an open directory and never through links. Not here: names (`plan`), removal (`prune`).

use std::cell::OnceCell;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Mode};
use rustix::io::Errno;

use super::file;
use super::layout::{Hierarchy, Version};

/// What to do when the last component of a new cgroup's path exists.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    Refuse,
    Reuse,
}

/// The directories above `path` that do not exist, shallow ones first.
pub(super) fn missing_parents(base: &OwnedFd, path: &str) -> Vec<String> {
    path.match_indices('/')
        .map(|(end, _)| path.get(..end).unwrap_or_default())
        .filter(|parent| {
            !parent.is_empty()
                && rustix::fs::accessat(base, *parent, rustix::fs::Access::EXISTS, AtFlags::empty()).is_err()
        })
        .map(str::to_owned)
        .collect()
}

/// Makes `path` below `base`; components above the last one may exist.
pub(super) fn make_path(
    base: &OwnedFd,
    hierarchy: &Hierarchy,
    path: &str,
    taken: Taken,
    isolated: &IsolatedCpus,
) -> std::result::Result<OwnedFd, Errno> {
    let Some((parents, last)) = path.rsplit_once('/') else {
        return make_one(base, hierarchy, path, taken, isolated);
    };
    let mut parent: Option<OwnedFd> = None;
    for part in parents.split('/').filter(|part| !part.is_empty()) {
        let above = parent.as_ref().unwrap_or(base);
        parent = Some(make_one(above, hierarchy, part, Taken::Reuse, isolated)?);
    }
    make_one(parent.as_ref().unwrap_or(base), hierarchy, last, taken, isolated)
}

pub(super) fn make_one(
    parent: &OwnedFd,
    hierarchy: &Hierarchy,
    name: &str,
    taken: Taken,
    isolated: &IsolatedCpus,
) -> std::result::Result<OwnedFd, Errno> {
    let made = match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
        Ok(()) => true,
        Err(Errno::EXIST) if taken == Taken::Reuse => false,
        Err(errno) => return Err(errno),
    };
    let prepared = file::open_dir(parent, name).and_then(|fd| {
        if made && hierarchy.version == Version::V1 && hierarchy.has("cpuset") {
            inherit_cpuset(parent, &fd, isolated)?;
        }
        Ok(fd)
    });
    if prepared.is_err() && made {
        // The cgroup is empty and nobody knows of it yet.
        let _ = rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR);
    }
    prepared
}

/// A v1 cpuset cgroup starts without CPUs and memory nodes and takes no process until it has some.
fn inherit_cpuset(
    parent: &OwnedFd,
    child: &OwnedFd,
    isolated: &IsolatedCpus,
) -> std::result::Result<(), Errno> {
    if file::read(parent, "cgroup.clone_children")?.trim() == "1" {
        return Ok(());
    }
    let cpus = file::read(parent, "cpuset.cpus")?;
    let cpus = isolated.removed_from(cpus.trim());
    file::write(child, "cpuset.cpus", cpus.as_bytes())?;
    let mems = file::read(parent, "cpuset.mems")?;
    file::write(child, "cpuset.mems", mems.trim().as_bytes())?;
    // Cgroups made below it (by a container's own manager) inherit by themselves.
    file::write(child, "cgroup.clone_children", b"1")
}

/// The CPUs kept free of ordinary load by `isolcpus=`; read once, when first needed.
#[derive(Default)]
pub(super) struct IsolatedCpus(OnceCell<String>);

impl IsolatedCpus {
    fn removed_from(&self, cpus: &str) -> String {
        let isolated = self.0.get_or_init(|| {
            let path = std::path::Path::new("/sys/devices/system/cpu/isolated");
            super::layout::read_text(path).map(|text| text.trim().to_owned()).unwrap_or_default()
        });
        super::cpulist::without(cpus, isolated)
    }
}
