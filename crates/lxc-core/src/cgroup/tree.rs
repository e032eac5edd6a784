//! The cgroups of one container in every hierarchy: made, entered, limited, handed over and removed.
//!
//! All work is relative to one directory fd per hierarchy, opened once. Not here: which names and values (`plan`),
//! answering the command socket (`serve`), removing directories (`prune`).
//!
//! **Context**: the monitor (or the process about to become it), in the host's mount and cgroup namespaces.

use std::cell::OnceCell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use lxc_conf::model::Origin;
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::process::Pid;

use super::devices::{DeviceList, DeviceRule, ResolvedRule};
use super::layout::{Hierarchy, LayoutKind, Version};
use super::limit::{controller_of, explain};
use super::plan::{CgroupName, CgroupPlan, DeviceSetup};
use super::{file, prune};
use crate::error::{Error, ErrorKind, Result, ResultExt};

/// Whether a process was cloned straight into the unified cgroup (CLONE_INTO_CGROUP).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spawned {
    IntoUnified,
    Elsewhere,
}

/// One hierarchy of the tree.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) hierarchy: Hierarchy,
    /// The base cgroup.
    base: OwnedFd,
    monitor: Option<OwnedFd>,
    /// The cgroup with the limits.
    pub(super) limit: Option<OwnedFd>,
    /// The cgroup with the processes, when it is not the one with the limits.
    pub(super) inner: Option<OwnedFd>,
    /// Directories above the monitor's and the payload's that were not there before, shallow ones first.
    made: Vec<String>,
}

impl Node {
    /// Where the container's processes live.
    pub(super) fn payload(&self) -> Option<&OwnedFd> {
        self.inner.as_ref().or(self.limit.as_ref())
    }

    fn describe(&self, below: &str) -> String {
        self.hierarchy.base_dir().join(below).display().to_string()
    }
}

/// A container's cgroups.
///
/// Dropping it leaves them in place; `destroy` removes them.
#[derive(Debug)]
pub struct Tree {
    pub(super) plan: CgroupPlan,
    pub(super) nodes: Vec<Node>,
    /// Chosen names, once made.
    pub(super) monitor: Option<String>,
    pub(super) payload: Option<String>,
    devices: Option<DeviceProgram>,
    pub(super) device_support: OnceCell<bool>,
}

/// The device program of the unified cgroup and the list it was made from.
#[derive(Debug)]
struct DeviceProgram {
    list: DeviceList,
    program: OwnedFd,
}

impl Tree {
    /// Opens the base cgroup of every hierarchy of the plan; changes nothing.
    pub fn open(plan: CgroupPlan) -> Result<Tree> {
        let mut nodes = Vec::with_capacity(plan.hierarchies.len());
        for hierarchy in &plan.hierarchies {
            let dir = hierarchy.base_dir();
            let base =
                rustix::fs::open(&dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
                    .what(|| format!("open cgroup {}", dir.display()))?;
            nodes.push(Node {
                hierarchy: hierarchy.clone(),
                base,
                monitor: None,
                limit: None,
                inner: None,
                made: Vec::new(),
            });
        }
        Ok(Tree { plan, nodes, monitor: None, payload: None, devices: None, device_support: OnceCell::new() })
    }

    pub fn plan(&self) -> &CgroupPlan {
        &self.plan
    }

    /// The name chosen for the monitor's cgroup, relative to the base cgroups.
    pub fn monitor_name(&self) -> Option<&str> {
        self.monitor.as_deref()
    }

    /// The name chosen for the cgroup with the limits, relative to the base cgroups.
    pub fn payload_name(&self) -> Option<&str> {
        self.payload.as_deref()
    }

    /// Makes the monitor's cgroup in every hierarchy.
    ///
    /// - Shape: returns the unified one, if there is one, for CLONE_INTO_CGROUP.
    /// - Errors: `AlreadyExists` when an explicit name or all candidates are taken; nothing is left behind then.
    pub fn create_monitor(&mut self) -> Result<Option<BorrowedFd<'_>>> {
        let wanted = self.plan.monitor.clone();
        self.note_missing_parents(&wanted.path);
        let (name, fds) = self.create_everywhere(&wanted, "monitor")?;
        for (node, fd) in self.nodes.iter_mut().zip(fds) {
            node.monitor = Some(fd);
        }
        tracing::info!("the monitor uses cgroup {name}");
        self.monitor = Some(name);
        Ok(self.unified().and_then(|node| node.monitor.as_ref()).map(AsFd::as_fd))
    }

