//! `lxc-start`: starts a container.
#![forbid(unsafe_code)]

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lxc_cli::args::{Overrides, Shares};
use lxc_cli::{Ctx, exit};
use lxc_core::container::{Caller, StartOptions};
use lxc_core::start::{Kind, Mode};
use lxc_core::{Container, ErrorKind, select};

/// The options of `lxc-start`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Start in the background (default)
    #[arg(short = 'd', long, overrides_with = "foreground")]
    daemon: bool,
    /// Start with the terminal as the container's console
    #[arg(short = 'F', long, overrides_with = "daemon")]
    foreground: bool,
    #[command(flatten)]
    overrides: Overrides,
    /// Use FILE as the container's console
    #[arg(short = 'c', long, value_name = "FILE")]
    console: Option<String>,
    /// Append what the console shows to FILE
    #[arg(short = 'L', long, value_name = "FILE")]
    console_log: Option<String>,
    /// Close inherited file descriptors (always done in the background)
    #[arg(short = 'C', long)]
    close_all_fds: bool,
    /// Write the process id of the monitor to FILE
    #[arg(short = 'p', long, value_name = "FILE")]
    pidfile: Option<PathBuf>,
    #[command(flatten)]
    shares: Shares,
}

/// The options, for parsing and for the manual page.
pub fn command() -> clap::Command {
    lxc_cli::command::<Args>(
        "lxc-start",
        "--name=NAME [-- COMMAND]",
        "Starts the container NAME, with COMMAND instead of its own init if one is given.",
    )
}

lxc_cli::tool!("lxc-start");

impl Args {
    /// The configuration items of the command line, in the order they are applied.
    fn items(&self) -> anyhow::Result<Vec<(String, String)>> {
        let mut items = Vec::new();
        let mut push = |key: &str, value: &Option<String>| {
            if let Some(value) = value {
                items.push((key.to_owned(), value.clone()));
            }
        };
        push("lxc.console.path", &self.console.as_deref().map(absolute));
        push("lxc.console.logfile", &self.console_log.as_deref().map(absolute));
        items.extend(self.shares.items());
        items.extend(self.overrides.items()?);
        Ok(items)
    }
}

/// A path that means the same in the monitor, whose working directory is `/`. `none` is a word, not a file.
fn absolute(path: &str) -> String {
    match path {
        "none" => path.to_owned(),
        _ => std::path::absolute(path).map_or_else(|_| path.to_owned(), |full| full.display().to_string()),
    }
}

/// Exit code 0 once the container runs (background) or after a clean run, whatever its init's status (foreground).
#[allow(clippy::needless_pass_by_value, reason = "the signature every tool has")]
pub fn run(args: Args, ctx: &Ctx) -> anyhow::Result<ExitCode> {
    let failure = ExitCode::from(exit::FAILURE);
    let items = args.items()?;
    if let Err(path) = lxc_core::container::check_access(ctx.lxcpath()) {
        ctx.error(format_args!("You lack access to {}", path.display()));
        return Ok(failure);
    }
    let mut container = match Container::open(ctx.name(), ctx.lxcpath(), ctx.rcfile()) {
        Ok(container) => container,
        Err(error) => return Ok(ctx.open_failed(&error, &["Failed to create lxc_container"])),
    };
    if container.is_running() {
        ctx.error("Container is already running");
        return Ok(ExitCode::SUCCESS);
    }
    if container.config().is_none() {
        ctx.error("No container config specified");
        suggest(ctx, &container);
        return Ok(failure);
    }
    for (key, value) in &items {
        if let Err(error) = container.set_config_item(key, value) {
            ctx.report_core(&error);
            return Ok(failure);
        }
    }
    if let Some(path) = &args.pidfile
        && let Err(error) = ensure_file(path)
    {
        ctx.error(format_args!("Failed to create '{}': {error}", path.display()));
        ctx.error(format_args!("Failed to ensure pidfile '{}'", path.display()));
        return Ok(failure);
    }
    let options = StartOptions {
        argv: Some(ctx.operands().to_vec()).filter(|argv| !argv.is_empty()),
        mode: if args.foreground { Mode::Foreground } else { Mode::Daemon },
        kind: Kind::Start,
        close_fds: args.close_all_fds,
        pidfile: args.pidfile.as_deref().map(|path| std::path::absolute(path).unwrap_or(path.to_owned())),
        caller: Caller::Exits,
    };
    match container.start(options) {
        Ok(_) => Ok(ExitCode::SUCCESS),
        Err(error) if error.kind() == ErrorKind::AlreadyRunning && container.is_running() => {
            ctx.error("Container is already running");
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            ctx.report_core(&error);
            if !args.foreground {
                ctx.error("Received container state \"ABORTING\" instead of \"RUNNING\"");
            }
            ctx.error("The container failed to start");
            if !args.foreground {
                ctx.error("To get more details, run the container in foreground mode");
            }
            ctx.error(
                "Additional information can be obtained by setting the --logfile and --logpriority options",
            );
            Ok(failure)
        }
    }
}

fn suggest(ctx: &Ctx, container: &Container) {
    let missing = format!("no container {} in {}", ctx.name(), container.lxcpath().display());
    match select::nearest(container.name(), container.lxcpath()) {
        Some(name) => ctx.note(format_args!("{missing}; did you mean {name}?")),
        None => ctx.note(missing),
    }
}

/// The file the monitor will write its pid to must exist before anything is started.
fn ensure_file(path: &Path) -> std::io::Result<()> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path).map(drop)
}
