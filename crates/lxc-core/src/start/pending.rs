//! Stand-ins for the monitor loop, consoles and seccomp until they land; replaced in the next commits.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use lxc_sys::cred::SockFilter;
use lxc_sys::pidfd::{Exit, reap};

use crate::cgroup::tree::Tree;
use crate::error::{Result, ResultExt};
use crate::state::announce::Announcer;

#[derive(Debug)]
#[allow(dead_code, reason = "stand-in")]
pub(super) struct Running {
    pub name: String,
    pub lxcpath: PathBuf,
    pub config: lxc_conf::Config,
    pub init_pid: i32,
    pub init_pidfd: OwnedFd,
    pub namespaces: u64,
    pub cgroups: Option<Tree>,
    pub devpts: Option<OwnedFd>,
    pub console: Console,
    pub ttys: Ttys,
    pub seccomp_notify: Option<OwnedFd>,
    pub listener: OwnedFd,
    pub signals: OwnedFd,
    pub veth_pairs: Vec<(u32, String)>,
    pub announcer: Announcer,
}

pub(super) enum Outcome {
    Stopped { wait_status: i32 },
    Reboot,
}

pub(super) fn run(running: &mut Running) -> Result<Outcome> {
    Ok(match reap(running.init_pidfd.as_fd()).what(|| "reap init")? {
        Exit::Signal(1) => Outcome::Reboot,
        exit => Outcome::Stopped { wait_status: exit.wait_status() },
    })
}

#[derive(Debug)]
#[allow(dead_code, reason = "stand-in")]
pub(super) struct Console(Option<(OwnedFd, OwnedFd)>);

impl Console {
    pub(super) fn open(
        _: &lxc_conf::Settings,
        pty: Option<(OwnedFd, OwnedFd)>,
        _: crate::plan::Mode,
    ) -> Result<Console> {
        Ok(Console(pty))
    }

    pub(super) fn finish(&mut self) {}
}

#[derive(Debug)]
#[allow(dead_code, reason = "stand-in")]
pub(super) struct Ttys(Vec<(OwnedFd, OwnedFd)>);

impl Ttys {
    pub(super) fn new(ttys: Vec<(OwnedFd, OwnedFd)>) -> Ttys {
        Ttys(ttys)
    }
}

#[derive(Debug)]
#[allow(dead_code, reason = "stand-in")]
pub(super) struct Program {
    pub filters: Vec<SockFilter>,
    pub notify: bool,
}

pub(super) fn load(_: &std::path::Path, _: &lxc_conf::Settings) -> Result<Option<Program>> {
    Ok(None)
}
