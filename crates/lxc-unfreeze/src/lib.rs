//! `lxc-unfreeze`: lets the processes of a frozen container run again.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use lxc_cli::{Ctx, exit};
use lxc_core::Container;

/// No options of its own.
#[derive(clap::Args, Debug)]
pub struct Args {}

/// The options, for parsing and for the manual page.
pub fn command() -> clap::Command {
    lxc_cli::command::<Args>(
        "lxc-unfreeze",
        "--name=NAME",
        "Lets the processes of the frozen container NAME run again.",
    )
}

lxc_cli::tool!("lxc-unfreeze");

/// Thaws; a container that is not frozen is fine.
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
    if let Err(error) = container.unfreeze() {
        ctx.report_core(&error);
        ctx.error(format_args!("Failed to unfreeze {target}"));
        return Ok(ExitCode::from(exit::FAILURE));
    }
    Ok(ExitCode::SUCCESS)
}
