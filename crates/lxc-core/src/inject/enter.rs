//! A running container as seen by whoever changes its mounts: its init, its root directory, its mount table.
//!
//! Not here: what is mounted.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use lxc_child::inject::{InjectOp, InjectScript, inject};
use lxc_sys::clone::{self, CloneArgs, SingleThreaded};
use lxc_sys::pidfd::{self, Exit};
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::mount::UnmountFlags;

use super::mountinfo::{self, MountInfo};
use super::options::Detach;
use crate::attach::{AttachContext, Elevated, ElevatedSet, Program, Request};
use crate::command::Client;
use crate::{Error, ErrorKind, Result, ResultExt};

/// A container that runs.
#[derive(Debug)]
pub struct Running {
    lxcpath: PathBuf,
    name: String,
    context: AttachContext,
    /// Clock ticks after boot when init started; with the pid it names one run.
    started: u64,
}

const MNT: u64 = 0x2_0000;
const USER: u64 = 0x1000_0000;

impl Running {
    /// Finds the container's init.
    ///
    /// - Errors: `NotRunning`; `Permission` of the command socket.
    pub fn open(lxcpath: &Path, name: &str) -> Result<Running> {
        // Only the facts about namespaces and ids are needed: nothing will run in there.
        let elevated = ElevatedSet::NONE.with(Elevated::Lsm);
        let request = Request { elevated, ..Request::new(lxcpath, name, Program::Shell) };
        let context = AttachContext::open(&Client::new(lxcpath, name), &request)?;
        if context.facts.foreign & MNT == 0 {
            let what = format!("container {name} has no mount namespace of its own");
            return Err(
                Error::new(ErrorKind::Unsupported, what).cure("mount on the host; the container sees it")
            );
        }
        let started = start_time(&context.text("stat")?)
            .ok_or_else(|| Error::new(ErrorKind::Kernel, "read the start time of the container's init"))?;
        Ok(Running { lxcpath: lxcpath.to_owned(), name: name.to_owned(), context, started })
    }

    pub(super) fn lxcpath(&self) -> &Path {
        &self.lxcpath
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// One run of the container, different for every start and reboot.
    pub(super) fn run_id(&self) -> String {
        format!("{} {}", self.context.pid, self.started)
    }

    /// The container's root directory.
    pub(super) fn root(&self) -> Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(&self.context.dir, "root", flags, Mode::empty()).what(|| "open the container's root directory")
    }

    /// uid and gid of the container's root on the host.
    pub(super) fn root_ids(&self) -> (u32, u32) {
        match self.context.facts.foreign & USER {
            0 => (0, 0),
            _ => (self.context.uid_map.outside(0).unwrap_or(0), self.context.gid_map.outside(0).unwrap_or(0)),
        }
    }

    pub(super) fn user_namespace(&self) -> Result<OwnedFd> {
        if self.context.facts.foreign & USER == 0 {
            return Err(Error::new(
                ErrorKind::Config,
                "idmap=container: the container has no user namespace",
            )
            .cure("leave out idmap="));
        }
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        openat(&self.context.dir, "ns/user", flags, Mode::empty())
            .what(|| "open the container's user namespace")
    }

    pub(super) fn mountinfo(&self) -> Result<Vec<MountInfo>> {
        Ok(mountinfo::parse(&self.context.text("mountinfo")?))
    }

    pub(super) fn attach(&self, mount: &OwnedFd, target: &OwnedFd) -> Result<()> {
        self.run(InjectOp::Attach { mount: mount.as_fd(), target: target.as_fd() })
    }

    pub(super) fn detach(&self, parent: &OwnedFd, name: &CStr, how: Detach) -> Result<()> {
        let flags = match how {
            Detach::Plain => UnmountFlags::empty(),
            Detach::Lazy => UnmountFlags::DETACH,
            Detach::Force => UnmountFlags::FORCE,
        };
        self.detach_with(parent, name, flags)
    }

    pub(super) fn detach_with(&self, parent: &OwnedFd, name: &CStr, flags: UnmountFlags) -> Result<()> {
        self.run(InjectOp::Detach { parent: parent.as_fd(), name, flags })
    }

    /// Runs one operation in a child that joins the container's mount namespace.
    fn run(&self, op: InjectOp<'_>) -> Result<()> {
        let thread =
            SingleThreaded::check().what(|| "enter a mount namespace from a process with several threads")?;
        let script = InjectScript { init: self.context.pidfd.as_fd(), op };
        let child = clone::into(&thread, &CloneArgs::default(), inject, &script).what(|| "clone")?;
        match pidfd::reap(child.pidfd.as_fd())
            .what(|| "wait for the child in the container's mount namespace")?
        {
            Exit::Code(0) => Ok(()),
            Exit::Code(code) => {
                Err(Error::kernel(Errno::from_raw_os_error(code), "change the container's mounts"))
            }
            Exit::Signal(signal) => {
                Err(Error::new(ErrorKind::Internal, format!("the child was killed by signal {signal}")))
            }
        }
    }
}

/// Field 22 of `/proc/PID/stat`; the second may contain anything up to the last parenthesis.
fn start_time(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_time_is_found_behind_any_name() {
        let fields: Vec<String> = (3..=52).map(|field| field.to_string()).collect();
        let stat = format!("12 (a) b) (c) {}", fields.join(" "));
        assert_eq!(start_time(&stat), Some(22));
        assert_eq!(start_time("1 (x"), None);
    }
}
