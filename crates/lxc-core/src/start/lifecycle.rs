//! The monitor's life: bring the container up, serve it while it runs, put everything away, again after a reboot.
//!
//! Everything that needs to be put away is in [`Live`], an `Option` each: what was not reached is not undone. The order
//! of going down is the original's (abi-and-wire.md E3), because hooks and clients can see it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use lxc_conf::model::{HookKind, IdKind, IdMap, Ns};
use lxc_sys::clone::Child;
use lxc_sys::pidfd;
use lxc_sys::signal::{Mask, set_mask, signalfd};
use lxc_sys::{cred, ns};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;

use super::arm::{Armed, arm, open_joins};
use super::daemon::Starter;
use super::favours::Favours;
use super::handshake::{self, Parcels, Steps};
use super::scripts::HostScripts;
use super::spawn::spawn;
use super::{Prepared, consoles};
use crate::cgroup::tree::{Spawned, Tree};
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::hooks::{self, Environment};
use crate::idmap;
use crate::lsm::apparmor::load::{self, Loaded};
use crate::monitor::{self, Outcome, Running};
use crate::net::{self, Links};
use crate::plan::script::ChildHooks;
use crate::seccomp::notify::Proxy;
use crate::state::State;
use crate::state::announce::{Announcer, Ending};

/// What exists of a container on its way up, while it runs, and on its way down.
#[derive(Debug, Default)]
struct Live {
    cgroups: Option<Tree>,
    child: Option<Child>,
    links: Option<Links>,
    /// Namespaces of the container, kept open so that they outlive its processes.
    namespaces: Vec<(Ns, OwnedFd)>,
    /// The generated AppArmor profile in the kernel.
    profile: Option<Loaded>,
    /// Held, not used: the pin of the root file system.
    pin: Option<OwnedFd>,
}

impl Live {
    /// Names of the namespaces' descriptors for other processes of the host.
    fn namespace_paths(&self) -> impl Iterator<Item = (Ns, String)> + '_ {
        use std::os::fd::AsRawFd;
        let own = rustix::process::getpid().as_raw_nonzero();
        self.namespaces.iter().map(move |(ns, fd)| (*ns, format!("/proc/{own}/fd/{}", fd.as_raw_fd())))
    }

    fn namespace(&self, ns: Ns) -> Option<&OwnedFd> {
        self.namespaces.iter().find(|(kind, _)| *kind == ns).map(|(_, fd)| fd)
    }
}

/// One monitor: fixed facts, and the hook environment that grows as facts become known.
struct Monitor {
    prepared: Prepared,
    environment: Environment,
    old_mask: Mask,
}

/// Runs the container until it stops for good; returns init's wait status.
///
/// - Shape: `starter` is told the outcome of the first start only; `tree` has the monitor's cgroup made already.
/// - Context: the monitor process: after the fork, or the caller itself in the foreground.
pub(super) fn run(
    prepared: Prepared,
    listener: OwnedFd,
    starter: Option<Starter>,
    tree: Option<(Tree, Spawned)>,
) -> Result<i32> {
    let request = &prepared.request;
    let mut announcer = Announcer::new(&request.lxcpath, &request.name);
    let pidfile = request.pidfile.clone();
    let environment = prepared.plan.hook_environment.clone();
    if prepared.request.config.settings().monitor.unshare != 0 {
        unshare_mounts()?;
    }
    let mut monitor = Monitor { prepared, environment, old_mask: Mask::EMPTY };
    let result = write_pidfile(pidfile.as_ref())
        .and_then(|()| monitor.live(Some(listener), starter, tree, &mut announcer));
    if let Some(path) = &pidfile {
        let _ = std::fs::remove_file(path);
    }
    result
}

fn write_pidfile(path: Option<&PathBuf>) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    std::fs::write(path, rustix::process::getpid().as_raw_nonzero().to_string())
        .what(|| format!("write the pid file {}", path.display()))
}

