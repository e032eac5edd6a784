//! The ids an ordinary user may map: his lines in /etc/subuid and /etc/subgid, as newuidmap(1) will read them.
//!
//! Only looks. Not here: whether the programs that write the maps can work (`grant`).

use std::path::Path;
use std::process::Command;

use lxc_conf::model::{IdKind, IdMap};

use crate::error::{Result, ResultExt};

/// Whom the lines are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// `None` when the machine knows no name for the uid.
    pub name: Option<String>,
    pub uid: u32,
    pub gid: u32,
}

impl User {
    /// The user of this process.
    pub fn caller() -> User {
        let uid = rustix::process::geteuid().as_raw();
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        // A static program cannot ask NSS; getent can.
        let name = name_of(&passwd, uid).or_else(|| {
            let output = Command::new("getent").args(["passwd", &uid.to_string()]).output().ok()?;
            name_of(&String::from_utf8_lossy(&output.stdout), uid)
        });
        User { name, uid, gid: rustix::process::getegid().as_raw() }
    }

    /// For messages: `alice (uid 1000)`.
    pub fn describe(&self) -> String {
        match &self.name {
            Some(name) => format!("{name} (uid {})", self.uid),
            None => format!("uid {}", self.uid),
        }
    }

    /// What usermod(8) and the files call him.
    pub fn word(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.uid.to_string())
    }

    fn owns(&self, owner: &str) -> bool {
        self.name.as_deref() == Some(owner) || owner == self.uid.to_string()
    }
}

fn name_of(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let found: u32 = fields.nth(1)?.parse().ok()?;
        (found == uid).then(|| name.to_owned())
    })
}

/// The uid of a login name.
pub fn uid_of(name: &str) -> Option<u32> {
    let uid_in = |text: &str| {
        text.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next()? == name).then(|| fields.nth(1)?.parse().ok()).flatten()
        })
    };
    // A static program cannot ask NSS, getent can.
    uid_in(&std::fs::read_to_string("/etc/passwd").unwrap_or_default()).or_else(|| {
        let output = Command::new("getent").args(["passwd", "--", name]).output().ok()?;
        uid_in(&String::from_utf8_lossy(&output.stdout))
    })
}

/// One usable line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub first: u32,
    /// Never 0, and `first + count` does not overflow.
    pub count: u32,
    /// Counted from 1.
    pub line: usize,
}

impl Range {
    /// The last id.
    pub fn last(&self) -> u32 {
        self.first + (self.count - 1)
    }
}

/// The file of a kind of ids.
pub fn file(kind: IdKind) -> &'static str {
    match kind {
        IdKind::User => "/etc/subuid",
        IdKind::Group => "/etc/subgid",
    }
}

/// What one of the files says about a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    pub kind: IdKind,
    pub ranges: Vec<Range>,
    /// His lines that are not `USER:FIRST:COUNT`, by number.
    pub malformed: Vec<usize>,
    pub missing_file: bool,
}

impl Allocation {
    /// Reads the file of `kind`.
    ///
    /// - Errors: it is there and cannot be read.
    pub fn read(kind: IdKind, user: &User) -> Result<Allocation> {
        let path = file(kind);
        if !Path::new(path).exists() {
            return Ok(Allocation { kind, ranges: Vec::new(), malformed: Vec::new(), missing_file: true });
        }
        let text = std::fs::read(path).what(|| format!("read {path}"))?;
        Ok(Allocation::parse(kind, user, &String::from_utf8_lossy(&text)))
    }

    /// - Source: subuid(5): the owner is a login name or a uid, also in /etc/subgid.
    pub fn parse(kind: IdKind, user: &User, text: &str) -> Allocation {
        let mut allocation =
            Allocation { kind, ranges: Vec::new(), malformed: Vec::new(), missing_file: false };
        for (line, text) in (1..).zip(text.lines()) {
            let mut fields = text.trim_end().split(':');
            if !fields.next().is_some_and(|owner| user.owns(owner)) {
                continue;
            }
            match (number(fields.next()), number(fields.next()), fields.next()) {
                (Some(first), Some(count), None) if count > 0 && first.checked_add(count).is_some() => {
                    allocation.ranges.push(Range { first, count, line });
                }
                _ => allocation.malformed.push(line),
            }
        }
        allocation
    }

    /// Whether all ids of a range are his; ranges that touch count as one.
    pub fn covers(&self, first: u32, count: u32) -> bool {
        let mut at = first;
        let Some(end) = first.checked_add(count) else { return false };
        while at < end {
            let next = self.ranges.iter().filter(|range| range.first <= at && at <= range.last());
            match next.map(|range| range.first + range.count).max() {
                Some(next) => at = next,
                None => return false,
            }
        }
        true
    }

