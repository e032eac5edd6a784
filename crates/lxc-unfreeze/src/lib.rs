//! `lxc-unfreeze`: lets the processes of a frozen container run again.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use lxc_cli::Ctx;
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
    Ok(lxc_freeze::change(ctx, "unfreeze", Container::unfreeze))
}
