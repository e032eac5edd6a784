//! The row a tool is described by, what it is told about its command line, and the `main` they share.
//!
//! Not here: what any tool does.

use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::io::{IsTerminal, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgMatches, Command};
use lxc_core::container::OpenError;
use lxc_core::paths::strip_trailing_slashes;

use crate::args::{self, Common, Outcome};
use crate::exit;

/// Whether the first word that is no option names the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// A name is needed: `-n`, else the first word.
    Container,
    /// `-n` has a meaning of its own or none; words stay words.
    None,
}

/// How many `-P` a tool takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paths {
    One,
    Many,
}

/// One tool: everything `main` and the multi-call binary need to know.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    /// The program's name, with `lxc-`.
    pub name: &'static str,
    /// Its options.
    pub command: fn() -> Command,
    /// Does the work. An error is explained on stderr and ends in exit code 1.
    pub run: fn(&ArgMatches, &Ctx) -> anyhow::Result<ExitCode>,
    pub names: Names,
    pub paths: Paths,
    /// For the few programs outside the shared parser: called with the words instead of everything else.
    pub raw: Option<fn(&[OsString]) -> ExitCode>,
    /// Called after the help was printed, with the words after the program name (lxc-create's template help).
    pub after_help: Option<fn(&[OsString])>,
}

impl Tool {
    /// A row with the usual settings: one container, one lxcpath.
    pub const fn new(
        name: &'static str,
        command: fn() -> Command,
        run: fn(&ArgMatches, &Ctx) -> anyhow::Result<ExitCode>,
    ) -> Tool {
        Tool { name, command, run, names: Names::Container, paths: Paths::One, raw: None, after_help: None }
    }
}

/// What a tool's `run` may ask about its command line, and how it speaks.
#[derive(Debug)]
pub struct Ctx {
    tool: &'static str,
    name: Option<String>,
    common: Common,
    lxcpaths: Vec<PathBuf>,
    operands: Vec<OsString>,
    rcfile: Option<PathBuf>,
    terminal: bool,
}

impl Ctx {
    /// The program's name, with `lxc-`.
    pub fn tool(&self) -> &'static str {
        self.tool
    }

    /// The container's name; empty for tools that take none.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("")
    }

    /// The value of `-n`, as typed.
    pub fn name_option(&self) -> Option<&OsStr> {
        self.common.name.as_deref()
    }

    /// The first `-P`, trailing slashes cut; `None` = the configured default.
    pub fn lxcpath(&self) -> Option<&Path> {
        self.lxcpaths.first().map(PathBuf::as_path)
    }

    /// Every `-P`, trailing slashes cut.
    pub fn lxcpaths(&self) -> &[PathBuf] {
        &self.lxcpaths
    }

    /// The words that are no options, without the container's name.
    pub fn operands(&self) -> &[OsString] {
        &self.operands
    }

    /// `--rcfile`.
    pub fn rcfile(&self) -> Option<&Path> {
        self.rcfile.as_deref()
    }

    /// `-q`.
    pub fn quiet(&self) -> bool {
        self.common.quiet
    }

    /// `-o`.
    pub fn logfile(&self) -> Option<&OsStr> {
        self.common.logfile.as_deref()
    }

    /// `-l`.
    pub fn logpriority(&self) -> Option<&OsStr> {
        self.common.logpriority.as_deref()
    }

    /// Tells of a failure in one line of the original's shape, unless `-q`.
    #[track_caller]
    pub fn error(&self, text: impl Display) {
        self.error_at(Location::caller(), text);
    }

    /// Explains an error: its text, then the configuration line to blame and the cure, if known. Unless `-q`.
    #[track_caller]
    pub fn report(&self, error: &anyhow::Error) {
        let place = Location::caller();
        for line in exit::explanation(error) {
            self.error_at(place, line);
        }
    }

    /// As [`Ctx::report`], for an error of the runtime.
    #[track_caller]
    pub fn report_core(&self, error: &lxc_core::Error) {
        self.report(&anyhow::Error::from(error.clone()));
    }

    /// Tells why a container could not be opened: what is wrong with its configuration, the original's plain line, and
    /// the tool's own `last` lines.
    #[track_caller]
    pub fn open_failed(&self, error: &OpenError, last: &[&str]) -> ExitCode {
        let place = Location::caller();
        error.lines().iter().for_each(|line| self.error_at(place, line));
        if error.is_rcfile() {
            self.error_at(place, "Failed to load rcfile");
        } else {
            exit::plain(format_args!("Failed to load config for {}", self.name()));
            last.iter().for_each(|line| self.error_at(place, line));
        }
        ExitCode::from(exit::FAILURE)
    }

    /// Tells the user something that is not a failure, unless `-q`.
    pub fn note(&self, text: impl Display) {
        if !self.quiet() {
            exit::plain(exit::line(self.tool, self.name.as_deref(), None, text));
        }
    }

    fn error_at(&self, place: &Location<'_>, text: impl Display) {
        lxc_core::log::record(&self.tool.replace('-', "_"), place, &text.to_string());
        if !self.quiet() {
            let place = Some(place).filter(|_| !self.terminal);
            exit::plain(exit::line(self.tool, self.name.as_deref(), place, text));
        }
    }
}

/// `main` of every tool: reads argv, sets the process straight, runs.
pub fn main(tool: &Tool) -> ExitCode {
    let mut words = std::env::args_os();
    let argv0 = words.next().unwrap_or_else(|| tool.name.into());
    start(tool, &argv0, &words.collect::<Vec<_>>())
}

