//! `lxc-mount`: mounts into a running container, takes such mounts away again, lists them.
//!
//! The original has this in its library only (`mount()` of `struct lxc_container`).
#![forbid(unsafe_code)]

mod table;

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use lxc_cli::tool::usage_error;
use lxc_cli::{Ctx, exit};
use lxc_core::inject::{self, Detach, MountRequest, Options, Running};
use lxc_core::{Container, paths};

/// The options of `lxc-mount`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Mount a new file system of this type (tmpfs, ext4, ...) instead of binding a path of the host
    #[arg(short = 't', long = "type", value_name = "TYPE")]
    fstype: Option<String>,
    /// Comma-separated mount options: ro, nosuid, nodev, noexec, noatime, ..., bind, rbind, private, rslave, ...,
    /// create=dir, create=file, idmap=container; those of the file system with -t; with --umount lazy or force.
    /// May be repeated
    #[arg(short = 'o', long, value_name = "OPTIONS")]
    options: Vec<String>,
    /// Unmount TARGET
    #[arg(short = 'u', long)]
    umount: bool,
    /// text, or json: {"schema": "lxc-mount", "version": 1, "name", "mounts": [{"target", "mount_point", "source",
    /// "type", "options": [..]}]}
    #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"], default_value = "text",
          hide_default_value = true)]
    format: String,
}

/// The options, for parsing and for the manual page.
///
/// `-o` is mount(8)'s here; the log file of the other tools' `-o` has its long name only.
pub fn command() -> clap::Command {
    lxc_cli::command::<Args>(
        "lxc-mount",
        "--name=NAME [-t TYPE] [-o OPTIONS] [SOURCE TARGET | --umount TARGET]",
        "Mounts SOURCE on TARGET of the running container NAME, unmounts TARGET, or lists what was mounted that way \
         since the container started.",
    )
    .mut_arg("logfile", |arg| arg.short(None))
}

lxc_cli::tool!("lxc-mount");

/// What the words ask for.
enum Action<'a> {
    Mount { source: &'a OsString, target: &'a OsString },
    Umount { target: &'a OsString, how: Detach },
    List,
}

/// Exit code 0 = done; failures say what to do about them.
#[expect(clippy::needless_pass_by_value, reason = "the signature every tool has")]
pub fn run(args: Args, ctx: &Ctx) -> anyhow::Result<ExitCode> {
    let action = action(&args, ctx.operands())?;
    let container = match Container::open(ctx.name(), ctx.lxcpath(), ctx.rcfile()) {
        Ok(container) => container,
        Err(error) => return Ok(ctx.open_failed(&error, &[])),
    };
    match act(&args, ctx, &container, &action) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            ctx.report(&error);
            Ok(ExitCode::from(exit::FAILURE))
        }
    }
}

fn action<'a>(args: &Args, words: &'a [OsString]) -> anyhow::Result<Action<'a>> {
    if args.umount {
        if args.fstype.is_some() {
            return Err(usage_error("-t is for mounting"));
        }
        let [target] = words else { return Err(usage_error("--umount needs one TARGET")) };
        let how = Detach::parse(&args.options.join(",")).map_err(usage_error)?;
        return Ok(Action::Umount { target, how });
    }
    match words {
        [] if args.fstype.is_some() || !args.options.is_empty() => {
            Err(usage_error("mounting needs a SOURCE and a TARGET"))
        }
        [] => Ok(Action::List),
        [source, target] => Ok(Action::Mount { source, target }),
        _ => Err(usage_error("mounting needs a SOURCE and a TARGET, and nothing else")),
    }
}

fn act(args: &Args, ctx: &Ctx, container: &Container, action: &Action<'_>) -> anyhow::Result<()> {
    let running = Running::open(container.lxcpath(), container.name())?;
    let rundir = paths::runtime_dir()
        .context("find the runtime directory: neither XDG_RUNTIME_DIR nor HOME is set")?;
    match action {
        Action::Mount { source, target } => {
            let request = MountRequest {
                source: source.into(),
                target: target.into(),
                fstype: args.fstype.clone(),
                options: Options::parse(&args.options.join(","), args.fstype.is_none())?,
            };
            let settings = container.config().map(|config| config.settings().clone()).unwrap_or_default();
            inject::inject(&running, &settings, &request, &rundir)?;
        }
        Action::Umount { target, how } => inject::eject(&running, Path::new(target), *how)?,
        Action::List => list(args, ctx, &running, &rundir)?,
    }
    Ok(())
}

fn list(args: &Args, ctx: &Ctx, running: &Running, rundir: &Path) -> anyhow::Result<()> {
    let mounts = inject::list(running, rundir)?;
    let text = match args.format.as_str() {
        "json" => table::json(ctx.name(), &mounts)?,
        _ => table::text(&mounts),
    };
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        // Whoever reads the list may stop reading.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("write the list"),
    }
}