/// `lxc.monitor.unshare`: a mount namespace of the monitor's own, which the host does not see into.
fn unshare_mounts() -> Result<()> {
    use rustix::mount::{MountPropagationFlags, mount_change};
    ns::unshare(Ns::Mnt.clone_flag())
        .what(|| "unshare the monitor's mount namespace (lxc.monitor.unshare)")?;
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .what(|| "make the monitor's mounts slaves of the host's")
}

impl Monitor {
    /// Up, down, and around again as long as the container reboots.
    fn live(
        &mut self,
        mut listener: Option<OwnedFd>,
        mut starter: Option<Starter>,
        mut tree: Option<(Tree, Spawned)>,
        announcer: &mut Announcer,
    ) -> Result<i32> {
        loop {
            announcer.announce(State::Starting);
            let mut live = Live::default();
            let outcome = self
                .enter_cgroup(&mut live, tree.take())
                .and_then(|()| self.bring_up(&mut live))
                .and_then(|up| self.serve(&mut live, up, &mut listener, &mut starter, announcer));
            match outcome {
                Ok(Outcome::Stopped { wait_status }) => {
                    let _ = self.put_away(live, Ending::Stop, Some(wait_status), &mut listener, announcer);
                    announcer.close_clients(Ending::Stop);
                    self.destroy_ephemeral();
                    return Ok(wait_status);
                }
                Ok(Outcome::Reboot) => {
                    let hooks = self.put_away(live, Ending::Reboot, Some(SIGHUP), &mut listener, announcer);
                    if let Err(error) = hooks {
                        // A post-stop hook that fails turns a reboot into a stop: orchestrators move containers this way.
                        tracing::error!("{error}: not rebooting");
                        drop(listener.take());
                        announcer.stopped(Ending::Stop);
                        announcer.close_clients(Ending::Stop);
                        return Ok(SIGHUP);
                    }
                    announcer.close_clients(Ending::Reboot);
                }
                Err(error) => {
                    if let Some(starter) = &starter {
                        starter.explain(&error);
                        if let Ok(socket) = starter.socket.try_clone() {
                            announcer.set_start_socket(socket);
                        }
                    }
                    announcer.announce(State::Aborting);
                    self.abort(&mut live);
                    let _ = self.put_away(live, Ending::Stop, None, &mut listener, announcer);
                    announcer.close_clients(Ending::Stop);
                    return Err(error);
                }
            }
        }
    }

    /// The monitor's own cgroup, made here unless the starter did.
    fn enter_cgroup(&mut self, live: &mut Live, made: Option<(Tree, Spawned)>) -> Result<()> {
        let (tree, spawned) = match made {
            Some((tree, spawned)) => (live.cgroups.insert(tree), spawned),
            None => {
                let tree = live.cgroups.insert(Tree::open(self.prepared.plan.cgroups.clone())?);
                tree.create_monitor()?;
                (tree, Spawned::Elsewhere)
            }
        };
        tree.enter_monitor(&[rustix::process::getpid()], spawned)
    }

    /// Steps 3 to 24 of abi-and-wire.md E2.
    fn bring_up(&mut self, live: &mut Live) -> Result<Up> {
        let plan = &self.prepared.plan;
        for notice in &plan.notices {
            tracing::warn!("{notice}");
        }
        let pre_start = plan.hooks_of(HookKind::PreStart);
        if !pre_start.is_empty() {
            hooks::run::run(pre_start, plan.hook_version, &plan.name, &self.environment, &[])?;
            // What the hook may have made is there now, or it is missing for good.
            net::preflight(&plan.network)?;
        }
        // ORDER: before the clone, or a very early SIGCHLD is lost.
        let (old_mask, signals) = block_signals()?;
        self.old_mask = old_mask;
        if let Some(policy) = &plan.lsm.apparmor {
            live.profile = load::ensure(policy)?;
        }
        let tree = live.cgroups.as_mut().ok_or_else(lost)?;
        let child_hooks = ChildHooks::build(plan)?;
        let joins = open_joins(&self.prepared)?;
        let shared = joins.iter().find(|(_, ns)| *ns == Ns::User);
        let maps = shared.map(|(userns, _)| idmap::namespace::maps_of(userns)).transpose()?;
        if let Some(maps) = maps {
            // Only the namespace itself knows them; lxc.idmap beside lxc.namespace.share.user may say anything.
            self.prepared.plan.adopt_maps(maps);
        }
        let mut armed = arm(&self.prepared, joins, !child_hooks.is_empty())?;
        live.pin = armed.pin.take();
        tree.create_payload()?;
        tree.apply_limits()?;
        if let Some(name) = tree.payload_name() {
            self.prepared.plan.rename_payload(self.prepared.request.config.settings(), name)?;
        }
        let child = clone_init(&self.prepared, &armed, &child_hooks, old_mask, tree)?;
        let pid = child.pid;
        live.child = Some(child);
        self.environment.set("LXC_PID", pid.to_string());
        // The child holds its own copies; ours would keep the ends open for ever.
        let Armed { sync: (sync, theirs), hook_output, console, proc, favours, seccomp_proxy, .. } = armed;
        drop(theirs);
        let hook_output = hook_output.map(|(read, _write)| read);
        let mut steps = Climb { monitor: self, live, proc: &proc, favours, pid };
        let parcels = handshake::run(&self.prepared.plan, &sync, hook_output.as_ref(), &mut steps)?;
        Ok(Up { signals, parcels, host_console: console.map(|pty| (pty.ptx, pty.pts)), seccomp_proxy })
    }

