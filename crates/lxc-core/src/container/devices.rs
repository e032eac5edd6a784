//! Devices and network interfaces of the host handed to a running container and taken back.
//!
//! Not here: how a node is made (`inject`), how an interface moves (`net`), the monitor's part in permissions (`cgroup`).

use std::os::fd::AsFd;
use std::path::Path;

use super::Container;
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::inject::{self, HostNode, Running};
use crate::net;

impl Container {
    /// Makes a device of the host usable in the container: the node, and the permission to open it (`add_device_node`).
    ///
    /// - Shape: `target` is a path in the container; `None` = the same as on the host.
    /// - Context: caller, single-threaded, root of the host.
    /// - Errors: `NotRunning`, `NotFound`, `Config`, `Permission`; the container is as before then.
    pub fn add_device_node(&self, device: &Path, target: Option<&Path>) -> Result<()> {
        let node = HostNode::open(device)?;
        let target = target.unwrap_or(device);
        let running = Running::open(&self.lxcpath, &self.name)?;
        inject::add_node(&running, &node, target)?;
        self.set_cgroup_item("devices.allow", &node.id().rule()).inspect_err(|_| {
            // A node nobody may open is half a device; the first failure is the one to report.
            let _ = inject::remove_node(&running, Some(node.id()), target);
        })
    }

    /// Takes a device out of the container and the permission away (`remove_device_node`).
    ///
    /// - Shape: as for [`Container::add_device_node`]. A device the host has no more is known by the container's node.
    /// - Errors: `Config` when the target is something else.
    pub fn remove_device_node(&self, device: &Path, target: Option<&Path>) -> Result<()> {
        let running = Running::open(&self.lxcpath, &self.name)?;
        let known = match HostNode::open(device) {
            Err(error) if error.kind() == ErrorKind::NotFound => Err(error),
            other => Ok(other?.id()),
        };
        let found = inject::remove_node(&running, known.as_ref().ok().copied(), target.unwrap_or(device))?;
        let Some(device) = known.as_ref().ok().copied().or(found) else {
            return known.map(drop);
        };
        self.set_cgroup_item("devices.deny", &device.rule())
    }

    /// Whether the container's network namespace has an interface of this name.
    pub fn has_interface(&self, name: &str) -> Result<bool> {
        net::has_link_in(self.netns()?.as_fd(), name)
    }

    /// Moves an interface of the caller's network namespace into the container (`attach_interface`).
    ///
    /// - Shape: `inside` = its name there; `None` = the same.
    /// - Errors: `NotRunning`, `NotFound`, `AlreadyExists`, `Unsupported`, `Permission`.
    pub fn attach_interface(&self, name: &str, inside: Option<&str>) -> Result<()> {
        net::send_link(self.netns()?.as_fd(), name, inside.unwrap_or(name))
            .what(|| format!("move interface {name} into container {}", self.name))
    }

    /// Moves an interface of the container into the caller's network namespace (`detach_interface`).
    pub fn detach_interface(&self, name: &str, outside: Option<&str>) -> Result<()> {
        if name == "lo" {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "the loopback interface cannot leave its container",
            ));
        }
        net::fetch_link(self.netns()?.as_fd(), name, outside.unwrap_or(name))
            .what(|| format!("move interface {name} out of container {}", self.name))
    }
}
