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

/// The options of `lxc-monitor`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Tell lxc-monitord to quit
    #[arg(short = 'Q', long)]
    quit: bool,
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
    print_changes(sources, |name| pattern.matches(name))
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

fn print_changes(mut sources: Vec<Watch>, wanted: impl Fn(&str) -> bool) -> anyhow::Result<ExitCode> {
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
fn line(message: &LxcMsg) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_originals() {
        assert_eq!(
            line(&LxcMsg::state("c1", State::Running)).as_deref(),
            Some("'c1' changed state to [RUNNING]\n")
        );
        assert_eq!(line(&LxcMsg::exit_code("c1", 7 << 8)).as_deref(), Some("'c1' exited with status [7]\n"));
        assert_eq!(line(&LxcMsg::exit_code("c1", 9)).as_deref(), Some("'c1' exited with status [0]\n"));
        assert_eq!(line(&LxcMsg { name: "c".into(), what: What::Priority(1) }), None);
    }
}
