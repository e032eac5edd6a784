//! `lxc-console`: connects the caller's terminal to a tty of a running container.
#![forbid(unsafe_code)]

use std::io::{IsTerminal, Write, stderr};
use std::os::fd::AsFd;
use std::process::ExitCode;

use lxc_cli::{Ctx, exit};
use lxc_core::command::Client;
use lxc_core::console::holders;
use lxc_core::console::proxy::{AtInputEnd, Escape, RawTerminal, Relay, Signals, can_wait_for, relay};
use lxc_core::{Container, ErrorKind};

/// The options of `lxc-console`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Connect to tty NUMBER; 0 is /dev/console, without -t it is the next free one
    #[arg(short = 't', long, value_name = "NUMBER", value_parser = tty_number)]
    tty: Option<i32>,
    /// Start commands with Ctrl+KEY, written as KEY or ^KEY, instead of Ctrl+a; -1 switches commands off
    #[arg(short = 'e', long, value_name = "KEY", value_parser = Escape::parse, default_value = "^a",
          hide_default_value = true)]
    escape: Escape,
}

/// - Errors: not a decimal number.
fn tty_number(text: &str) -> Result<i32, String> {
    let number = text.parse::<u32>().ok().and_then(|number| i32::try_from(number).ok());
    number.ok_or_else(|| format!("{text:?} is not the number of a tty"))
}

/// The options, for parsing and for the manual page.
pub fn command() -> clap::Command {
    lxc_cli::command::<Args>(
        "lxc-console",
        "--name=NAME [--tty NUMBER]",
        "Connects the terminal to a tty of the running container NAME.",
    )
}

lxc_cli::tool!("lxc-console");

const ANY: i32 = -1;

/// Exit code 0 when the user left, the input ended, or the container closed the tty.
#[expect(clippy::needless_pass_by_value, reason = "the signature every tool has")]
pub fn run(args: Args, ctx: &Ctx) -> anyhow::Result<ExitCode> {
    let failure = ExitCode::from(exit::FAILURE);
    let container = match Container::open(ctx.name(), ctx.lxcpath(), ctx.rcfile()) {
        Ok(container) => container,
        Err(error) => return Ok(ctx.open_failed(&error, &["System error loading container"])),
    };
    if !container.may_control() {
        let lxcpath = container.lxcpath().display();
        ctx.error(format_args!("Insufficient privileges to control {lxcpath}:{}", container.name()));
        return Ok(failure);
    }
    if !container.is_running() {
        ctx.error(format_args!("{} is not running", container.name()));
        return Ok(failure);
    }
    let (stdin, stdout) = (std::io::stdin(), std::io::stdout());
    let client = Client::new(container.lxcpath(), container.name());
    let lease = match client.tty(args.tty.unwrap_or(ANY)) {
        Ok(lease) => lease,
        Err(error) => {
            if error.kind() != ErrorKind::Busy {
                ctx.report_core(&error);
            }
            ctx.error("Denied access to tty");
            if stderr().is_terminal() {
                ctx.note(format_args!(
                    "it is in use, or the container has no such tty (lxc.tty.max); -t 0 is its console"
                ));
            }
            return Ok(failure);
        }
    };
    if !can_wait_for(stdin.as_fd()) {
        ctx.error("Failed to add stdin handler");
        ctx.note("standard input must be a terminal, a pipe or a socket");
        return Ok(failure);
    }
    // ORDER: whoever saw the banner may send a signal.
    let signals = Signals::block()?;
    greet(args.escape, lease.number);
    if stderr().is_terminal() {
        hint(ctx, &client, lease.number);
    }
    let raw = RawTerminal::enter(stdin.as_fd())?;
    let ended = relay(
        &Relay {
            ptx: lease.ptx.as_fd(),
            input: Some(stdin.as_fd()),
            output: stdout.as_fd(),
            log: None,
            escape: args.escape.byte(),
            signals_to: None,
            at_input_end: AtInputEnd::Leave,
        },
        &signals,
    );
    // ORDER: the user's terminal first; the loan of the tty ends with `lease`.
    drop(raw);
    drop(signals);
    drop(lease);
    ended?;
    Ok(ExitCode::SUCCESS)
}

/// The original's banner, on stderr.
fn greet(escape: Escape, number: i32) {
    let Some(key) = escape.key() else { return };
    // A closed stderr is no reason not to connect.
    let _ = writeln!(
        stderr().lock(),
        "\nConnected to tty {number}\n\
         Type <Ctrl+{key} q> to exit the console, <Ctrl+{key} Ctrl+{key}> to enter Ctrl+{key} itself"
    );
}

/// Says so when nothing in the container would answer.
fn hint(ctx: &Ctx, client: &Client, number: i32) {
    let Ok(init) = client.init_pid() else { return };
    // What cannot be found out is not worth a word: the connection stands.
    if !matches!(holders::anyone_has(init, number), Ok(false)) {
        return;
    }
    let device = holders::device_name(number);
    ctx.note(format_args!("no process in the container has /dev/{device} open, so nothing will answer here"));
    match number {
        0 => ctx.note("use lxc-attach for a shell"),
        _ => ctx.note(format_args!(
            "try lxc-console -t 0 or lxc-attach, or start a getty on {device} \
             (systemd: systemctl enable --now container-getty@{number}.service)"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ttys_are_plain_numbers() {
        assert_eq!(tty_number("0"), Ok(0));
        assert_eq!(tty_number("12"), Ok(12));
        for wrong in ["", "abc", "-5", "-1", "4294967295"] {
            assert!(tty_number(wrong).is_err(), "{wrong}");
        }
    }
}
