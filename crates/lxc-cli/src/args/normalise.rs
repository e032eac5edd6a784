//! getopt_long's rules in front of clap: turns argv into a form that has only one reading.
//!
//! Permutation of operands, unique prefixes of long options, clusters of short ones, glued optional values, `--` and
//! `POSIXLY_CORRECT`, all driven by the `clap::Command` itself. Not here: what the options mean.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use clap::{Arg, Command};

use crate::tool::Paths;

/// What the words of a command line come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// `-h`, `--help`.
    Help,
    /// `--usage`.
    Usage,
    /// `--version`.
    Version,
    /// `-?`, or a word that is wrong; `message` goes before the help.
    Wrong {
        message: Option<String>,
    },
    /// More `-P` than the tool takes; nothing but this message is printed.
    TooManyPaths,
    Run(Normal),
}

/// A command line without abbreviations, clusters and detached values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Normal {
    /// `--long` or `--long=value`, in the order typed.
    pub options: Vec<OsString>,
    /// Everything else, in the order typed.
    pub operands: Vec<OsString>,
}

impl Normal {
    /// The words to hand to clap: program, options, `--`, operands.
    pub fn into_words(self, program: &str) -> Vec<OsString> {
        let mut words = Vec::with_capacity(self.options.len() + self.operands.len() + 2);
        words.push(program.into());
        words.extend(self.options);
        words.push("--".into());
        words.extend(self.operands);
        words
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    No,
    Required,
    Optional,
}

/// One row of the table getopt_long would have been given.
#[derive(Clone, Copy, Debug)]
struct Row<'a> {
    long: &'a str,
    short: Option<char>,
    value: Value,
    /// Only found by its full name.
    hidden: bool,
}

fn row_of(arg: &Arg) -> Option<Row<'_>> {
    let long = arg.get_long()?;
    let value = match arg.get_num_args() {
        Some(range) if range.max_values() == 0 => Value::No,
        Some(range) if range.min_values() == 0 => Value::Optional,
        Some(_) => Value::Required,
        None if arg.get_action().takes_values() => Value::Required,
        None => Value::No,
    };
    Some(Row { long, short: arg.get_short(), value, hidden: arg.is_hide_set() })
}

/// Reads the words after the program name.
///
/// - Shape: `argv0` as the user typed it, it starts the messages; `posix` = stop at the first operand.
pub fn normalise(command: &Command, paths: Paths, posix: bool, argv0: &str, words: Vec<OsString>) -> Outcome {
    let rows: Vec<Row<'_>> = command.get_arguments().filter_map(row_of).collect();
    let mut reader =
        Reader { rows, argv0, paths, lxcpaths: 0, normal: Normal::default(), words: words.into_iter() };
    match reader.read(posix) {
        Ok(()) => Outcome::Run(reader.normal),
        Err(outcome) => outcome,
    }
}

struct Reader<'a> {
    rows: Vec<Row<'a>>,
    argv0: &'a str,
    paths: Paths,
    lxcpaths: usize,
    normal: Normal,
    words: std::vec::IntoIter<OsString>,
}

impl<'a> Reader<'a> {
    fn read(&mut self, posix: bool) -> Result<(), Outcome> {
        while let Some(word) = self.words.next() {
            let bytes = word.as_bytes();
            if bytes == b"--" {
                break;
            } else if let Some(long) = bytes.strip_prefix(b"--") {
                self.long(long)?;
            } else if let Some(cluster) = bytes.strip_prefix(b"-").filter(|rest| !rest.is_empty()) {
                self.cluster(cluster)?;
            } else {
                self.normal.operands.push(word);
                if posix {
                    break;
                }
            }
        }
        self.normal.operands.extend(self.words.by_ref());
        Ok(())
    }

    fn wrong(&self, message: std::fmt::Arguments<'_>) -> Outcome {
        Outcome::Wrong { message: Some(format!("{}: {message}", self.argv0)) }
    }

