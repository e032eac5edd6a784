//! The process that watches over a running container: its event loop, its command socket, its console.
//!
//! - Context: the monitor process, between a finished start and the tear-down. Single-threaded throughout.
//!
//! Not here: starting, tearing down and starting again after a reboot (`start`).

mod connections;
mod freeze;
mod notify;
mod pump;
mod run;
mod serve;
mod socket;
mod state;
mod tasks;
mod watch;

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use crate::cgroup::tree::Tree;
use crate::console::{Console, Ttys};
use crate::seccomp::notify::Proxy;
use crate::state::Announcer;

pub use crate::command::bind_listener;
pub use run::run;
pub use state::Outcome;

/// A container that runs, and everything its monitor holds for it.
#[derive(Debug)]
pub struct Running {
    pub name: String,
    pub lxcpath: PathBuf,
    pub config: lxc_conf::Config,
    /// As this process sees it.
    pub init_pid: i32,
    pub init_pidfd: OwnedFd,
    /// `CLONE_NEW*` mask of the namespaces that are the container's own, cloned or unshared.
    pub namespaces: u64,
    pub cgroups: Option<Tree>,
    /// `O_PATH` descriptor of the root of the container's devpts.
    pub devpts: Option<OwnedFd>,
    pub console: Console,
    pub ttys: Ttys,
    pub seccomp_notify: Option<OwnedFd>,
    /// Where calls that wait for a verdict are taken to.
    pub seccomp_proxy: Option<Proxy>,
    /// See `bind_listener`.
    pub listener: OwnedFd,
    /// A signalfd of everything that is blocked.
    pub signals: OwnedFd,
    /// Host names of veth pairs by index of the network; answers `lxc.net.N.veth.pair`.
    pub veth_pairs: Vec<(u32, String)>,
    pub announcer: Announcer,
}