    /// For messages: what is allocated, and where that is written.
    pub fn describe(&self, user: &User) -> String {
        let path = file(self.kind);
        let place = |lines: &[usize]| {
            let word = if lines.len() == 1 { "line" } else { "lines" };
            let list: Vec<String> = lines.iter().map(usize::to_string).collect();
            format!("{path} {word} {}", list.join(", "))
        };
        if self.missing_file {
            return format!("there is no {path}");
        }
        if !self.malformed.is_empty() && self.ranges.is_empty() {
            return format!("{} is not USER:FIRST:COUNT", place(&self.malformed));
        }
        if self.ranges.is_empty() {
            return format!("{path} has no line for {}", user.describe());
        }
        let lines: Vec<usize> = self.ranges.iter().map(|range| range.line).collect();
        let ranges: Vec<String> =
            self.ranges.iter().map(|range| format!("{}-{}", range.first, range.last())).collect();
        format!("{} gives him {}", place(&lines), ranges.join(", "))
    }
}

fn number(text: Option<&str>) -> Option<u32> {
    // parse() takes a sign.
    text.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}

/// The map of an ordinary user who has not set any: his first ranges, from id 0 on.
///
/// - Shape: uids and gids, in this order; `None` when he has not both.
pub fn default_maps(users: &Allocation, groups: &Allocation) -> Option<[IdMap; 2]> {
    let map = |allocation: &Allocation| {
        let range = allocation.ranges.first()?;
        Some(IdMap { kind: allocation.kind, ns_id: 0, host_id: range.first, count: range.count })
    };
    Some([map(users)?, map(groups)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alice() -> User {
        User { name: Some("alice".into()), uid: 1000, gid: 1000 }
    }

    fn users(text: &str) -> Allocation {
        Allocation::parse(IdKind::User, &alice(), text)
    }

    #[test]
    fn lines_go_by_name_and_by_number() {
        let allocation = users("bob:1:1\nalice:100000:65536\n1000:300000:10\n10000:5:5\n");
        let found: Vec<_> = allocation.ranges.iter().map(|range| (range.first, range.line)).collect();
        assert_eq!(found, [(100_000, 2), (300_000, 3)]);
    }

    #[test]
    fn a_user_without_a_name_has_numeric_lines_only() {
        let nobody = User { name: None, uid: 1000, gid: 1000 };
        let allocation = Allocation::parse(IdKind::User, &nobody, "alice:1:1\n1000:7:3\n");
        assert_eq!(allocation.ranges, [Range { first: 7, count: 3, line: 2 }]);
    }

    #[test]
    fn ranges_that_touch_are_one() {
        let allocation = users("alice:100:50\nalice:150:50\nalice:500:1\n");
        assert!(allocation.covers(100, 100));
        assert!(allocation.covers(149, 2));
        assert!(!allocation.covers(100, 101));
        assert!(!allocation.covers(99, 1));
        assert!(allocation.covers(500, 1));
        assert!(!allocation.covers(u32::MAX, 2));
    }

    #[test]
    fn malformed_lines_of_his_are_named_and_those_of_others_are_not() {
        for bad in ["alice:100", "alice:x:5", "alice:5:0", "alice:5:+5", "alice:4294967295:9", "alice:1:2:3"]
        {
            assert_eq!(users(bad).malformed, [1], "{bad}");
        }
        assert!(users("bob:x:y\n# alice:1:2\n").malformed.is_empty());
    }

    #[test]
    fn what_he_has_is_described_with_its_lines() {
        let describe = |text: &str| users(text).describe(&alice());
        assert_eq!(describe(""), "/etc/subuid has no line for alice (uid 1000)");
        assert_eq!(describe("x:1:1\nalice:100:10\n"), "/etc/subuid line 2 gives him 100-109");
        assert_eq!(describe("alice:1:1\nalice:5:1\n"), "/etc/subuid lines 1, 2 gives him 1-1, 5-5");
        assert_eq!(describe("alice:1:\n"), "/etc/subuid line 1 is not USER:FIRST:COUNT");
    }

    #[test]
    fn the_default_map_needs_both_files() {
        let groups = Allocation::parse(IdKind::Group, &alice(), "alice:200000:1000\n");
        let maps = default_maps(&users("alice:100000:65536\n"), &groups).expect("both are there");
        assert_eq!(maps[0], IdMap { kind: IdKind::User, ns_id: 0, host_id: 100_000, count: 65_536 });
        assert_eq!(maps[1], IdMap { kind: IdKind::Group, ns_id: 0, host_id: 200_000, count: 1000 });
        assert_eq!(default_maps(&users(""), &groups), None);
    }

    #[test]
    fn names_come_from_passwd() {
        assert_eq!(name_of("root:x:0:0::/:\nalice:x:1000:1000::/:\n", 1000).as_deref(), Some("alice"));
        assert_eq!(name_of("alice:x:1000:1000::/:\n", 100), None);
    }
}