    /// RUNNING, until init ends.
    fn serve(
        &mut self,
        live: &mut Live,
        up: Up,
        listener: &mut Option<OwnedFd>,
        starter: &mut Option<Starter>,
        announcer: &mut Announcer,
    ) -> Result<Outcome> {
        let plan = &self.prepared.plan;
        let child = live.child.as_ref().ok_or_else(lost)?;
        let settings = self.prepared.request.config.settings();
        let pty = up.parcels.console.or(up.host_console);
        let console = consoles::console(&settings.console, pty, plan.mode)?;
        let ttys = consoles::ttys(up.parcels.ttys)?;
        if let Some(starter) = starter.take() {
            announcer.set_start_socket(starter.socket);
            // The report pipe closes with `starter`: nothing went wrong.
        }
        announcer.announce(State::Running);
        let mut running = Running {
            name: plan.name.clone(),
            lxcpath: self.prepared.request.lxcpath.clone(),
            config: self.prepared.request.config.clone(),
            init_pid: child.pid,
            init_pidfd: child.pidfd.try_clone().what(|| "duplicate the pidfd of init")?,
            namespaces: plan.namespaces.owned_flags(),
            cgroups: live.cgroups.take(),
            devpts: up.parcels.devpts,
            console,
            ttys,
            seccomp_notify: up.parcels.seccomp_listener,
            seccomp_proxy: up.seccomp_proxy,
            listener: listener.take().ok_or_else(lost)?,
            signals: up.signals,
            veth_pairs: veth_pairs(live.links.as_ref()),
            announcer: std::mem::replace(
                announcer,
                Announcer::new(&self.prepared.request.lxcpath, &plan.name),
            ),
        };
        if plan.mode == crate::plan::Mode::Daemon {
            // After RUNNING was announced: nobody waits for this.
            lxc_sys::memory::release_after_start();
        }
        let outcome = monitor::run(&mut running);
        let Running { cgroups, listener: back, announcer: speaker, .. } = running;
        live.cgroups = cgroups;
        *listener = Some(back);
        *announcer = speaker;
        let outcome = outcome?;
        // The loop reaps init before it returns.
        live.child = None;
        Ok(outcome)
    }

    /// Kills init and reaps it, so that nothing is left in its namespaces and cgroups.
    fn abort(&self, live: &mut Live) {
        let Some(child) = live.child.take() else { return };
        let _ = pidfd::send_signal(child.pidfd.as_fd(), SIGKILL);
        if let Err(errno) = pidfd::reap(child.pidfd.as_fd()) {
            tracing::warn!("reap init {}: {errno}", child.pid);
        }
    }

