//! `cargo xtask vm`: Debian's kernel with systemd, AppArmor and nothing but cgroup2, emulated, for what this machine's
//! own kernel cannot show. One boot serves a whole tier of tests, or any number of commands while developing.
//!
//! Nothing of it is installed on this machine; what is cached is below `/var/cache/lxc-rs/vm`.

mod image;
mod machine;
mod payload;
mod tier;

use std::time::Duration;

use anyhow::{Context, Result, bail};

pub use tier::run as tier;

use machine::Machine;

const USAGE: &str = "\
usage: cargo xtask vm                       boots, runs the tests, ends: what `cargo xtask test` does
       cargo xtask vm --test WORDS          boots unless one is up, runs the tests whose names have one of the words
       cargo xtask vm --up                  boots one that stays
       cargo xtask vm --run 'SHELL LINE'    runs it as root in the one that is up, or in one booted for it
       cargo xtask vm --user 'SHELL LINE'   the same as the user tester, in a login session
       cargo xtask vm --sync                builds again and installs into the one that is up
       cargo xtask vm --shell               a root shell on its console; Ctrl-] leaves
       cargo xtask vm --down                ends it
  --limit SECONDS                           of --run and --user (300)
";

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wish {
    Tier,
    Test(Vec<String>),
    Run(String),
    Up,
    Down,
    Sync,
    Shell,
}

pub fn run(words: &[String]) -> Result<()> {
    let (wish, limit) = parse(words)?;
    match wish {
        Wish::Tier => {
            let (good, count) = tier::run()?;
            println!("\n{} passed, {} failed", count.passed, count.failed);
            if good { Ok(()) } else { bail!("{} failed", count.failed.max(1)) }
        }
        Wish::Test(filters) => {
            let mut machine = up_to_date()?;
            let (good, count) = tier::selected(&mut machine, &filters)?;
            println!("\n{} passed, {} failed", count.passed, count.failed);
            if good { Ok(()) } else { bail!("{} failed", count.failed.max(1)) }
        }
        Wish::Run(line) => {
            let mut machine = match Machine::running()? {
                Some(machine) => machine,
                None => booted()?,
            };
            let status = machine.show(&line, limit)?;
            if status != 0 {
                std::process::exit(status);
            }
            Ok(())
        }
        Wish::Up => {
            if Machine::running()?.is_some() {
                println!("it is up");
                return Ok(());
            }
            let machine = booted()?;
            println!("up; its console is in {}", machine.console().display());
            machine.leave();
            Ok(())
        }
        Wish::Down => machine::end(),
        Wish::Sync => {
            Machine::running()?.context("none is up: cargo xtask vm --up")?;
            up_to_date().map(drop)
        }
        Wish::Shell => {
            if Machine::running()?.is_none() {
                booted()?.leave();
            }
            machine::shell()
        }
    }
}

fn parse(words: &[String]) -> Result<(Wish, Duration)> {
    let (mut wish, mut limit) = (Wish::Tier, Duration::from_secs(300));
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value =
            || words.next().cloned().with_context(|| format!("vm: {word} needs a word\n\n{USAGE}"));
        wish = match word.as_str() {
            "--run" => Wish::Run(value()?),
            // su makes a session through pam_systemd; its words are one argument.
            "--user" => Wish::Run(format!("su -l tester -c {}", quoted(&value()?))),
            "--test" => Wish::Test(words.by_ref().cloned().collect()),
            "--help" => {
                print!("{USAGE}");
                std::process::exit(0);
            }
            "--up" => Wish::Up,
            "--down" => Wish::Down,
            "--sync" => Wish::Sync,
            "--shell" => Wish::Shell,
            "--limit" => {
                limit = Duration::from_secs(value()?.parse().context("vm: --limit takes seconds")?);
                continue;
            }
            other => bail!("vm: no option {other}\n\n{USAGE}"),
        };
    }
    Ok((wish, limit))
}

/// One argument of a shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A machine booted with what is in the tree now.
fn booted() -> Result<Machine> {
    let image = image::ensure()?;
    let share = payload::build()?;
    Machine::boot(&image, &share, machine::BOOT)
}

/// The one that is up with what is in the tree now, or another.
fn up_to_date() -> Result<Machine> {
    let Some(mut machine) = Machine::running()? else { return booted() };
    payload::build()?;
    let status = machine.show(payload::INSTALL, Duration::from_secs(120))?;
    if status != 0 {
        bail!("the tools could not be installed in the machine that is up");
    }
    Ok(machine)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &[&str]) -> Vec<String> {
        text.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn command_lines() {
        let (wish, limit) = parse(&words(&["--run", "id -u", "--limit", "7"])).expect("good words");
        assert_eq!((wish, limit), (Wish::Run("id -u".to_owned()), Duration::from_secs(7)));
        let (wish, _) = parse(&words(&["--user", "echo 'a'"])).expect("good words");
        assert_eq!(wish, Wish::Run(r"su -l tester -c 'echo '\''a'\'''".to_owned()));
        let (wish, _) = parse(&words(&["--test", "limits", "login"])).expect("good words");
        assert_eq!(wish, Wish::Test(words(&["limits", "login"])));
        assert!(parse(&words(&["--run"])).is_err());
        assert!(parse(&words(&["--limit", "soon"])).is_err());
        assert!(parse(&words(&["up"])).is_err());
    }
}
