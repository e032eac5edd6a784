//! /etc/subuid and /etc/subgid: a user gets his own lines and no others, and what is covered is made of ids in them.

use lxc_conf::model::IdKind;
use lxc_core::idmap::subid::{Allocation, User};

use crate::text;

pub fn check(input: &[u8]) {
    let Some(text) = text(input) else { return };
    let user = User { name: Some("alice".to_owned()), uid: 1000, gid: 1000 };
    let found = Allocation::parse(IdKind::User, &user, text);
    let lines: Vec<&str> = text.lines().collect();
    for number in found.ranges.iter().map(|range| range.line).chain(found.malformed.iter().copied()) {
        let line =
            lines.get(number.wrapping_sub(1)).unwrap_or_else(|| panic!("line {number} of {}", lines.len()));
        assert!(
            line.starts_with("alice:")
                || line.starts_with("1000:")
                || ["alice", "1000"].contains(&line.trim_end()),
            "{line:?} is not his"
        );
    }
    for range in &found.ranges {
        assert!(range.count > 0 && range.first.checked_add(range.count).is_some(), "{range:?}");
        assert!(found.covers(range.first, range.count) && found.covers(range.last(), 1), "{range:?}");
        let written = format!("alice:{}:{}\n", range.first, range.count);
        let again = Allocation::parse(IdKind::User, &user, &written);
        assert_eq!((again.ranges[0].first, again.ranges[0].count), (range.first, range.count), "{written:?}");
        // What is covered is covered id by id.
        for (first, count) in [(range.first.saturating_sub(1), 2), (range.last(), 2), (range.first, u32::MAX)]
        {
            if found.covers(first, count) {
                for id in [first, first + count / 2, first + (count - 1)] {
                    let his = found.ranges.iter().any(|range| range.first <= id && id <= range.last());
                    assert!(his, "{id} of {first}+{count} is nobody's");
                }
            }
        }
    }
    assert!(!found.describe(&user).contains('\n'));
}
