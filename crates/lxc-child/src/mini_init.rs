//! The minimal init: runs one command as its child, forwards signals, reaps orphans until nobody is left.
//!
//! Used by `lxc-execute`'s container (inside the monitor's child) and by the program `init.lxc`. It mounts nothing,
//! prints nothing and allocates nothing. Not here: how the command is executed (the caller passes that in).
//! Context: process 1 of a pid namespace, or (`init.lxc` started by hand) any single-threaded process.

use lxc_sys::reap;
use lxc_sys::rustix::io::Errno;
use lxc_sys::rustix::process::{Pid, WaitOptions, WaitStatus, getpid, ioctl_tiocsctty, setsid, wait};

/// How long everybody may take to die after SIGTERM before SIGKILL, counted from the last death. Milliseconds.
const GRACE_MS: u32 = 1000;

/// Exit code when the command cannot be executed or no process can be made.
pub const CANNOT_RUN: i32 = 255;

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;
const SIGCHLD: i32 = 17;
const SIGPWR: i32 = 30;

/// Runs `exec` in a child that leads a new session and owns the terminal on its standard input, if that is one.
///
/// SIGTERM and SIGPWR ask every process to end (SIGTERM, then SIGKILL once nobody died for a second); all other
/// signals go to the command. Returns when no child is left.
///
/// - Shape:  `exec` executes the command and returns only on failure, with the exit code to use.
/// - Units:  the command's exit code; `128 + n` when signal n killed it; [`CANNOT_RUN`] when nothing could be run.
/// - Source: reference cli.md §2.12; observed: `lxc-init/tests/exit_codes.rs` on both implementations.
pub fn run(exec: impl FnOnce() -> i32) -> i32 {
    // ORDER: blocked before the fork, so that no signal that arrives in between is lost.
    reap::block_signals();
    let spawned = reap::fork_into(|| {
        reap::default_signals();
        let _ = setsid();
        // Fails when standard input is no terminal or belongs to another session; then there is none to own.
        let _ = ioctl_tiocsctty(lxc_sys::rustix::stdio::stdin());
        exec()
    });
    match spawned {
        Ok(command) => Reaper { command, status: None, stopping: false }.run(),
        Err(_) => CANNOT_RUN,
    }
}

struct Reaper {
    command: Pid,
    /// Exit code of the command, once it has ended.
    status: Option<i32>,
    stopping: bool,
}

impl Reaper {
    fn run(mut self) -> i32 {
        loop {
            if self.reap() == Left::Nobody {
                return self.status.unwrap_or(CANNOT_RUN);
            }
            match reap::next_signal(self.stopping.then_some(GRACE_MS)) {
                Some(SIGCHLD) => {}
                Some(SIGTERM | SIGPWR) => self.stop(),
                Some(signal) => self.forward(signal),
                None if self.stopping => self.everyone(SIGKILL),
                None => {}
            }
        }
    }

    fn reap(&mut self) -> Left {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.command => self.status = Some(exit_code(status)),
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => return Left::Somebody,
                Err(_) => return Left::Nobody,
            }
        }
    }

    fn stop(&mut self) {
        if !self.stopping {
            self.stopping = true;
            self.everyone(SIGTERM);
        }
    }

    fn forward(&self, signal: i32) {
        // The number may belong to somebody else once the command was reaped.
        if self.status.is_none() {
            reap::kill(self.command.as_raw_nonzero().get(), signal);
        }
    }

    fn everyone(&self, signal: i32) {
        // kill(-1) spares only the caller and process 1: outside a pid namespace of our own it would end the host.
        let target = match getpid().as_raw_nonzero().get() {
            1 => -1,
            _ => -self.command.as_raw_nonzero().get(),
        };
        reap::kill(target, signal);
    }
}

#[derive(PartialEq, Eq)]
enum Left {
    Somebody,
    Nobody,
}

fn exit_code(status: WaitStatus) -> i32 {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => CANNOT_RUN,
    }
}
