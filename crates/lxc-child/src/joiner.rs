//! The short-lived process between the monitor and an init that shares namespaces of others.
//!
//! It joins them with the monitor's privileges and clones init from there, so that init's own namespaces belong to the
//! user namespace it joined, and its pid is one of the pid namespace it joined. Not here: the cgroup namespace, which
//! init joins itself once it is in its cgroup.

use lxc_sys::clone::{CloneArgs, SingleThreaded, exit_now, into};
use lxc_sys::ns;
use lxc_sys::rustix::fd::{AsFd, BorrowedFd};
use lxc_sys::rustix::io::Errno;

use crate::script::InitScript;
use crate::sync::{Fault, Msg, Step, tell};

/// What it does.
#[derive(Debug)]
pub struct Joiner<'a> {
    /// Where it tells of the birth, or of its failure.
    pub report: BorrowedFd<'a>,
    /// Namespaces with their `CLONE_NEW*` bit; at most one of each.
    pub joins: &'a [(BorrowedFd<'a>, u64)],
    /// How to clone init; makes it the monitor's child.
    pub clone: CloneArgs<'a>,
    pub init: &'a InitScript<'a>,
}

/// Makes init a child of the caller of [`joiner`].
pub const CLONE_PARENT: u64 = 0x8000;

const CLONE_NEWUSER: u64 = 0x1000_0000;

/// Entry point of a clone.
pub extern "C" fn joiner(script: &Joiner<'_>) -> ! {
    match run(script) {
        Ok(()) => exit_now(0),
        Err(fault) => {
            // The monitor may be gone; then there is nobody to tell.
            let _ = tell(script.report, Msg::Fault(fault), &[]);
            exit_now(1)
        }
    }
}

fn run(script: &Joiner<'_>) -> Result<(), Fault> {
    let fault = |kind| move |errno| Fault::new(Step::JoinNamespace, join_item(kind), errno);
    // ORDER: the user namespace last, since it takes the privilege over those of the host away; what needs the privilege
    // it gives comes behind it.
    let mut refused = 0;
    for (fd, kind) in script.joins.iter().filter(|(_, kind)| *kind != CLONE_NEWUSER) {
        match ns::join(*fd, *kind) {
            Err(Errno::PERM) => refused |= *kind,
            result => result.map_err(fault(*kind))?,
        }
    }
    for (fd, kind) in script.joins.iter().filter(|(_, kind)| *kind == CLONE_NEWUSER) {
        ns::join(*fd, *kind).map_err(fault(*kind))?;
    }
    for (fd, kind) in script.joins.iter().filter(|(_, kind)| refused & *kind != 0) {
        ns::join(*fd, *kind).map_err(fault(*kind))?;
    }
    let child = into(&SingleThreaded::after_clone(), &script.clone, crate::init, script.init)
        .map_err(|errno| Fault::new(Step::Clone, 0, errno))?;
    // The pid is right for the monitor: this process itself has never left the monitor's pid namespace.
    tell(script.report, Msg::Born { pid: child.pid, in_cgroup: child.in_cgroup }, &[child.pidfd.as_fd()])
        .map_err(|errno| Fault::new(Step::Protocol, 0, errno))
}

/// What a fault calls the namespace of this `CLONE_NEW*` bit.
pub fn join_item(kind: u64) -> u32 {
    kind.trailing_zeros()
}
