//! The short-lived process between a caller without rights in the container's pid namespace and the attached process.
//!
//! It joins the user namespace first, which gives it the right to join the pid namespace, and clones once more so that
//! somebody is in there. Context: as `attach`. Not here: what the attached process does.

use lxc_sys::clone::{self, SingleThreaded, exit_now};
use lxc_sys::fd;

use crate::attach::{Never, fail, finish, join, open_label, prepare};
use crate::attach_script::{At, AttachFault, AttachMessage, AttachScript, AttachStep};

/// Runs the script in a second clone that becomes the caller's child; entry point of a clone.
pub extern "C" fn transient(script: &AttachScript<'_>) -> ! {
    match spawn(script) {
        Ok(()) => exit_now(0),
        Err(fault) => fail(script, fault),
    }
}

fn spawn(script: &AttachScript<'_>) -> Result<(), AttachFault> {
    prepare(script)?;
    join(script)?;
    let child = clone::into(&SingleThreaded::after_clone(), &script.clone, attached_late, script)
        .at(AttachStep::Clone, 0)?;
    // The pid is right for the caller: this process has never left the caller's own pid namespace.
    let message = AttachMessage::Pid(child.pid).encode();
    fd::send(script.report, &message, &[]).at(AttachStep::Clone, 1)
}

extern "C" fn attached_late(script: &AttachScript<'_>) -> ! {
    let result: Result<Never, AttachFault> = open_label(script).and_then(|label| finish(script, label));
    match result {
        Ok(never) => match never {},
        Err(fault) => fail(script, fault),
    }
}
