//! Starting a container: plan, fork the monitor, arm, clone, shake hands, undo.
//!
//! `start` is what the caller runs; everything after the fork happens in `lifecycle`.

mod arm;
mod consoles;
mod daemon;
mod exposure;
mod favours;
mod handshake;
mod lifecycle;
mod preflight;
mod reach;
mod report;
mod scripts;
mod spawn;

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use lxc_conf::Config;
use lxc_conf::model::{Item, Origin};

use crate::cgroup::plan::CgroupGlobals;
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::plan::{self, StartPlan};
pub use crate::plan::{Kind, Mode};
use crate::state::State;
use crate::{cgroup, command, host, idmap};

/// What to start.
#[derive(Debug)]
pub struct Request {
    pub name: String,
    pub lxcpath: PathBuf,
    pub config_file: PathBuf,
    pub config: Config,
    /// `lxc.cgroup.pattern` and `lxc.cgroup.use` of lxc.conf(5).
    pub cgroup_globals: CgroupGlobals,
    pub argv: Option<Vec<OsString>>,
    pub mode: Mode,
    pub kind: Kind,
    /// Close descriptors the caller inherited, in the foreground too (`--close-all-fds`).
    pub close_fds: bool,
    /// Gets the monitor's pid, without a newline; removed when the container has stopped.
    pub pidfile: Option<PathBuf>,
    /// The caller ends right after a daemonised start, so the monitor need not be orphaned by a second fork.
    pub caller_exits: bool,
    /// Removes an ephemeral container that has stopped (`destroy` is a layer above this one).
    pub destroy: fn(&Request) -> Result<()>,
}

/// How a start ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The container is RUNNING, its monitor in the background.
    Daemonised,
    /// A foreground container has stopped; the wait status of its init.
    Exited { wait_status: i32 },
}

/// A start that is ready to happen: the plan, and what the configuration is still needed for.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub request: Request,
    pub plan: StartPlan,
}

/// Starts a container.
///
/// - Errors: `AlreadyRunning`; everything `plan` and the pre-flight checks find, before anything has been changed; and
///   what went wrong on the way up, after everything has been undone.
/// - Context: a single-threaded process: both modes fork or clone.
pub fn start(request: Request) -> Result<Outcome> {
    let _prefix = crate::log::container(&request.name);
    lxc_sys::clone::SingleThreaded::check()
        .what(|| "start a container from a process with several threads")?;
    crate::log::apply(&request.config.settings().log)?;
    // ORDER: the socket first: it is what says "already running", and it keeps a second starter out.
    let listener = claim_name(&request)?;
    refuse_unfinished(&request)?;
    let mut request = request;
    idmap::grant::fill_in(&mut request.config)?;
    let prepared = prepare(request)?;
    if !prepared.plan.idmap.is_empty() {
        let origin = prepared.request.config.settings().origin("lxc.idmap").cloned().unwrap_or_default();
        idmap::grant::check(&prepared.plan.idmap, &origin)?;
    }
    preflight::check(&prepared.plan, prepared.request.config.settings())?;
    exposure::protect(&prepared.request, &prepared.plan)?;
    match prepared.request.mode {
        Mode::Foreground => {
            if prepared.request.close_fds {
                daemon::close_inherited(&[&listener])?;
            }
            let wait_status = lifecycle::run(prepared, listener, None, None)?;
            Ok(Outcome::Exited { wait_status })
        }
        Mode::Daemon => daemon::start(prepared, listener),
    }
}

/// Binds the command socket.
///
/// - Errors: `AlreadyRunning` when a monitor has it, `Busy` when something else listens on its name.
fn claim_name(request: &Request) -> Result<OwnedFd> {
    let error = match command::bind_listener(&request.lxcpath, &request.name) {
        Err(error) if error.kind() == ErrorKind::AlreadyRunning => error,
        other => return other,
    };
    match command::Client::new(&request.lxcpath, &request.name).state() {
        Ok(state) if state != State::Stopped => Err(error),
        Ok(_) | Err(_) => Err(Error::new(
            ErrorKind::Busy,
            format!("the command socket of container {} is in use", request.name),
        )
        .cure("another program listens on that name without answering as a monitor; find it with: ss -xlp")),
    }
}

