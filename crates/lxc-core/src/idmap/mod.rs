//! User-namespace id maps: planned from the configuration, written to /proc or through newuidmap.

pub mod apply;
pub mod grant;
pub mod inside;
pub mod namespace;
pub mod subid;

use std::fmt::Write as _;

use lxc_conf::model::{IdKind, IdMap};

use crate::error::{Error, ErrorKind, Result};

/// The ids that are root inside: those mapped to 0, else the ids init runs as.
///
/// - Shape: `(uid, gid)` inside, and the host ids they stand for, `None` when unmapped.
pub fn namespace_root(maps: &[IdMap], init: (u32, u32)) -> (u32, u32) {
    let of = |kind, fallback| if host_id(maps, kind, 0).is_some() { 0 } else { fallback };
    (of(IdKind::User, init.0), of(IdKind::Group, init.1))
}

/// Refuses maps in which nobody can live: `users` and `groups` are the ids needed inside, with the reason.
///
/// - Errors: `Config`, with the id that is not mapped. The kernel would say `EINVAL` in the middle of the start.
pub fn check(maps: &[IdMap], needed: &[(IdKind, u32, &'static str)]) -> Result<()> {
    for (kind, id, who) in needed {
        if host_id(maps, *kind, *id).is_some() {
            continue;
        }
        let (word, letter) = match kind {
            IdKind::User => ("uid", "u"),
            IdKind::Group => ("gid", "g"),
        };
        return Err(Error::new(ErrorKind::Config, format!("{who}: {word} {id} is not mapped by lxc.idmap"))
            .cure(format!("add a line lxc.idmap = {letter} {id} HOSTID COUNT")));
    }
    Ok(())
}

/// The host id behind `id` inside.
pub fn host_id(maps: &[IdMap], kind: IdKind, id: u32) -> Option<u32> {
    maps.iter()
        .filter(|map| map.kind == kind)
        .find(|map| id >= map.ns_id && id - map.ns_id < map.count)
        .and_then(|map| map.host_id.checked_add(id - map.ns_id))
}

/// The text of `/proc/PID/uid_map` or `gid_map`.
pub fn map_text(maps: &[IdMap], kind: IdKind) -> String {
    maps.iter().filter(|map| map.kind == kind).fold(String::new(), |mut text, map| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{} {} {}", map.ns_id, map.host_id, map.count);
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maps() -> Vec<IdMap> {
        vec![
            IdMap { kind: IdKind::User, ns_id: 0, host_id: 100_000, count: 1000 },
            IdMap { kind: IdKind::User, ns_id: 1000, host_id: 1000, count: 1 },
            IdMap { kind: IdKind::Group, ns_id: 5, host_id: 100_005, count: 10 },
        ]
    }

    #[test]
    fn ids_are_looked_up_range_by_range() {
        assert_eq!(host_id(&maps(), IdKind::User, 999), Some(100_999));
        assert_eq!(host_id(&maps(), IdKind::User, 1000), Some(1000));
        assert_eq!(host_id(&maps(), IdKind::User, 1001), None);
        assert_eq!(host_id(&maps(), IdKind::Group, 4), None);
    }

    #[test]
    fn without_a_map_for_zero_root_is_whoever_init_runs_as() {
        assert_eq!(namespace_root(&maps(), (7, 8)), (0, 8));
    }

    #[test]
    fn map_text_is_one_range_a_line() {
        assert_eq!(map_text(&maps(), IdKind::User), "0 100000 1000\n1000 1000 1\n");
    }
}
