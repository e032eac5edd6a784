//! The cgroups of one container in every hierarchy: made, entered, limited, handed over and removed.
//!
//! All work is relative to one directory fd per hierarchy, opened once. Not here: which names and values (`plan`),
//! answering the command socket (`serve`), removing directories (`prune`).
//!
//! **Context**: the monitor (or the process about to become it), in the host's mount and cgroup namespaces.

use std::cell::OnceCell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;

use super::apply::DeviceProgram;
use super::dirs::{IsolatedCpus, Taken, make_one, make_path, missing_parents};
use super::layout::{Hierarchy, LayoutKind, Version};
use super::limit::controller_of;
use super::plan::{CgroupName, CgroupPlan};
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

    pub(super) fn describe(&self, below: &str) -> String {
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
    pub(super) devices: Option<DeviceProgram>,
    pub(super) device_support: OnceCell<bool>,
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

    /// Moves the calling process into the monitor's unified cgroup if it lives in the base itself, which can hand on no
    /// controllers to the container while it holds processes (cgroups(7), no internal processes).
    ///
    /// - Context: the starter, single-threaded, after `create_monitor`; `destroy` moves it back if it is still there.
    pub fn shelter_starter(&self) -> Result<()> {
        let Some(node) = self.unified() else { return Ok(()) };
        let Some(dir) = &node.monitor else { return Ok(()) };
        let base = node.hierarchy.base_cgroup.as_str();
        // The root cgroup may hold processes whatever it hands on.
        if node.hierarchy.controllers.is_empty() || base == "/" {
            return Ok(());
        }
        let own = super::layout::read_text(std::path::Path::new("/proc/self/cgroup"))?;
        if !own.lines().any(|line| line.strip_prefix("0::") == Some(base)) {
            return Ok(());
        }
        let me = rustix::process::getpid();
        move_into(dir, Version::V2, me, is_single_threaded()).map_err(|errno| {
            cannot_move(errno, me, &node.describe(self.monitor.as_deref().unwrap_or_default()))
        })
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

    /// Whether the container has made cgroups inside its own.
    pub fn has_guests(&self) -> bool {
        self.nodes.iter().filter_map(Node::payload).any(prune::has_children)
    }

    /// Removes the cgroups the container has made inside its own, as far as they are empty.
    ///
    /// They may belong to ids of the container, so an unprivileged starter does this as root of its user namespace.
    ///
    /// - Errors: the number of the hierarchy, for `describe_gift`, and the errno.
    pub fn remove_guests(&self) -> std::result::Result<(), (u32, Errno)> {
        for (number, node) in (0..).zip(&self.nodes) {
            if let Some(dir) = node.payload() {
                prune::empty(dir).map_err(|errno| (number, errno))?;
            }
        }
        Ok(())
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
            let mut straight_out =
                !self.plan.explicit_pivot && move_into(&node.base, version, me, alone).is_ok();
            if !straight_out && !self.plan.explicit_pivot && version == Version::V2 {
                straight_out =
                    stop_handing_on(&node.base, &name) && move_into(&node.base, version, me, alone).is_ok();
            }
            if straight_out && version == Version::V2 {
                shoo(&node.base, &node.base, &name, me);
            }
            if !straight_out {
                node.made.extend(missing_parents(&node.base, pivot));
                let moved = make_path(&node.base, &node.hierarchy, pivot, Taken::Reuse, &isolated).and_then(
                    |pivot| {
                        if version == Version::V2 {
                            shoo(&node.base, &pivot, &name, me);
                        }
                        move_into(&pivot, version, me, alone)
                    },
                );
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

    /// The layout word of the command socket.
    pub fn kind(&self) -> LayoutKind {
        self.plan.kind
    }
}

/// Takes back what the base hands on to its children, when the only one left is `monitor`: then the base may hold processes
/// again, and nothing stays behind.
fn stop_handing_on(base: &OwnedFd, monitor: &str) -> bool {
    const FILE: &str = "cgroup.subtree_control";
    if monitor.contains('/') || prune::children(base) != [monitor] {
        return false;
    }
    let Ok(text) = file::read(base, FILE) else { return false };
    let off: Vec<String> = text.split_whitespace().map(|name| format!("-{name}")).collect();
    !off.is_empty() && file::write(base, FILE, off.join(" ").as_bytes()).is_ok()
}

/// Moves who else is in the cgroup `name` to `to`: a starter that still waits for the outcome.
fn shoo(base: &OwnedFd, to: &OwnedFd, name: &str, me: Pid) {
    let Ok(text) = file::read(base, &format!("{name}/cgroup.procs")) else { return };
    let own = me.as_raw_nonzero().to_string();
    for pid in text.lines().filter(|pid| *pid != own) {
        if let Err(errno) = file::write(to, "cgroup.procs", pid.as_bytes()) {
            tracing::debug!("process {pid} stays in cgroup {name}: {errno}");
        }
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
