//! `lxc.mount.auto`: proc, sys and shmounts. (cgroup words are planned by the cgroup module, which knows hierarchies.)
//!
//! Source: config.md §9; what the original mounts was read off /proc/self/mountinfo of its containers.

use lxc_child::script::{Create, Propagation, Resolve};
use lxc_conf::model::{AutoProc, AutoSys, Origin, Settings, ShMounts};
use lxc_sys::mount::{MountAttr, attr};

use super::{MS_SLAVE, MountKind, MountPlan};
use crate::error::{Result, cstring};

const SEALED: u64 = attr::NOSUID | attr::NODEV | attr::NOEXEC;

/// proc and sys, in the order in which they are mounted.
pub fn plan(settings: &Settings, keeps_net_admin: bool) -> Result<Vec<MountPlan>> {
    let auto = &settings.mounts.auto;
    let mut plans = Vec::new();
    match auto.proc {
        None => {}
        Some(AutoProc::Rw) => plans.push(fs(c"proc", SEALED, &auto.origin)),
        Some(AutoProc::Mixed) => {
            plans.push(fs(c"proc", SEALED, &auto.origin));
            plans.push(seal(c"proc/sys", &auto.origin));
            if keeps_net_admin {
                plans.push(unseal(c"proc/sys/net", &auto.origin));
            }
            let mut sysrq = seal(c"proc/sysrq-trigger", &auto.origin);
            // Kernels without magic SysRq have no such file.
            sysrq.optional = true;
            plans.push(sysrq);
        }
    }
    match auto.sys {
        None => {}
        Some(AutoSys::Rw) => plans.push(fs(c"sysfs", 0, &auto.origin)),
        Some(AutoSys::Ro) => {
            let mut sys = fs(c"sysfs", attr::RDONLY, &auto.origin);
            if let MountKind::Fs { read_only, .. } = &mut sys.kind {
                *read_only = true;
            }
            plans.push(sys);
        }
        Some(AutoSys::Mixed) => {
            plans.push(fs(c"sysfs", attr::RDONLY | SEALED, &auto.origin));
            plans.push(unseal(c"sys/devices/virtual/net", &auto.origin));
        }
    }
    Ok(plans)
}

/// The bind of the shared mount directory: a slave inside, so that what the host mounts there arrives.
pub fn shmounts(shmounts: &ShMounts, origin: &Origin) -> Result<MountPlan> {
    Ok(MountPlan {
        create: Create::Dir,
        propagation: Propagation::Top(MS_SLAVE),
        origin: origin.clone(),
        ..MountPlan::new(
            MountKind::Bind { source: cstring(shmounts.host.as_str())?, recursive: false },
            cstring(shmounts.container.trim_start_matches('/'))?,
            Resolve::NoSymlinks,
        )
    })
}

fn fs(fstype: &std::ffi::CStr, set: u64, origin: &Origin) -> MountPlan {
    let target = if fstype == c"proc" { c"proc" } else { c"sys" };
    MountPlan {
        create: Create::Dir,
        attr: MountAttr::setting(set),
        origin: origin.clone(),
        ..MountPlan::new(
            MountKind::Fs {
                fstype: fstype.to_owned(),
                source: fstype.to_owned(),
                params: Vec::new(),
                read_only: false,
            },
            target.to_owned(),
            Resolve::NoSymlinks,
        )
    }
}

/// Binds a part onto itself, read-only.
fn seal(path: &std::ffi::CStr, origin: &Origin) -> MountPlan {
    MountPlan {
        attr: MountAttr::setting(attr::RDONLY),
        origin: origin.clone(),
        ..MountPlan::new(
            MountKind::BindInside { source: path.to_owned(), recursive: false },
            path.to_owned(),
            Resolve::NoSymlinks,
        )
    }
}

/// Binds a part of something sealed onto itself, writable.
fn unseal(path: &std::ffi::CStr, origin: &Origin) -> MountPlan {
    let mut plan = seal(path, origin);
    plan.attr = MountAttr::clearing(attr::RDONLY);
    plan
}
