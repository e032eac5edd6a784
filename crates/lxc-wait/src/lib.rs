//! `lxc-wait`: waits until a container is in one of some states.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Duration;

use lxc_cli::{Ctx, exit};
use lxc_core::Container;
use lxc_core::state::StateSet;

/// The options of `lxc-wait`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// States to wait for, joined by |: STOPPED, STARTING, RUNNING, STOPPING, ABORTING, FREEZING, FROZEN, THAWED
    #[arg(short = 's', long, value_name = "STATE")]
    state: Option<String>,
    /// Seconds to wait at most (default: -1, for ever)
    #[arg(short = 't', long, value_name = "SECONDS")]
    timeout: Option<String>,
}

/// The options, for parsing and for the manual page.
pub fn command() -> clap::Command {
    lxc_cli::command::<Args>(
        "lxc-wait",
        "--name=NAME --state=STATE",
        "Waits until the container NAME is in one of the given states.",
    )
}

lxc_cli::tool!("lxc-wait");

/// Exit code 0 when a state was reached, 1 when the time ran out.
pub fn run(args: Args, ctx: &Ctx) -> anyhow::Result<ExitCode> {
    let Some(states) = args.state else {
        return Err(lxc_cli::tool::usage_error("no state to wait for; use --state"));
    };
    let container = match Container::open(ctx.name(), ctx.lxcpath(), ctx.rcfile()) {
        Ok(container) => container,
        Err(error) => return Ok(ctx.open_failed(&error, &[])),
    };
    let states: StateSet = match states.parse() {
        Ok(states) => states,
        Err(error) => {
            ctx.report_core(&error);
            return Ok(ExitCode::from(exit::FAILURE));
        }
    };
    if let Err(error) = container.wait(states, patience(args.timeout.as_deref())) {
        // A stopped container that does not start in time is told by the exit code alone, as in the original.
        if container.is_running() {
            ctx.report_core(&error);
        }
        return Ok(ExitCode::from(exit::FAILURE));
    }
    Ok(ExitCode::SUCCESS)
}

/// The time to wait; `None` = for ever.
///
/// COMPAT: a word that is no number counts as 0, as with atol(3). Unlike the original, 0 does not wait for ever on a
/// running container.
fn patience(text: Option<&str>) -> Option<Duration> {
    let text = text.unwrap_or("-1").trim_start();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = digits.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(digits.len());
    let number: u64 = digits.get(..end).unwrap_or("").parse().unwrap_or(0);
    (!text.starts_with('-')).then(|| Duration::from_secs(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_atol_does() {
        assert_eq!(patience(None), None);
        assert_eq!(patience(Some("-1")), None);
        assert_eq!(patience(Some("5")), Some(Duration::from_secs(5)));
        assert_eq!(patience(Some(" +7s")), Some(Duration::from_secs(7)));
        assert_eq!(patience(Some("x")), Some(Duration::ZERO));
    }
}
