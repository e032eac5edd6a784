//! Starting the container of a handle.

use std::ffi::OsString;
use std::path::PathBuf;

use super::{Container, system_config};
use crate::cgroup::CgroupGlobals;
use crate::destroy;
use crate::error::{Error, ErrorKind, Result};
use crate::start::{self, Kind, Mode, Outcome, Request};

/// How to start a container; the C interface's `want_daemonize`, `want_close_all_fds` and `pidfile` members.
#[derive(Clone, Debug)]
pub struct StartOptions {
    /// Replaces the configured command.
    pub argv: Option<Vec<OsString>>,
    pub mode: Mode,
    pub kind: Kind,
    /// Close inherited descriptors also in the foreground.
    pub close_fds: bool,
    /// Where the monitor writes its pid.
    pub pidfile: Option<PathBuf>,
    pub caller: Caller,
}

/// What the calling process does after a start in the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// It ends, as lxc-start does, and leaves the monitor an orphan by itself.
    Exits,
    Lives,
}

fn cgroup_globals() -> CgroupGlobals {
    let config = system_config();
    CgroupGlobals {
        pattern: config.cgroup_pattern().map(str::to_owned),
        required: Some(config.cgroup_use().join(",")).filter(|list| !list.is_empty()),
    }
}

/// What the monitor of an ephemeral container does last.
fn destroy_ephemeral(request: &Request) -> Result<()> {
    destroy::destroy(destroy::Request {
        name: &request.name,
        lxcpath: &request.lxcpath,
        settings: request.config.settings(),
        snapshots: destroy::Snapshots::Keep,
        caller: destroy::Caller::Monitor,
    })
    .map(drop)
}

impl Container {
    /// Starts the container with a copy of this configuration.
    ///
    /// - Returns: once it runs (`Mode::Daemon`) or has ended (`Mode::Foreground`).
    /// - Errors: `AlreadyRunning`; else the root cause of the failure.
    /// - Context: single-threaded process.
    pub fn start(&self, options: StartOptions) -> Result<Outcome> {
        let config = self.config.clone().ok_or_else(|| {
            Error::new(ErrorKind::Config, format!("start container {}: it has no configuration", self.name))
        })?;
        start::start(Request {
            name: self.name.clone(),
            lxcpath: self.lxcpath.clone(),
            config_file: self.config_file.clone(),
            config,
            argv: options.argv,
            mode: options.mode,
            kind: options.kind,
            close_fds: options.close_fds,
            pidfile: options.pidfile,
            caller_exits: options.caller == Caller::Exits,
            cgroup_globals: cgroup_globals(),
            destroy: destroy_ephemeral,
        })
    }
}
