//! The caller's stay in a container's pid namespace, for the length of one clone.
//!
//! Joining a pid namespace moves nobody: it is the next child that is born there (setns(2)). Not here: the clone.

use std::os::fd::{AsFd, OwnedFd};

use lxc_conf::model::Ns;
use lxc_sys::ns;
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;

use super::context::AttachContext;
use crate::{Result, ResultExt};

/// The caller's children-to-be are in the container's pid namespace until [`PidNamespace::leave`].
pub(super) struct PidNamespace {
    /// `None` = nothing was changed.
    own: Option<OwnedFd>,
}

impl PidNamespace {
    /// Enters, if that is part of `kinds`; `None` = the caller may not.
    pub(super) fn enter(context: &AttachContext, kinds: u64) -> Result<Option<PidNamespace>> {
        let kind = Ns::Pid.clone_flag();
        if kinds & kind == 0 {
            return Ok(Some(PidNamespace { own: None }));
        }
        let own = openat(&context.proc, "self/ns/pid", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .what(|| "open the caller's pid namespace")?;
        match ns::join(context.pidfd.as_fd(), kind) {
            Ok(()) => Ok(Some(PidNamespace { own: Some(own) })),
            // Without CAP_SYS_ADMIN outside, the way leads through the container's user namespace.
            Err(Errno::PERM) => Ok(None),
            Err(errno) => Err(errno).what(|| "enter the container's pid namespace"),
        }
    }

    pub(super) fn leave(self) -> Result<()> {
        match self.own {
            Some(own) => {
                ns::join(own.as_fd(), Ns::Pid.clone_flag()).what(|| "return to the caller's pid namespace")
            }
            None => Ok(()),
        }
    }
}
