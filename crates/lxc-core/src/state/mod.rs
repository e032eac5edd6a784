//! Container states: their numbers and names, the message that reports one, and who is told when they change.
//!
//! Source: abi-and-wire.md C; lxc(7).

pub mod announce;
pub mod msg;
pub mod wait;

use std::fmt;
use std::str::FromStr;

pub use announce::{Announcer, Ending, read_start_result};
pub use msg::LxcMsg;
pub use wait::wait;

use crate::command::wire::{STATES, StateInterest};
use crate::error::{Error, ErrorKind};

/// The eight states; the numbers travel on sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i32)]
pub enum State {
    #[default]
    Stopped = 0,
    Starting = 1,
    Running = 2,
    Stopping = 3,
    Aborting = 4,
    Freezing = 5,
    Frozen = 6,
    Thawed = 7,
}

impl State {
    /// By number.
    pub const ALL: [State; STATES] = [
        State::Stopped,
        State::Starting,
        State::Running,
        State::Stopping,
        State::Aborting,
        State::Freezing,
        State::Frozen,
        State::Thawed,
    ];

    pub fn number(self) -> i32 {
        self as i32
    }

    pub fn from_number(number: i32) -> Option<State> {
        usize::try_from(number).ok().and_then(|index| State::ALL.get(index)).copied()
    }

    /// As every tool prints it.
    pub fn name(self) -> &'static str {
        match self {
            State::Stopped => "STOPPED",
            State::Starting => "STARTING",
            State::Running => "RUNNING",
            State::Stopping => "STOPPING",
            State::Aborting => "ABORTING",
            State::Freezing => "FREEZING",
            State::Frozen => "FROZEN",
            State::Thawed => "THAWED",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for State {
    type Err = Error;

    /// Upper case only, as the original.
    fn from_str(text: &str) -> Result<State, Error> {
        let found = State::ALL.into_iter().find(|state| state.name() == text);
        found.ok_or_else(|| Error::new(ErrorKind::Config, format!("invalid state '{text}'")))
    }
}

/// A set of states, written `A|B|C`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateSet(u8);

impl StateSet {
    pub fn new(states: &[State]) -> StateSet {
        StateSet(states.iter().fold(0, |bits, state| bits | 1 << state.number()))
    }

    pub fn contains(self, state: State) -> bool {
        self.0 & (1 << state.number()) != 0
    }

    /// What ADD_STATE_CLIENT sends for this set.
    pub fn interest(self) -> StateInterest {
        StateInterest(State::ALL.map(|state| i32::from(self.contains(state))))
    }
}

impl FromStr for StateSet {
    type Err = Error;

    /// - Errors: an unknown or empty word; `invalid state 'X'` names it.
    fn from_str(text: &str) -> Result<StateSet, Error> {
        let states: Vec<State> = text.split('|').map(str::parse).collect::<Result<_, _>>()?;
        Ok(StateSet::new(&states))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_agree_in_both_directions() {
        for (number, state) in (0..).zip(State::ALL) {
            assert_eq!(State::from_number(number), Some(state));
            assert_eq!(state.number(), number);
            assert_eq!(state.name().parse::<State>().unwrap(), state);
        }
        assert_eq!(State::from_number(8), None);
        assert_eq!(State::from_number(-1), None);
    }

    #[test]
    fn sets_are_words_joined_by_bars() {
        let set: StateSet = "RUNNING|STOPPED".parse().unwrap();
        assert_eq!(set, StateSet::new(&[State::Running, State::Stopped]));
        assert_eq!(set.interest().0, [1, 0, 1, 0, 0, 0, 0, 0]);
        for bad in ["", "running", "RUNNING|", "RUNNING|X", "RUNNING,STOPPED"] {
            assert!(bad.parse::<StateSet>().is_err(), "{bad:?}");
        }
        let error = "RUNNING|nope".parse::<StateSet>().unwrap_err();
        assert_eq!(error.to_string(), "invalid state 'nope'");
    }
}
