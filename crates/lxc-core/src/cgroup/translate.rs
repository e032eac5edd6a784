//! v1 cgroup settings said in cgroup2's words.
//!
//! Pure. Only settings with a faithful counterpart are translated; the rest is reported as dropped, never guessed.
//! Device rules are not here: both generations share their grammar (`devices`).

use lxc_conf::model::{CgroupSetting, Origin};

/// The outcome for one v1 setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Translated {
    Write {
        file: String,
        value: String,
        origin: Origin,
        /// The key as written.
        from: String,
    },
    Dropped {
        origin: Origin,
        from: String,
        why: String,
    },
}

/// Translates a list; pairs that share one v2 file (quota and period) are looked up in it.
///
/// - Source: kernel Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/.
pub(super) fn v1_to_v2(settings: &[&CgroupSetting]) -> Vec<Translated> {
    let last =
        |file: &str| settings.iter().rev().find(|setting| setting.file == file).map(|s| s.value.trim());
    let mut done = Vec::new();
    for (index, setting) in settings.iter().enumerate() {
        let from = format!("lxc.cgroup.{}", setting.file);
        let origin = setting.origin.clone();
        // A later line of the same file overwrites this one in v1 as well, except in the per-device files.
        let per_device = setting.file.starts_with("blkio.") && setting.file.contains("device");
        if !per_device && settings.iter().skip(index + 1).any(|later| later.file == setting.file) {
            continue;
        }
        match translate(&setting.file, setting.value.trim(), &last) {
            Ok(Some((file, value))) => {
                done.push(Translated::Write { file, value, origin, from });
            }
            Ok(None) => {}
            Err(why) => done.push(Translated::Dropped { origin, from, why }),
        }
    }
    done
}

/// `Ok(None)`: said by another line of the list.
fn translate<'a>(
    file: &str,
    value: &str,
    last: &dyn Fn(&str) -> Option<&'a str>,
) -> Result<Option<(String, String)>, String> {
    let write = |file: &str, value: String| Ok(Some((file.to_owned(), value)));
    if let Some(size) = file.strip_prefix("hugetlb.").and_then(|rest| rest.strip_suffix(".limit_in_bytes")) {
        return write(&format!("hugetlb.{size}.max"), limit(value));
    }
    match file {
        "memory.limit_in_bytes" => write("memory.max", limit(value)),
        "memory.soft_limit_in_bytes" => write("memory.low", limit(value)),
        "memory.memsw.limit_in_bytes" => {
            // v1 counts memory and swap together, v2 swap alone.
            if is_unlimited(value) {
                return write("memory.swap.max", "max".to_owned());
            }
            let total = bytes(value).ok_or("its value is not a size")?;
            let memory = last("memory.limit_in_bytes").ok_or("memory.limit_in_bytes is not set beside it")?;
            let memory = bytes(memory).ok_or("memory.limit_in_bytes is not a size")?;
            let swap = total.checked_sub(memory).ok_or("it is below memory.limit_in_bytes")?;
            write("memory.swap.max", swap.to_string())
        }
        "cpu.shares" => {
            let shares: u64 = value.parse().map_err(|_| "its value is not a number")?;
            let shares = shares.clamp(2, 262_144);
            write("cpu.weight", (1 + (shares - 2) * 9999 / 262_142).to_string())
        }
        "cpu.cfs_quota_us" => {
            let period = last("cpu.cfs_period_us").unwrap_or("100000");
            let quota = if value.starts_with('-') { "max" } else { value };
            write("cpu.max", format!("{quota} {period}"))
        }
        "cpu.cfs_period_us" if last("cpu.cfs_quota_us").is_some() => Ok(None),
        "cpu.cfs_period_us" => write("cpu.max", format!("max {value}")),
        "cpu.idle" => write("cpu.idle", value.to_owned()),
        "cpuset.cpus" => write("cpuset.cpus", value.to_owned()),
        "cpuset.mems" => write("cpuset.mems", value.to_owned()),
        "pids.max" => write("pids.max", value.to_owned()),
        "blkio.weight" | "blkio.bfq.weight" => {
            let weight: u64 = value.parse().map_err(|_| "its value is not a number")?;
            write("io.weight", format!("default {}", io_weight(weight)))
        }
        "blkio.weight_device" | "blkio.bfq.weight_device" => {
            let (device, weight) = value.split_once(' ').ok_or("its value is not MAJOR:MINOR WEIGHT")?;
            let weight: u64 = weight.trim().parse().map_err(|_| "its weight is not a number")?;
            write("io.weight", format!("{device} {}", io_weight(weight)))
        }
        "rdma.max" => write("rdma.max", value.to_owned()),
        "blkio.throttle.read_bps_device" => throttle(value, "rbps"),
        "blkio.throttle.write_bps_device" => throttle(value, "wbps"),
        "blkio.throttle.read_iops_device" => throttle(value, "riops"),
        "blkio.throttle.write_iops_device" => throttle(value, "wiops"),
        _ => Err("cgroup2 has no counterpart of it".to_owned()),
    }
}

