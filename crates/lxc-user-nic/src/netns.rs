//! The caller's network namespace: opened with the caller's rights only, and proven to be one the caller rules.
//!
//! Every failure is the same failure: which of "not there", "not readable", "a pipe" and "somebody else's" it was would
//! tell the caller about files he cannot see (CVE-2018-6556, CVE-2022-47952).

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use lxc_sys::{ns, rustix};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::caller::Caller;
use crate::{Refusal, Result};

const NSFS_MAGIC: u64 = 0x6e73_6673;
const CLONE_NEWNET: u64 = 0x4000_0000;

/// A network namespace that its caller may change.
#[derive(Debug)]
pub struct Netns(OwnedFd);

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The namespace of a process.
pub fn of_process(caller: &Caller, pid: u32) -> Result<Netns> {
    open(caller, OsStr::new(&format!("/proc/{pid}/ns/net")))
        .map_err(|()| refusal(caller, &format!("of process {pid}")))
}

/// The namespace a path leads to.
pub fn at(caller: &Caller, path: &OsStr) -> Result<Netns> {
    // The path is not repeated: for two paths the answer must be equal to the byte.
    open(caller, path).map_err(|()| refusal(caller, "given"))
}

fn refusal(caller: &Caller, which: &str) -> Refusal {
    Refusal::new(format!("the network namespace {which} is not one of {}'s", caller.user))
}

fn open(caller: &Caller, path: &OsStr) -> std::result::Result<Netns, ()> {
    let opened = caller.act(|| open_as_caller(path, caller.uid));
    match opened {
        Ok(Ok(netns)) => Ok(netns),
        Ok(Err(_)) | Err(_) => Err(()),
    }
}

fn open_as_caller(path: &OsStr, uid: u32) -> std::result::Result<Netns, Errno> {
    // O_PATH opens nothing: a pipe does not block, a device does not rewind its tape.
    let place = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    if rustix::fs::fstatfs(&place)?.f_type as u64 != NSFS_MAGIC {
        return Err(Errno::INVAL);
    }
    // It is a namespace, which has no side effects, and stays the same one: the descriptor is opened, not the path again.
    let again = format!("/proc/self/fd/{}", place.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let netns = rustix::fs::open(again, flags, Mode::empty())?;
    if ns::kind(netns.as_fd())? != CLONE_NEWNET || !rules(netns.as_fd(), uid)? {
        return Err(Errno::PERM);
    }
    Ok(Netns(netns))
}

/// Whether the kernel would give a process of `uid` every capability over this namespace: its user namespace, or one
/// above, was made by `uid` directly below ours (CVE-2017-5985).
///
/// - Source: user_namespaces(7) "Capabilities", rule 3; ioctl_ns(2).
fn rules(netns: BorrowedFd<'_>, uid: u32) -> std::result::Result<bool, Errno> {
    // Fails for namespaces outside our own user namespace.
    let mut level = ns::owning_user_ns(netns)?;
    if uid == 0 {
        return Ok(true);
    }
    let ours =
        identity(&rustix::fs::open("/proc/self/ns/user", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)?;
    loop {
        if identity(&level)? == ours {
            return Ok(false);
        }
        let parent = ns::parent(level.as_fd())?;
        if identity(&parent)? == ours {
            return Ok(ns::owner_uid(level.as_fd())? == uid);
        }
        level = parent;
    }
}

fn identity(fd: &OwnedFd) -> std::result::Result<(u64, u64), Errno> {
    rustix::fs::fstat(fd).map(|stat| (stat.st_dev, stat.st_ino))
}
