//! Running programs as root of a container's user namespace, through `lxc-usernsexec`.
//!
//! For what has to be done with the container's own ids while no container is running: filling, giving away and
//! removing its files. The caller's own id is mapped as well, so that the program can use what belongs to the caller.

use std::ffi::OsStr;
use std::process::Command;

use lxc_conf::model::{IdKind, IdMap};
use rustix::process::{getegid, geteuid};

/// The maps of the container plus one for the caller, and the ids under which the caller appears inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    pub maps: Vec<IdMap>,
    pub caller_uid: u32,
    pub caller_gid: u32,
}

impl Mapping {
    /// For the calling process.
    pub fn new(idmap: &[IdMap]) -> Mapping {
        Mapping::for_caller(idmap, geteuid().as_raw(), getegid().as_raw())
    }

    fn for_caller(idmap: &[IdMap], uid: u32, gid: u32) -> Mapping {
        let mut maps = idmap.to_vec();
        let caller_uid = add_caller(&mut maps, IdKind::User, uid);
        let caller_gid = add_caller(&mut maps, IdKind::Group, gid);
        Mapping { maps, caller_uid, caller_gid }
    }

    /// `lxc-usernsexec -m … -- PROGRAM`, to be completed with arguments.
    pub fn command(&self, program: &OsStr) -> Command {
        let mut command = Command::new("lxc-usernsexec");
        for map in &self.maps {
            command.arg("-m").arg(map_argument(map));
        }
        command.arg("--").arg(program);
        command
    }
}

/// The host id that `ns_id` of the container is, if it is mapped.
pub fn host_id(idmap: &[IdMap], kind: IdKind, ns_id: u32) -> Option<u32> {
    idmap.iter().filter(|map| map.kind == kind).find_map(|map| {
        let offset = ns_id.checked_sub(map.ns_id).filter(|offset| *offset < map.count)?;
        map.host_id.checked_add(offset)
    })
}

fn map_argument(map: &IdMap) -> String {
    let kind = match map.kind {
        IdKind::User => 'u',
        IdKind::Group => 'g',
    };
    format!("{kind}:{}:{}:{}", map.ns_id, map.host_id, map.count)
}

/// The id inside that is `host_id`; mapped to the first free one if there is none yet.
fn add_caller(maps: &mut Vec<IdMap>, kind: IdKind, host_id: u32) -> u32 {
    let known = maps.iter().filter(|map| map.kind == kind).find_map(|map| {
        let offset = host_id.checked_sub(map.host_id).filter(|offset| *offset < map.count)?;
        map.ns_id.checked_add(offset)
    });
    if let Some(ns_id) = known {
        return ns_id;
    }
    let mut free = 0;
    while let Some(end) = maps.iter().filter(|map| map.kind == kind).find_map(|map| {
        let end = map.ns_id.saturating_add(map.count);
        (map.ns_id..end).contains(&free).then_some(end)
    }) {
        free = end;
    }
    maps.push(IdMap { kind, ns_id: free, host_id, count: 1 });
    free
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(kind: IdKind, ns_id: u32, host_id: u32, count: u32) -> IdMap {
        IdMap { kind, ns_id, host_id, count }
    }

    #[test]
    fn the_caller_gets_the_first_free_id() {
        let idmap = [map(IdKind::User, 0, 100_000, 65536), map(IdKind::Group, 0, 200_000, 1000)];
        let mapping = Mapping::for_caller(&idmap, 0, 0);
        assert_eq!((mapping.caller_uid, mapping.caller_gid), (65536, 1000));
        let words: Vec<_> = mapping.maps.iter().map(map_argument).collect();
        assert_eq!(words, ["u:0:100000:65536", "g:0:200000:1000", "u:65536:0:1", "g:1000:0:1"]);
    }

    #[test]
    fn a_caller_who_is_mapped_already_is_not_mapped_twice() {
        let idmap = [
            map(IdKind::User, 0, 100_000, 1000),
            map(IdKind::User, 1000, 1000, 1),
            map(IdKind::User, 1001, 101_001, 64535),
            map(IdKind::Group, 0, 100_000, 65536),
        ];
        let mapping = Mapping::for_caller(&idmap, 1000, 1000);
        assert_eq!((mapping.caller_uid, mapping.caller_gid), (1000, 65536));
        assert_eq!(mapping.maps.len(), idmap.len() + 1);
    }

    #[test]
    fn gaps_are_used() {
        let idmap =
            [map(IdKind::User, 1, 100_000, 10), map(IdKind::Group, 5, 1, 1), map(IdKind::Group, 0, 2, 5)];
        let mapping = Mapping::for_caller(&idmap, 7, 7);
        assert_eq!((mapping.caller_uid, mapping.caller_gid), (0, 6));
    }

    #[test]
    fn host_ids_are_found_in_their_range_only() {
        let idmap = [map(IdKind::User, 0, 100_000, 10), map(IdKind::Group, 0, 200_000, 10)];
        assert_eq!(host_id(&idmap, IdKind::User, 0), Some(100_000));
        assert_eq!(host_id(&idmap, IdKind::Group, 9), Some(200_009));
        assert_eq!(host_id(&idmap, IdKind::User, 10), None);
    }
}