    /// Moves processes into the monitor's cgroup.
    ///
    /// The caller's own pid is moved by its thread id where that avoids the kernel's wait for all CPUs (v1 `tasks`).
    ///
    /// - Shape: `own` says whether the calling process was cloned into the unified one already.
    pub fn enter_monitor(&self, pids: &[Pid], own: Spawned) -> Result<()> {
        let me = rustix::process::getpid();
        let alone = is_single_threaded();
        for node in &self.nodes {
            let Some(dir) = &node.monitor else {
                return Err(Error::new(ErrorKind::Internal, "enter the monitor's cgroup before it was made"));
            };
            for pid in pids {
                let is_me = *pid == me;
                if is_me && own == Spawned::IntoUnified && node.hierarchy.version == Version::V2 {
                    continue;
                }
                let name = self.monitor.as_deref().unwrap_or_default();
                move_into(dir, node.hierarchy.version, *pid, is_me && alone)
                    .map_err(|errno| cannot_move(errno, *pid, &node.describe(name)))?;
            }
        }
        Ok(())
    }

    /// Makes the payload's cgroup, and the inner one, in every hierarchy, and enables the controllers above it.
    ///
    /// - Shape: returns the unified cgroup the processes belong in, for CLONE_INTO_CGROUP.
    /// - Context: after `enter_monitor`: a populated cgroup cannot hand controllers on (cgroups(7), no internal
    ///   processes).
    /// - Errors: as `create_monitor`; `Busy` with the cure when other processes keep controllers from being enabled.
    pub fn create_payload(&mut self) -> Result<Option<BorrowedFd<'_>>> {
        let wanted = self.plan.payload.clone();
        self.note_missing_parents(&wanted.path);
        self.delegate_to(&wanted.path)?;
        let (name, fds) = self.create_everywhere(&wanted, "payload")?;
        for (node, fd) in self.nodes.iter_mut().zip(fds) {
            node.limit = Some(fd);
        }
        tracing::info!("the container uses cgroup {name}");
        self.payload = Some(name.clone());
        if let Some(inner) = self.plan.inner.clone() {
            self.enable_controllers_in_limit(&name)?;
            let isolated = IsolatedCpus::default();
            for node in &mut self.nodes {
                let Some(limit) = &node.limit else { continue };
                let path = node.hierarchy.base_dir().join(&name).join(&inner);
                let fd =
                    make_one(limit, &node.hierarchy, &inner, Taken::Refuse, &isolated).map_err(|errno| {
                        cannot_create(errno, &path.display().to_string(), node.hierarchy.version)
                    })?;
                node.inner = Some(fd);
            }
        }
        Ok(self.unified().and_then(Node::payload).map(AsFd::as_fd))
    }

    /// The unified cgroup of the monitor, for CLONE_INTO_CGROUP.
    pub fn monitor_dir(&self) -> Option<BorrowedFd<'_>> {
        self.unified().and_then(|node| node.monitor.as_ref()).map(AsFd::as_fd)
    }

    /// Every descriptor held, for a process that closes all others.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.nodes.iter().flat_map(|node| {
            [Some(&node.base), node.monitor.as_ref(), node.limit.as_ref(), node.inner.as_ref()]
                .into_iter()
                .flatten()
                .map(AsFd::as_fd)
        })
    }

    /// The unified cgroup the container's processes belong in, for CLONE_INTO_CGROUP.
    pub fn payload_dir(&self) -> Option<BorrowedFd<'_>> {
        self.unified().and_then(Node::payload).map(AsFd::as_fd)
    }

    /// Moves a process into the payload's cgroups: the v1 ones, and the unified one unless it was cloned into it.
    pub fn enter_payload(&self, pid: Pid, spawned: Spawned) -> Result<()> {
        for node in &self.nodes {
            if spawned == Spawned::IntoUnified && node.hierarchy.version == Version::V2 {
                continue;
            }
            let Some(dir) = node.payload() else {
                return Err(Error::new(ErrorKind::Internal, "enter the payload's cgroup before it was made"));
            };
            move_into(dir, node.hierarchy.version, pid, false)
                .map_err(|errno| cannot_move(errno, pid, &node.describe(&self.processes_name())))?;
        }
        Ok(())
    }

    /// Open files into which the child itself can write `0` to enter the payload's cgroups.
    ///
    /// A thread that moves itself through v1 `tasks` spares the kernel a wait for all CPUs (20 ms on an idle host), which
    /// `enter_payload` cannot avoid. The kernel judges the write by the opener's credentials.
    ///
    /// - Context: the child must be single-threaded, which it is between clone and exec, and write before it unshares its
    ///   cgroup namespace.
    pub fn payload_entries(&self, spawned: Spawned) -> Result<Vec<OwnedFd>> {
        let mut entries = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let name = match (node.hierarchy.version, spawned) {
                (Version::V2, Spawned::IntoUnified) => continue,
                (Version::V2, Spawned::Elsewhere) => "cgroup.procs",
                (Version::V1, _) => "tasks",
            };
            let Some(dir) = node.payload() else {
                return Err(Error::new(ErrorKind::Internal, "enter the payload's cgroup before it was made"));
            };
            let entry = file::open(dir, name, OFlags::WRONLY)
                .what(|| format!("open {}/{name}", node.describe(&self.processes_name())))?;
            entries.push(entry);
        }
        Ok(entries)
    }

    /// Writes every limit except device rules, in config order.
    ///
    /// - Context: before the workload runs; after `create_payload`.
    /// - Errors: the first refused value, with its config line.
    pub fn apply_limits(&self) -> Result<()> {
        for write in &self.plan.writes {
            self.write_limit(write.hierarchy, &write.file, &write.value, &write.origin)?;
        }
        Ok(())
    }

    /// Puts the device rules in force.
    ///
    /// - Context: after the child has made its device nodes.
    /// - Errors: `Permission` when the program needs more privilege than the caller has.
    pub fn apply_devices(&mut self) -> Result<()> {
        match &self.plan.devices {
            DeviceSetup::Open => Ok(()),
            DeviceSetup::Files { hierarchy, rules } => {
                for planned in rules {
                    let (file, value) = resolve(&planned.rule, &planned.origin)?.v1_write();
                    self.write_limit(*hierarchy, file, &value, &planned.origin)?;
                }
                Ok(())
            }
            DeviceSetup::Program { start, rules } => {
                let mut list = DeviceList::new(*start);
                for planned in rules {
                    list.apply(&resolve(&planned.rule, &planned.origin)?);
                }
                let origin = rules.first().map(|planned| planned.origin.clone()).unwrap_or_default();
                self.install(list).map_err(|error| error.at(&origin))
            }
        }
    }

    /// Adds one device rule to a running container (`lxc-cgroup … devices.allow`, command 14).
    pub fn add_device_rule(&mut self, rule: &DeviceRule) -> Result<()> {
        let resolved = resolve(rule, &Origin::default())?;
        let v1 = self
            .nodes
            .iter()
            .position(|node| node.hierarchy.version == Version::V1 && node.hierarchy.has("devices"));
        if let Some(hierarchy) = v1 {
            let (file, value) = resolved.v1_write();
            return self.write_limit(hierarchy, file, &value, &Origin::default());
        }
        let mut list = match &self.devices {
            Some(current) => current.list.clone(),
            // COMPAT: a first rule on cgroup2 starts an allowlist.
            None => DeviceList::new(super::devices::ListDefault::Deny),
        };
        list.apply(&resolved);
        self.install(list)
    }

    /// Gives the payload's cgroups to the container's root.
    ///
    /// COMPAT: as the original, the owner stays the starter and the group becomes the container root's, with group write.
    ///
    /// - Shape: host ids.
    /// - Context: needs CAP_CHOWN over both ids; an unprivileged starter runs it in a user namespace that maps both, with
    ///   ids as seen there. Allocation and errors are those of an ordinary process.
    pub fn chown(&self, uid: u32, gid: u32) -> Result<()> {
        let delegated = delegated_files();
        for node in &self.nodes {
            let Some(dir) = node.payload() else { continue };
            let name = self.processes_name();
            let files: Vec<&str> = match node.hierarchy.version {
                Version::V1 => vec!["tasks", "cgroup.procs"],
                Version::V2 => delegated.iter().map(String::as_str).collect(),
            };
            let what = |file: &str| format!("hand {}/{file} to gid {gid}", node.describe(&name));
            change_owner(dir, ".", uid, gid, 0o775).what(|| what(""))?;
            for file in files {
                match change_owner(dir, file, uid, gid, 0o664) {
                    // The list names files of controllers that may not be enabled here.
                    Ok(()) | Err(Errno::NOENT) => {}
                    Err(errno) => return Err(Error::kernel(errno, what(file))),
                }
            }
        }
        Ok(())
    }

    /// Kills every process in the payload's cgroups: by `cgroup.kill` where there is one, else pid by pid until none is
    /// left.
    ///
    /// - Context: the monitor, after init has ended.
    pub fn kill_payload(&self) {
        for node in &self.nodes {
            let Some(dir) = node.limit.as_ref() else { continue };
            if node.hierarchy.version == Version::V2 && file::write(dir, "cgroup.kill", b"1").is_ok() {
                continue;
            }
            for _ in 0..8 {
                let Ok(text) = file::read(node.payload().unwrap_or(dir), "cgroup.procs") else { break };
                let pids: Vec<Pid> =
                    text.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)).collect();
                if pids.is_empty() {
                    break;
                }
                for pid in pids {
                    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
                }
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
    }

    /// Removes the payload's cgroups and keeps the monitor's, for a reboot.
    pub fn destroy_payload(&mut self) -> Vec<Error> {
        let mut errors = Vec::new();
        self.devices = None;
        let Some(name) = self.payload.take() else { return errors };
        for node in &mut self.nodes {
            node.inner = None;
            if node.limit.take().is_some()
                && let Err(errno) = prune::remove(&node.base, &name)
            {
                errors.push(cannot_remove(errno, &node.describe(&name)));
            }
        }
        errors
    }

    /// Moves the monitor out and removes everything this tree made.
    ///
    /// The original leaves the pivot cgroup behind with the monitor in it. Here the pivot is only a stop on the way to the
    /// base cgroup, or the end where the base may hold no processes (cgroups(7), no internal processes).
    ///
    /// - Context: the monitor, after the container's processes are gone.
    pub fn destroy(mut self) -> Vec<Error> {
        let mut errors = self.destroy_payload();
        let Some(name) = self.monitor.take() else { return errors };
        let me = rustix::process::getpid();
        let alone = is_single_threaded();
        let isolated = IsolatedCpus::default();
        let pivot = self.plan.pivot.as_str();
        for node in &mut self.nodes {
            if node.monitor.take().is_none() {
                continue;
            }
            let version = node.hierarchy.version;
            let straight_out = !self.plan.explicit_pivot && move_into(&node.base, version, me, alone).is_ok();
            if !straight_out {
                node.made.extend(missing_parents(&node.base, pivot));
                let moved = make_path(&node.base, &node.hierarchy, pivot, Taken::Reuse, &isolated)
                    .and_then(|pivot| move_into(&pivot, version, me, alone));
                if let Err(errno) = moved {
                    errors.push(cannot_move(errno, me, &node.describe(pivot)));
                }
            }
            if let Err(errno) = prune::remove(&node.base, &name) {
                errors.push(cannot_remove(errno, &node.describe(&name)));
            }
            if !straight_out && move_into(&node.base, version, me, alone).is_ok() {
                // Others may sit in a pivot that is shared; then it stays.
                let _ = rustix::fs::unlinkat(&node.base, pivot, AtFlags::REMOVEDIR);
            }
            for parent in node.made.drain(..).rev() {
                let _ = rustix::fs::unlinkat(&node.base, &*parent, AtFlags::REMOVEDIR);
            }
        }
        errors
    }

    fn note_missing_parents(&mut self, path: &str) {
        if !path.contains('/') {
            return;
        }
        for node in &mut self.nodes {
            for parent in missing_parents(&node.base, path) {
                if !node.made.contains(&parent) {
                    node.made.push(parent);
                }
            }
        }
    }

    /// Name of the cgroup with the processes, relative to the base cgroups; what `mounts::plan` calls the payload.
    pub fn processes_name(&self) -> String {
        let payload = self.payload.as_deref().unwrap_or_default();
        match &self.plan.inner {
            Some(inner) => format!("{payload}/{inner}"),
            None => payload.to_owned(),
        }
    }

    pub(super) fn unified(&self) -> Option<&Node> {
        self.nodes.iter().find(|node| node.hierarchy.version == Version::V2)
    }

    /// Finds a name that is free in all hierarchies and makes it in all of them.
    fn create_everywhere(&self, wanted: &CgroupName, role: &str) -> Result<(String, Vec<OwnedFd>)> {
        let isolated = IsolatedCpus::default();
        'candidates: for number in 0..wanted.candidates() {
            let name = wanted.candidate(number);
            let mut fds = Vec::with_capacity(self.nodes.len());
            for node in &self.nodes {
                match make_path(&node.base, &node.hierarchy, &name, Taken::Refuse, &isolated) {
                    Ok(fd) => fds.push(fd),
                    Err(errno) => {
                        for made in self.nodes.iter().take(fds.len()) {
                            // Best effort: the error that matters is the one that made us give up.
                            let _ = prune::remove(&made.base, &name);
                        }
                        if errno == Errno::EXIST && wanted.suffixed {
                            continue 'candidates;
                        }
                        let error = cannot_create(errno, &node.describe(&name), node.hierarchy.version);
                        return Err(error.at(&wanted.origin));
                    }
                }
            }
            return Ok((name, fds));
        }
        Err(Error::new(
            ErrorKind::AlreadyExists,
            format!(
                "all names from {} to {} are taken by other cgroups",
                wanted.path,
                wanted.candidate(wanted.candidates() - 1)
            ),
        )
        .cure(format!("remove stale {role} cgroups of this container")))
    }

    /// Enables all controllers of the unified hierarchy from the base down to the parent of `path`.
    fn delegate_to(&self, path: &str) -> Result<()> {
        let Some(node) = self.unified() else { return Ok(()) };
        let Some(enable) = enable_text(&node.hierarchy.controllers) else { return Ok(()) };
        self.enable_controllers(node, &node.base, "", &enable)?;
        let mut below = String::new();
        let parents = path.rsplit_once('/').map(|(parents, _)| parents).unwrap_or_default();
        for part in parents.split('/').filter(|part| !part.is_empty()) {
            if !below.is_empty() {
                below.push('/');
            }
            below.push_str(part);
            match rustix::fs::mkdirat(&node.base, below.as_str(), Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(cannot_create(errno, &node.describe(&below), Version::V2)),
            }
            let dir = file::open_dir(&node.base, &below)
                .what(|| format!("open cgroup {}", node.describe(&below)))?;
            self.enable_controllers(node, &dir, &below, &enable)?;
        }
        Ok(())
    }

    fn enable_controllers_in_limit(&self, name: &str) -> Result<()> {
        let Some(node) = self.unified() else { return Ok(()) };
        let (Some(enable), Some(limit)) = (enable_text(&node.hierarchy.controllers), &node.limit) else {
            return Ok(());
        };
        self.enable_controllers(node, limit, name, &enable)
    }

    /// Enables what can be enabled; only a controller that a setting needs is worth failing for.
    fn enable_controllers(&self, node: &Node, dir: &OwnedFd, below: &str, all: &str) -> Result<()> {
        const FILE: &str = "cgroup.subtree_control";
        if file::write(dir, FILE, all.as_bytes()).is_ok() {
            return Ok(());
        }
        // One refused controller refuses the whole write.
        for controller in all.split(' ') {
            let Err(errno) = file::write(dir, FILE, controller.as_bytes()) else { continue };
            let name = controller.trim_start_matches('+');
            let needed = self.plan.writes.iter().find(|write| {
                self.nodes.get(write.hierarchy).is_some_and(|n| n.hierarchy.version == Version::V2)
                    && controller_of(&write.file) == name
            });
            let path = node.describe(below);
            let error = Error::kernel(errno, format!("enable the {name} controller below cgroup {path}"));
            let error = match errno {
                Errno::BUSY => error.cure(format!(
                    "processes live in {path} itself; start from an empty delegated cgroup: systemd-run --user --scope -p \
                     Delegate=yes lxc-start …"
                )),
                Errno::ACCESS | Errno::PERM => error.cure(format!(
                    "{path} is not delegated to this user: systemd-run --user --scope -p Delegate=yes lxc-start …"
                )),
                _ => error,
            };
            match needed {
                Some(write) => return Err(error.at(&write.origin)),
                None => tracing::debug!("{error}"),
            }
        }
        Ok(())
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

    /// The layout word of the command socket.
    pub fn kind(&self) -> LayoutKind {
        self.plan.kind
    }
}

