//! `lxc-config`: prints the system's configuration items.
//!
//! Outside the shared parser: no common options, everything on stdout.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use lxc_cli::{Ctx, Names, exit};
use lxc_conf::system::{Lookup, SystemConfig};
use lxc_core::container::system_config;

const USAGE: &str = "\
Usage: lxc-config -l: list all available configuration items
       lxc-config item: print configuration item
";

/// The options, for the manual page only.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// List the names of all items
    #[arg(short = 'l')]
    list: bool,
    /// The item to print, or the start of its name
    item: Option<String>,
}

/// The options, for the manual page.
pub fn command() -> clap::Command {
    <Args as clap::Args>::augment_args(clap::Command::new("lxc-config"))
        .about("Prints items of the system's LXC configuration.")
        .override_usage("lxc-config -l | ITEM")
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_flag(true)
        .disable_version_flag(true)
}

lxc_cli::tool!("lxc-config", names: Names::None, raw: Some(raw));

fn run(_args: Args, _ctx: &Ctx) -> anyhow::Result<ExitCode> {
    Ok(raw(&[]))
}

/// Reads the words itself: only the first counts.
fn raw(words: &[OsString]) -> ExitCode {
    let word = words.first().map(|word| word.to_string_lossy()).unwrap_or_default();
    let (text, code) = answer(&word, system_config());
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::from(code),
        Err(_) => ExitCode::from(exit::FAILURE),
    }
}

/// The text to print and the exit code for the first word.
fn answer(word: &str, config: &SystemConfig) -> (String, u8) {
    match word {
        "" | "-h" | "--help" => (USAGE.to_owned(), 0),
        "-l" => (SystemConfig::listed().fold(String::new(), |text, item| text + item + "\n"), 0),
        _ => match config.lookup(word) {
            Lookup::Value(value) => (format!("{value}\n"), 0),
            Lookup::Unset => {
                let item = SystemConfig::listed().find(|item| item.starts_with(word)).unwrap_or(word);
                (format!("{item} is not set.\n"), 0)
            }
            // COMPAT: on stdout.
            Lookup::Unknown => (format!("Unknown configuration item: {word}\n"), exit::FAILURE),
        },
    }
}

#[cfg(test)]
mod tests {
    use lxc_conf::system::Defaults;

    use super::*;

    fn text(word: &str) -> (String, u8) {
        let defaults = Defaults { lxcpath: "/l".to_owned(), default_config: "/d".to_owned() };
        answer(word, &SystemConfig::parse("", &defaults))
    }

    #[test]
    fn answers_are_the_originals() {
        for (word, want, code) in [
            ("lxc.lxcpath", "/l\n", 0),
            ("lxc.l", "/l\n", 0),
            ("l", "/d\n", 0),
            ("lxc.cgroup", "lxc.cgroup.use is not set.\n", 0),
            ("lxc.cgroup.p", "lxc.cgroup.pattern is not set.\n", 0),
            ("lxcpath", "Unknown configuration item: lxcpath\n", 1),
            ("--version", "Unknown configuration item: --version\n", 1),
            ("", USAGE, 0),
        ] {
            assert_eq!(text(word), (want.to_owned(), code), "{word}");
        }
        assert_eq!(text("-l").0.lines().count(), 7);
    }
}
