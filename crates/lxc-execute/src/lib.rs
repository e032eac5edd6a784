//! `lxc-execute`: runs one command in a container, under a minimal init.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use lxc_cli::args::{Overrides, Shares};
use lxc_cli::{Ctx, exit};
use lxc_core::container::{Caller, StartOptions};
use lxc_core::start::{Kind, Mode, Outcome};
use lxc_core::{Container, select};

/// The options of `lxc-execute`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Run in the background
    #[arg(short = 'd', long)]
    daemon: bool,
    #[command(flatten)]
    overrides: Overrides,
    /// Run the command with this user id
    #[arg(short = 'u', long, value_name = "UID", value_parser = id)]
    uid: Option<u32>,
    /// Run the command with this group id
    #[arg(short = 'g', long, value_name = "GID", value_parser = id)]
    gid: Option<u32>,
    #[command(flatten)]
    shares: Shares,
}

fn id(text: &str) -> Result<u32, String> {
    lxc_conf::value::number::id(text).map_err(|error| error.reason)
}

/// The options, for parsing and for the manual page.
pub fn command() -> clap::Command {
    lxc_cli::command::<Args>(
        "lxc-execute",
        "--name=NAME [-- COMMAND]",
        "Runs COMMAND, or what lxc.execute.cmd says, in the container NAME.",
    )
}

lxc_cli::tool!("lxc-execute");

impl Args {
    /// The configuration items of the command line, in the order they are applied.
    fn items(&self) -> anyhow::Result<Vec<(String, String)>> {
        let mut items = Vec::new();
        let mut push = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                items.push((key.to_owned(), value));
            }
        };
        push("lxc.init.uid", self.uid.map(|uid| uid.to_string()));
        push("lxc.init.gid", self.gid.map(|gid| gid.to_string()));
        items.extend(self.shares.items());
        items.extend(self.overrides.items()?);
        Ok(items)
    }
}

/// The exit code is the command's, 128 plus the signal that killed it, 255 when it could not be executed.
#[allow(clippy::needless_pass_by_value, reason = "the signature every tool has")]
pub fn run(args: Args, ctx: &Ctx) -> anyhow::Result<ExitCode> {
    let failure = ExitCode::from(exit::FAILURE);
    let items = args.items()?;
    let mut container = match Container::open(ctx.name(), ctx.lxcpath(), ctx.rcfile()) {
        Ok(container) => container,
        Err(error) => return Ok(ctx.open_failed(&error, &["Failed to create lxc_container"])),
    };
    if container.config().is_none() {
        ctx.error("Executing a container with no configuration file may crash the host");
        if let Some(name) = select::nearest(container.name(), container.lxcpath()) {
            ctx.note(format_args!("no container {}; did you mean {name}?", ctx.name()));
        }
        return Ok(failure);
    }
    for (key, value) in &items {
        if let Err(error) = container.set_config_item(key, value) {
            ctx.report_core(&error);
            return Ok(failure);
        }
    }
    let has_command = container.config().is_some_and(|config| config.settings().execute_cmd.is_some());
    if ctx.operands().is_empty() && !has_command {
        ctx.error("no command given, and lxc.execute.cmd is not set");
        return Ok(failure);
    }
    let options = StartOptions {
        argv: Some(ctx.operands().to_vec()).filter(|argv| !argv.is_empty()),
        mode: if args.daemon { Mode::Daemon } else { Mode::Foreground },
        kind: Kind::Execute,
        close_fds: false,
        pidfile: None,
        caller: Caller::Exits,
    };
    match container.start(options) {
        Ok(Outcome::Daemonised) => Ok(ExitCode::SUCCESS),
        Ok(Outcome::Exited { wait_status }) => Ok(exit::from_wait_status(wait_status)),
        Err(error) => {
            ctx.report_core(&error);
            ctx.error("Failed run an application inside container");
            Ok(failure)
        }
    }
}