/// What to do when the last component of a new cgroup's path exists.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    Refuse,
    Reuse,
}

/// The directories above `path` that do not exist, shallow ones first.
fn missing_parents(base: &OwnedFd, path: &str) -> Vec<String> {
    path.match_indices('/')
        .map(|(end, _)| path.get(..end).unwrap_or_default())
        .filter(|parent| {
            !parent.is_empty()
                && rustix::fs::accessat(base, *parent, rustix::fs::Access::EXISTS, AtFlags::empty()).is_err()
        })
        .map(str::to_owned)
        .collect()
}

/// Makes `path` below `base`; components above the last one may exist.
fn make_path(
    base: &OwnedFd,
    hierarchy: &Hierarchy,
    path: &str,
    taken: Taken,
    isolated: &IsolatedCpus,
) -> std::result::Result<OwnedFd, Errno> {
    let Some((parents, last)) = path.rsplit_once('/') else {
        return make_one(base, hierarchy, path, taken, isolated);
    };
    let mut parent: Option<OwnedFd> = None;
    for part in parents.split('/').filter(|part| !part.is_empty()) {
        let above = parent.as_ref().unwrap_or(base);
        parent = Some(make_one(above, hierarchy, part, Taken::Reuse, isolated)?);
    }
    make_one(parent.as_ref().unwrap_or(base), hierarchy, last, taken, isolated)
}

