//! `lxc-destroy`: removes a container and everything that belongs to it alone.
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use lxc_cli::{Ctx, exit};
use lxc_conf::Config;
use lxc_core::command::Client;
use lxc_core::destroy::{self, Caller, Outcome, Request, Snapshots};
use lxc_core::{Container, ErrorKind, create};

/// How long `-f` waits for the monitor to clean up after the container was killed.
const PATIENCE: Duration = Duration::from_secs(60);

/// The options of `lxc-destroy`.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct Args {
    /// Kill the container first if it is running
    #[arg(short = 'f', long)]
    force: bool,
    /// Destroy its snapshots as well
    #[arg(short = 's', long)]
    snapshots: bool,
}

/// The options, for parsing and for the manual page.
pub fn command() -> clap::Command {
    lxc_cli::command::<Args>(
        "lxc-destroy",
        "--name=NAME [-f] [-s]",
        "Destroys the container NAME: its rootfs, its configuration and its directory.",
    )
}

lxc_cli::tool!("lxc-destroy");

/// Exit code 0 when the container is gone (or was told to stay by lxc.rootfs.managed = 0), 1 otherwise.
pub fn run(args: Args, ctx: &Ctx) -> anyhow::Result<ExitCode> {
    let failure = ExitCode::from(exit::FAILURE);
    if create::name::check(ctx.name()).is_err() {
        ctx.error("Container is not defined");
        return Ok(failure);
    }
    let container = match Container::open(ctx.name(), ctx.lxcpath(), ctx.rcfile()) {
        Ok(container) => container,
        Err(error) => return Ok(ctx.open_failed(&error, &["System error loading container"])),
    };
    let Some(config) = container.config().filter(|_| container.directory().join("config").exists()) else {
        ctx.error("Container is not defined");
        return Ok(failure);
    };
    match destroy_it(args, ctx, container.lxcpath(), config) {
        Ok(Outcome::Destroyed) => Ok(ExitCode::SUCCESS),
        Ok(Outcome::Kept) => {
            ctx.note("lxc.rootfs.managed = 0: destroy hooks ran, every file was kept");
            Ok(ExitCode::SUCCESS)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyRunning => {
            ctx.report_core(&error);
            Ok(failure)
        }
        Err(error) => {
            ctx.report_core(&error.context(format!("Destroying {} failed", ctx.name())));
            Ok(failure)
        }
    }
}

fn destroy_it(args: Args, ctx: &Ctx, lxcpath: &Path, config: &Config) -> lxc_core::Result<Outcome> {
    let request = Request {
        name: ctx.name(),
        lxcpath,
        settings: config.settings(),
        snapshots: if args.snapshots { Snapshots::Destroy } else { Snapshots::Keep },
        caller: Caller::User,
    };
    if args.force && destroy::is_running(lxcpath, ctx.name())? {
        // What would be refused afterwards must not cost the container its running processes.
        destroy::check(&request)?;
        Client::new(lxcpath, ctx.name()).stop(Some(PATIENCE))?;
    }
    destroy::destroy(request)
}
