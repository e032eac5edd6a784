//! The command line of `init.lxc`, read the way getopt_long(3) reads it.
//!
//! Options may follow operands, long names may be shortened, `--` ends them. Not here: what the options do.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Run(Options),
    Help,
    Usage,
    Version,
}

/// - Shape: `command` is the program and its arguments; empty when none was given.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) name: Option<OsString>,
    pub(crate) quiet: bool,
    pub(crate) command: Vec<OsString>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Opt {
    Name,
    Help,
    Usage,
    Version,
    Quiet,
    Ignored,
}

impl Opt {
    fn takes_value(self) -> bool {
        matches!(self, Opt::Name | Opt::Ignored)
    }
}

/// Long name, short letter (`\0` = none), meaning. The library-wide -P, -o and -l have no effect inside a container.
const TABLE: [(&str, u8, Opt); 8] = [
    ("name", b'n', Opt::Name),
    ("help", b'h', Opt::Help),
    ("usage", 0, Opt::Usage),
    ("version", 0, Opt::Version),
    ("quiet", b'q', Opt::Quiet),
    ("logfile", b'o', Opt::Ignored),
    ("logpriority", b'l', Opt::Ignored),
    ("lxcpath", b'P', Opt::Ignored),
];

struct Parser<I> {
    args: I,
    options: Options,
}

/// Parses the arguments after the program's name.
///
/// - Errors: getopt's message, without the program's name.
pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Ask, String> {
    let mut parser = Parser { args, options: Options::default() };
    while let Some(word) = parser.args.next() {
        let bytes = word.as_bytes();
        let asked = if bytes == b"--" {
            parser.options.command.extend(parser.args.by_ref());
            None
        } else if let Some(long) = bytes.strip_prefix(b"--") {
            parser.long(long)?
        } else if bytes.len() > 1 && bytes.starts_with(b"-") {
            parser.shorts(&bytes[1..])?
        } else {
            parser.options.command.push(word);
            None
        };
        if let Some(asked) = asked {
            return Ok(asked);
        }
    }
    Ok(Ask::Run(parser.options))
}

impl<I: Iterator<Item = OsString>> Parser<I> {
    fn long(&mut self, text: &[u8]) -> Result<Option<Ask>, String> {
        let (name, value) = match text.iter().position(|byte| *byte == b'=') {
            Some(at) => (&text[..at], Some(OsString::from_vec(text[at + 1..].to_vec()))),
            None => (text, None),
        };
        let shown = || String::from_utf8_lossy(text).into_owned();
        let exact = TABLE.iter().find(|row| row.0.as_bytes() == name);
        let mut matching = TABLE.iter().filter(|row| row.0.as_bytes().starts_with(name));
        let row = match (exact, matching.next(), matching.next()) {
            (Some(row), _, _) | (None, Some(row), None) => row,
            (None, None, _) => return Err(format!("unrecognized option '--{}'", shown())),
            (None, Some(_), Some(_)) => return Err(format!("option '--{}' is ambiguous", shown())),
        };
        if value.is_some() && !row.2.takes_value() {
            return Err(format!("option '--{}' doesn't allow an argument", row.0));
        }
        let missing = || format!("option '--{}' requires an argument", row.0);
        self.apply(row.2, value, missing)
    }

    fn shorts(&mut self, letters: &[u8]) -> Result<Option<Ask>, String> {
        for (index, letter) in letters.iter().enumerate() {
            let shown = char::from(*letter);
            let Some(row) = TABLE.iter().find(|row| row.1 == *letter) else {
                return Err(format!("invalid option -- '{shown}'"));
            };
            let rest = &letters[index + 1..];
            let attached = row.2.takes_value() && !rest.is_empty();
            let value = attached.then(|| OsString::from_vec(rest.to_vec()));
            let missing = || format!("option requires an argument -- '{shown}'");
            if let Some(asked) = self.apply(row.2, value, missing)? {
                return Ok(Some(asked));
            }
            if attached {
                break;
            }
        }
        Ok(None)
    }

    fn apply(
        &mut self,
        opt: Opt,
        value: Option<OsString>,
        missing: impl Fn() -> String,
    ) -> Result<Option<Ask>, String> {
        let value = match value {
            None if opt.takes_value() => Some(self.args.next().ok_or_else(missing)?),
            value => value,
        };
        match opt {
            Opt::Name => self.options.name = value,
            Opt::Quiet => self.options.quiet = true,
            Opt::Ignored => {}
            Opt::Help => return Ok(Some(Ask::Help)),
            Opt::Usage => return Ok(Some(Ask::Usage)),
            Opt::Version => return Ok(Some(Ask::Version)),
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Ask, String> {
        parse(line.split_whitespace().map(OsString::from))
    }

    fn run(line: &str) -> Options {
        match parsed(line) {
            Ok(Ask::Run(options)) => options,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn names_come_in_every_spelling() {
        for line in ["-n c", "-nc", "--name c", "--name=c", "--na=c", "-qnc", "x -n c"] {
            assert_eq!(run(line).name.as_deref(), Some("c".as_ref()), "{line}");
        }
    }

    #[test]
    fn words_after_two_dashes_belong_to_the_command() {
        assert_eq!(run("-n c -- ls -l -n x").command, ["ls", "-l", "-n", "x"]);
        assert_eq!(run("-n c echo hi").command, ["echo", "hi"]);
    }

    #[test]
    fn log_options_are_taken_with_their_values() {
        let options = run("-n c -o f -l DEBUG -P /p --logfile g true");
        assert_eq!(options.command, ["true"]);
    }

    #[test]
    fn messages_are_those_of_getopt() {
        for (line, message) in [
            ("--bogus", "unrecognized option '--bogus'"),
            ("-n c -x", "invalid option -- 'x'"),
            ("-n", "option requires an argument -- 'n'"),
            ("--lxcpath", "option '--lxcpath' requires an argument"),
            ("--version=3", "option '--version' doesn't allow an argument"),
            ("--log x", "option '--log' is ambiguous"),
        ] {
            assert_eq!(parsed(line), Err(message.to_owned()), "{line}");
        }
    }

    #[test]
    fn questions_win_over_what_follows() {
        assert_eq!(parsed("-qh --bogus"), Ok(Ask::Help));
        assert_eq!(parsed("--usage"), Ok(Ask::Usage));
        assert_eq!(parsed("--vers"), Ok(Ask::Version));
    }
}