fn make_one(
    parent: &OwnedFd,
    hierarchy: &Hierarchy,
    name: &str,
    taken: Taken,
    isolated: &IsolatedCpus,
) -> std::result::Result<OwnedFd, Errno> {
    let made = match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
        Ok(()) => true,
        Err(Errno::EXIST) if taken == Taken::Reuse => false,
        Err(errno) => return Err(errno),
    };
    let prepared = file::open_dir(parent, name).and_then(|fd| {
        if made && hierarchy.version == Version::V1 && hierarchy.has("cpuset") {
            inherit_cpuset(parent, &fd, isolated)?;
        }
        Ok(fd)
    });
    if prepared.is_err() && made {
        // The cgroup is empty and nobody knows of it yet.
        let _ = rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR);
    }
    prepared
}

/// A v1 cpuset cgroup starts without CPUs and memory nodes and takes no process until it has some.
fn inherit_cpuset(
    parent: &OwnedFd,
    child: &OwnedFd,
    isolated: &IsolatedCpus,
) -> std::result::Result<(), Errno> {
    if file::read(parent, "cgroup.clone_children")?.trim() == "1" {
        return Ok(());
    }
    let cpus = file::read(parent, "cpuset.cpus")?;
    let cpus = isolated.removed_from(cpus.trim());
    file::write(child, "cpuset.cpus", cpus.as_bytes())?;
    let mems = file::read(parent, "cpuset.mems")?;
    file::write(child, "cpuset.mems", mems.trim().as_bytes())?;
    // Cgroups made below it (by a container's own manager) inherit by themselves.
    file::write(child, "cgroup.clone_children", b"1")
}

