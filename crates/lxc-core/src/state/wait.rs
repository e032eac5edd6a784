//! Waiting for a container to reach one of some states: what lxc-wait and every "wait until started/stopped" do.
//!
//! Two deliberate differences to the original (COMPATIBILITY.md): a time-out of 0 asks once instead of blocking for
//! ever, and waiting for a container that does not run yet takes the whole time-out instead of one second less.

use std::time::{Duration, Instant};

use super::{State, StateSet};
use crate::command::client::{Client, StateWait};
use crate::error::{Error, ErrorKind, Result};

/// How often a container that does not run is looked at again.
const RETRY: Duration = Duration::from_millis(100);

/// How often a socket that hangs up is asked again, and the pause before that: ten seconds in all, so that a foreign
/// program behind the name cannot hold the caller for ever.
const HANG_UPS: u32 = 2000;
const HANG_UP_PAUSE: Duration = Duration::from_millis(5);

/// Waits until the container is in one of `states` and returns which.
///
/// - Units:  `None` = for ever, zero = do not wait.
/// - Errors: `TimedOut`; `NotRunning` when the container stopped or rebooted while another state was waited for (the
///   original gives up then, too).
pub fn wait(client: &Client, states: StateSet, timeout: Option<Duration>) -> Result<State> {
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    let left = || deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    let mut hung_up = 0;
    loop {
        match client.add_state_client(states.interest()) {
            Ok(StateWait::Now(state)) => return Ok(state),
            Ok(StateWait::Later(stream)) => {
                let reached = match stream.wait(left())? {
                    Some(message) => message.as_state(),
                    None => Some(State::Stopped),
                };
                return match reached {
                    Some(state) if states.contains(state) => Ok(state),
                    _ => Err(Error::new(
                        ErrorKind::NotRunning,
                        "container stopped while waiting for another state",
                    )),
                };
            }
            // A monitor that is putting its container away hangs up on new clients; until its socket refuses, there is
            // still something to put away, and a lxc-destroy that comes next would find the container running.
            Err(error)
                if error.kind() == ErrorKind::NotRunning
                    && error.errno().is_none()
                    && hung_up < HANG_UPS
                    && left().is_none_or(|left| !left.is_zero()) =>
            {
                hung_up += 1;
                std::thread::sleep(HANG_UP_PAUSE);
            }
            Err(error) if error.kind() == ErrorKind::NotRunning => {
                if states.contains(State::Stopped) {
                    return Ok(State::Stopped);
                }
                let pause = left().unwrap_or(RETRY).min(RETRY);
                if pause.is_zero() {
                    return Err(Error::new(ErrorKind::TimedOut, "wait for the container to start"));
                }
                std::thread::sleep(pause);
            }
            Err(error) => return Err(error),
        }
    }
}
