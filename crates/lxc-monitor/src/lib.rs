//! `lxc-monitor`: prints the state changes of containers.
#![forbid(unsafe_code)]

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use lxc_cli::{Ctx, Names, Paths, exit};
use lxc_core::container::default_lxcpath;
use lxc_core::container::watch::{self, Watch};
use lxc_core::select::Pattern;
use lxc_core::state::msg::What;
use lxc_core::state::{LxcMsg, State};
use rustix::event::{PollFd, PollFlags, poll};
use serde::Serialize;

/// The options of `lxc-monitor`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Tell lxc-monitord to quit
    #[arg(short = 'Q', long)]
    quit: bool,
    /// text, or json: an object a line, {"schema": "lxc-monitor", "version": 1, "name", "state"}, or with "exit_status"
    /// or "signal" in place of "state" when the init ends
    #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"], default_value = "text",
          hide_default_value = true)]
    format: String,
}

/// The options, for parsing and for the manual page.
pub fn command() -> clap::Command {
    lxc_cli::command::<Args>(
        "lxc-monitor",
        "[--name=NAME]",
        "Prints the state changes of the containers whose names match the extended regular expression NAME.",
    )
}

lxc_cli::tool!("lxc-monitor", names: Names::None, paths: Paths::Many);

/// Runs until it is killed or every lxc-monitord has gone.
#[allow(clippy::needless_pass_by_value, reason = "the signature every tool has")]
pub fn run(args: Args, ctx: &Ctx) -> anyhow::Result<ExitCode> {
    let mut lxcpaths = ctx.lxcpaths().to_vec();
    if lxcpaths.is_empty() {
        lxcpaths.push(default_lxcpath());
    }
    if args.quit {
        return Ok(quit(ctx, &lxcpaths));
    }
    let name = ctx.name_option().map_or_else(|| ".*".into(), |name| name.to_string_lossy());
    let Ok(pattern) = Pattern::whole(&name) else {
        ctx.error(format_args!("Failed to compile the regex '{name}'"));
        return Ok(ExitCode::from(exit::FAILURE));
    };
    let mut sources = Vec::new();
    for lxcpath in &lxcpaths {
        match Watch::open(lxcpath) {
            Ok(source) => sources.push(source),
            Err(error) => {
                ctx.report_core(&error);
                ctx.error(format_args!("Unable to open monitor on path: {}", lxcpath.display()));
                return Ok(ExitCode::from(exit::FAILURE));
            }
        }
    }
    let line = if args.format == "json" { json } else { text };
    print_changes(sources, |name| pattern.matches(name), line)
}

fn quit(ctx: &Ctx, lxcpaths: &[PathBuf]) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for lxcpath in lxcpaths {
        if let Err(error) = watch::quit(lxcpath) {
            ctx.report_core(&error);
            ctx.error(format_args!("Unable to open monitor on path: {}", lxcpath.display()));
            code = ExitCode::from(exit::FAILURE);
        }
    }
    code
}

fn print_changes(
    mut sources: Vec<Watch>,
    wanted: impl Fn(&str) -> bool,
    line: fn(&LxcMsg) -> Option<String>,
) -> anyhow::Result<ExitCode> {
    let mut stdout = std::io::stdout().lock();
    while !sources.is_empty() {
        let ready: Vec<bool> = {
            let poll_fd = |source| PollFd::new(source, PollFlags::IN);
            let mut fds: Vec<PollFd<'_>> = sources.iter().map(poll_fd).collect();
            poll(&mut fds, None)?;
            fds.iter().map(|fd| !fd.revents().is_empty()).collect()
        };
        let mut lines = String::new();
        let mut left = Vec::new();
        for (mut source, ready) in sources.into_iter().zip(ready) {
            if ready {
                let Some(messages) = source.read()? else { continue };
                let shown = messages.iter().filter(|message| wanted(&message.name));
                lines.extend(shown.filter_map(line));
            }
            left.push(source);
        }
        sources = left;
        stdout.write_all(lines.as_bytes())?;
        stdout.flush()?;
    }
    Ok(ExitCode::from(exit::FAILURE))
}

/// The line of one message; `None` for kinds the original is silent about.
fn text(message: &LxcMsg) -> Option<String> {
    let name = &message.name;
    match message.what {
        What::State(number) => {
            let state = State::from_number(number).map_or("INVALID STATE", State::name);
            Some(format!("'{name}' changed state to [{state}]\n"))
        }
        // COMPAT: the exit status alone, so an init killed by a signal counts as 0.
        What::ExitCode(status) => Some(format!("'{name}' exited with status [{}]\n", (status >> 8) & 0xff)),
        _ => None,
    }
}

/// One change.
#[derive(Serialize)]
struct Change<'a> {
    schema: &'static str,
    version: u32,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_status: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<i32>,
}

/// The same as an object; an init that a signal ended is told apart.
fn json(message: &LxcMsg) -> Option<String> {
    let name = &message.name;
    let mut change =
        Change { schema: "lxc-monitor", version: 1, name, state: None, exit_status: None, signal: None };
    match message.what {
        What::State(number) => {
            change.state = Some(State::from_number(number).map_or("INVALID STATE", State::name));
        }
        What::ExitCode(status) => match status & 0x7f {
            0 => change.exit_status = Some((status >> 8) & 0xff),
            signal => change.signal = Some(signal),
        },
        _ => return None,
    }
    serde_json::to_string(&change).ok().map(|object| object + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_originals() {
        assert_eq!(
            text(&LxcMsg::state("c1", State::Running)).as_deref(),
            Some("'c1' changed state to [RUNNING]\n")
        );
        assert_eq!(text(&LxcMsg::exit_code("c1", 7 << 8)).as_deref(), Some("'c1' exited with status [7]\n"));
        assert_eq!(text(&LxcMsg::exit_code("c1", 9)).as_deref(), Some("'c1' exited with status [0]\n"));
        assert_eq!(text(&LxcMsg { name: "c".into(), what: What::Priority(1) }), None);
    }

    #[test]
    fn objects_tell_signals_from_statuses() {
        let start = r#"{"schema":"lxc-monitor","version":1,"name":"c1","#;
        for (message, end) in [
            (LxcMsg::state("c1", State::Frozen), r#""state":"FROZEN"}"#),
            (LxcMsg::exit_code("c1", 7 << 8), r#""exit_status":7}"#),
            (LxcMsg::exit_code("c1", 9), r#""signal":9}"#),
        ] {
            assert_eq!(json(&message), Some(format!("{start}{end}\n")));
        }
        assert_eq!(json(&LxcMsg { name: "c".into(), what: What::Priority(1) }), None);
    }
}
