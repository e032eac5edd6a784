//! What the command socket may ask a running container's cgroups for: paths and directory fds by controller.
//!
//! Errors are errnos because they go over the wire as such (abi-and-wire.md B4, B5). Not here: the wire format.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;

use super::layout::{LayoutKind, Version};
use super::tree::{Node, Tree};

/// Which of a container's cgroups is meant; they differ with `lxc.cgroup.dir.container.inner` only.
///
/// COMPAT: of the numbered commands, 6 (path) and 17 (fd) ask for `Payload`, 19 and 20 for `Limit`; but **24 gets
/// `Limit` and 25 gets `Payload`**, crossed as in every release of the original (abi-and-wire.md H1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The cgroup that carries the limits.
    Limit,
    /// The cgroup the processes live in.
    Payload,
}

/// `utilities` bits of `cgroup_fd` and `cgroup_ctx`.
pub const UTILITY_DEVICES: u32 = 1;
pub const UTILITY_FREEZER: u32 = 2;

/// Most fds command 23 can carry.
pub const CONTEXT_MAX: usize = 20;

/// The answer to command 23.
#[derive(Clone, Debug)]
pub struct CgroupContext<'a> {
    pub layout: LayoutKind,
    pub utilities: u32,
    /// One directory per hierarchy, in the layout's order.
    pub fds: Vec<BorrowedFd<'a>>,
}

/// The answer to commands 24 and 25.
#[derive(Clone, Copy, Debug)]
pub struct ControllerFd<'a> {
    pub layout: LayoutKind,
    pub utilities: u32,
    pub version: Version,
    pub fd: BorrowedFd<'a>,
}

fn dir_of(node: &Node, which: Which) -> Option<BorrowedFd<'_>> {
    match which {
        Which::Limit => node.limit.as_ref(),
        Which::Payload => node.payload(),
    }
    .map(AsFd::as_fd)
}

impl Tree {
    /// The hierarchy that answers for a controller.
    fn node_of(&self, controller: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.hierarchy.has(controller)).or_else(|| {
            match (controller, self.kind()) {
                ("devices" | "freezer", _) => self.unified(),
                // Core files of cgroup2 that need no controller to be enabled.
                ("cgroup" | "cpu", LayoutKind::Unified) => self.unified(),
                _ => None,
            }
        })
    }

    /// Path of a container's cgroup from the root of its hierarchy (commands 6 and 19).
    ///
    /// - Shape: without `controller` the unified one, on pure v2 hosts only; starts with `/`.
    /// - Errors: `None` when the controller is unknown or nothing was made yet.
    pub fn path_of(&self, controller: Option<&str>, which: Which) -> Option<String> {
        let node = match controller {
            Some(controller) => self.node_of(controller)?,
            None if self.kind() == LayoutKind::Unified => self.unified()?,
            None => return None,
        };
        let payload = self.payload_name()?;
        let name = match which {
            Which::Limit => payload.to_owned(),
            Which::Payload => self.processes_name(),
        };
        Some(format!("{}/{name}", node.hierarchy.base_cgroup.trim_end_matches('/')))
    }

    /// Path of the cgroup with the processes (command 6).
    pub fn payload_path(&self, controller: Option<&str>) -> Option<String> {
        self.path_of(controller, Which::Payload)
    }

    /// Path of the cgroup with the limits (command 19).
    pub fn limit_path(&self, controller: Option<&str>) -> Option<String> {
        self.path_of(controller, Which::Limit)
    }

    /// Directory fd of the unified hierarchy (commands 17 and 20).
    ///
    /// - Errors: `INVAL` unless the host is pure v2; `BADF` when nothing was made yet.
    pub fn unified_fd(&self, which: Which) -> Result<BorrowedFd<'_>, Errno> {
        if self.kind() != LayoutKind::Unified {
            return Err(Errno::INVAL);
        }
        self.unified().and_then(|node| dir_of(node, which)).ok_or(Errno::BADF)
    }

    /// All directories a process must enter to be in the container (command 23).
    ///
    /// - Errors: `NOENT` without hierarchies, `TOOBIG` when they do not fit, `BADF` when nothing was made yet.
    pub fn context(&self) -> Result<CgroupContext<'_>, Errno> {
        if self.nodes.is_empty() {
            return Err(Errno::NOENT);
        }
        if self.nodes.len() > CONTEXT_MAX {
            return Err(Errno::TOOBIG);
        }
        let fds: Option<Vec<_>> = self.nodes.iter().map(|node| dir_of(node, Which::Payload)).collect();
        Ok(CgroupContext { layout: self.kind(), utilities: self.utilities(), fds: fds.ok_or(Errno::BADF)? })
    }

    /// Directory of one controller (commands 24 and 25).
    ///
    /// - Shape: `wanted` is the file system magic the client insists on, 0 for any.
    /// - Errors: `INVAL` for an empty controller or the wrong type, `NOENT` for an unknown controller, `BADF` when nothing
    ///   was made yet.
    pub fn controller_fd(
        &self,
        controller: &str,
        wanted: i32,
        which: Which,
    ) -> Result<ControllerFd<'_>, Errno> {
        if controller.is_empty() {
            return Err(Errno::INVAL);
        }
        let node = self.node_of(controller).ok_or(Errno::NOENT)?;
        let version = node.hierarchy.version;
        if wanted != 0 && wanted != version.magic() {
            return Err(Errno::INVAL);
        }
        let fd = dir_of(node, which).ok_or(Errno::BADF)?;
        Ok(ControllerFd { layout: self.kind(), utilities: self.utilities(), version, fd })
    }

    /// What the unified hierarchy can do besides its controllers.
    pub fn utilities(&self) -> u32 {
        let Some(node) = self.unified() else { return 0 };
        let mut bits = 0;
        if *self.device_support.get_or_init(device_programs_work) {
            bits |= UTILITY_DEVICES;
        }
        let freezes = node
            .limit
            .as_ref()
            .is_some_and(|dir| super::file::open(dir, "cgroup.freeze", rustix::fs::OFlags::PATH).is_ok());
        if freezes {
            bits |= UTILITY_FREEZER;
        }
        bits
    }
}

/// Whether this process may load device programs; found by loading one that allows everything.
fn device_programs_work() -> bool {
    let program = super::devices::DeviceList::new(super::devices::ListDefault::Allow).program();
    lxc_sys::bpf::load_device_program(&program).is_ok()
}
