//! Freezing and thawing.
//!
//! The caller works on the cgroup itself and tells the monitor, as every client since LXC 4.0.7 does; monitors only
//! freeze on request where the host is purely cgroup2. Source: abi-and-wire.md B4 (12, 24), C3; observed on 5.0.2.

use std::time::Duration;

use super::Container;
use crate::cgroup::freezer::{self, Motion};
use crate::error::{Result, ResultExt};
use crate::state::announce::publish;
use crate::state::{LxcMsg, State};

/// How long the kernel may take; a process in the middle of a system call can hold it up.
const PATIENCE: Duration = Duration::from_secs(60);

impl Container {
    /// Stops every process of the container. One that is frozen is fine.
    ///
    /// - Errors: `NotRunning`; `TimedOut` when a process cannot be stopped within a minute.
    pub fn freeze(&self) -> Result<()> {
        match self.state()? {
            State::Frozen => Ok(()),
            State::Stopped => Err(self.not_running()),
            _ => self.set_motion(Motion::Frozen, State::Freezing, State::Frozen),
        }
        .what(|| format!("freeze container {}", self.name()))
    }

    /// Lets the processes of a frozen container run again. One that is not frozen is fine, even stopped.
    ///
    /// - Errors: `NotRunning` for a container that is neither defined nor running.
    pub fn unfreeze(&self) -> Result<()> {
        match self.state()? {
            State::Frozen | State::Freezing => {
                self.set_motion(Motion::Running, State::Thawed, State::Running)
            }
            State::Stopped if self.config().is_none() => Err(self.not_running()),
            _ => Ok(()),
        }
        .what(|| format!("unfreeze container {}", self.name()))
    }

    fn set_motion(&self, motion: Motion, during: State, after: State) -> Result<()> {
        self.tell(during)?;
        let done = self
            .limit_dir("freezer")
            .and_then(|(dir, version)| freezer::set(dir, version, motion, Some(PATIENCE)));
        if done.is_err() && motion == Motion::Frozen {
            // The monitor must not go on saying FREEZING.
            let _ = self.tell(State::Running);
        }
        done?;
        self.tell(after)
    }

    /// Tells the monitor, which tells those who wait for a state, and lxc-monitord, which the monitor leaves to us.
    fn tell(&self, state: State) -> Result<()> {
        self.client().serve_state_clients(state)?;
        publish(self.lxcpath(), &LxcMsg::state(self.name(), state));
        Ok(())
    }
}