    /// The way down. Nothing stops it; the result is that of the post-stop hooks.
    fn put_away(
        &mut self,
        mut live: Live,
        ending: Ending,
        wait_status: Option<i32>,
        listener: &mut Option<OwnedFd>,
        announcer: &mut Announcer,
    ) -> Result<()> {
        let plan = &self.prepared.plan;
        let target = if ending == Ending::Reboot { "reboot" } else { "stop" };
        self.environment.set("LXC_TARGET", target);
        if let Some(wait_status) = wait_status {
            announcer.exit_code(wait_status);
        }
        // Observed: down scripts and stop hooks of either version can reach the container's namespaces.
        let environment = self.with_namespaces(&live);
        if let (Some(links), Some(netns)) = (live.links.take(), live.namespace(Ns::Net)) {
            let scripts =
                HostScripts { name: &plan.name, version: plan.hook_version, environment: &environment };
            log_all(links.teardown(netns.as_fd(), &scripts));
        }
        let owns_pids = plan.namespaces.owns(Ns::Pid);
        announcer.announce(State::Stopping);
        self.stop_hooks(&live, &environment);
        if let Some(tree) = live.cgroups.take() {
            if !owns_pids {
                // Without a pid namespace of its own the end of init ends nothing else.
                tree.kill_payload();
            }
            remove_guests(&tree, &plan.idmap);
            log_all(tree.destroy());
        }
        // ORDER: when no process is left; the kernel makes those of a removed profile unconfined.
        if let Some(profile) = live.profile.take() {
            log_all(profile.remove());
        }
        drop(live.pin.take());
        if ending == Ending::Stop {
            drop(listener.take());
        }
        announcer.stopped(ending);
        live.namespaces.clear();
        let plan = &self.prepared.plan;
        let hooks = hooks::run::run(
            plan.hooks_of(HookKind::PostStop),
            plan.hook_version,
            &plan.name,
            &self.environment,
            &[],
        );
        if let Err(error) = &hooks
            && ending == Ending::Stop
        {
            tracing::error!("{error}");
        }
        let _ = set_mask(self.old_mask);
        hooks
    }

    /// The environment of hooks with `LXC_NET_NS` and its kin.
    fn with_namespaces(&self, live: &Live) -> Environment {
        let mut environment = self.environment.clone();
        for (ns, path) in live.namespace_paths() {
            environment.set(format!("LXC_{}_NS", ns.word().to_uppercase()), path);
        }
        environment
    }

    fn stop_hooks(&self, live: &Live, environment: &Environment) {
        let plan = &self.prepared.plan;
        let words: Vec<String> = match plan.hook_version {
            0 => live.namespace_paths().map(|(ns, path)| format!("{}:{path}", ns.word())).collect(),
            _ => Vec::new(),
        };
        let hooks = plan.hooks_of(HookKind::Stop);
        if let Err(error) = hooks::run::run(hooks, plan.hook_version, &plan.name, environment, &words) {
            tracing::error!("{error}");
        }
    }

    fn destroy_ephemeral(&self) {
        if !self.prepared.request.config.settings().ephemeral {
            return;
        }
        if let Err(error) = (self.prepared.request.destroy)(&self.prepared.request) {
            tracing::error!("{error}");
        }
    }
}

/// What `bring_up` hands to `serve`.
struct Up {
    signals: OwnedFd,
    parcels: Parcels,
    host_console: Option<(OwnedFd, OwnedFd)>,
    seccomp_proxy: Option<Proxy>,
}

/// The monitor's side of the milestones.
struct Climb<'a> {
    monitor: &'a Monitor,
    live: &'a mut Live,
    proc: &'a lxc_sys::proc::ProcFs,
    favours: Favours,
    pid: i32,
}

const CAP_CHOWN: u64 = 1 << 0;
const CAP_DAC_OVERRIDE: u64 = 1 << 1;

fn is_capable(capability: u64) -> Result<bool> {
    Ok(cred::capabilities().what(|| "read capabilities")?.effective & capability != 0)
}

/// Removes what the container has made inside its cgroups and its starter may not touch.
fn remove_guests(tree: &Tree, maps: &[IdMap]) {
    if maps.is_empty() || !tree.has_guests() || is_capable(CAP_DAC_OVERRIDE).unwrap_or(true) {
        return;
    }
    match idmap::inside::run(maps, |tree: &&Tree| tree.remove_guests(), &tree) {
        Ok(None) => {}
        Ok(Some((number, errno))) => tracing::warn!("empty cgroup {}: {errno}", tree.describe_gift(number)),
        Err(error) => tracing::warn!("{error}"),
    }
}