    /// One `--word`; `text` is what follows the dashes.
    fn long(&mut self, text: &[u8]) -> Result<(), Outcome> {
        let (name, glued) = match text.iter().position(|byte| *byte == b'=') {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        let row = self.find_long(name, text)?;
        match (row.value, glued) {
            (Value::No, Some(_)) => {
                Err(self.wrong(format_args!("option '--{}' doesn't allow an argument", row.long)))
            }
            (Value::Required, None) => match self.words.next() {
                Some(value) => self.push(row, Some(value.as_bytes())),
                None => Err(self.wrong(format_args!("option '--{}' requires an argument", row.long))),
            },
            _ => self.push(row, glued),
        }
    }

    fn find_long(&self, name: &[u8], text: &[u8]) -> Result<Row<'a>, Outcome> {
        if let Some(row) = self.rows.iter().find(|row| row.long.as_bytes() == name) {
            return Ok(*row);
        }
        let found: Vec<Row<'_>> = self
            .rows
            .iter()
            .filter(|row| !row.hidden && row.long.as_bytes().starts_with(name))
            .copied()
            .collect();
        let shown = String::from_utf8_lossy(text);
        match found.as_slice() {
            [] => Err(self.wrong(format_args!("unrecognized option '--{shown}'"))),
            // COMPAT: the original's table has `help` twice (`-h` and `-?`), so no prefix of it is unique.
            [row] if row.long != "help" => Ok(*row),
            many => {
                let mut list = String::new();
                for row in many {
                    for _ in 0..if row.long == "help" { 2 } else { 1 } {
                        list.push_str(&format!(" '--{}'", row.long));
                    }
                }
                Err(self.wrong(format_args!("option '--{shown}' is ambiguous; possibilities:{list}")))
            }
        }
    }

    /// `-abc`; `cluster` is what follows the dash.
    fn cluster(&mut self, cluster: &[u8]) -> Result<(), Outcome> {
        for (index, byte) in cluster.iter().enumerate() {
            let letter = char::from(*byte);
            if letter == '?' {
                return Err(Outcome::Wrong { message: None });
            }
            let Some(row) =
                self.rows.iter().find(|row| byte.is_ascii() && row.short == Some(letter)).copied()
            else {
                return Err(self.wrong(format_args!("invalid option -- '{letter}'")));
            };
            let rest = &cluster[index + 1..];
            match row.value {
                Value::No => self.push(row, None)?,
                Value::Optional => return self.push(row, Some(rest).filter(|rest| !rest.is_empty())),
                Value::Required if !rest.is_empty() => return self.push(row, Some(rest)),
                Value::Required => {
                    return match self.words.next() {
                        Some(value) => self.push(row, Some(value.as_bytes())),
                        None => Err(self.wrong(format_args!("option requires an argument -- '{letter}'"))),
                    };
                }
            }
        }
        Ok(())
    }

    fn push(&mut self, row: Row<'_>, value: Option<&[u8]>) -> Result<(), Outcome> {
        match row.long {
            "help" => return Err(Outcome::Help),
            "usage" => return Err(Outcome::Usage),
            "version" => return Err(Outcome::Version),
            "lxcpath" => {
                self.lxcpaths += 1;
                if self.paths == Paths::One && self.lxcpaths > 1 {
                    return Err(Outcome::TooManyPaths);
                }
            }
            _ => {}
        }
        let mut word = b"--".to_vec();
        word.extend_from_slice(row.long.as_bytes());
        if let Some(value) = value {
            word.push(b'=');
            word.extend_from_slice(value);
        }
        self.normal.options.push(OsString::from_vec(word));
        Ok(())
    }
}

