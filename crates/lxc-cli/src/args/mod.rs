//! The options every tool has, and the `clap::Command` they are part of.
//!
//! Not here: reading argv (see `normalise`), which follows getopt_long rather than clap.

mod launch;
mod normalise;

use std::ffi::OsString;

use clap::{Arg, ArgAction, Args, Command, FromArgMatches};

pub use launch::{Overrides, Shares};
pub(crate) use normalise::posixly_correct;
pub use normalise::{Normal, Outcome, normalise};

/// Heading of the common options in help texts; also how `help` tells them from a tool's own.
pub const COMMON_HEADING: &str = "Common options";

/// The common options as typed.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = COMMON_HEADING)]
pub struct Common {
    /// Name of the container
    #[arg(short = 'n', long, value_name = "NAME")]
    pub name: Option<OsString>,
    /// Show this help
    #[arg(short = 'h', long)]
    pub help: bool,
    /// Show all options in short form
    #[arg(long)]
    pub usage: bool,
    /// Show the version number
    #[arg(long)]
    pub version: bool,
    /// Print no messages
    #[arg(short = 'q', long)]
    pub quiet: bool,
    /// Write log messages to FILE (none: to no file)
    #[arg(short = 'o', long, value_name = "FILE")]
    pub logfile: Option<OsString>,
    /// Least level to log: TRACE, DEBUG, INFO, NOTICE, WARN, ERROR, CRIT, ALERT or FATAL
    #[arg(short = 'l', long, value_name = "LEVEL")]
    pub logpriority: Option<OsString>,
    /// Directory that holds the containers
    #[arg(short = 'P', long, value_name = "PATH")]
    pub lxcpath: Vec<OsString>,
    /// Words that are no options
    #[arg(hide = true)]
    pub operands: Vec<OsString>,
}

/// The command of a tool: its own options `T`, then the common ones.
///
/// A tool with an `rcfile` of its own (`-f`) must type it `Option<OsString>`; the others get `--rcfile` here.
///
/// - Shape: `name` is the program's name; `usage` what follows the name in the first line of the help.
pub fn command<T: Args>(name: &'static str, usage: &'static str, about: &'static str) -> Command {
    let own = T::augment_args(Command::new(name));
    let has_rcfile = own.get_arguments().any(|arg| arg.get_id() == "rcfile");
    // The texts go last: augmenting takes the doc comment of the struct for the description.
    let all = Common::augment_args(own)
        .about(about)
        .long_about(None)
        .override_usage(format!("{name} {usage}"))
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args_override_self(true)
        .version(env!("CARGO_PKG_VERSION"));
    match has_rcfile {
        true => all,
        false => all.arg(
            Arg::new("rcfile")
                .long("rcfile")
                .value_name("FILE")
                .action(ArgAction::Set)
                .value_parser(clap::value_parser!(OsString))
                .help_heading(COMMON_HEADING)
                .help("Load FILE instead of the container's own configuration"),
        ),
    }
}

impl Common {
    /// Reads the common options out of a whole command's matches.
    pub fn of(matches: &clap::ArgMatches) -> Result<Common, clap::Error> {
        Common::from_arg_matches(matches)
    }
}

/// An own-options struct for tools that have none.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub struct NoOptions {}
