//! Paths that only the container's root will walk: overlay layers, which the kernel looks up itself when it mounts them.
//!
//! Everything else is opened by the monitor with its own rights when the container's root cannot get there (`favours`).

use std::path::{Path, PathBuf};

use lxc_conf::model::IdKind;
use rustix::fs::{Stat, stat};

use crate::error::{Error, ErrorKind, Result};
use crate::idmap;
use crate::plan::StartPlan;
use crate::rootfs::RootfsPlan;

/// - Errors: `Permission`, with every directory that is in the way and one command that opens them all.
pub(super) fn check<'a>(plan: &StartPlan, paths: impl Iterator<Item = &'a str>) -> Result<()> {
    let root = |kind| idmap::host_id(&plan.idmap, kind, 0);
    let (Some(uid), Some(gid)) = (root(IdKind::User), root(IdKind::Group)) else { return Ok(()) };
    // Mapped layers are opened by the monitor.
    if plan.rootfs.idmap().is_some() || !matches!(plan.rootfs, RootfsPlan::Overlay { .. }) {
        return Ok(());
    }
    let mut blocked: Vec<PathBuf> = Vec::new();
    for path in paths {
        for dir in ancestors(Path::new(path)) {
            // What is missing or hidden from the caller is told by whoever opens it.
            let Ok(facts) = stat(dir) else { break };
            if !may_enter(&facts, acl(dir).as_deref(), uid, gid) && !blocked.iter().any(|found| found == dir)
            {
                blocked.push(dir.to_owned());
            }
        }
    }
    if blocked.is_empty() {
        return Ok(());
    }
    let list = |separator: &str| {
        blocked.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(separator)
    };
    Err(Error::new(
        ErrorKind::Permission,
        format!("the container's root (uid {uid} of the host) may not enter {}", list(", ")),
    )
    .cure(format!("setfacl -m u:{uid}:x {0} (or, for everybody: chmod o+x {0})", list(" "))))
}

/// The directories above `path`, from the root on, without itself: its own permissions are the file system's business.
fn ancestors(path: &Path) -> impl Iterator<Item = &Path> {
    let mut all: Vec<&Path> = path.ancestors().skip(1).filter(|dir| dir.is_absolute()).collect();
    all.reverse();
    all.into_iter()
}

const EXECUTE: u32 = 1;

/// - Source: path_resolution(7); acl(5), "Access check algorithm".
fn may_enter(facts: &Stat, acl: Option<&[u8]>, uid: u32, gid: u32) -> bool {
    let class = |shift: u32| facts.st_mode >> shift & EXECUTE != 0;
    if facts.st_uid == uid {
        return class(6);
    }
    let Some(entries) = acl.and_then(entries) else {
        return if facts.st_gid == gid { class(3) } else { class(0) };
    };
    let mask = entries.iter().find(|entry| entry.tag == MASK).map_or(EXECUTE, |entry| entry.permissions);
    let masked = |entry: &Entry| entry.permissions & mask & EXECUTE != 0;
    if let Some(own) = entries.iter().find(|entry| entry.tag == USER && entry.id == uid) {
        return masked(own);
    }
    let groups: Vec<&Entry> = entries
        .iter()
        .filter(|entry| {
            entry.tag == GROUP && entry.id == gid || entry.tag == GROUP_OBJ && facts.st_gid == gid
        })
        .collect();
    match groups.is_empty() {
        true => class(0),
        false => groups.into_iter().any(masked),
    }
}

const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;

struct Entry {
    tag: u16,
    permissions: u32,
    id: u32,
}

/// The extended attribute that holds a directory's access list, if it has one.
fn acl(dir: &Path) -> Option<Vec<u8>> {
    let mut value = vec![0; 4096];
    let length = rustix::fs::getxattr(dir, "system.posix_acl_access", &mut value).ok()?;
    value.truncate(length);
    Some(value)
}

/// - Source: linux/posix_acl_xattr.h: version 2, then tag, permissions and id of each entry, little-endian.
fn entries(value: &[u8]) -> Option<Vec<Entry>> {
    let (version, rest) = value.split_at_checked(4)?;
    if version != [2, 0, 0, 0] || rest.len() % 8 != 0 {
        return None;
    }
    Some(
        rest.chunks_exact(8)
            .filter_map(|entry| {
                let [a, b, c, d, e, f, g, h] = *<&[u8; 8]>::try_from(entry).ok()?;
                Some(Entry {
                    tag: u16::from_le_bytes([a, b]),
                    permissions: u32::from(u16::from_le_bytes([c, d])),
                    id: u32::from_le_bytes([e, f, g, h]),
                })
            })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Facts of a directory with `mode`, of uid 1000 and gid 1000.
    fn facts(mode: u32) -> Stat {
        let mut facts = stat("/").expect("stat");
        facts.st_mode = 0o040_000 | mode;
        (facts.st_uid, facts.st_gid) = (1000, 1000);
        facts
    }

    fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut value = vec![2, 0, 0, 0];
        for (tag, permissions, id) in entries {
            value.extend(tag.to_le_bytes());
            value.extend(permissions.to_le_bytes());
            value.extend(id.to_le_bytes());
        }
        value
    }

    #[test]
    fn the_class_that_applies_decides() {
        assert!(may_enter(&facts(0o100), None, 1000, 5));
        assert!(!may_enter(&facts(0o011), None, 1000, 1000));
        assert!(may_enter(&facts(0o010), None, 5, 1000));
        assert!(!may_enter(&facts(0o101), None, 5, 1000));
        assert!(may_enter(&facts(0o001), None, 5, 5));
        assert!(!may_enter(&facts(0o750), None, 5, 5));
    }

    #[test]
    fn access_lists_are_heard() {
        let list = acl(&[
            (1, 7, u32::MAX),
            (USER, 1, 5),
            (GROUP_OBJ, 0, u32::MAX),
            (MASK, 1, u32::MAX),
            (0x20, 0, u32::MAX),
        ]);
        assert!(may_enter(&facts(0o710), Some(&list), 5, 5));
        assert!(!may_enter(&facts(0o710), Some(&list), 6, 6));
        let masked = acl(&[(USER, 1, 5), (MASK, 0, u32::MAX)]);
        assert!(!may_enter(&facts(0o700), Some(&masked), 5, 5));
        let group = acl(&[(GROUP, 1, 9), (MASK, 7, u32::MAX)]);
        assert!(may_enter(&facts(0o770), Some(&group), 5, 9));
        assert!(entries(b"\x01\0\0\0").is_none() && entries(b"\x02\0\0\0\x01").is_none());
    }

    #[test]
    fn the_directory_itself_is_not_one_of_its_ancestors() {
        let all: Vec<_> = ancestors(Path::new("/a/b/c")).collect();
        assert_eq!(all, [Path::new("/"), Path::new("/a"), Path::new("/a/b")]);
    }
}
