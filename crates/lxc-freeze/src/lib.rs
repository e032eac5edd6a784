//! `lxc-freeze`: stops every process of a container without ending any.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use lxc_cli::{Ctx, exit};
use lxc_core::Container;

/// No options of its own.
#[derive(clap::Args, Debug)]
pub struct Args {}

/// The options, for parsing and for the manual page.
pub fn command() -> clap::Command {
    lxc_cli::command::<Args>("lxc-freeze", "--name=NAME", "Freezes every process of the container NAME.")
}

lxc_cli::tool!("lxc-freeze");

/// Freezes; a container that is frozen already is fine.
pub fn run(_args: Args, ctx: &Ctx) -> anyhow::Result<ExitCode> {
    let container = match Container::open(ctx.name(), ctx.lxcpath(), ctx.rcfile()) {
        Ok(container) => container,
        Err(error) => {
            let lxcpath = error.lxcpath().display();
            return Ok(ctx.open_failed(&error, &[&format!("No such container: {lxcpath}:{}", ctx.name())]));
        }
    };
    let target = format!("{}:{}", container.lxcpath().display(), container.name());
    if !container.may_control() {
        ctx.error(format_args!("Insufficient privileges to control {target}"));
        return Ok(ExitCode::from(exit::FAILURE));
    }
    if let Err(error) = container.freeze() {
        ctx.report_core(&error);
        ctx.error(format_args!("Failed to freeze {target}"));
        return Ok(ExitCode::from(exit::FAILURE));
    }
    Ok(ExitCode::SUCCESS)
}
