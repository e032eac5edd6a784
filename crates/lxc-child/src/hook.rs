//! Running one prepared hook and waiting for it.

use lxc_sys::clone::{CloneArgs, SingleThreaded, exit_now, into};
use lxc_sys::fd::dup_onto;
use lxc_sys::pidfd::{Exit, reap};
use lxc_sys::rustix::fd::{AsFd, BorrowedFd};
use lxc_sys::rustix::io::Errno;
use lxc_sys::signal::{Mask, reset_dispositions, set_mask};

use crate::script::{Hook, Hooks};
use crate::sync::{Fault, Step};

struct Call<'a> {
    hook: &'a Hook<'a>,
    output: Option<BorrowedFd<'a>>,
}

/// Runs `hooks` in order; the first one that fails ends the start.
///
/// - Errors: `errno` of the fault is the hook's wait status, negated so that it cannot be taken for an errno; a hook
///   that could not be executed has status 127 << 8 as with a shell.
pub fn run(all: &Hooks<'_>, hooks: &[Hook<'_>], step: Step) -> Result<(), Fault> {
    for (item, hook) in hooks.iter().enumerate() {
        let call = Call { hook, output: all.output };
        let child = into(&SingleThreaded::after_clone(), &CloneArgs::default(), execute, &call)
            .map_err(|errno| Fault::new(step, item as u32, errno))?;
        let exit = reap(child.pidfd.as_fd()).map_err(|errno| Fault::new(step, item as u32, errno))?;
        if exit != Exit::Code(0) {
            return Err(Fault { step, item: item as u32, errno: -exit.wait_status() });
        }
    }
    Ok(())
}

extern "C" fn execute(call: &Call<'_>) -> ! {
    reset_dispositions();
    let _ = set_mask(Mask::EMPTY);
    if let Some(output) = call.output {
        let redirected = dup_onto(output, 1).and_then(|()| dup_onto(output, 2));
        if redirected.is_err() {
            exit_now(126)
        }
    }
    exit_now(if call.hook.image.exec() == Errno::NOENT { 127 } else { 126 })
}
