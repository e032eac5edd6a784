//! `init.lxc`: runs one command under a minimal init inside a container, then exits with the command's code.
//!
//! Small on purpose: no argument library, no logging, no runtime, so that a static build can be bound into any
//! rootfs. Not here: reaping and signal forwarding, which `lxc_child::mini_init` does for `lxc-execute` as well.
#![forbid(unsafe_code)]

mod options;

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use lxc_child::mini_init;
use options::{Ask, Options};

const HELP: &str = "\
Usage: lxc-init --name=NAME -- COMMAND [ARGUMENT...]

lxc-init runs COMMAND as a child of a minimal init: signals are passed on to it, orphans are reaped

Options :
  -n, --name=NAME                  name of the container (required)
  -q, --quiet                      print no messages
  -P, --lxcpath=PATH               directory of the container
  -o, --logfile=FILE               taken and ignored
  -l, --logpriority=LEVEL          taken and ignored
  -h, --help                       print this text
      --usage                      print the short form
      --version                    print the version
";

const USAGE: &str = "\
Usage: lxc-init [-n|--name=NAME] [-h|--help] [--usage] [--version]
\t\t[-q|--quiet] [-P|--lxcpath=LXCPATH]
";

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let program = args.next().unwrap_or_else(|| OsString::from("lxc-init"));
    match options::parse(args) {
        Ok(Ask::Run(options)) => run(options),
        Ok(Ask::Help) => say(HELP, ExitCode::SUCCESS),
        Ok(Ask::Usage) => say(USAGE, ExitCode::SUCCESS),
        Ok(Ask::Version) => {
            let _ = writeln!(std::io::stdout(), "{}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Err(message) => {
            let program = program.to_string_lossy();
            say(&format!("{program}: {message}\n{HELP}"), ExitCode::FAILURE)
        }
    }
}

fn run(options: Options) -> ExitCode {
    let Options { name, quiet, command } = options;
    if name.is_none() {
        return fail("lxc-init: missing container name, use --name option", quiet);
    }
    let mut words = command.into_iter();
    let Some(program) = words.next() else {
        return fail("Please specify a command to execute", quiet);
    };
    let mut image = Command::new(&program);
    image.args(words);
    // What ps(1) shows is an init, not how it was started. A kernel that cannot change it is no reason to fail.
    let _ = lxc_sys::title::set_title("init");
    let code = mini_init::run(|| {
        let error = image.exec();
        if !quiet {
            let _ = writeln!(std::io::stderr(), "Failed to exec \"{}\": {error}", program.to_string_lossy());
        }
        mini_init::CANNOT_RUN
    });
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}

fn fail(message: &str, quiet: bool) -> ExitCode {
    if !quiet {
        let _ = writeln!(std::io::stderr(), "{message}");
    }
    ExitCode::FAILURE
}

fn say(text: &str, code: ExitCode) -> ExitCode {
    let _ = std::io::stderr().write_all(text.as_bytes());
    code
}
