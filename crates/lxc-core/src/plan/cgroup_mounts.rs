//! `lxc.mount.auto = cgroup…` as mount operations: the list comes from the cgroup module, the operations are ours.

use lxc_child::script::{Create, Resolve};
use lxc_conf::model::{Ns, Origin, Settings};
use lxc_sys::mount::{MountAttr, attr};

use super::NamespacePlan;
use crate::cgroup::mounts::{CgroupMount, Circumstances};
use crate::cgroup::plan::CgroupPlan;
use crate::error::{Result, cstring};
use crate::mounts::{MountKind, MountPlan, Param};

const SEALED: u64 = attr::NOSUID | attr::NODEV | attr::NOEXEC;

/// Plans the mounts.
///
/// - Shape: `payload` is the name chosen for the payload's cgroup; it shows only in containers without a cgroup namespace.
pub fn plan(
    settings: &Settings,
    cgroups: &CgroupPlan,
    payload: &str,
    namespaces: &NamespacePlan,
    keeps_sys_admin: bool,
) -> Result<Vec<MountPlan>> {
    let origin = &settings.mounts.auto.origin;
    let payload = match &cgroups.inner {
        Some(inner) => format!("{payload}/{inner}"),
        None => payload.to_owned(),
    };
    let circumstances = Circumstances {
        kind: cgroups.kind,
        hierarchies: &cgroups.hierarchies,
        payload: &payload,
        // A shared one serves as well: the mount shows its root.
        own_namespace: namespaces.owns(Ns::Cgroup) || namespaces.shares(Ns::Cgroup),
        keeps_sys_admin,
    };
    crate::cgroup::mounts::plan(settings.mounts.auto.cgroup.as_ref(), circumstances)
        .map_err(|error| error.at(origin))?
        .into_iter()
        .map(|mount| operation(mount, origin))
        .collect()
}

fn operation(mount: CgroupMount, origin: &Origin) -> Result<MountPlan> {
    let (kind, target, set, create) = match mount {
        CgroupMount::Tmpfs { target } => {
            let params = vec![
                Param::String(c"mode".into(), c"755".into()),
                Param::String(c"size".into(), c"10240k".into()),
            ];
            (new_fs("tmpfs", params)?, target, SEALED, Create::Dir)
        }
        CgroupMount::Directory { target } => (MountKind::Directory, target, 0, Create::Dir),
        CgroupMount::Fs { target, fs_type, options, read_only } => {
            let params = options.into_iter().map(option).collect::<Result<_>>()?;
            let set = if read_only { SEALED | attr::RDONLY } else { SEALED };
            (new_fs(fs_type, params)?, target, set, Create::Dir)
        }
        CgroupMount::Seal { target } => {
            let kind = MountKind::BindInside { source: cstring(target.as_str())?, recursive: false };
            (kind, target, SEALED | attr::RDONLY, Create::No)
        }
        CgroupMount::Bind { source, target, read_only } => {
            use std::os::unix::ffi::OsStrExt;
            let kind = MountKind::Bind { source: cstring(source.as_os_str().as_bytes())?, recursive: false };
            (kind, target, if read_only { attr::RDONLY } else { 0 }, Create::No)
        }
        CgroupMount::Symlink { target, to } => {
            (MountKind::Symlink { to: cstring(to)? }, target, 0, Create::No)
        }
    };
    Ok(MountPlan {
        create,
        attr: MountAttr::setting(set),
        origin: origin.clone(),
        ..MountPlan::new(kind, cstring(target)?, Resolve::NoSymlinks)
    })
}

/// COMPAT: the source is `none`, as mountinfo of the original's containers shows it.
fn new_fs(fs_type: &str, params: Vec<Param>) -> Result<MountKind> {
    Ok(MountKind::Fs { fstype: cstring(fs_type)?, source: c"none".into(), params, read_only: false })
}

/// A v1 controller is a flag, a named hierarchy `name=…` (and `none`, which goes with it).
fn option(option: String) -> Result<Param> {
    Ok(match option.split_once('=') {
        Some((key, value)) => Param::String(cstring(key)?, cstring(value)?),
        None => Param::Flag(cstring(option)?),
    })
}
