//! What `lxc.mount.auto = cgroup…` mounts in the container.
//!
//! Pure: a layout and the chosen word in, an ordered list out. Not here: executing the list (`lxc-child`).

use std::path::PathBuf;

use lxc_conf::model::{AutoAccess, AutoCgroup, AutoCgroupForm};

use super::layout::{Hierarchy, LayoutKind, Version};
use crate::error::{Error, ErrorKind, Result};

/// Where everything is mounted, relative to the container's root.
const BASE: &str = "sys/fs/cgroup";

/// One step. All targets are relative to the container's root, without leading slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CgroupMount {
    /// A tmpfs: `mode=755,size=10240k`, owned by the container's root; nosuid, nodev, noexec, relatime.
    Tmpfs { target: String },
    /// A directory with missing parents, mode 0755.
    Directory { target: String },
    /// A control-group file system; nosuid, nodev, noexec, relatime.
    ///
    /// `read_only` is a flag of the mount, never of the file system, which the host shares.
    Fs { target: String, fs_type: &'static str, options: Vec<String>, read_only: bool },
    /// A directory bound over itself; read-only, nosuid, nodev, noexec.
    Seal { target: String },
    /// A directory of the host; no flags but, if asked for, read-only.
    Bind { source: PathBuf, target: String, read_only: bool },
    /// A symbolic link for one of several controllers mounted together.
    Symlink { target: String, to: String },
}

/// What decides besides the configured word.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    pub kind: LayoutKind,
    pub hierarchies: &'a [Hierarchy],
    /// The container's own cgroup relative to the bases, inner one included; used without a cgroup namespace only.
    pub payload: &'a str,
    /// Whether the container has a cgroup namespace of its own, which the child has entered by now.
    pub own_namespace: bool,
    /// Whether the container keeps CAP_SYS_ADMIN.
    pub keeps_sys_admin: bool,
}

/// Lists the mounts.
///
/// - Errors: `Unsupported` for cgroup2 without a cgroup namespace, as the original: the mount would show the whole host.
/// - Source: lxc.container.conf(5); observed: all 20 words, with and without namespace and capability, on hybrid and v2.
pub fn plan(auto: Option<&AutoCgroup>, cx: Circumstances<'_>) -> Result<Vec<CgroupMount>> {
    let Some(auto) = auto else { return Ok(Vec::new()) };
    if cx.kind == LayoutKind::Unified || auto.form == AutoCgroupForm::Cgroup2 {
        if !cx.own_namespace {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "lxc.mount.auto = cgroup… mounts cgroup2 only in a container with a cgroup namespace",
            )
            .cure("give the container a cgroup namespace (lxc.namespace.clone, .keep, .share), or remove the word"));
        }
        return Ok(vec![CgroupMount::Fs {
            target: BASE.to_owned(),
            fs_type: "cgroup2",
            options: Vec::new(),
            read_only: auto.access == AutoAccess::Ro,
        }]);
    }
    if cx.own_namespace {
        // With the capability the container's init mounts them itself, and better.
        if !auto.force && cx.keeps_sys_admin {
            return Ok(Vec::new());
        }
        return Ok(in_namespace(cx.hierarchies, auto.access == AutoAccess::Ro));
    }
    let access = match auto.access {
        AutoAccess::Unspecified if cx.keeps_sys_admin => AutoAccess::Rw,
        AutoAccess::Unspecified => AutoAccess::Mixed,
        given => given,
    };
    Ok(match auto.form {
        AutoCgroupForm::Full => full(&cx, access),
        AutoCgroupForm::Own | AutoCgroupForm::Cgroup2 => own(&cx, access),
    })
}

/// A fresh mount shows the namespace's root, which is the container's own cgroup.
fn in_namespace(hierarchies: &[Hierarchy], read_only: bool) -> Vec<CgroupMount> {
    let mut steps = vec![CgroupMount::Tmpfs { target: BASE.to_owned() }];
    for hierarchy in hierarchies {
        steps.push(fresh(hierarchy, read_only));
        steps.extend(symlinks(hierarchy));
    }
    steps
}

