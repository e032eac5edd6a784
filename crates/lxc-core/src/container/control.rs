//! The verbs that change or wait for the state of a container.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use lxc_conf::value::signal::RTMIN;

use super::Container;
use crate::command::wire::StateInterest;
use crate::command::{Client, StateWait};
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::state::{self, State, StateSet};

/// `SIGRTMIN+3`, what systemd as init understands as "halt".
const SYSTEMD_HALT: u32 = RTMIN + 3;
const SIGPWR: u32 = 30;

/// How long a monitor may take to answer before it counts as hanging.
const ANSWER: Duration = Duration::from_secs(5);

/// How long init may take to die of the signal its monitor sends.
const DEATH: Duration = Duration::from_secs(30);
const SIGINT: u32 = 2;

/// How long to wait for the end of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Not at all.
    None,
    Until(Duration),
    Forever,
}

impl Patience {
    fn deadline(self) -> Option<Instant> {
        match self {
            Patience::None => Some(Instant::now()),
            Patience::Until(limit) => Some(Instant::now() + limit),
            Patience::Forever => None,
        }
    }
}

/// Whether something has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Yes,
    No,
}

/// A shutdown that was asked for.
#[derive(Debug)]
pub struct ShutdownRequest {
    container: Container,
    pidfd: OwnedFd,
    pid: i32,
    signal: u32,
}

impl ShutdownRequest {
    /// The signal init was sent, as `SIGPWR`.
    pub fn signal_name(&self) -> String {
        signal_name(self.signal)
    }

    /// Pid of the container's init.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Waits until the container is stopped; may be called again.
    pub fn wait(&self, patience: Patience) -> Result<Ended> {
        let deadline = patience.deadline();
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let slice = left.map_or(-1, |left| i32::try_from(left.as_millis()).unwrap_or(i32::MAX));
            let ended = lxc_sys::pidfd::ended(self.pidfd.as_fd(), slice);
            if ended.what(|| format!("wait for init of container {}", self.container.name))? {
                break;
            }
            if left.is_some_and(|left| slice != i32::MAX || left.is_zero()) {
                return Ok(Ended::No);
            }
        }
        // Init is gone; the monitor runs its hooks and cleans up.
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        match self.container.wait(StateSet::new(&[State::Stopped]), left) {
            Ok(_) => Ok(Ended::Yes),
            Err(error) if error.kind() == ErrorKind::TimedOut => Ok(Ended::No),
            Err(error) => Err(error),
        }
    }
}

impl Container {
    pub(super) fn client(&self) -> Client {
        Client::new(&self.lxcpath, &self.name)
    }

    /// What its monitor says; STOPPED without monitor.
    ///
    /// - Errors: `TimedOut` when the monitor does not answer; `Permission` when it does not talk to us.
    pub fn state(&self) -> Result<State> {
        self.client().state()
    }

    /// Whether it has a monitor, also one that hangs. A monitor that refuses to talk to us counts as none, as in the
    /// original.
    pub fn is_running(&self) -> bool {
        match self.state() {
            Ok(state) => state != State::Stopped,
            Err(error) => error.kind() != ErrorKind::Permission,
        }
    }

    /// False only when the monitor refuses to talk to us; true for a container that does not run.
    pub fn may_control(&self) -> bool {
        !matches!(self.client().with_patience(ANSWER).init_pid(), Err(error) if error.kind() == ErrorKind::Permission)
    }

    /// Kills the container (`lxc.signal.stop`, default SIGKILL) and waits until it is gone. Stopped is fine.
    ///
    /// - Errors: `TimedOut` when the monitor does not answer, or init lives on; the hooks after init's end may take as long
    ///   as they like.
    pub fn stop(&self) -> Result<()> {
        // ORDER: first, since a monitor that hangs answers this neither, and only this way is that known.
        let init = match self.client().with_patience(ANSWER).init_pidfd() {
            Err(error) if error.kind() == ErrorKind::NotRunning => return Ok(()),
            Err(error) if error.kind() == ErrorKind::TimedOut => return Err(self.hangs(error)),
            // Monitors older than LXC 4.0 have none to give; then there is nothing to tell a hook from a hang by.
            other => other.ok(),
        };
        let dead = || init.as_ref().is_none_or(|pidfd| lxc_sys::pidfd::ended(pidfd.as_fd(), 0) == Ok(true));
        match self.client().stop_while(Some(DEATH), dead) {
            Err(error) if error.kind() == ErrorKind::TimedOut => Err(self.hangs(error)),
            other => other.what(|| format!("stop container {}", self.name)),
        }
    }

    fn hangs(&self, error: Error) -> Error {
        error.context(format!("stop container {}", self.name)).cure(format!(
            "its monitor hangs, or its init cannot die; look for `[lxc monitor] {} {}` with ps: a container ends with its \
             monitor",
            self.lxcpath.display(),
            self.name
        ))
    }

    /// Asks init to shut down, without waiting; `None` when the container does not run.
    ///
    /// The signal is `lxc.signal.halt`, else SIGRTMIN+3 for an init that blocks it (systemd), else SIGPWR.
    pub fn request_shutdown(&self) -> Result<Option<ShutdownRequest>> {
        let Some((pid, pidfd)) = self.init()? else { return Ok(None) };
        let configured = self.config.as_ref().and_then(|config| config.settings().signals.halt);
        let signal =
            configured.unwrap_or_else(|| if blocks(pid, SYSTEMD_HALT) { SYSTEMD_HALT } else { SIGPWR });
        self.signal(&pidfd, signal, "shut down")?;
        Ok(Some(ShutdownRequest { container: self.clone(), pidfd, pid, signal }))
    }

