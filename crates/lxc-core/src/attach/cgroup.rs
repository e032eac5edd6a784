//! Getting into the container's cgroups: one descriptor per hierarchy, opened by the caller, used by the child.
//!
//! Not here: creating a container's cgroups (`crate::cgroup`).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use lxc_sys::tree::{self, Resolve};
use rustix::fs::{FsWord, OFlags, fstatfs};
use rustix::io::Errno;

use crate::command::Client;
use crate::{Error, ErrorKind, Result, ResultExt};

const CGROUP2_SUPER_MAGIC: FsWord = 0x6367_7270;
/// The original tries `.lxc`, then `.lxc-1` … below a cgroup v2.
const LEAVES: u32 = 1000;

/// Where an attached process goes.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// `cgroup.procs` of every v1 hierarchy.
    pub v1: Vec<OwnedFd>,
    /// The leaf directory of the unified hierarchy, to be born in.
    pub v2: Option<OwnedFd>,
}

impl Entry {
    /// Asks the monitor for the container's cgroups and opens them.
    ///
    /// - Errors: a hierarchy refuses the caller.
    pub(super) fn open(client: &Client) -> Result<Entry> {
        #[cfg(feature = "systemd")]
        leave_session(client);
        let mut entry = Entry::default();
        for dir in directories(client)? {
            if fstatfs(&dir).what(|| "look at a cgroup of the container")?.f_type == CGROUP2_SUPER_MAGIC {
                let leaf = leaf(dir.as_fd()).what(|| "make a cgroup for the attached process");
                entry.v2 = Some(leaf.map_err(unprivileged)?);
            } else {
                let procs = procs(dir.as_fd()).what(|| "open cgroup.procs of the container");
                entry.v1.push(procs.map_err(unprivileged)?);
            }
        }
        Ok(entry)
    }

    /// `cgroup.procs` of the leaf.
    pub(super) fn leaf_procs(&self) -> Result<Option<OwnedFd>> {
        let open = |leaf: &OwnedFd| {
            procs(leaf.as_fd()).what(|| "open cgroup.procs of the attached process's cgroup")
        };
        self.v2.as_ref().map(open).transpose()
    }
}

/// Puts an ordinary user's process into a scope of its own when it lives in a session's cgroup: the kernel lets nobody out
/// of there who may not write to what both cgroups are below.
///
/// Best effort: without a user manager the container's cgroups may still take it, or will say why not.
#[cfg(feature = "systemd")]
fn leave_session(client: &Client) {
    let euid = rustix::process::geteuid().as_raw();
    if euid == 0 || !crate::cgroup::layout::survey(euid, true).is_ok_and(|layout| is_session(&layout)) {
        return;
    }
    let Ok(name) = client.name() else { return };
    let description = format!("attached to LXC container {name}");
    match crate::cgroup::scope::enter(&format!("lxc-attach-{name}"), &description, &crate::host::session()) {
        Ok(scope) => tracing::debug!("the attached process starts from systemd's {scope}"),
        Err(error) => tracing::debug!("no scope to attach from: {error}"),
    }
}

/// Nothing of it is the caller's.
#[cfg(feature = "systemd")]
fn is_session(layout: &crate::cgroup::Layout) -> bool {
    layout.hierarchies.iter().all(|hierarchy| !hierarchy.writable)
}

fn unprivileged(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Permission => error.cure(
            "attach from within the container's own scope (systemd-run --user --scope -p Delegate=yes lxc-attach ...), or \
             stay outside of its cgroups with -eCGROUP",
        ),
        _ => error,
    }
}

fn directories(client: &Client) -> Result<Vec<OwnedFd>> {
    match client.cgroup_ctx() {
        Ok(context) => Ok(context.fds),
        Err(error) if matches!(error.kind(), ErrorKind::NotRunning | ErrorKind::Permission) => Err(error),
        // Monitors before 4.0.7 do not know the request; this older one is answered on pure cgroup v2 hosts.
        Err(error) => match client.cgroup2_fd() {
            Ok(fd) => Ok(vec![fd]),
            Err(_) => Err(error.cure("use -eCGROUP to stay outside of the container's cgroups")),
        },
    }
}

fn open_below(dir: BorrowedFd<'_>, name: &str, flags: OFlags) -> std::result::Result<OwnedFd, Errno> {
    tree::open(dir, name, flags, Resolve::SameMount)
}

fn procs(dir: BorrowedFd<'_>) -> std::result::Result<OwnedFd, Errno> {
    open_below(dir, "cgroup.procs", OFlags::WRONLY)
}

/// A cgroup that may hold processes: one without controllers enabled for its children.
fn leaf(dir: BorrowedFd<'_>) -> std::result::Result<OwnedFd, Errno> {
    for number in 0..LEAVES {
        let name = if number == 0 { ".lxc".to_owned() } else { format!(".lxc-{number}") };
        tree::make_dir(dir, name.as_str())?;
        let leaf = open_below(dir, &name, OFlags::PATH | OFlags::DIRECTORY)?;
        if !passes_controllers_on(leaf.as_fd())? {
            return Ok(leaf);
        }
    }
    Err(Errno::BUSY)
}

fn passes_controllers_on(dir: BorrowedFd<'_>) -> std::result::Result<bool, Errno> {
    let file = open_below(dir, "cgroup.subtree_control", OFlags::RDONLY)?;
    let mut byte = [0; 2];
    let count = rustix::io::retry_on_intr(|| rustix::io::read(&file, &mut byte))?;
    Ok(byte.get(..count).is_some_and(|text| text.iter().any(|byte| !byte.is_ascii_whitespace())))
}

/// What to say when the child could not write itself into hierarchy number `item`.
pub(super) fn refused(item: u16, errno: Errno) -> Error {
    Error::kernel(errno, format!("enter cgroup hierarchy {item} of the container"))
        .cure("use -eCGROUP to stay outside of the container's cgroups")
}
