//! Id maps: accepted lines print as themselves, what goes to the kernel reads back as the same map, and no look-up
//! leaves its range.

use lxc_conf::model::{IdKind, IdMap};
use lxc_conf::value::idmap;
use lxc_core::attach::IdRanges;

use crate::text;

pub fn check(input: &[u8]) {
    let Some(text) = text(input) else { return };
    let mut maps: Vec<IdMap> = Vec::new();
    for line in text.lines() {
        match idmap::parse(line) {
            Ok(map) => {
                let printed = idmap::format(&map);
                let again = idmap::parse(&printed).unwrap_or_else(|error| panic!("{printed:?}: {error}"));
                assert_eq!(again, map, "{line:?} as {printed:?}");
                maps.push(map);
            }
            Err(error) => assert!(error.offset <= line.len(), "{line:?}: byte {}: {error}", error.offset),
        }
    }
    for kind in [IdKind::User, IdKind::Group] {
        let ranges = IdRanges::parse(&lxc_core::idmap::map_text(&maps, kind));
        let of_kind: Vec<&IdMap> = maps.iter().filter(|map| map.kind == kind).collect();
        assert_eq!(ranges.0.len(), of_kind.len(), "a range a line");
        for (range, map) in ranges.0.iter().zip(&of_kind) {
            assert_eq!((range.inside, range.outside, range.count), (map.ns_id, map.host_id, map.count));
            let last = map.ns_id.saturating_add(map.count);
            for id in [0, map.ns_id, map.ns_id.wrapping_sub(1), last.saturating_sub(1), last, u32::MAX] {
                let host = lxc_core::idmap::host_id(&maps, kind, id);
                if let Some(host) = host {
                    let inside = |map: &IdMap| {
                        id.checked_sub(map.ns_id)
                            .is_some_and(|at| at < map.count && map.host_id.checked_add(at) == Some(host))
                    };
                    assert!(of_kind.iter().any(|map| inside(map)), "{id} became {host}, in no range");
                }
            }
        }
    }
    let (uid, gid) = lxc_core::idmap::namespace_root(&maps, (7, 8));
    assert!([0, 7].contains(&uid) && [0, 8].contains(&gid));
    let needed = [(IdKind::User, 0, "root"), (IdKind::Group, u32::MAX, "nobody")];
    let checked = lxc_core::idmap::check(&maps, &needed);
    let all = needed.iter().all(|(kind, id, _)| lxc_core::idmap::host_id(&maps, *kind, *id).is_some());
    assert_eq!(checked.is_ok(), all);
}