/// Whether `POSIXLY_CORRECT` asks to stop at the first operand.
pub(crate) fn posixly_correct() -> bool {
    std::env::var_os("POSIXLY_CORRECT").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Args)]
    struct Own {
        #[arg(short = 'e', long = "elevated-privileges", num_args = 0..=1, require_equals = true)]
        _elevated: Option<Option<String>>,
        #[arg(short = 's', long)]
        _state: bool,
        #[arg(short = 'S', long)]
        _stats: bool,
        #[arg(long = "quarantine", hide = true)]
        _hidden: bool,
    }

    fn run_with(paths: Paths, posix: bool, words: &[&str]) -> Outcome {
        let command = crate::command::<Own>("lxc-t", "--name=NAME", "test");
        normalise(&command, paths, posix, "lxc-t", words.iter().map(OsString::from).collect())
    }

    fn run(words: &[&str]) -> Outcome {
        run_with(Paths::One, false, words)
    }

    fn normal(options: &[&str], operands: &[&str]) -> Outcome {
        Outcome::Run(Normal {
            options: options.iter().map(OsString::from).collect(),
            operands: operands.iter().map(OsString::from).collect(),
        })
    }

    fn wrong(message: &str) -> Outcome {
        Outcome::Wrong { message: Some(message.to_owned()) }
    }

    #[test]
    fn operands_are_permuted_behind_the_options() {
        assert_eq!(run(&["c1", "-s", "x", "--name=n"]), normal(&["--state", "--name=n"], &["c1", "x"]));
    }

    #[test]
    fn two_dashes_end_the_options() {
        assert_eq!(run(&["c1", "--", "-s", "--", "y"]), normal(&[], &["c1", "-s", "--", "y"]));
    }

    #[test]
    fn posixly_correct_stops_at_the_first_operand() {
        assert_eq!(
            run_with(Paths::One, true, &["-s", "c1", "-S", "--"]),
            normal(&["--state"], &["c1", "-S", "--"])
        );
    }

    #[test]
    fn values_may_be_glued_detached_or_look_like_options() {
        assert_eq!(run(&["-nc1"]), normal(&["--name=c1"], &[]));
        assert_eq!(run(&["-sn", "--"]), normal(&["--state", "--name=--"], &[]));
        assert_eq!(run(&["--name", "-s"]), normal(&["--name=-s"], &[]));
        assert_eq!(run(&["--name="]), normal(&["--name="], &[]));
    }

    #[test]
    fn optional_values_must_be_glued() {
        assert_eq!(run(&["-e", "CAP"]), normal(&["--elevated-privileges"], &["CAP"]));
        assert_eq!(run(&["-eCAP"]), normal(&["--elevated-privileges=CAP"], &[]));
        assert_eq!(run(&["--elev=CAP"]), normal(&["--elevated-privileges=CAP"], &[]));
    }

    #[test]
    fn unique_prefixes_are_taken_and_others_listed() {
        assert_eq!(run(&["--q"]), normal(&["--quiet"], &[]), "hidden options have no abbreviations");
        assert_eq!(run(&["--quarantine"]), normal(&["--quarantine"], &[]));
        assert_eq!(run(&["--state"]), normal(&["--state"], &[]));
        assert_eq!(
            run(&["--sta=1"]),
            wrong("lxc-t: option '--sta=1' is ambiguous; possibilities: '--state' '--stats'")
        );
        assert_eq!(
            run(&["--he"]),
            wrong("lxc-t: option '--he' is ambiguous; possibilities: '--help' '--help'")
        );
    }

    #[test]
    fn messages_are_getopts() {
        assert_eq!(run(&["--bogus=1"]), wrong("lxc-t: unrecognized option '--bogus=1'"));
        assert_eq!(run(&["-sZ"]), wrong("lxc-t: invalid option -- 'Z'"));
        assert_eq!(run(&["-n"]), wrong("lxc-t: option requires an argument -- 'n'"));
        assert_eq!(run(&["--na"]), wrong("lxc-t: option '--name' requires an argument"));
        assert_eq!(run(&["--quiet=1"]), wrong("lxc-t: option '--quiet' doesn't allow an argument"));
        assert_eq!(run(&["-?"]), Outcome::Wrong { message: None });
    }

    #[test]
    fn the_first_of_help_and_a_mistake_wins() {
        assert_eq!(run(&["-h", "--bogus"]), Outcome::Help);
        assert_eq!(run(&["--bogus", "-h"]), wrong("lxc-t: unrecognized option '--bogus'"));
        assert_eq!(run(&["-P", "/a", "-P/b", "--bogus"]), Outcome::TooManyPaths);
        assert_eq!(
            run_with(Paths::Many, false, &["-P", "/a", "-P/b"]),
            normal(&["--lxcpath=/a", "--lxcpath=/b"], &[])
        );
    }

    #[test]
    fn bytes_that_are_no_text_pass_through() {
        let command = crate::command::<Own>("lxc-t", "", "test");
        let word = OsString::from_vec(vec![b'-', b'n', 0xff]);
        let Outcome::Run(normal) = normalise(&command, Paths::One, false, "lxc-t", vec![word]) else {
            panic!("not a run")
        };
        assert_eq!(normal.options, [OsString::from_vec(b"--name=\xff".to_vec())]);
    }
}
