//! Putting a container's settings in force: limits, device rules, ownership.
//!
//! The second half of `Tree`: everything that happens to cgroups that exist.

use std::os::fd::OwnedFd;

use lxc_conf::model::Origin;
use rustix::fs::{AtFlags, Gid, Mode, OFlags};
use rustix::io::Errno;

use super::devices::{DeviceList, DeviceRule, ListDefault, ResolvedRule};
use super::file;
use super::layout::Version;
use super::limit::explain;
use super::plan::DeviceSetup;
use super::tree::Tree;
use crate::error::{Error, ErrorKind, Result, ResultExt};

/// The device program of the unified cgroup and the list it was made from.
#[derive(Debug)]
pub(super) struct DeviceProgram {
    list: DeviceList,
    program: OwnedFd,
}

impl Tree {
    /// Writes every limit except device rules, in config order.
    ///
    /// - Context: before the workload runs; after `create_payload`.
    /// - Errors: the first refused value, with its config line.
    pub fn apply_limits(&self) -> Result<()> {
        for write in &self.plan.writes {
            let written = self.write_limit(write.hierarchy, &write.file, &write.value, &write.origin);
            match written {
                Err(error) if write.translated => tracing::warn!("{}: {error}", write.origin),
                other => other?,
            }
        }
        Ok(())
    }

    /// Puts the device rules in force.
    ///
    /// A starter that is not the host's root cannot load the program of a cgroup2 host; its container cannot make or open
    /// devices the starter could not, so that is a remark in the log and no error, as with the original.
    ///
    /// - Context: after the child has made its device nodes.
    /// - Errors: `Permission` when the host's root is denied bpf(2), which would leave all devices open.
    pub fn apply_devices(&mut self) -> Result<()> {
        match &self.plan.devices {
            DeviceSetup::Open => Ok(()),
            DeviceSetup::Files { hierarchy, rules } => {
                for planned in rules {
                    let rule = resolve(&planned.rule, &planned.origin)?;
                    self.write_device_rule(*hierarchy, &rule, &planned.origin)?;
                }
                Ok(())
            }
            DeviceSetup::Program { start, rules } => {
                let mut list = DeviceList::new(*start);
                for planned in rules {
                    list.apply(&resolve(&planned.rule, &planned.origin)?);
                }
                let origin = rules.first().map(|planned| planned.origin.clone()).unwrap_or_default();
                match self.install(list) {
                    Err(error) if error.kind() == ErrorKind::Permission && !is_host_root() => {
                        tracing::info!("device rules are not applied: {error}");
                        Ok(())
                    }
                    other => other.map_err(|error| error.at(&origin)),
                }
            }
        }
    }

    /// Adds one device rule to a running container (`lxc-cgroup … devices.allow`, command 14).
    ///
    /// A container without a list has all devices open, as on v1: allowing one more changes nothing, a first refusal
    /// starts a denylist. (The original starts an allowlist, which takes every other device away.)
    pub fn add_device_rule(&mut self, rule: &DeviceRule) -> Result<()> {
        let resolved = resolve(rule, &Origin::default())?;
        let v1 = self
            .nodes
            .iter()
            .position(|node| node.hierarchy.version == Version::V1 && node.hierarchy.has("devices"));
        if let Some(hierarchy) = v1 {
            return self.write_device_rule(hierarchy, &resolved, &Origin::default());
        }
        let before = self.devices.as_ref().map(|current| &current.list);
        let mut list = before.cloned().unwrap_or_else(|| DeviceList::new(ListDefault::Allow));
        list.apply(&resolved);
        if before == Some(&list) || before.is_none() && list.is_open() {
            return Ok(());
        }
        self.install(list)
    }

    /// Writes one rule to the v1 controller.
    ///
    /// A refusal reaches the cgroups below by itself, a permission does not: the inner cgroup has to be told.
    fn write_device_rule(&self, hierarchy: usize, rule: &ResolvedRule, origin: &Origin) -> Result<()> {
        let (file, value) = rule.v1_write();
        self.write_limit(hierarchy, file, &value, origin)?;
        let inner = self.nodes.get(hierarchy).and_then(|node| node.inner.as_ref());
        match inner {
            Some(inner) if rule.allow => file::write(inner, file, value.as_bytes()).map_err(|errno| {
                explain(errno, format!("write `{value}` to {file} of the inner cgroup"), file).at(origin)
            }),
            _ => Ok(()),
        }
    }

