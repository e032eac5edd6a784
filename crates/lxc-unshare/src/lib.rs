//! `lxc-unshare`: runs a command in new namespaces, for trying things out.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use lxc_cli::{Ctx, Names, exit};
use lxc_conf::model::Ns;
use lxc_conf::value::{ns, number};
use lxc_core::unshare::{self, Request};

/// The options of `lxc-unshare`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Namespaces to make, joined by |: MOUNT, PID, UTSNAME, IPC, USER, NETWORK, CGROUP, TIME
    #[arg(short = 's', long, value_name = "FLAGS")]
    namespaces: Option<String>,
    /// User the command becomes, by number or name; the own uid is mapped to it. Needs USER
    #[arg(short = 'u', long, value_name = "USERID")]
    user: Option<String>,
    /// Set this hostname. Needs UTSNAME
    #[arg(short = 'H', long, value_name = "HOSTNAME")]
    hostname: Option<String>,
    /// Move this network interface in; may be given several times. Needs NETWORK
    #[arg(short = 'i', long = "ifname", value_name = "IFNAME", action = clap::ArgAction::Append)]
    interfaces: Vec<String>,
    /// Do not wait for the command
    #[arg(short = 'd', long)]
    daemon: bool,
    /// Mount /proc, /dev/shm and /dev/mqueue anew. Needs MOUNT
    #[arg(short = 'M', long)]
    remount: bool,
}

/// The options, for parsing and for the manual page.
pub fn command() -> clap::Command {
    lxc_cli::command::<Args>(
        "lxc-unshare",
        "-s NAMESPACES COMMAND",
        "Runs COMMAND in new NAMESPACES, without a container.",
    )
}

lxc_cli::tool!("lxc-unshare", names: Names::None);

/// Exit code 0 when the command gave 0, else 1.
pub fn run(args: Args, ctx: &Ctx) -> anyhow::Result<ExitCode> {
    let namespaces = match args.namespaces.as_deref().unwrap_or_default() {
        "" => 0,
        text => ns::list(text).map_err(lxc_cli::tool::usage_error)?,
    };
    let own_uid = args.user.as_deref().map(user).transpose().map_err(lxc_cli::tool::usage_error)?;
    let has = |ns: Ns| namespaces & ns.clone_flag() != 0;
    let refusal = if ctx.operands().is_empty() {
        Some("A command to execute in the new namespace is required")
    } else if namespaces == 0 {
        Some("A namespace to execute command is required")
    } else if !args.interfaces.is_empty() && !has(Ns::Net) {
        Some("-i <interfacename> needs -s NETWORK option")
    } else if args.hostname.is_some() && !has(Ns::Uts) {
        Some("-H <hostname> needs -s UTSNAME option")
    } else if args.remount && !has(Ns::Mnt) {
        Some("-M needs -s MOUNT option")
    } else if own_uid.is_some() && !has(Ns::User) {
        Some("-u <user> needs -s USER option")
    } else {
        None
    };
    if let Some(text) = refusal {
        ctx.error(text);
        return Ok(ExitCode::from(exit::FAILURE));
    }
    let request = Request {
        namespaces,
        own_uid,
        hostname: args.hostname,
        interfaces: args.interfaces,
        remount: args.remount,
        words: ctx.operands().to_vec(),
        ..Request::default()
    };
    let running = match unshare::start(&request) {
        Ok(running) => running,
        Err(error) => {
            ctx.report_core(&error);
            return Ok(ExitCode::from(exit::FAILURE));
        }
    };
    if args.daemon {
        return Ok(ExitCode::SUCCESS);
    }
    match running.wait()?.shell_code() {
        0 => Ok(ExitCode::SUCCESS),
        code => {
            let program = request.words.first().map(|word| word.to_string_lossy()).unwrap_or_default();
            ctx.error(format_args!("{program} ended with status {code}"));
            // COMPAT: whatever the command gave.
            Ok(ExitCode::from(exit::FAILURE))
        }
    }
}

/// A uid by number or login name.
fn user(text: &str) -> Result<u32, String> {
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        return number::id(text).map_err(|error| error.reason);
    }
    lxc_core::idmap::subid::uid_of(text).ok_or_else(|| format!("there is no user {text}"))
}
