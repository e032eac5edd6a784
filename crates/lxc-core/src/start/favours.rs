//! What the monitor does for a child in a user namespace: opening paths the child may not traverse, and giving detached
//! mounts other ids.
//!
//! Not here: the conversation (`handshake`), and what is mounted (`mounts`, `rootfs`).

use std::borrow::Cow;
use std::os::fd::{AsFd, OwnedFd};

use lxc_child::sync::{LAYER, ROOTFS, ROOTFS_MOUNT};
use lxc_conf::model::Origin;
use lxc_conf::value::mount_entry::IdmapSource;
use lxc_sys::mount::{Depth, MountAttr, set_attributes};
use lxc_sys::proc::ProcFs;
use lxc_sys::tree::{self, Resolve};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags, openat, statx};
use rustix::io::Errno;

use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::idmap;
use crate::mounts::MountKind;
use crate::plan::StartPlan;
use crate::rootfs::RootfsPlan;

/// User namespaces other than the container's that `idmap=` names, by the number of the mount.
#[derive(Debug, Default)]
pub(super) struct Favours {
    namespaces: Vec<(u32, OwnedFd)>,
}

/// What the child calls by a number.
struct Wanted<'a> {
    source: Cow<'a, str>,
    idmap: Option<&'a IdmapSource>,
    recursive: bool,
    optional: bool,
    origin: Option<&'a Origin>,
}