/// `MAJ:MIN N` as one line of io.max; 0 lifts the limit.
fn throttle(value: &str, word: &str) -> Result<Option<(String, String)>, String> {
    let mut words = value.split_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some(device), Some("0"), None) => Ok(Some(("io.max".to_owned(), format!("{device} {word}=max")))),
        (Some(device), Some(number), None) => {
            Ok(Some(("io.max".to_owned(), format!("{device} {word}={number}"))))
        }
        _ => Err("its value is not MAJOR:MINOR NUMBER".to_owned()),
    }
}

/// v1 weights are 10…1000, v2 ones 1…10000.
fn io_weight(weight: u64) -> u64 {
    1 + (weight.clamp(10, 1000) - 10) * 9999 / 990
}

fn is_unlimited(value: &str) -> bool {
    value.starts_with('-') || value == "max"
}

/// v2 understands the same k, m, g suffixes.
fn limit(value: &str) -> String {
    if is_unlimited(value) { "max".to_owned() } else { value.to_owned() }
}

/// memparse(): a number with an optional k, m, g, t.
fn bytes(value: &str) -> Option<u64> {
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok()?;
    let shift = match value.get(digits.len()..)?.to_ascii_lowercase().as_str() {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return None,
    };
    number.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(list: &[(&str, &str)]) -> Vec<(String, String)> {
        let settings: Vec<CgroupSetting> = list
            .iter()
            .map(|(file, value)| CgroupSetting {
                file: (*file).into(),
                value: (*value).into(),
                origin: Origin::default(),
            })
            .collect();
        v1_to_v2(&settings.iter().collect::<Vec<_>>())
            .into_iter()
            .map(|done| match done {
                Translated::Write { file, value, .. } => (file, value),
                Translated::Dropped { from, why, .. } => (from, why),
            })
            .collect()
    }

    fn one(file: &str, value: &str) -> (String, String) {
        run(&[(file, value)]).remove(0)
    }

    #[test]
    fn the_ends_of_the_scales_meet() {
        assert_eq!(one("cpu.shares", "2"), ("cpu.weight".into(), "1".into()));
        assert_eq!(one("cpu.shares", "262144"), ("cpu.weight".into(), "10000".into()));
        assert_eq!(one("cpu.shares", "1024"), ("cpu.weight".into(), "39".into()));
        assert_eq!(one("blkio.weight", "10"), ("io.weight".into(), "default 1".into()));
        assert_eq!(one("blkio.weight", "1000"), ("io.weight".into(), "default 10000".into()));
    }

    #[test]
    fn memory_and_swap_are_told_apart() {
        let done = run(&[("memory.limit_in_bytes", "512M"), ("memory.memsw.limit_in_bytes", "1G")]);
        assert_eq!(done[0], ("memory.max".into(), "512M".into()));
        assert_eq!(done[1], ("memory.swap.max".into(), (512 * 1024 * 1024).to_string()));
        assert_eq!(one("memory.limit_in_bytes", "-1").1, "max");
        assert!(one("memory.memsw.limit_in_bytes", "1G").1.contains("memory.limit_in_bytes"));
    }

    #[test]
    fn quota_and_period_become_one_line_whatever_their_order() {
        let expected = vec![("cpu.max".to_owned(), "50000 200000".to_owned())];
        assert_eq!(run(&[("cpu.cfs_quota_us", "50000"), ("cpu.cfs_period_us", "200000")]), expected);
        assert_eq!(run(&[("cpu.cfs_period_us", "200000"), ("cpu.cfs_quota_us", "50000")]), expected);
        assert_eq!(one("cpu.cfs_quota_us", "-1").1, "max 100000");
    }

    #[test]
    fn the_last_line_of_a_file_wins_but_devices_add_up() {
        assert_eq!(run(&[("pids.max", "1"), ("pids.max", "2")]), [("pids.max".into(), "2".into())]);
        let two = [("blkio.throttle.read_bps_device", "8:0 5"), ("blkio.throttle.read_bps_device", "8:16 0")];
        assert_eq!(
            run(&two),
            [("io.max".into(), "8:0 rbps=5".into()), ("io.max".into(), "8:16 rbps=max".into())]
        );
    }

    #[test]
    fn what_has_no_counterpart_is_named() {
        assert_eq!(one("memory.swappiness", "10").0, "lxc.cgroup.memory.swappiness");
    }
}
