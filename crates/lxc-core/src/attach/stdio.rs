//! The terminal an attached process gets and the owners of what it inherits.
//!
//! Not here: relaying (`console::proxy`).

use std::os::fd::{AsFd, BorrowedFd};

use lxc_conf::model::Ns;
use lxc_sys::tty::{self, Pty};
use rustix::fs::{FileType, Gid, Mode, Uid, fchmod, fchown, fstat};
use rustix::termios::isatty;

use super::context::AttachContext;
use super::plan::AttachPlan;
use crate::command::Client;
use crate::{Result, ResultExt};

/// The target ids as the caller's user namespace numbers them; `None` = not mapped.
fn outside(context: &AttachContext, plan: &AttachPlan) -> Option<(u32, u32)> {
    match plan.kinds & Ns::User.clone_flag() {
        0 => Some((plan.uid, plan.gid)),
        _ => Some((context.uid_map.outside(plan.uid)?, context.gid_map.outside(plan.gid)?)),
    }
}

/// A pseudo terminal of the container's devpts where that is in reach, else of the host's; owned by the target user.
pub(super) fn allocate(client: &Client, context: &AttachContext, plan: &AttachPlan) -> Result<Pty> {
    let inside = match plan.kinds & Ns::Mnt.clone_flag() {
        0 => None,
        // A container without a devpts of its own (lxc.pty.max = 0) answers with an error.
        _ => client.devpts_fd().ok().and_then(|devpts| tty::open_in(devpts.as_fd()).ok()),
    };
    let pty = match inside {
        Some(pty) => pty,
        None => tty::open().what(|| "allocate a pseudo terminal")?,
    };
    if let Some((uid, _)) = outside(context, plan) {
        // An unprivileged caller cannot give it away; the mode of devpts decides then.
        let _ = fchown(&pty.pts, Some(Uid::from_raw(uid)), None);
    }
    Ok(pty)
}

/// Lets the target user reopen what it inherits as descriptors 0–2 (`/dev/stdout`).
///
/// Pipes, sockets and terminals only: COMPAT, the original also takes over regular files, which turns the caller's log
/// files into mode 0700. Failures are left alone: the descriptors themselves work in any case.
pub(super) fn hand_over(context: &AttachContext, plan: &AttachPlan, replaced: [bool; 3]) {
    let Some((uid, gid)) = outside(context, plan).filter(|ids| *ids != (0, 0)) else { return };
    let stdio: [BorrowedFd<'_>; 3] =
        [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    for (fd, replaced) in stdio.into_iter().zip(replaced) {
        let Ok(stat) = fstat(fd) else { continue };
        let kind = FileType::from_raw_mode(stat.st_mode);
        if replaced || !(matches!(kind, FileType::Fifo | FileType::Socket) || isatty(fd)) {
            continue;
        }
        if fchown(fd, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).is_ok() {
            let _ = fchmod(fd, Mode::RWXU);
        }
    }
}
