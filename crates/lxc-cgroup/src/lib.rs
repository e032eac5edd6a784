//! `lxc-cgroup`: reads or writes a control file of a running container's cgroup.
#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;

use lxc_cli::{Ctx, exit};
use lxc_core::Container;

/// No options of its own.
#[derive(clap::Args, Debug)]
pub struct Args {}

/// The options, for parsing and for the manual page.
pub fn command() -> clap::Command {
    lxc_cli::command::<Args>(
        "lxc-cgroup",
        "--name=NAME FILE [VALUE]",
        "Prints a control file of the cgroup of the container NAME, such as memory.max, or writes VALUE to it.",
    )
}

lxc_cli::tool!("lxc-cgroup");

/// One operand reads, two write.
pub fn run(_args: Args, ctx: &Ctx) -> anyhow::Result<ExitCode> {
    let mut operands = ctx.operands().iter().map(|word| word.to_string_lossy());
    let Some(file) = operands.next() else {
        return Err(lxc_cli::tool::usage_error("no control file given"));
    };
    let value = operands.next();
    let container = match Container::open(ctx.name(), ctx.lxcpath(), ctx.rcfile()) {
        Ok(container) => container,
        Err(error) => return Ok(ctx.open_failed(&error, &[])),
    };
    let target = format!("{}:{}", container.lxcpath().display(), container.name());
    let failure = ExitCode::from(exit::FAILURE);
    if !container.may_control() {
        ctx.error(format_args!("Insufficient privileges to control {target}"));
        return Ok(failure);
    }
    if !container.is_running() {
        ctx.error(format_args!("'{target}' is not running"));
        return Ok(failure);
    }
    match value {
        Some(value) => {
            if let Err(error) = container.set_cgroup_item(&file, &value) {
                ctx.report_core(&error);
                ctx.error(format_args!(
                    "Failed to assign '{value}' value to '{file}' for '{}'",
                    container.name()
                ));
                return Ok(failure);
            }
        }
        None => match container.cgroup_item(&file) {
            // COMPAT: one more newline than the file has.
            Ok(text) => writeln!(std::io::stdout().lock(), "{text}")?,
            Err(error) => {
                ctx.report_core(&error);
                ctx.error(format_args!("Failed to retrieve value of '{file}' for '{target}'"));
                return Ok(failure);
            }
        },
    }
    Ok(ExitCode::SUCCESS)
}
