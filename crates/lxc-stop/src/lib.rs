//! `lxc-stop`: stops or reboots a container.
#![forbid(unsafe_code)]

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use lxc_cli::tool::usage_error;
use lxc_cli::{Ctx, exit};
use lxc_core::Container;
use lxc_core::container::{Ended, Patience};

/// How long the tool is silent on a terminal before it says what it waits for.
const SILENCE: Duration = Duration::from_secs(3);

/// The options of `lxc-stop`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Reboot the container
    #[arg(short = 'r', long)]
    reboot: bool,
    /// Do not wait for the shutdown or reboot
    #[arg(short = 'W', long)]
    nowait: bool,
    /// Seconds to wait before the container is killed; -1 = for ever (default: 60)
    #[arg(short = 't', long, value_name = "SECONDS")]
    timeout: Option<String>,
    /// Kill the container instead of asking its init to shut down
    #[arg(short = 'k', long)]
    kill: bool,
    /// Only ask for a shutdown, never kill
    #[arg(long)]
    nokill: bool,
    /// With --kill: do not wait for locks of other programs
    #[arg(long)]
    nolock: bool,
}

/// The options, for parsing and for the manual page.
pub fn command() -> clap::Command {
    lxc_cli::command::<Args>(
        "lxc-stop",
        "--name=NAME",
        "Stops the container NAME: asks its init to shut down and kills it when that takes too long.",
    )
}

lxc_cli::tool!("lxc-stop");

/// Default seconds a shutdown may take.
const TIMEOUT: i64 = 60;

/// Exit code 0 when stopped, 2 when it did not run, 1 for failures.
#[allow(clippy::needless_pass_by_value, reason = "the signature every tool has")]
pub fn run(args: Args, ctx: &Ctx) -> anyhow::Result<ExitCode> {
    let failure = ExitCode::from(exit::FAILURE);
    let timeout = match &args.timeout {
        None => TIMEOUT,
        Some(text) => text.trim().parse::<i32>().map(i64::from).map_err(|_| {
            usage_error(format_args!("invalid value '{text}' for '--timeout': no whole number"))
        })?,
    };
    if let Some(mistake) = contradiction(&args, timeout) {
        ctx.error(mistake);
        return Ok(failure);
    }
    let container = match Container::open(ctx.name(), ctx.lxcpath(), ctx.rcfile()) {
        Ok(container) => container,
        Err(error) => return Ok(ctx.open_failed(&error, &["Error opening container"])),
    };
    if !container.may_control() {
        ctx.error(format_args!("Insufficient privileges to control {}", container.name()));
        return Ok(failure);
    }
    if !container.is_running() {
        ctx.error(format_args!("{} is not running", container.name()));
        if !container.is_defined()
            && let Some(name) = lxc_core::select::nearest(container.name(), container.lxcpath())
        {
            ctx.note(format_args!("did you mean {name}?"));
        }
        return Ok(ExitCode::from(exit::NOT_RUNNING));
    }
    let patience = match timeout {
        _ if args.nowait => Patience::None,
        0 => Patience::None,
        -1 => Patience::Forever,
        seconds => Patience::Until(Duration::from_secs(seconds.unsigned_abs())),
    };
    let done = if args.kill {
        container.stop()
    } else if args.reboot {
        container.reboot_and_wait(patience)
    } else {
        shutdown(&args, ctx, &container, patience)
    };
    match done {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            ctx.report_core(&error);
            Ok(failure)
        }
    }
}

/// Options that exclude each other, in the original's order and words.
fn contradiction(args: &Args, timeout: i64) -> Option<&'static str> {
    if timeout < -1 {
        Some("Invalid timeout")
    } else if args.kill && args.nokill {
        Some("-k can't be used with --nokill")
    } else if args.kill && args.reboot {
        Some("-k can't be used with -r")
    } else if args.kill && args.timeout.is_some() {
        Some("-k doesn't allow timeouts")
    } else if args.nolock && !args.kill {
        Some("--nolock may only be used with -k")
    } else {
        None
    }
}

/// Asks init to shut down, and kills the container when it does not and may be killed.
fn shutdown(args: &Args, ctx: &Ctx, container: &Container, patience: Patience) -> lxc_core::Result<()> {
    let Some(request) = container.request_shutdown()? else { return Ok(()) };
    let speaks = std::io::stderr().is_terminal();
    let first = match patience {
        Patience::Until(limit) if !speaks || limit <= SILENCE => patience,
        Patience::None => patience,
        _ => Patience::Until(SILENCE),
    };
    if request.wait(first)? == Ended::Yes {
        return Ok(());
    }
    if first != patience {
        let left = match patience {
            Patience::Until(limit) => Patience::Until(limit.saturating_sub(SILENCE)),
            other => other,
        };
        ctx.note(waiting(&request.signal_name(), request.pid(), left, args.nokill));
        if request.wait(left)? == Ended::Yes {
            return Ok(());
        }
    }
    if patience == Patience::None {
        return Ok(());
    }
    if args.nokill {
        let error = lxc_core::Error::new(
            lxc_core::ErrorKind::TimedOut,
            format!("{} did not shut down in time", container.name()),
        );
        return Err(error.cure("raise --timeout, or leave --nokill out to have it killed"));
    }
    container.stop()?;
    if speaks && let Patience::Until(limit) = patience {
        ctx.note(format_args!("killed after {} s", limit.as_secs()));
    }
    Ok(())
}

fn waiting(signal: &str, pid: i32, left: Patience, nokill: bool) -> String {
    let mut text = format!("sent {signal} to init (pid {pid}); waiting for the shutdown");
    if let Patience::Until(left) = left {
        let end = if nokill { "giving up" } else { "killing it" };
        text.push_str(&format!(", {end} in {} s", left.as_secs()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::FromArgMatches;

    fn mistake(words: &[&str]) -> Option<&'static str> {
        let all = [&["lxc-stop"], words].concat();
        let args = Args::from_arg_matches(&command().try_get_matches_from(all).unwrap()).unwrap();
        let timeout = args.timeout.as_ref().map_or(TIMEOUT, |text| text.parse().unwrap());
        contradiction(&args, timeout)
    }

    #[test]
    fn contradictions_have_the_originals_words() {
        assert_eq!(mistake(&["--timeout=-2"]), Some("Invalid timeout"));
        assert_eq!(mistake(&["-k", "--nokill"]), Some("-k can't be used with --nokill"));
        assert_eq!(mistake(&["-k", "-r"]), Some("-k can't be used with -r"));
        assert_eq!(mistake(&["-k", "-t4"]), Some("-k doesn't allow timeouts"));
        assert_eq!(mistake(&["--nolock"]), Some("--nolock may only be used with -k"));
        assert_eq!(mistake(&["-k", "--nolock"]), None);
        assert_eq!(mistake(&["-k", "-W"]), None);
        assert_eq!(mistake(&["--timeout=-1"]), None);
    }

    #[test]
    fn the_note_says_what_happens_next() {
        let left = Patience::Until(Duration::from_secs(57));
        assert_eq!(
            waiting("SIGPWR", 42, left, false),
            "sent SIGPWR to init (pid 42); waiting for the shutdown, killing it in 57 s"
        );
        assert!(waiting("SIGPWR", 42, left, true).ends_with("giving up in 57 s"));
        assert!(waiting("SIGPWR", 42, Patience::Forever, false).ends_with("waiting for the shutdown"));
    }
}