/// Lets the container's root manage its cgroups; `group` is its group inside.
fn give_cgroups(tree: &Tree, maps: &[IdMap], group: u32) -> Result<()> {
    let Some(host) = idmap::host_id(maps, IdKind::Group, group) else { return Ok(()) };
    let refused = if is_capable(CAP_CHOWN)? {
        tree.give_to_group(host).err()
    } else {
        idmap::inside::run(maps, |(tree, group): &(&Tree, u32)| tree.give_to_group(*group), &(tree, group))?
    };
    match refused {
        None => Ok(()),
        Some((number, errno)) => Err(errno)
            .what(|| format!("give {} to group {group} of the container", tree.describe_gift(number))),
    }
}

impl Steps for Climb<'_> {
    fn cloned(&mut self) -> Result<()> {
        let plan = &self.monitor.prepared.plan;
        let tree = self.live.cgroups.as_ref().ok_or_else(lost)?;
        if plan.namespaces.owns(Ns::User) {
            idmap::apply::write(self.proc, self.pid, &plan.idmap)?;
        }
        if !plan.idmap.is_empty() {
            give_cgroups(tree, &plan.idmap, plan.become_root.unwrap_or((0, 0)).1)?;
        }
        if plan.core_scheduling {
            cred::create_core_scheduling_domain(self.pid)
                .what(|| "make a core scheduling domain (lxc.sched.core)")?;
        }
        // ORDER: before the first hook in the child, which shall run under them as on the original.
        for limit in &plan.limits {
            cred::set_limit(self.pid, limit.resource, limit.soft, limit.hard)
                .what(|| format!("set lxc.prlimit.{}", limit.name))
                .map_err(|error| error.at(&limit.origin))?;
        }
        for (path, value, origin) in &plan.procs {
            self.proc
                .write_at(format!("{}/{path}", self.pid), value.as_bytes())
                .what(|| format!("write {value:?} to /proc/{}/{path} (lxc.proc)", self.pid))
                .map_err(|error| error.at(origin))?;
        }
        self.live.namespaces = open_namespaces(plan, self.proc, self.pid, Moment::Cloned)?;
        Ok(())
    }

    fn mapped(&mut self, socket: OwnedFd) -> Result<()> {
        let plan = &self.monitor.prepared.plan;
        let scripts = HostScripts {
            name: &plan.name,
            version: plan.hook_version,
            environment: &self.monitor.environment,
        };
        let copy = |netns: &OwnedFd| netns.try_clone().what(|| "duplicate the container's network namespace");
        let netns = match self.live.namespace(Ns::Net) {
            Some(netns) => copy(netns)?,
            // Made by the child just now, or a shared one that was joined.
            None => open_namespace(self.proc, self.pid, Ns::Net)?,
        };
        if plan.namespaces.late.contains(&Ns::Net) {
            // Taking the links down needs it, also after a start that fails from here on.
            self.live.namespaces.push((Ns::Net, copy(&netns)?));
        }
        let target = net::Target { netns: netns.as_fd(), socket: Some(socket) };
        // Root of the host makes links itself; others have lxc-user-nic do it.
        self.live.links = Some(if rustix::process::geteuid().is_root() {
            net::configure(&plan.network, target, &scripts)?
        } else {
            let user = net::UserNic::new(&self.monitor.prepared.request.lxcpath, &plan.name, self.pid);
            net::configure_unprivileged(&plan.network, target, &user, &scripts)?
        });
        Ok(())
    }

    fn mounted(&mut self) -> Result<()> {
        let plan = &self.monitor.prepared.plan;
        if let Some(tree) = &mut self.live.cgroups {
            tree.apply_devices()?;
        }
        let late = open_namespaces(plan, self.proc, self.pid, Moment::Mounted)?;
        self.live.namespaces.extend(late);
        hooks::run::run(
            plan.hooks_of(HookKind::StartHost),
            plan.hook_version,
            &plan.name,
            &self.monitor.environment,
            &[],
        )
    }

    fn open(&mut self, item: u32) -> std::result::Result<OwnedFd, Errno> {
        Favours::open(&self.monitor.prepared.plan, self.proc, self.pid, item)
    }

    fn map_ids(&mut self, item: u32, tree: OwnedFd) -> Result<Option<Errno>> {
        self.favours.map_ids(&self.monitor.prepared.plan, self.proc, self.pid, item, &tree)
    }
}

