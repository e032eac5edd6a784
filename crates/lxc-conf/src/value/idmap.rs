//! `lxc.idmap`: `u|g NSID HOSTID COUNT`.

use super::{Result, ValueError, number, words};
use crate::model::{IdKind, IdMap};

/// What the original logs for anything but a wrong type.
const UNPARSABLE: &str = "Invalid argument - Failed to parse id mappings";

/// Parses one line. Numbers are plain decimal ones that fit in 32 bits, as ids do.
pub fn parse(value: &str) -> Result<IdMap> {
    let mut words = words(value);
    let kind = match words.next() {
        Some((_, "u")) => IdKind::User,
        Some((_, "g")) => IdKind::Group,
        Some((at, other)) => {
            let error = ValueError::new(format!("{other:?} is not an id map type; expected u or g")).at(at);
            return Err(match other.len() {
                1 => error.compat(format!("Invalid argument - Invalid id mapping type: {other}")),
                _ => error.compat(UNPARSABLE),
            });
        }
        None => return Err(shape()),
    };
    let mut id = |what: &str, parse: fn(&str) -> Result<u32>| -> Result<u32> {
        let (at, word) = words.next().ok_or_else(shape)?;
        parse(word).map_err(|e| ValueError::new(format!("{what}: {}", e.reason)).at(at))
    };
    let map = IdMap {
        kind,
        ns_id: id("id in the container", number::id)?,
        host_id: id("id on the host", number::id)?,
        count: id("number of ids", number::id_count)?,
    };
    match words.next() {
        None => Ok(map),
        Some((at, extra)) => Err(ValueError::new(format!("unexpected {extra:?} after the id map")).at(at)),
    }
}

fn shape() -> ValueError {
    ValueError::new("expected four words: u or g, id in the container, id on the host, number of ids")
        .compat(UNPARSABLE)
}

/// The text a getter prints.
pub fn format(map: &IdMap) -> String {
    let kind = match map.kind {
        IdKind::User => 'u',
        IdKind::Group => 'g',
    };
    format!("{kind} {} {} {}", map.ns_id, map.host_id, map.count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let map = parse("g  0\t16 8").unwrap();
        assert_eq!(map, IdMap { kind: IdKind::Group, ns_id: 0, host_id: 16, count: 8 });
        assert_eq!(format(&map), "g 0 16 8");
        for bad in [
            "",
            "u",
            "u 0 1",
            "b 0 1 2",
            "user 0 1 2",
            "u 0 1 2 3",
            "u 0 1 2x",
            "u 0 1 -2",
            "u 0 4294967296 1",
            "u 0x0 1 2",
            "u 0 010 2",
            "u 0 +1 2",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(parse("u 0 1 x").unwrap_err().offset, 6);
    }
}