/// The CPUs kept free of ordinary load by `isolcpus=`; read once, when first needed.
#[derive(Default)]
struct IsolatedCpus(OnceCell<String>);

impl IsolatedCpus {
    fn removed_from(&self, cpus: &str) -> String {
        let isolated = self.0.get_or_init(|| {
            let path = std::path::Path::new("/sys/devices/system/cpu/isolated");
            super::layout::read_text(path).map(|text| text.trim().to_owned()).unwrap_or_default()
        });
        super::cpulist::without(cpus, isolated)
    }
}

/// `+cpu +memory …`, or `None` when there is nothing to enable.
fn enable_text(controllers: &[String]) -> Option<String> {
    if controllers.is_empty() {
        return None;
    }
    Some(controllers.iter().map(|name| format!("+{name}")).collect::<Vec<_>>().join(" "))
}

fn is_single_threaded() -> bool {
    // One directory per thread plus `.` and `..`.
    rustix::fs::stat("/proc/self/task").is_ok_and(|stat| stat.st_nlink == 3)
}

/// Moves a process.
///
/// ORDER: writing a pid to `cgroup.procs` makes the kernel wait until no CPU is inside a fork or exit (milliseconds on an
/// idle host); a thread that moves only itself with v1 `tasks` does not.
fn move_into(
    dir: &OwnedFd,
    version: Version,
    pid: Pid,
    own_only_thread: bool,
) -> std::result::Result<(), Errno> {
    match (version, own_only_thread) {
        (Version::V1, true) => file::write(dir, "tasks", b"0"),
        (Version::V2, true) => file::write(dir, "cgroup.procs", b"0"),
        _ => file::write(dir, "cgroup.procs", pid.as_raw_nonzero().to_string().as_bytes()),
    }
}

