//! `lxc-info`: what is known about one container.
#![forbid(unsafe_code)]

mod facts;
mod text;

use std::io::Write;
use std::process::ExitCode;

use lxc_cli::{Ctx, exit};
use lxc_core::state::State;
use lxc_core::{Container, ErrorKind, select};

use facts::Facts;

/// The options of `lxc-info`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Show the configuration item KEY; may be repeated
    #[arg(short = 'c', long, value_name = "KEY")]
    config: Vec<String>,
    /// Show the IP addresses
    #[arg(short = 'i', long)]
    ips: bool,
    /// Show the state
    #[arg(short = 's', long)]
    state: bool,
    /// Show the process id of the container's init
    #[arg(short = 'p', long)]
    pid: bool,
    /// Show the use of CPU, I/O, memory and network
    #[arg(short = 'S', long)]
    stats: bool,
    /// Show plain numbers, and values alone when only one thing is asked for
    #[arg(short = 'H', long)]
    no_humanize: bool,
    /// text, or json: one object {"schema": "lxc-info", "version": 1, "name", "lxcpath", "state", "pid", "ips",
    /// "cpu_ns", "blkio_bytes", "memory_bytes", "kmem_bytes", "links": [{"name", "tx_bytes", "rx_bytes"}],
    /// "config": {KEY: VALUE}}; what was not asked for or is not known is null
    #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"], default_value = "text", hide_default_value = true)]
    format: String,
}

impl Args {
    fn wants_everything(&self) -> bool {
        !(self.ips || self.state || self.pid || self.stats) && self.config.is_empty()
    }
}

/// The options, for parsing and for the manual page.
pub fn command() -> clap::Command {
    lxc_cli::command::<Args>("lxc-info", "--name=NAME", "Shows what is known about the container NAME.")
}

lxc_cli::tool!("lxc-info");

/// Messages are plain, as the original's are; a container that does not exist is exit code 1.
#[allow(clippy::needless_pass_by_value, reason = "the signature every tool has")]
pub fn run(args: Args, ctx: &Ctx) -> anyhow::Result<ExitCode> {
    let failure = ExitCode::from(exit::FAILURE);
    let container = match Container::open(ctx.name(), ctx.lxcpath(), ctx.rcfile()) {
        Ok(container) => container,
        Err(error) if error.is_rcfile() => {
            error.lines().iter().for_each(|line| ctx.error(line));
            exit::plain("Failed to load rcfile");
            return Ok(failure);
        }
        Err(error) => {
            error.lines().iter().for_each(|line| ctx.error(line));
            exit::plain(format_args!("Failed to load config for {}", ctx.name()));
            let lxcpath = error.lxcpath().display();
            exit::plain(format_args!("Failure to retrieve information on {lxcpath}:{}", ctx.name()));
            return Ok(failure);
        }
    };
    // One question to the monitor answers three: whether it runs, its state, and whether it talks to us.
    let state = container.state();
    if matches!(state, Ok(State::Stopped)) && !container.is_defined() {
        exit::plain(format_args!("{} doesn't exist", container.name()));
        if let Some(name) = select::nearest(container.name(), container.lxcpath()) {
            ctx.note(format_args!("did you mean {name}?"));
        }
        return Ok(failure);
    }
    if matches!(&state, Err(error) if error.kind() == ErrorKind::Permission) {
        exit::plain(format_args!("Insufficient privileges to control {}", container.name()));
        return Ok(failure);
    }
    if let Err(error) = &state {
        ctx.report_core(error);
    }
    let facts = Facts::of(&container, &state, &args);
    let out = match args.format.as_str() {
        "json" => serde_json::to_string_pretty(&facts)? + "\n",
        _ => text::render(&facts, &args),
    };
    std::io::stdout().lock().write_all(out.as_bytes())?;
    for key in &facts.unknown_keys {
        exit::plain(format_args!("{key} invalid"));
    }
    Ok(ExitCode::SUCCESS)
}