/// Runs `tool` with the words after the program name.
///
/// - Shape: `argv0` starts the messages of option parsing, as with getopt_long.
/// - Context: start of the process, one thread. Rust's start-up code has already opened /dev/null for closed fds 0–2.
pub fn start(tool: &Tool, argv0: &OsStr, words: &[OsString]) -> ExitCode {
    lxc_sys::sigpipe::restore_inherited();
    if let Some(raw) = tool.raw {
        return raw(words);
    }
    let argv0 = argv0.to_string_lossy();
    let command = (tool.command)();
    let outcome = args::normalise(&command, tool.paths, args::posixly_correct(), &argv0, words.to_vec());
    let normal = match outcome {
        Outcome::Run(normal) => normal,
        other => return answer(tool, &command, other, words),
    };
    let matches = match command.try_get_matches_from(normal.into_words(tool.name)) {
        Ok(matches) => matches,
        Err(error) => return bad_value(&argv0, &error),
    };
    let ctx = match context(tool, &matches) {
        Ok(Some(ctx)) => ctx,
        Ok(None) => {
            exit::plain(format_args!("{argv0}: No container name specified"));
            return ExitCode::from(exit::FAILURE);
        }
        Err(error) => return bad_value(&argv0, &error),
    };
    if let Err(error) = crate::logging::start(&ctx) {
        ctx.report_core(&error);
        ctx.error("Failed to enable logfile");
        return ExitCode::from(exit::FAILURE);
    }
    match (tool.run)(&matches, &ctx) {
        Ok(code) => code,
        Err(error) => match error.downcast_ref::<clap::Error>() {
            Some(error) => bad_value(&argv0, error),
            None => {
                ctx.report(&error);
                ExitCode::from(exit::FAILURE)
            }
        },
    }
}

/// The command lines that end before the tool's own work.
fn answer(tool: &Tool, command: &Command, outcome: Outcome, words: &[OsString]) -> ExitCode {
    let mut stderr = std::io::stderr().lock();
    match outcome {
        Outcome::Help => {
            let _ = stderr.write_all(crate::help::help(command).as_bytes());
            drop(stderr);
            if let Some(after) = tool.after_help {
                after(words);
            }
            ExitCode::SUCCESS
        }
        Outcome::Usage => {
            let _ = stderr.write_all(crate::help::usage(command).as_bytes());
            ExitCode::SUCCESS
        }
        Outcome::Version => {
            let version = command.get_version().unwrap_or_default();
            let _ = writeln!(std::io::stdout().lock(), "{version}");
            ExitCode::SUCCESS
        }
        Outcome::TooManyPaths => {
            let _ = writeln!(stderr, "This command only accepts 1 -P,--lxcpath arguments");
            ExitCode::from(exit::FAILURE)
        }
        Outcome::Wrong { message } => {
            if let Some(message) = message {
                let _ = writeln!(stderr, "{message}");
            }
            let _ = stderr.write_all(crate::help::help(command).as_bytes());
            ExitCode::from(exit::FAILURE)
        }
        Outcome::Run(_) => ExitCode::SUCCESS,
    }
}

/// A value an option does not take: the reason, then the original's line.
fn bad_value(argv0: &str, error: &clap::Error) -> ExitCode {
    let text = error.to_string();
    let reason = text.lines().next().unwrap_or_default();
    exit::plain(format_args!("{argv0}: {}", reason.strip_prefix("error: ").unwrap_or(reason)));
    exit::plain(format_args!("{argv0}: could not parse command line"));
    ExitCode::from(exit::FAILURE)
}

/// Builds the context; `None` = a name is needed and missing.
fn context(tool: &Tool, matches: &ArgMatches) -> Result<Option<Ctx>, clap::Error> {
    let common = Common::of(matches)?;
    let mut operands = common.operands.clone();
    let name = match (tool.names, &common.name) {
        (Names::None, _) => None,
        (Names::Container, Some(name)) => Some(name.clone()),
        (Names::Container, None) if operands.is_empty() => return Ok(None),
        (Names::Container, None) => Some(operands.remove(0)),
    };
    let name = name.map(OsString::into_string).transpose().map_err(|name| {
        clap::Error::raw(
            clap::error::ErrorKind::InvalidUtf8,
            format_args!("container name {name:?} is not valid UTF-8\n"),
        )
    })?;
    let lxcpaths = common.lxcpath.iter().map(|path| without_trailing_slashes(path)).collect();
    let rcfile = matches.try_get_one::<OsString>("rcfile").ok().flatten().map(PathBuf::from);
    let terminal = std::io::stderr().is_terminal();
    Ok(Some(Ctx { tool: tool.name, name, common, lxcpaths, operands, rcfile, terminal }))
}

fn without_trailing_slashes(path: &OsStr) -> PathBuf {
    match path.to_str() {
        Some(text) => PathBuf::from(strip_trailing_slashes(text)),
        None => {
            let bytes = path.as_bytes();
            let end = bytes.iter().rposition(|byte| *byte != b'/').map_or(1, |at| at + 1);
            PathBuf::from(OsStr::from_bytes(bytes.get(..end).unwrap_or(bytes)))
        }
    }
}

/// A mistake in the words of a command line, found by the tool itself: the reason and the original's line are printed.
pub fn usage_error(reason: impl Display) -> anyhow::Error {
    clap::Error::raw(clap::error::ErrorKind::ValueValidation, format_args!("{reason}\n")).into()
}