fn change_owner(dir: &OwnedFd, name: &str, uid: u32, gid: u32, mode: u32) -> std::result::Result<(), Errno> {
    rustix::fs::chownat(
        dir,
        name,
        Some(Uid::from_raw(uid)),
        Some(Gid::from_raw(gid)),
        AtFlags::SYMLINK_NOFOLLOW,
    )?;
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

fn cannot_create(errno: Errno, path: &str, version: Version) -> Error {
    let error = Error::kernel(errno, format!("create cgroup {path}"));
    match (errno, version) {
        (Errno::EXIST, _) => error.cure("stop the container that uses it, or remove it"),
        (Errno::ACCESS | Errno::PERM, Version::V2) => error
            .cure("start inside a delegated cgroup: systemd-run --user --scope -p Delegate=yes lxc-start …"),
        (Errno::ACCESS | Errno::PERM, Version::V1) => {
            error.cure("root must chown a cgroup of this hierarchy to you, as pam_cgfs does at login")
        }
        (Errno::AGAIN, _) => {
            error.cure("cgroup.max.descendants or cgroup.max.depth of a cgroup above is reached")
        }
        (Errno::NOSPC, _) => error.cure("the parent cpuset has no CPUs or memory nodes to give"),
        _ => error,
    }
}

fn cannot_move(errno: Errno, pid: Pid, path: &str) -> Error {
    let error = Error::kernel(errno, format!("move process {} into cgroup {path}", pid.as_raw_nonzero()));
    match errno {
        Errno::ACCESS | Errno::PERM => error.cure(
            "both the cgroup the process is in now and the new one must be delegated to you: start with systemd-run --user \
             --scope -p Delegate=yes lxc-start …",
        ),
        Errno::BUSY => error.cure("the cgroup hands controllers on to children and takes no processes itself"),
        Errno::NOSPC => error.cure("cpuset.cpus or cpuset.mems of the cgroup is empty"),
        _ => error,
    }
}

fn cannot_remove(errno: Errno, path: &str) -> Error {
    let error = Error::kernel(errno, format!("remove cgroup {path}"));
    match errno {
        Errno::BUSY => error.cure("processes still live in it; see its cgroup.procs"),
        _ => error,
    }
}
