//! What is known about a running container's init, as plain data, and the parsers of the procfs texts it comes from.
//!
//! Pure. Not here: reading it (`context`).

use crate::host::Lsm;

/// Everything the planner asks about the running container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Init's pid as the caller numbers it.
    pub pid: i32,
    /// `CLONE_NEW*` bits of the namespaces in which init and the caller differ.
    pub foreign: u64,
    /// Those the container made itself; the rest of `foreign` it shares with somebody.
    pub owned: u64,
    /// Root's ids in the container's user namespace (init's own ids where 0 is not mapped); zeros without one.
    pub root_uid: u32,
    pub root_gid: u32,
    /// Init's capability bounding set.
    pub bounding: u64,
    /// `lxc.no_new_privs` of the running container.
    pub no_new_privs: bool,
    /// The container does not share its starter's session keyring.
    pub own_keyring: bool,
    /// The personality to take on, if it differs from the caller's.
    pub arch: Option<lxc_conf::model::Arch>,
    /// Path of the seccomp policy of the running container.
    pub seccomp_profile: Option<String>,
    /// LSM confinement of init.
    pub label: Option<Label>,
    /// Init is in a core-scheduling domain.
    pub core_scheduling: bool,
    /// Init's pid in its own pid namespace.
    pub ns_pid: i32,
}

/// A process label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    pub lsm: Lsm,
    /// The module has attribute files of its own (`attr/apparmor/`, Linux 5.8).
    pub stacked: bool,
    /// Without mode and trailing newline.
    pub text: String,
}

/// The fields of `/proc/PID/status` that matter here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Effective ids as the reader's user namespace numbers them.
    pub uid: u32,
    pub gid: u32,
    pub bounding: u64,
    pub no_new_privs: bool,
    /// Seccomp mode: 0 off, 1 strict, 2 filters.
    pub seccomp: u32,
    /// Pid in the innermost pid namespace.
    pub ns_pid: i32,
}

impl Status {
    /// Reads the text of `/proc/PID/status` (proc_pid_status(5)).
    ///
    /// - Errors: `None` when ids or the bounding set are missing or are no numbers.
    pub fn parse(text: &str) -> Option<Status> {
        let field = |name: &str| {
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
        };
        let effective = |name: &str| field(name)?.split_whitespace().nth(1)?.parse().ok();
        Some(Status {
            uid: effective("Uid")?,
            gid: effective("Gid")?,
            bounding: u64::from_str_radix(field("CapBnd")?, 16).ok()?,
            no_new_privs: field("NoNewPrivs") == Some("1"),
            seccomp: field("Seccomp").and_then(|mode| mode.parse().ok()).unwrap_or(0),
            ns_pid: field("NSpid").and_then(|pids| pids.split_whitespace().last()?.parse().ok()).unwrap_or(1),
        })
    }
}

/// One line of `/proc/PID/uid_map` or `gid_map`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRange {
    /// First id inside the namespace.
    pub inside: u32,
    /// First id as the reader numbers them.
    pub outside: u32,
    pub count: u32,
}

/// An id map as the reader sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdRanges(pub Vec<IdRange>);

impl IdRanges {
    /// Reads `/proc/PID/uid_map`; malformed lines are left out.
    pub fn parse(text: &str) -> IdRanges {
        let line = |line: &str| {
            let mut numbers = line.split_whitespace().map(|word| word.parse::<u32>().ok());
            let (inside, outside, count) = (numbers.next()??, numbers.next()??, numbers.next()??);
            Some(IdRange { inside, outside, count })
        };
        IdRanges(text.lines().filter_map(line).collect())
    }

    /// The id inside for one outside.
    pub fn inside(&self, outside: u32) -> Option<u32> {
        self.0.iter().find_map(|range| {
            let offset = outside.checked_sub(range.outside)?;
            (offset < range.count).then(|| range.inside.checked_add(offset))?
        })
    }

    /// The id outside for one inside.
    pub fn outside(&self, inside: u32) -> Option<u32> {
        self.0.iter().find_map(|range| {
            let offset = inside.checked_sub(range.inside)?;
            (offset < range.count).then(|| range.outside.checked_add(offset))?
        })
    }

    /// Who acts as root inside: 0 where it is mapped, else `fallback` (an outside id) translated.
    pub fn root(&self, fallback: u32) -> u32 {
        match self.outside(0) {
            Some(_) => 0,
            None => self.inside(fallback).unwrap_or(0),
        }
    }
}

/// Cleans an AppArmor or SELinux label as procfs gives it; `None` = unconfined.
pub(super) fn parse_label(lsm: Lsm, stacked: bool, text: &str) -> Option<Label> {
    let text = text.trim_end_matches(['\n', '\0']);
    let text = match lsm {
        // `PROFILE (enforce)`
        Lsm::AppArmor => text.rsplit_once(" (").map_or(text, |(profile, _)| profile),
        Lsm::SeLinux | Lsm::None => text,
    };
    (!text.is_empty() && text != "unconfined").then(|| Label { lsm, stacked, text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tinit\nUmask:\t0022\nPid:\t9841\nNSpid:\t9841\t1\nUid:\t0\t100000\t0\t0\n\
        Gid:\t0\t5\t0\t0\nCapBnd:\t000001fcfcfeffff\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";

    #[test]
    fn status_gives_effective_ids_masks_and_modes() {
        let status = Status::parse(STATUS).expect("parses");
        assert_eq!((status.uid, status.gid, status.ns_pid), (100_000, 5, 1));
        assert_eq!(status.bounding, 0x1fc_fcfe_ffff);
        assert!(status.no_new_privs);
        assert_eq!(status.seccomp, 2);
        assert_eq!(Status::parse("Name:\tx\n"), None);
    }

    #[test]
    fn ids_are_translated_both_ways() {
        let map = IdRanges::parse("         0     100000      65536\n  70000 5 1\nrubbish\n");
        assert_eq!(map.inside(100_010), Some(10));
        assert_eq!(map.outside(65_535), Some(165_535));
        assert_eq!(map.outside(65_536), None);
        assert_eq!(map.inside(5), Some(70_000));
        assert_eq!(map.root(5), 0);
    }

    #[test]
    fn without_a_mapped_root_init_s_own_id_counts() {
        let map = IdRanges::parse("1000 1000 1\n");
        assert_eq!(map.root(1000), 1000);
        assert_eq!(map.root(7), 0);
    }

    #[test]
    fn a_range_up_to_the_last_id_does_not_overflow() {
        let map = IdRanges::parse("4294967290 4294967290 5\n");
        assert_eq!(map.inside(4_294_967_294), Some(4_294_967_294));
        assert_eq!(map.inside(4_294_967_295), None);
    }

    #[test]
    fn labels_lose_their_mode_and_unconfined_means_none() {
        let label =
            parse_label(Lsm::AppArmor, true, "lxc-container-default-cgns (enforce)\n").expect("label");
        assert_eq!(label.text, "lxc-container-default-cgns");
        assert_eq!(parse_label(Lsm::AppArmor, true, "unconfined\n"), None);
        let label = parse_label(Lsm::SeLinux, false, "system_u:system_r:lxc_t:s0:c1,c2\0").expect("label");
        assert_eq!(label.text, "system_u:system_r:lxc_t:s0:c1,c2");
    }
}
