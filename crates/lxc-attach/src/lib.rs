//! `lxc-attach`: runs a command inside a running container.
#![forbid(unsafe_code)]

pub mod options;

use std::ffi::{OsStr, OsString};
use std::fs::OpenOptions;
use std::io::{IsTerminal, stderr, stdin, stdout};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use lxc_cli::tool::usage_error;
use lxc_cli::{Ctx, exit};
use lxc_conf::model::Arch;
use lxc_core::attach::{
    self, Elevated, ElevatedSet, EnvPolicy, Environment, Namespaces, Program, Reexec, Request, Terminal,
};
use lxc_core::container::default_lxcpath;
use lxc_core::{Container, ErrorKind};

/// The options of `lxc-attach`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Keep privileges the container does not have: CAP, CGROUP, LSM, joined by |; without PRIVILEGES all of them.
    /// WARNING: the command can hand them to the container
    #[arg(short = 'e', long, num_args = 0..=1, require_equals = true, value_name = "PRIVILEGES",
          value_parser = options::elevated)]
    elevated_privileges: Option<Option<ElevatedSet>>,
    /// Run the command with the personality of ARCH instead of the container's
    #[arg(short = 'a', long, value_name = "ARCH", value_parser = options::arch)]
    arch: Option<Arch>,
    /// Enter only these namespaces: MOUNT, PID, UTSNAME, IPC, USER, NETWORK, CGROUP, TIME, joined by |; implies -e.
    /// WARNING: the command can hand its privileges to the container
    #[arg(short = 's', long, value_name = "NAMESPACES", value_parser = lxc_conf::value::ns::list)]
    namespaces: Option<u64>,
    /// With -s and without MOUNT: give the command /proc and /sys that fit the namespaces it enters
    #[arg(short = 'R', long)]
    remount_sys_proc: bool,
    /// Start with an environment of PATH and container=lxc
    #[arg(long, overrides_with = "keep_env")]
    clear_env: bool,
    /// Keep the caller's environment; this is the default
    #[arg(long, overrides_with = "clear_env")]
    keep_env: bool,
    /// With --clear-env: keep this variable; may be repeated
    #[arg(long, value_name = "KEY")]
    keep_var: Vec<OsString>,
    /// Set a variable for the command; may be repeated
    #[arg(short = 'v', long, value_name = "KEY=VALUE")]
    set_var: Vec<OsString>,
    /// Append what the command writes to its terminal to FILE
    #[arg(short = 'L', long, value_name = "FILE")]
    pty_log: Option<OsString>,
    /// Load FILE instead of the container's own configuration
    #[arg(short = 'f', long, value_name = "FILE")]
    rcfile: Option<OsString>,
    /// Run the command as this user of the container
    #[arg(short = 'u', long, value_name = "UID", value_parser = options::id)]
    uid: Option<u32>,
    /// Run the command as this group of the container
    #[arg(short = 'g', long, value_name = "GID", value_parser = options::id)]
    gid: Option<u32>,
    /// Run the command under this LSM label (SELinux context, AppArmor profile)
    #[arg(short = 'c', long, value_name = "LABEL")]
    context: Option<String>,
}

/// The options, for parsing and for the manual page.
pub fn command() -> clap::Command {
    lxc_cli::command::<Args>(
        "lxc-attach",
        "--name=NAME [-- COMMAND]",
        "Runs COMMAND, or the shell of the user, inside the running container NAME.",
    )
}

lxc_cli::tool!("lxc-attach");

/// Exit code: that of the command, 128 plus the signal that killed it, 126 or 127 when it could not be executed.
pub fn run(args: Args, ctx: &Ctx) -> anyhow::Result<ExitCode> {
    if args.context.is_some() && elevation(&args).contains(Elevated::Lsm) {
        return Err(usage_error("Cannot combine elevated LSM privileges while requesting LSM profile"));
    }
    if !mentions_id_map(ctx) {
        // Root in there is root here and could reach this program's file. Earlier than `Reexec::IfExposed` would do it,
        // and so with less done twice.
        attach::seal_self()?;
    }
    let container = match Container::open(ctx.name(), ctx.lxcpath(), ctx.rcfile()) {
        Ok(container) => container,
        Err(error) => return Ok(ctx.open_failed(&error, &[])),
    };
    let request = request(args, ctx, &container)?;
    let attached = match attach::run(&request) {
        Ok(attached) => attached,
        Err(error) => {
            ctx.report_core(&error);
            if error.kind() == ErrorKind::NotRunning {
                ctx.error("Failed to get init pid");
                ctx.error("Failed to get attach context");
            }
            return Ok(ExitCode::from(exit::FAILURE));
        }
    };
    if let Some(error) = attached.exec_error() {
        let reason = error.errno().map(lxc_core::error::errno_text).unwrap_or_default();
        let program = match &request.program {
            Program::Command(words) => words.first().map(|word| word.to_string_lossy().into_owned()),
            Program::Shell => None,
        };
        ctx.error(format_args!("{reason} - Failed to exec \"{}\"", program.as_deref().unwrap_or("/bin/sh")));
    }
    let code = attached.wait()?.shell_code();
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(exit::FAILURE)))
}

/// Whether the container may turn out to have a user namespace. A guess that costs little; `Reexec::IfExposed` knows.
fn mentions_id_map(ctx: &Ctx) -> bool {
    let lxcpath = ctx.lxcpath().map_or_else(default_lxcpath, Path::to_path_buf);
    let own = lxcpath.join(ctx.name()).join("config");
    let text = std::fs::read(ctx.rcfile().unwrap_or(&own)).unwrap_or_default();
    let word = b"idmap";
    text.windows(word.len()).any(|window| window == word)
}

fn elevation(args: &Args) -> ElevatedSet {
    match args.elevated_privileges {
        _ if args.namespaces.is_some() => ElevatedSet::ALL,
        Some(None) => ElevatedSet::ALL,
        Some(Some(set)) => set,
        None => ElevatedSet::NONE,
    }
}

fn request(args: Args, ctx: &Ctx, container: &Container) -> anyhow::Result<Request> {
    let program = match ctx.operands() {
        [] => Program::Shell,
        words => Program::Command(words.to_vec()),
    };
    let policy = match args.clear_env {
        true => EnvPolicy::Clear { keep: args.keep_var.clone() },
        false => EnvPolicy::Keep,
    };
    Ok(Request {
        settings: container.config().map(|config| config.settings().clone()).unwrap_or_default(),
        elevated: elevation(&args),
        namespaces: args.namespaces.map_or(Namespaces::OfContainer, Namespaces::Only),
        remount_proc_sys: args.remount_sys_proc,
        arch: args.arch,
        environment: Environment { policy, inherited: std::env::vars_os().collect(), extra: args.set_var },
        uid: args.uid,
        gid: args.gid,
        label: args.context,
        terminal: terminal(),
        reexec: Reexec::IfExposed,
        pty_log: args.pty_log.as_deref().map(open_log).transpose()?,
        ..Request::new(container.lxcpath(), container.name(), program)
    })
}

/// A pseudo terminal as soon as one of the caller's descriptors is a terminal: the container must not get that one.
fn terminal() -> Terminal {
    match stdin().is_terminal() || stdout().is_terminal() || stderr().is_terminal() {
        true => Terminal::Allocate,
        false => Terminal::None,
    }
}

fn open_log(path: &OsStr) -> anyhow::Result<OwnedFd> {
    let file = OpenOptions::new().append(true).create(true).mode(0o640).open(path);
    Ok(file.with_context(|| format!("open pty log {}", path.display()))?.into())
}