/// When namespaces exist and can be opened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moment {
    Cloned,
    Mounted,
}

/// Opens the container's namespaces that something will need after its processes are gone: stop hooks get all of them,
/// taking links down needs the network's.
fn open_namespaces(
    plan: &crate::plan::StartPlan,
    proc: &lxc_sys::proc::ProcFs,
    pid: i32,
    moment: Moment,
) -> Result<Vec<(Ns, OwnedFd)>> {
    let hooks = !plan.hooks_of(HookKind::Stop).is_empty();
    let list = match moment {
        Moment::Cloned => &plan.namespaces.at_clone,
        Moment::Mounted => &plan.namespaces.late,
    };
    list.iter()
        // Kept when the child said that it was there.
        .filter(|ns| !(moment == Moment::Mounted && **ns == Ns::Net && plan.network.needs_netlink()))
        .filter(|ns| hooks || **ns == Ns::Net && plan.network.needs_netlink())
        .map(|ns| Ok((*ns, open_namespace(proc, pid, *ns)?)))
        .collect()
}

pub(super) fn open_namespace(proc: &lxc_sys::proc::ProcFs, pid: i32, ns: Ns) -> Result<OwnedFd> {
    // The last step is a magic link, which is the point: it leads to the namespace, not to a path.
    let dir = proc.open_at(format!("{pid}/ns"), OFlags::PATH | OFlags::DIRECTORY);
    dir.and_then(|dir| rustix::fs::openat(&dir, ns.word(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()))
        .what(|| format!("open /proc/{pid}/ns/{}", ns.word()))
}

fn clone_init(
    prepared: &Prepared,
    armed: &Armed,
    hooks: &ChildHooks,
    mask: Mask,
    tree: &Tree,
) -> Result<Child> {
    let plan = &prepared.plan;
    let unified = tree.payload_dir();
    let spawned = if unified.is_some() { Spawned::IntoUnified } else { Spawned::Elsewhere };
    let entries = tree.payload_entries(spawned)?;
    let child = spawn(plan, armed, hooks, mask, unified, &entries)?;
    if unified.is_some() && !child.in_cgroup {
        // Until Linux 5.7 is the floor: not born there, so moved there; the child waits for `Cloned` to be answered.
        let pid = Pid::from_raw(child.pid).ok_or_else(lost)?;
        tree.enter_payload(pid, Spawned::Elsewhere)?;
    }
    Ok(child)
}

/// Blocks every signal but those a crash needs, and opens a descriptor they arrive on.
fn block_signals() -> Result<(Mask, OwnedFd)> {
    let mask = Mask::all_but(&[SIGBUS, SIGILL, SIGSEGV, SIGWINCH]);
    let old = set_mask(mask).what(|| "block signals")?;
    let fd = signalfd(mask).what(|| "open a signalfd")?;
    Ok((old, fd))
}

const SIGHUP: i32 = 1;
const SIGILL: i32 = 4;
const SIGBUS: i32 = 7;
const SIGKILL: i32 = 9;
const SIGSEGV: i32 = 11;
const SIGWINCH: i32 = 28;

fn veth_pairs(links: Option<&Links>) -> Vec<(u32, String)> {
    links
        .map(|links| {
            links
                .iter()
                .filter_map(|link| Some((link.index, links.veth_pair(link.index)?.to_owned())))
                .collect()
        })
        .unwrap_or_default()
}

pub(super) fn log_all(errors: Vec<Error>) {
    for error in errors {
        tracing::warn!("{error}");
    }
}

fn lost() -> Error {
    Error::new(ErrorKind::Internal, "the monitor lost track of the container")
}