impl Favours {
    /// Opens the user namespaces that are named, and makes those that are spelled out.
    ///
    /// - Context: monitor, single-threaded, before the clone.
    pub(super) fn arm(plan: &StartPlan) -> Result<Favours> {
        let mut namespaces = Vec::new();
        let rootfs = plan.rootfs.idmap().map(|_| ROOTFS);
        for item in (0..plan.mounts.len() as u32).chain(rootfs) {
            let Some(wanted) = wanted(plan, item) else { continue };
            let at = |error: Error| error.at(&wanted.origin.cloned().unwrap_or_default());
            match wanted.idmap {
                None | Some(IdmapSource::Container) => {}
                Some(IdmapSource::Path(path)) => {
                    let opened = openat(CWD, path.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
                    let opened = opened.what(|| format!("open the user namespace {path} (idmap=)"));
                    namespaces.push((item, opened.map_err(at)?));
                }
                Some(IdmapSource::Maps(maps)) => {
                    namespaces.push((item, idmap::namespace::make(maps).map_err(at)?));
                }
            }
        }
        Ok(Favours { namespaces })
    }

    /// Opens the source of `item` as the monitor's user, but in the mount namespace of the child: only what is mounted
    /// there can be copied there, and only with the locks that came with the namespace.
    pub(super) fn open(
        plan: &StartPlan,
        proc: &ProcFs,
        pid: i32,
        item: u32,
    ) -> std::result::Result<OwnedFd, Errno> {
        let wanted = wanted(plan, item).ok_or(Errno::INVAL)?;
        let path = OFlags::PATH | OFlags::CLOEXEC;
        let dir = proc.open_at(pid.to_string(), path | OFlags::DIRECTORY)?;
        // A magic link, which is the point: it leads into the child's mount namespace.
        let root = openat(&dir, "root", path | OFlags::DIRECTORY, Mode::empty())?;
        let links = if item == ROOTFS { OFlags::DIRECTORY | OFlags::NOFOLLOW } else { OFlags::empty() };
        tree::open(root.as_fd(), &*wanted.source, path | links, Resolve::InRoot)
    }

    /// Gives the detached mount `tree` the ids of `item`; `Ok(Some(errno))` when it may fail and did.
    ///
    /// - Errors: names the file system that cannot, where that can be found out.
    pub(super) fn map_ids(
        &self,
        plan: &StartPlan,
        proc: &ProcFs,
        pid: i32,
        item: u32,
        tree: &OwnedFd,
    ) -> Result<Option<Errno>> {
        let lost = || Error::new(ErrorKind::Protocol, "map the ids of a mount that has no idmap=");
        let wanted = wanted(plan, item).ok_or_else(lost)?;
        let source = wanted.idmap.ok_or_else(lost)?;
        let key = if item >= LAYER { ROOTFS } else { item };
        let own;
        let userns = match self.namespaces.iter().find(|(number, _)| *number == key) {
            Some((_, namespace)) => namespace,
            None => {
                own = super::lifecycle::open_namespace(proc, pid, lxc_conf::model::Ns::User)?;
                &own
            }
        };
        let attributes = MountAttr::default().idmapped(userns.as_fd());
        let depth = if wanted.recursive { Depth::Recursive } else { Depth::Top };
        let Err(errno) = set_attributes(tree.as_fd(), &attributes, depth) else { return Ok(None) };
        let error = Error::kernel(errno, format!("map the ids of {} (idmap={source})", wanted.source));
        let error = match errno {
            Errno::INVAL => match culprit(&wanted, &attributes) {
                Some((place, fstype)) => error.cure(format!(
                    "{place} is a file system of type {fstype}, which Linux {} cannot map the ids of; \
                     ext4, xfs, btrfs and tmpfs can",
                    rustix::system::uname().release().to_string_lossy()
                )),
                None => error.cure("is that user namespace mapped, and not the initial one?"),
            },
            Errno::PERM if matches!(source, IdmapSource::Path(_)) => {
                error.cure("the initial user namespace maps nothing, and only root of the host may map ids")
            }
            Errno::PERM => error.cure(
                "only root of the host may map the ids of its file systems, and only once: a mount with idmap= \
                 cannot be the source of another",
            ),
            _ => error,
        };
        let error = error.at(&wanted.origin.cloned().unwrap_or_default());
        if !wanted.optional {
            return Err(error);
        }
        tracing::info!("{error} (the start goes on)");
        Ok(Some(errno))
    }
}

/// What `item` stands for in the plan.
fn wanted(plan: &StartPlan, item: u32) -> Option<Wanted<'_>> {
    let root = |source, recursive| Wanted {
        source,
        idmap: plan.rootfs.idmap(),
        recursive,
        optional: false,
        origin: plan.rootfs_options.as_ref(),
    };
    match (item, &plan.rootfs) {
        (ROOTFS_MOUNT, RootfsPlan::Dir { mount, .. } | RootfsPlan::Overlay { mount, .. }) => {
            Some(root(mount.to_string_lossy(), false))
        }
        (ROOTFS, RootfsPlan::Dir { source, .. }) => Some(root(source.to_string_lossy(), true)),
        (ROOTFS, RootfsPlan::Overlay { mount, .. }) => Some(root(mount.to_string_lossy(), false)),
        (LAYER.., RootfsPlan::Overlay { layers, .. }) => {
            let (_, source) = layers.get((item - LAYER) as usize)?;
            Some(root(source.to_string_lossy(), false))
        }
        _ => {
            let mount = plan.mounts.get(item as usize)?;
            let (source, idmap, recursive) = match &mount.kind {
                MountKind::Bind { source, recursive } => (source, None, *recursive),
                MountKind::Idmapped { source, idmap, recursive, .. } => (source, Some(idmap), *recursive),
                _ => return None,
            };
            Some(Wanted {
                source: source.to_string_lossy(),
                idmap,
                recursive,
                optional: mount.optional,
                origin: Some(&mount.origin),
            })
        }
    }
}

/// The first mount at or below the source that refuses: its mount point and type.
///
/// The kernel only says that one of them does, so they are tried one by one on copies of their own.
fn culprit(wanted: &Wanted<'_>, attributes: &MountAttr) -> Option<(String, String)> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let at = statx(CWD, &*wanted.source, AtFlags::empty(), StatxFlags::MNT_ID).ok()?.stx_mnt_id;
    let below = format!("{}/", wanted.source.trim_end_matches('/'));
    text.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mut fields = left.split(' ');
        let id: u64 = fields.next()?.parse().ok()?;
        let point = fields.nth(3)?;
        if id != at && !(wanted.recursive && point.starts_with(&below)) {
            return None;
        }
        let fd = openat(CWD, point, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let copy = lxc_child::mounts::clone_tree(fd.as_fd(), false).ok()?;
        let refused = set_attributes(copy.as_fd(), attributes, Depth::Top) == Err(Errno::INVAL);
        refused.then(|| (point.to_owned(), right.split(' ').next().unwrap_or_default().to_owned()))
    })
}