/// Only the path down to the container's own cgroup, as directories of the tmpfs.
fn own(cx: &Circumstances<'_>, access: AutoAccess) -> Vec<CgroupMount> {
    let mut steps = vec![CgroupMount::Tmpfs { target: BASE.to_owned() }];
    for hierarchy in cx.hierarchies {
        let dir = format!("{BASE}/{}", dir_name(hierarchy));
        let target = format!("{dir}{}", payload_path(hierarchy, cx.payload));
        steps.push(CgroupMount::Directory { target: target.clone() });
        if access != AutoAccess::Rw {
            steps.push(CgroupMount::Seal { target: dir });
        }
        let source = hierarchy.base_dir().join(cx.payload);
        steps.push(CgroupMount::Bind { source, target, read_only: access == AutoAccess::Ro });
        steps.extend(symlinks(hierarchy));
    }
    steps
}

/// The host's whole hierarchy.
///
/// The manual promises for `mixed` that everything but the container's own cgroup is read-only; 5.0.2 mounts it
/// writable. This keeps the promise.
fn full(cx: &Circumstances<'_>, access: AutoAccess) -> Vec<CgroupMount> {
    let mut steps = vec![CgroupMount::Tmpfs { target: BASE.to_owned() }];
    for hierarchy in cx.hierarchies {
        steps.push(fresh(hierarchy, access != AutoAccess::Rw));
        if access == AutoAccess::Mixed {
            steps.push(CgroupMount::Bind {
                source: hierarchy.base_dir().join(cx.payload),
                target: format!("{BASE}/{}{}", dir_name(hierarchy), payload_path(hierarchy, cx.payload)),
                read_only: false,
            });
        }
        steps.extend(symlinks(hierarchy));
    }
    steps
}

fn fresh(hierarchy: &Hierarchy, read_only: bool) -> CgroupMount {
    let (fs_type, options) = match hierarchy.version {
        Version::V1 => ("cgroup", hierarchy.controllers.clone()),
        Version::V2 => ("cgroup2", Vec::new()),
    };
    CgroupMount::Fs { target: format!("{BASE}/{}", dir_name(hierarchy)), fs_type, options, read_only }
}

/// The container's cgroup from the root of the hierarchy, with leading slash.
fn payload_path(hierarchy: &Hierarchy, payload: &str) -> String {
    format!("{}/{payload}", hierarchy.base_cgroup.trim_end_matches('/'))
}

/// The directory below /sys/fs/cgroup: called as on the host, where that is the customary place.
fn dir_name(hierarchy: &Hierarchy) -> String {
    let customary = hierarchy.mountpoint.strip_prefix("/sys/fs/cgroup").ok().and_then(|name| name.to_str());
    match (customary, hierarchy.version) {
        (Some(name), _) if !name.is_empty() && !name.contains('/') => name.to_owned(),
        (_, Version::V2) => "unified".to_owned(),
        (_, Version::V1) => {
            let names = hierarchy.controllers.iter().map(|name| name.strip_prefix("name=").unwrap_or(name));
            names.collect::<Vec<_>>().join(",")
        }
    }
}

/// One link per controller that shares its directory with others.
fn symlinks(hierarchy: &Hierarchy) -> Vec<CgroupMount> {
    let dir = dir_name(hierarchy);
    if hierarchy.version == Version::V2 || hierarchy.controllers.len() < 2 {
        return Vec::new();
    }
    let names = hierarchy.controllers.iter().filter(|name| !name.starts_with("name=") && **name != dir);
    names.map(|name| CgroupMount::Symlink { target: format!("{BASE}/{name}"), to: dir.clone() }).collect()
}

#[cfg(test)]
mod tests;
