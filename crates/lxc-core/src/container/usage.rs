//! Control files of a running container's cgroups, and the counters read from them.
//!
//! The directories are handed out by the monitor. Not here: the files (`cgroup::limit`, `cgroup::stats`).

use std::os::fd::OwnedFd;

use super::Container;
use crate::cgroup::Version;
use crate::cgroup::devices::{DeviceKind, DeviceRule, ResolvedRule};
use crate::cgroup::limit::{controller_of, read_item, write_item};
use crate::cgroup::stats::{self, Stats};
use crate::command::client::CgroupDir;
use crate::command::wire::DeviceItem;
use crate::error::{Error, ErrorKind, Result, ResultExt};

/// Memory in use, in bytes; `None` where the host does not count it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    pub used: Option<u64>,
    pub swap: Option<u64>,
}

impl Container {
    /// The text of a control file of the container's cgroup (`get_cgroup_item`).
    ///
    /// - Errors: `NotRunning`; `NotFound` for a file or controller that is not there.
    pub fn cgroup_item(&self, file: &str) -> Result<String> {
        read_item(self.inner_dir(controller_of(file))?.0, file)
    }

    /// Writes a control file of the container's cgroup (`set_cgroup_item`).
    ///
    /// `devices.allow` and `devices.deny` go to the monitor where the device controller is a BPF program.
    pub fn set_cgroup_item(&self, file: &str, value: &str) -> Result<()> {
        let controller = controller_of(file);
        match self.inner_dir(controller) {
            Ok((dir, Version::V1)) if controller == "devices" => {
                // A permission must be given from above down; a refusal comes down by itself.
                write_item(&self.limit_dir(controller)?.0, file, value)?;
                if file == "devices.allow" { write_item(dir, file, value) } else { Ok(()) }
            }
            Ok((dir, _)) if controller != "devices" => write_item(dir, file, value),
            Err(error) if controller != "devices" => Err(error),
            _ => self.add_device_rule(file, value),
        }
    }

    /// CPU, I/O and memory used.
    pub fn usage(&self) -> Stats {
        stats::read(|controller| self.inner_dir(controller).ok())
    }

    /// Memory and swap used, as `lxc-ls` shows them.
    pub fn memory(&self) -> Result<Memory> {
        let (dir, version) = self.inner_dir("memory")?;
        let text = |file: &str| read_item(&dir, file).ok();
        let number = |file: &str| text(file)?.trim().parse().ok();
        Ok(match version {
            Version::V1 => Memory {
                used: number("memory.usage_in_bytes"),
                swap: text("memory.stat").and_then(|text| field(&text, "swap")),
            },
            Version::V2 => Memory { used: number("memory.current"), swap: number("memory.swap.current") },
        })
    }

    /// The directory where the container's processes are in the hierarchy of a controller.
    fn inner_dir(&self, controller: &str) -> Result<(OwnedFd, Version)> {
        let found = self.client().limit_cgroup_fd(controller);
        found.map(parts).what(|| format!("find the {controller} cgroup of container {}", self.name()))
    }

    /// The directory that carries the container's limits in the hierarchy of a controller.
    pub(super) fn limit_dir(&self, controller: &str) -> Result<(OwnedFd, Version)> {
        let found = self.client().cgroup_fd(controller);
        found.map(parts).what(|| format!("find the {controller} cgroup of container {}", self.name()))
    }

    fn add_device_rule(&self, file: &str, value: &str) -> Result<()> {
        let object = || format!("add {file} = {value} to container {}", self.name());
        let rule = DeviceRule::parse(file, value)
            .map_err(|reason| Error::new(ErrorKind::Config, format!("{}: {reason}", object())))?;
        let rule = rule.resolve().what(object)?;
        self.client().bpf_device(&device_item(&rule)).what(object)
    }
}

fn parts(dir: CgroupDir) -> (OwnedFd, Version) {
    (dir.fd, if dir.unified { Version::V2 } else { Version::V1 })
}

/// The rule as the monitor is told it; -1 and `a` mean any.
fn device_item(rule: &ResolvedRule) -> DeviceItem {
    let number = |number: Option<u32>| number.and_then(|number| i32::try_from(number).ok()).unwrap_or(-1);
    let (kind, major, minor, letters) = match &rule.set {
        None => (b'a', -1, -1, "rwm".to_owned()),
        Some((set, access)) => {
            let kind = if set.kind == DeviceKind::Block { b'b' } else { b'c' };
            (kind, number(set.major), number(set.minor), access.to_string())
        }
    };
    let mut access = [0; 4];
    access.iter_mut().zip(letters.bytes()).for_each(|(slot, letter)| *slot = letter);
    DeviceItem { kind, major, minor, access, allow: rule.allow }
}

/// The number behind `key ` in lines of `KEY NUMBER`.
fn field(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_rules_are_told_in_numbers() {
        let item = |file, value| device_item(&DeviceRule::parse(file, value).unwrap().resolve().unwrap());
        let some = item("devices.allow", "b 8:* rw");
        assert_eq!(
            (some.kind, some.major, some.minor, some.access, some.allow),
            (b'b', 8, -1, *b"rw\0\0", true)
        );
        let all = item("devices.deny", "a");
        assert_eq!((all.kind, all.major, all.minor, all.access, all.allow), (b'a', -1, -1, *b"rwm\0", false));
    }

    #[test]
    fn keyed_numbers_need_the_whole_key() {
        let text = "swapcached 7\nswap 3\ntotal_swap 9\n";
        assert_eq!(field(text, "swap"), Some(3));
        assert_eq!(field(text, "swa"), None);
    }
}
