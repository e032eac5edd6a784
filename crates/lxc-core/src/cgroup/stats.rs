//! What a container has used, from v1 or v2 counters.
//!
//! A counter the kernel does not offer is `None`, never zero. Not here: how a client gets the directory fds.

use std::os::fd::{AsFd, OwnedFd};

use super::file;
use super::layout::Version;

/// Resource use of one cgroup and its descendants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// CPU time in nanoseconds.
    pub cpu_ns: Option<u64>,
    /// Bytes read from and written to block devices.
    pub blkio_bytes: Option<u64>,
    /// Memory charged to it, in bytes.
    pub memory_bytes: Option<u64>,
    /// The part of it used by the kernel, in bytes.
    pub kmem_bytes: Option<u64>,
}

/// Reads the counters.
///
/// - Shape: `dir_of` gives the directory that answers for a v1 controller, or for any controller on cgroup2, with the
///   generation it belongs to. On v2 it is asked for `cpu`, `io` and `memory`, on v1 for `cpuacct`, `blkio`, `memory`;
///   the v1 names come first, as a hybrid host has both.
pub fn read(mut dir_of: impl FnMut(&str) -> Option<(OwnedFd, Version)>) -> Stats {
    let mut stats = Stats::default();
    for names in [["cpuacct", "cpu"], ["blkio", "io"], ["memory", "memory"]] {
        let [v1, v2] = names;
        let found = dir_of(v1).or_else(|| if v1 == v2 { None } else { dir_of(v2) });
        let Some((dir, version)) = found else { continue };
        match (v2, version) {
            ("cpu", Version::V1) => stats.cpu_ns = number(&dir, "cpuacct.usage"),
            ("cpu", Version::V2) => {
                stats.cpu_ns =
                    text(&dir, "cpu.stat").and_then(|t| field(&t, "usage_usec")).map(|us| us * 1000);
            }
            ("io", Version::V1) => {
                stats.blkio_bytes =
                    text(&dir, "blkio.throttle.io_service_bytes").and_then(|text| field(&text, "Total"));
            }
            ("io", Version::V2) => stats.blkio_bytes = text(&dir, "io.stat").map(|text| io_bytes(&text)),
            (_, Version::V1) => {
                stats.memory_bytes = number(&dir, "memory.usage_in_bytes");
                stats.kmem_bytes = number(&dir, "memory.kmem.usage_in_bytes");
            }
            (_, Version::V2) => {
                stats.memory_bytes = number(&dir, "memory.current");
                stats.kmem_bytes = text(&dir, "memory.stat").and_then(|text| kernel_bytes(&text));
            }
        }
    }
    stats
}

fn text(dir: impl AsFd, name: &str) -> Option<String> {
    file::read(&dir, name).ok()
}

fn number(dir: impl AsFd, name: &str) -> Option<u64> {
    text(dir, name)?.trim().parse().ok()
}

/// `KEY N` in a flat keyed file.
fn field(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        if name == key { value.trim().parse().ok() } else { None }
    })
}

/// Sum of `rbytes=` and `wbytes=` of all devices of io.stat.
fn io_bytes(text: &str) -> u64 {
    text.split_whitespace()
        .filter_map(|word| word.strip_prefix("rbytes=").or_else(|| word.strip_prefix("wbytes=")))
        .filter_map(|value| value.parse::<u64>().ok())
        .sum()
}

/// `kernel` of memory.stat, or before Linux 5.18 the sum of its parts.
fn kernel_bytes(text: &str) -> Option<u64> {
    if let Some(total) = field(text, "kernel") {
        return Some(total);
    }
    let parts = ["kernel_stack", "pagetables", "percpu", "slab"];
    let found: Vec<u64> = parts.iter().filter_map(|part| field(text, part)).collect();
    if found.is_empty() { None } else { Some(found.iter().sum()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_is_summed_over_devices_and_directions() {
        let text = "8:0 rbytes=100 wbytes=20 rios=1 wios=2 dbytes=7 dios=0\n254:0 rbytes=3 wbytes=0 rios=1\n";
        assert_eq!(io_bytes(text), 123);
        assert_eq!(io_bytes(""), 0);
    }

    #[test]
    fn the_v1_total_is_the_last_line() {
        assert_eq!(field("254:0 Read 5\n254:0 Write 6\n254:0 Total 11\nTotal 11\n", "Total"), Some(11));
        assert_eq!(field("", "Total"), None);
    }

    #[test]
    fn kernel_memory_has_an_older_spelling() {
        assert_eq!(kernel_bytes("anon 1\nkernel 9\nslab 5\n"), Some(9));
        assert_eq!(kernel_bytes("anon 1\nkernel_stack 2\nslab 5\n"), Some(7));
        assert_eq!(kernel_bytes("anon 1\n"), None);
    }

    #[test]
    fn nothing_to_read_is_not_zero() {
        assert_eq!(read(|_| None), Stats::default());
        assert_eq!(Stats::default().cpu_ns, None);
    }
}