/// A `partial` file says that lxc-create has not finished.
fn refuse_unfinished(request: &Request) -> Result<()> {
    let partial = request.lxcpath.join(&request.name).join("partial");
    if !partial.exists() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Busy, format!("container {} is still being created", request.name)).cure(
        format!("wait for lxc-create; if none runs, remove {} or destroy the container", partial.display()),
    ))
}

/// Looks at the host and makes the plan.
pub(crate) fn prepare(request: Request) -> Result<Prepared> {
    let settings = request.config.settings();
    let host = host::survey()?;
    let (layout, scope) = usable_cgroups(&request, host.euid)?;
    let fstab = match &settings.mounts.fstab {
        Some(path) => {
            read_fstab(Path::new(path), &settings.origin("lxc.mount.fstab").cloned().unwrap_or_default())?
        }
        None => Vec::new(),
    };
    let environment = host::environment();
    let boot_id = boot_id()?;
    let mut plan = plan::plan(&plan::Input {
        name: &request.name,
        lxcpath: &request.lxcpath,
        config_file: &request.config_file,
        settings,
        host: &host,
        cgroups: &layout,
        cgroup_globals: &request.cgroup_globals,
        fstab: &fstab,
        environment: &environment,
        argv: request.argv.as_deref(),
        kind: request.kind,
        mode: request.mode,
        log_level: crate::log::level().name(),
        boot_id: &boot_id,
    })?;
    plan.cgroups.scope = scope;
    Ok(Prepared { request, plan })
}

/// The control groups; an ordinary user whose own are not delegated to him is moved into a systemd scope first, whose name
/// comes with them.
fn usable_cgroups(request: &Request, euid: u32) -> Result<(cgroup::Layout, Option<String>)> {
    let relative = request.config.settings().cgroup.relative;
    let layout = cgroup::layout::survey(euid, relative)?;
    if euid == 0 || layout.hierarchies.iter().any(|hierarchy| hierarchy.writable) {
        return Ok((layout, None));
    }
    #[cfg(feature = "systemd")]
    {
        let description = format!("LXC container {}", request.name);
        let scope = cgroup::scope::enter(&format!("lxc-{}", request.name), &description, &host::session())
            .map_err(|error| {
                let own = layout.hierarchies.last().map(cgroup::Hierarchy::base_dir).unwrap_or_default();
                error.context(format!("cgroup {} is not writable by uid {euid}", own.display()))
            })?;
        tracing::info!("the container runs in systemd's {scope}");
        Ok((cgroup::layout::survey(euid, relative)?, Some(scope)))
    }
    #[cfg(not(feature = "systemd"))]
    Ok((layout, None))
}

fn read_fstab(path: &Path, origin: &Origin) -> Result<Vec<Item<String>>> {
    let text = std::fs::read_to_string(path)
        .what(|| format!("read {} (lxc.mount.fstab)", path.display()))
        .map_err(|error| error.at(origin))?;
    let file: std::sync::Arc<str> = path.to_string_lossy().into();
    Ok(text
        .lines()
        .enumerate()
        .map(|(index, line)| (index, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(index, line)| Item {
            value: line.to_owned(),
            origin: Origin { file: Some(file.clone()), line: index as u32 + 1 },
        })
        .collect())
}

/// A random UUID (version 4) in the text form of /proc/sys/kernel/random/boot_id.
fn boot_id() -> Result<String> {
    std::fs::read_to_string("/proc/sys/kernel/random/uuid")
        .map(|text| text.trim().to_owned())
        .what(|| "read /proc/sys/kernel/random/uuid")
}