    /// Asks init to shut down and waits (`shutdown`).
    ///
    /// - Errors: `TimedOut`. With `Patience::None` having asked is enough.
    pub fn shutdown(&self, patience: Patience) -> Result<()> {
        let Some(request) = self.request_shutdown()? else { return Ok(()) };
        if patience == Patience::None || request.wait(patience)? == Ended::Yes {
            return Ok(());
        }
        Err(Error::new(ErrorKind::TimedOut, format!("container {} did not shut down in time", self.name)))
    }

    /// Asks init to reboot (`lxc.signal.reboot`, default SIGINT), without waiting (`reboot`).
    ///
    /// - Errors: `NotRunning`.
    pub fn reboot(&self) -> Result<()> {
        let (_, pidfd) = self.init()?.ok_or_else(|| self.not_running())?;
        let configured = self.config.as_ref().and_then(|config| config.settings().signals.reboot);
        self.signal(&pidfd, configured.unwrap_or(SIGINT), "reboot")
    }

    /// Asks init to reboot and waits until the container runs again (`reboot2`). One that does not run is fine.
    ///
    /// - Errors: `TimedOut`.
    pub fn reboot_and_wait(&self, patience: Patience) -> Result<()> {
        if !self.is_running() {
            return Ok(());
        }
        if patience == Patience::None {
            return self.reboot();
        }
        // ORDER: registered before the signal, or the new RUNNING could be missed. The marker 2 keeps the registration
        // over the STOPPED in between.
        let mut interest = StateInterest::default();
        if let Some(word) = interest.0.get_mut(State::Running as usize) {
            *word = 2;
        }
        let registered = self.client().add_state_client(interest)?;
        self.reboot()?;
        let object = || format!("wait for container {} to run again", self.name);
        match registered {
            StateWait::Later(stream) => {
                let limit = match patience {
                    Patience::Until(limit) => Some(limit),
                    _ => None,
                };
                let message = stream.wait(limit).what(object)?;
                match message.and_then(|message| message.as_state()) {
                    Some(State::Running) => Ok(()),
                    _ => Err(Error::new(ErrorKind::NotRunning, object())),
                }
            }
            // COMPAT: the reply for a running container names its state at once; nothing more will come.
            StateWait::Now(_) => Ok(()),
        }
    }

    /// Waits until the container is in one of `states`.
    ///
    /// - Units:  `None` = for ever.
    /// - Errors: `TimedOut`.
    pub fn wait(&self, states: StateSet, timeout: Option<Duration>) -> Result<State> {
        state::wait(&self.client(), states, timeout)
    }

    /// Pid and pidfd of init; `None` when the container does not run.
    fn init(&self) -> Result<Option<(i32, OwnedFd)>> {
        let client = self.client();
        let pid = match client.init_pid() {
            Err(error) if error.kind() == ErrorKind::NotRunning => return Ok(None),
            other => other?,
        };
        let pidfd = match client.init_pidfd() {
            Ok(pidfd) => pidfd,
            Err(error) if error.kind() == ErrorKind::NotRunning => return Ok(None),
            // Monitors older than LXC 4.0 have none to give.
            Err(_) => {
                let raw = rustix::process::Pid::from_raw(pid);
                let raw = raw.ok_or_else(|| Error::new(ErrorKind::Protocol, "init has no pid"))?;
                rustix::process::pidfd_open(raw, rustix::process::PidfdFlags::empty())
                    .what(|| format!("open init of container {}", self.name))?
            }
        };
        Ok(Some((pid, pidfd)))
    }

    pub(super) fn not_running(&self) -> Error {
        Error::new(ErrorKind::NotRunning, format!("container {} is not running", self.name))
    }

    fn signal(&self, pidfd: &OwnedFd, signal: u32, what: &str) -> Result<()> {
        let number = i32::try_from(signal).unwrap_or(0);
        lxc_sys::pidfd::send_signal(pidfd.as_fd(), number)
            .what(|| format!("ask container {} to {what} (signal {number})", self.name))
    }
}

/// `SIGPWR`, `SIGRTMIN+3`.
fn signal_name(number: u32) -> String {
    match lxc_conf::value::signal::NAMES.iter().find(|(_, known)| *known == number) {
        Some((name, _)) => format!("SIG{name}"),
        None if number >= RTMIN => format!("SIGRTMIN+{}", number - RTMIN),
        None => format!("signal {number}"),
    }
}

/// Whether a process blocks a signal (`SigBlk` of proc(5) status).
fn blocks(pid: i32, signal: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    blocks_in(&status, signal)
}

fn blocks_in(status: &str, signal: u32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    signal.checked_sub(1).and_then(|bit| mask.checked_shr(bit)).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_proc_counts_from_signal_1() {
        let status = "Name:\tsystemd\nSigBlk:\t7be3c0fe28014a03\nSigIgn:\t0\n";
        assert!(blocks_in(status, 1));
        assert!(blocks_in(status, SYSTEMD_HALT));
        assert!(!blocks_in(status, 3));
        assert!(!blocks_in("SigBlk:\t0000000000000000\n", SYSTEMD_HALT));
        assert!(!blocks_in("", 65));
        assert_eq!(SYSTEMD_HALT, 37);
        assert_eq!(signal_name(37), "SIGRTMIN+3");
        assert_eq!(signal_name(30), "SIGPWR");
    }
}
