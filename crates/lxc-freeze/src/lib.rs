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
    Ok(change(ctx, "freeze", Container::freeze))
}

/// What lxc-freeze and lxc-unfreeze do: `verb` to the container, and the original's messages when it cannot.
#[track_caller]
pub fn change(ctx: &Ctx, word: &str, verb: impl Fn(&Container) -> lxc_core::Result<()>) -> ExitCode {
    let container = match Container::open(ctx.name(), ctx.lxcpath(), ctx.rcfile()) {
        Ok(container) => container,
        Err(error) => {
            let lxcpath = error.lxcpath().display();
            return ctx.open_failed(&error, &[&format!("No such container: {lxcpath}:{}", ctx.name())]);
        }
    };
    let target = format!("{}:{}", container.lxcpath().display(), container.name());
    if !container.may_control() {
        ctx.error(format_args!("Insufficient privileges to control {target}"));
        return ExitCode::from(exit::FAILURE);
    }
    if let Err(error) = verb(&container) {
        ctx.report_core(&error);
        ctx.error(format_args!("Failed to {word} {target}"));
        return ExitCode::from(exit::FAILURE);
    }
    ExitCode::SUCCESS
}
