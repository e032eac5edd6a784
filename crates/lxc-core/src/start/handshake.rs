//! The monitor's end of the handshake: answers the child's milestones until the child has executed its program.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use lxc_child::sync::{Favour, hear, tell};
use lxc_child::{Fault, Milestone, Msg, Parcel};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::report;
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::hooks::run::LineLog;
use crate::plan::StartPlan;

/// What the monitor does at each milestone.
pub(super) trait Steps {
    /// Id maps, cgroups: the child goes on as root of its namespaces afterwards.
    fn cloned(&mut self) -> Result<()>;
    /// Links; gets the child's route socket.
    fn mapped(&mut self, socket: OwnedFd) -> Result<()>;
    /// Device rules, limits, start-host hooks.
    fn mounted(&mut self) -> Result<()>;
    /// The source of mount number `item`, opened for the child.
    fn open(&mut self, item: u32) -> std::result::Result<OwnedFd, Errno>;
    /// The ids of `tree`, mount number `item`; an errno for a mount that may fail.
    fn map_ids(&mut self, item: u32, tree: OwnedFd) -> Result<Option<Errno>>;
}

/// Descriptors the child sent.
#[derive(Debug, Default)]
pub(super) struct Parcels {
    pub devpts: Option<OwnedFd>,
    pub seccomp_listener: Option<OwnedFd>,
    pub console: Option<(OwnedFd, OwnedFd)>,
    pub ttys: Vec<(OwnedFd, OwnedFd)>,
}

/// Runs the handshake to its end.
///
/// - Errors: what a step of the monitor gave, or the child's fault in words, or that init died on the way.
pub(super) fn run(
    plan: &StartPlan,
    sync: &OwnedFd,
    output: Option<&OwnedFd>,
    steps: &mut dyn Steps,
) -> Result<Parcels> {
    let mut parcels = Parcels::default();
    let mut log = HookLog::new(output);
    let mut last: Option<Milestone> = None;
    loop {
        log.drain_until_ready(sync)?;
        let mut fds = Vec::new();
        let heard = hear(sync.as_fd(), |fd| fds.push(fd)).what(|| "listen to the container's init")?;
        let Some(msg) = heard else {
            log.finish();
            return match last {
                // Close-on-exec closed the child's end: the program runs.
                Some(Milestone::Ready) => Ok(parcels),
                _ => Err(Error::new(
                    ErrorKind::Internal,
                    "the container's init died while it was being set up",
                )
                .cure("look at the log (--logfile, --logpriority=TRACE) and the kernel's (dmesg)")),
            };
        };
        match msg {
            Msg::Reached(milestone) => {
                if last.is_some_and(|last| milestone <= last) {
                    return Err(out_of_order(msg));
                }
                last = Some(milestone);
                match milestone {
                    Milestone::Cloned => {
                        steps.cloned()?;
                        go(sync, milestone)?;
                    }
                    Milestone::Mapped => {
                        let socket = fds.into_iter().next().ok_or_else(|| out_of_order(msg))?;
                        steps.mapped(socket)?;
                        go(sync, Milestone::Configured)?;
                    }
                    Milestone::Mounted => {
                        steps.mounted()?;
                        go(sync, milestone)?;
                    }
                    Milestone::Ready => {}
                    Milestone::Configured => return Err(out_of_order(msg)),
                }
            }
            Msg::Sent(parcel) => take(&mut parcels, parcel, fds).ok_or_else(|| out_of_order(msg))?,
            Msg::Note(fault) => tracing::info!("{} (the start goes on)", report::error(plan, fault)),
            Msg::Fault(fault) => {
                log.finish();
                return Err(explained(plan, fault, &log));
            }
            Msg::Ask(Favour::Open, item) => match steps.open(item) {
                Ok(fd) => done(sync, None, &[fd.as_fd()])?,
                Err(errno) => done(sync, Some(errno), &[])?,
            },
            Msg::Ask(Favour::MapIds, item) => {
                let tree = fds.into_iter().next().ok_or_else(|| out_of_order(msg))?;
                done(sync, steps.map_ids(item, tree)?, &[])?;
            }
            Msg::Go(_) | Msg::Done(_) | Msg::Born { .. } => return Err(out_of_order(msg)),
        }
    }
}

fn take(parcels: &mut Parcels, parcel: Parcel, fds: Vec<OwnedFd>) -> Option<()> {
    let mut fds = fds.into_iter();
    match parcel {
        Parcel::Devpts => parcels.devpts = Some(fds.next()?),
        Parcel::SeccompListener => parcels.seccomp_listener = Some(fds.next()?),
        Parcel::Console => parcels.console = Some((fds.next()?, fds.next()?)),
        Parcel::Ttys => {
            while let Some(ptx) = fds.next() {
                parcels.ttys.push((ptx, fds.next()?));
            }
        }
    }
    Some(())
}

fn go(sync: &OwnedFd, milestone: Milestone) -> Result<()> {
    tell(sync.as_fd(), Msg::Go(milestone), &[]).what(|| "let the container's init go on")
}

fn done(sync: &OwnedFd, errno: Option<Errno>, fds: &[BorrowedFd<'_>]) -> Result<()> {
    let errno = errno.map_or(0, Errno::raw_os_error);
    tell(sync.as_fd(), Msg::Done(errno), fds).what(|| "answer the container's init")
}

fn out_of_order(msg: Msg) -> Error {
    Error::new(ErrorKind::Protocol, format!("the container's init said {msg:?} at the wrong time"))
}

fn explained(plan: &StartPlan, fault: Fault, log: &HookLog<'_>) -> Error {
    let error = report::error(plan, fault);
    match (error.kind(), log.lines.last()) {
        (ErrorKind::Hook, Some(last)) => error.cure(format!("the last thing it said: {last}")),
        _ => error,
    }
}

/// Output of the hooks that run in the child.
struct HookLog<'a> {
    output: Option<&'a OwnedFd>,
    text: Vec<u8>,
    lines: LineLog,
}

impl<'a> HookLog<'a> {
    fn new(output: Option<&'a OwnedFd>) -> HookLog<'a> {
        if let Some(output) = output {
            // Read as far as there is something; a failure only means that a hook's words come later.
            let _ = rustix::io::ioctl_fionbio(output, true);
        }
        HookLog { output, text: Vec::new(), lines: LineLog::new("a hook in the container") }
    }

    /// Logs what hooks print until the child has something to say.
    fn drain_until_ready(&mut self, sync: &OwnedFd) -> Result<()> {
        let Some(output) = self.output else { return Ok(()) };
        loop {
            let mut fds = [PollFd::new(sync, PollFlags::IN), PollFd::new(output, PollFlags::IN)];
            rustix::io::retry_on_intr(|| poll(&mut fds, None)).what(|| "wait for the container's init")?;
            let spoke = !fds[0].revents().is_empty();
            self.read();
            if spoke {
                return Ok(());
            }
        }
    }

    fn read(&mut self) {
        let Some(output) = self.output else { return };
        let mut buffer = [0; 4096];
        while let Ok(count) = rustix::io::read(output, &mut buffer) {
            if count == 0 {
                break;
            }
            self.text.extend_from_slice(buffer.get(..count).unwrap_or_default());
        }
        self.lines.feed(&mut self.text);
    }

    fn finish(&mut self) {
        self.read();
        self.lines.finish(&mut self.text);
    }
}
