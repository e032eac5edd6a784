//! What the monitor does about signals and about the end of init, as a pure state machine.
//!
//! `run` turns descriptors into events and effects into system calls. Source: abi-and-wire.md E3; reboot(2) for the
//! signals that end a pid namespace.

use lxc_sys::pidfd::Exit;

const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGPIPE: i32 = 13;
const SIGTERM: i32 = 15;
const SIGCHLD: i32 = 17;
const SIGWINCH: i32 = 28;

/// How a run of the container ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is to stay down.
    Stopped {
        /// Raw status of wait(2).
        wait_status: i32,
    },
    /// It asked to be started again.
    Reboot,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Signal {
        number: i32,
        /// The monitor itself is the sender the kernel names.
        own: bool,
    },
    InitExited(Exit),
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    SignalInit(i32),
    /// Children other than init may have ended.
    ReapStrays,
    Leave(Outcome),
}

/// One run of one container.
#[derive(Debug, Default)]
pub(super) struct Machine {
    left: bool,
}

impl Machine {
    /// Takes one event. After `Leave` nothing has an effect any more: init's pid may belong to somebody else.
    pub(super) fn step(&mut self, event: Event) -> Option<Effect> {
        if self.left {
            return None;
        }
        match event {
            Event::Signal { number: SIGCHLD, .. } => Some(Effect::ReapStrays),
            // A peer that hung up while we wrote is not init's business, nor is our terminal's size.
            Event::Signal { number: SIGPIPE, own: true } | Event::Signal { number: SIGWINCH, .. } => None,
            // COMPAT: a closing terminal asks the container to terminate.
            Event::Signal { number: SIGHUP, .. } => Some(Effect::SignalInit(SIGTERM)),
            Event::Signal { number, .. } => Some(Effect::SignalInit(number)),
            Event::InitExited(exit) => {
                self.left = true;
                Some(Effect::Leave(outcome(exit)))
            }
        }
    }
}

/// reboot(2) in a pid namespace ends its init with SIGHUP (restart) or SIGINT (halt, power off).
fn outcome(exit: Exit) -> Outcome {
    match exit {
        Exit::Signal(SIGHUP) => Outcome::Reboot,
        Exit::Signal(SIGINT) => Outcome::Stopped { wait_status: Exit::Signal(SIGINT).wait_status() },
        other => Outcome::Stopped { wait_status: other.wait_status() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(number: i32) -> Event {
        Event::Signal { number, own: false }
    }

    #[test]
    fn signals_go_to_init_and_a_hang_up_becomes_a_request_to_terminate() {
        let mut machine = Machine::default();
        for number in [1, 2, 3, 10, 12, 15, 30, 34, 64] {
            let expected = if number == 1 { 15 } else { number };
            assert_eq!(machine.step(signal(number)), Some(Effect::SignalInit(expected)));
        }
        assert_eq!(machine.step(signal(SIGCHLD)), Some(Effect::ReapStrays));
        assert_eq!(machine.step(signal(SIGWINCH)), None);
        assert_eq!(machine.step(Event::Signal { number: SIGPIPE, own: true }), None);
        assert_eq!(machine.step(signal(SIGPIPE)), Some(Effect::SignalInit(SIGPIPE)));
    }

    #[test]
    fn only_death_by_hang_up_is_a_reboot() {
        for (exit, expected) in [
            (Exit::Code(0), Outcome::Stopped { wait_status: 0 }),
            (Exit::Code(1), Outcome::Stopped { wait_status: 0x100 }),
            (Exit::Code(129), Outcome::Stopped { wait_status: 129 << 8 }),
            (Exit::Signal(2), Outcome::Stopped { wait_status: 2 }),
            (Exit::Signal(9), Outcome::Stopped { wait_status: 9 }),
            (Exit::Signal(1), Outcome::Reboot),
        ] {
            assert_eq!(Machine::default().step(Event::InitExited(exit)), Some(Effect::Leave(expected)));
        }
    }

    #[test]
    fn after_the_end_nothing_is_signalled_and_nothing_ends_twice() {
        let mut machine = Machine::default();
        machine.step(Event::InitExited(Exit::Code(0)));
        assert_eq!(machine.step(signal(15)), None);
        assert_eq!(machine.step(signal(SIGCHLD)), None);
        assert_eq!(machine.step(Event::InitExited(Exit::Signal(1))), None);
    }
}