    /// Gives the payload's cgroups to the container's root.
    ///
    /// As with the original, the group becomes the container root's and may write; the owner stays the starter, who could
    /// not remove them otherwise.
    ///
    /// - Shape: `gid` as seen by the calling process.
    /// - Context: needs CAP_CHOWN over both groups: host root, or root of a user namespace that maps them.
    /// - Errors: the number of the thing refused, for `describe_gift`, and the errno.
    pub fn give_to_group(&self, gid: u32) -> std::result::Result<(), (u32, Errno)> {
        let delegated = delegated_files();
        for (number, node) in (0..).zip(&self.nodes) {
            let Some(dir) = node.payload() else { continue };
            let files: Vec<&str> = match node.hierarchy.version {
                Version::V1 => vec!["tasks", "cgroup.procs"],
                Version::V2 => delegated.iter().map(String::as_str).collect(),
            };
            change_group(dir, ".", gid, 0o775).map_err(|errno| (number, errno))?;
            for file in files {
                match change_group(dir, file, gid, 0o664) {
                    // The list names files of controllers that may not be enabled here.
                    Ok(()) | Err(Errno::NOENT) => {}
                    Err(errno) => return Err((number, errno)),
                }
            }
        }
        Ok(())
    }

    /// The path behind a number of `give_to_group`.
    pub fn describe_gift(&self, number: u32) -> String {
        let node = usize::try_from(number).ok().and_then(|number| self.nodes.get(number));
        node.map_or_else(
            || "the container's cgroups".to_owned(),
            |node| node.describe(&self.processes_name()),
        )
    }

    fn write_limit(&self, hierarchy: usize, name: &str, value: &str, origin: &Origin) -> Result<()> {
        let Some(node) = self.nodes.get(hierarchy) else {
            return Err(Error::new(ErrorKind::Internal, "cgroup setting without a hierarchy"));
        };
        let Some(dir) = &node.limit else {
            return Err(Error::new(ErrorKind::Internal, "limit the payload's cgroup before it was made"));
        };
        file::write(dir, name, value.as_bytes()).map_err(|errno| {
            let path = node.describe(self.payload.as_deref().unwrap_or_default());
            explain(errno, format!("write `{value}` to {path}/{name}"), name).at(origin)
        })?;
        tracing::debug!("set {name} to {value}");
        Ok(())
    }

    /// Loads the program of `list` and puts it in the place of the current one.
    fn install(&mut self, list: DeviceList) -> Result<()> {
        let dir = match self.unified().and_then(|node| node.limit.as_ref()) {
            Some(dir) => dir,
            None => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "device rules need the devices controller or cgroup2",
                ));
            }
        };
        let program = lxc_sys::bpf::load_device_program(&list.program())
            .what(|| "load the device program of the cgroup")
            .map_err(|error| match error.errno() {
                Some(Errno::PERM | Errno::ACCESS) => error.with_kind(ErrorKind::Permission).cure(
                    "device rules on cgroup2 need real root; clear lxc.cgroup2.devices.allow and .deny",
                ),
                _ => error,
            })?;
        // bpf(2) wants a real open file, not an O_PATH one, up to Linux 6.12.
        let cgroup =
            file::open(dir, ".", OFlags::RDONLY | OFlags::DIRECTORY).what(|| "open the payload's cgroup")?;
        let replaced = self.devices.as_ref().map(|current| &current.program);
        lxc_sys::bpf::attach_device_program(&cgroup, &program, replaced)
            .what(|| "attach the device program to the cgroup")?;
        self.devices = Some(DeviceProgram { list, program });
        Ok(())
    }
}

/// Whether this is root in the initial user namespace, which maps every id to itself.
fn is_host_root() -> bool {
    let whole = |map: String| map.split_whitespace().eq(["0", "0", "4294967295"]);
    let map = super::layout::read_text(std::path::Path::new("/proc/self/uid_map"));
    rustix::process::geteuid().is_root() && map.is_ok_and(whole)
}

fn change_group(dir: &OwnedFd, name: &str, gid: u32, mode: u32) -> std::result::Result<(), Errno> {
    rustix::fs::chownat(dir, name, None, Some(Gid::from_raw(gid)), AtFlags::SYMLINK_NOFOLLOW)?;
    rustix::fs::chmodat(dir, name, Mode::from_raw_mode(mode), AtFlags::empty())
}

/// The files a v2 cgroup's new owner must be able to write.
fn delegated_files() -> Vec<String> {
    let known = super::layout::read_text(std::path::Path::new("/sys/kernel/cgroup/delegate"));
    match known {
        Ok(text) => text.split_whitespace().map(str::to_owned).collect(),
        // Until Linux 4.15 is the floor.
        Err(_) => ["cgroup.procs", "cgroup.threads", "cgroup.subtree_control"].map(str::to_owned).to_vec(),
    }
}

fn resolve(rule: &DeviceRule, origin: &Origin) -> Result<ResolvedRule> {
    rule.resolve()
        .what(|| format!("look up the device of the rule `{rule}`"))
        .map_err(|error| error.at(origin))
}
