//! The tier of tests inside the virtual machine: one boot, a hard limit, and every test accounted for.

use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::machine::Machine;
use super::{image, machine, payload};
use crate::sh;
use crate::test::Count;

/// For everything, from the start of the emulator on.
const LIMIT: Duration = Duration::from_secs(600);

/// For one test.
const TEST_LIMIT: u64 = 180;

/// Modules of the live suite that make up an ordinary user, his systemd, his control groups or a network before they start
/// anything. The machine has the real ones, and `tests/vm` uses them; `cargo xtask vm --test live` runs these as well.
const MADE_UP: [&str; 2] = ["unprivileged::", "usernic::"];

/// Inside: `$1` program, `$2` seconds a test has, the rest its tests. Each is a process of its own, so that one that
/// hangs or dies takes no other with it; two at a time, since most of them wait most of the time.
const RUNNER: &str = r#"
one() {
    out=$(mktemp) && from=$(date +%s)
    LXC_RS_BIN=/usr/bin LXC_UNDER_TEST=ours RUST_BACKTRACE=0 \
        timeout -k 5 "$2" "/host/tests/$1" --exact "$3" --nocapture >"$out" 2>&1
    status=$?
    exec 9>/run/vm-test.lock && flock 9
    took=$(($(date +%s) - from))
    if [ $status = 0 ] && grep -q '^test result: ok. 1 passed' "$out"; then
        echo "test $3 ... ok (${took} s)"
        grep '^FIGURE' "$out"
    else
        echo "test $3 ... FAILED (${took} s, status $status)"
        head -c 6000 "$out"
    fi
    rm -f "$out"
}
export -f one
program=$1 limit=$2
shift 2
printf '%s\n' "$@" | xargs -P 2 -I @ bash -c "one $program $limit @"
true
"#;

/// Boots a machine and runs all tests. A machine that does not boot, a program that does not end and a test that is
/// missing from the counts are failures.
pub fn run() -> Result<(bool, Count)> {
    let image = image::ensure()?;
    let share = payload::build()?;
    let deadline = Instant::now() + LIMIT;
    let mut machine = Machine::boot(&image, &share, machine::BOOT)?;
    let mut sum = Count::default();
    for program in payload::PROGRAMS {
        let mut names = names(program, &[])?;
        if *program == "live" {
            names.retain(|name| !MADE_UP.iter().any(|module| name.starts_with(module)));
        }
        if names.is_empty() {
            bail!("the program {program} has no tests");
        }
        let got = tests(&mut machine, program, &names, deadline.saturating_duration_since(Instant::now()));
        sum.passed += got.passed;
        sum.failed += got.failed;
    }
    println!("the tier took {}", sh::duration(LIMIT - deadline.saturating_duration_since(Instant::now())));
    Ok((sum.failed == 0, sum))
}

/// Tests with one of the words in their names, or all of a program, in a machine that is up.
pub fn selected(machine: &mut Machine, filters: &[String]) -> Result<(bool, Count)> {
    let mut sum = Count::default();
    for program in payload::PROGRAMS {
        // The name of a program stands for all of it.
        let whole = filters.iter().any(|filter| filter == program);
        let names = names(program, if whole { &[] } else { filters })?;
        if !names.is_empty() {
            let got = tests(machine, program, &names, LIMIT * 3);
            sum.passed += got.passed;
            sum.failed += got.failed;
        }
    }
    if sum == Count::default() {
        bail!("no test has {} in its name", filters.join(" or "));
    }
    Ok((sum.failed == 0, sum))
}

/// Tests of one program, as root. Those that were not run have failed.
fn tests(machine: &mut Machine, program: &str, names: &[String], limit: Duration) -> Count {
    println!("\n--- {program}: {} tests", names.len());
    let line = format!("set -- {program} {TEST_LIMIT} {}\n{RUNNER}", names.join(" "));
    let mut text = Vec::new();
    let outcome = machine.command(&line, limit, &mut |bytes| {
        text.extend_from_slice(bytes);
        let mut out = std::io::stdout();
        drop(out.write_all(bytes).and_then(|()| out.flush()));
    });
    println!();
    if let Err(error) = outcome {
        println!("{program}: {error:#}");
    }
    account(&String::from_utf8_lossy(&text), names)
}

/// What the lines say of each test; one that no line speaks of has failed.
fn account(text: &str, names: &[String]) -> Count {
    let mut got = Count::default();
    for name in names {
        let begin = format!("test {name} ... ");
        match text.lines().find_map(|line| line.strip_prefix(&begin)) {
            Some(rest) if rest.starts_with("ok") => got.passed += 1,
            Some(_) => got.failed += 1,
            None => {
                println!("test {name} ... NOT RUN");
                got.failed += 1;
            }
        }
    }
    got
}

/// The program's tests, asked on this machine, those that look at the machine itself first.
fn names(program: &str, filters: &[String]) -> Result<Vec<String>> {
    let file = payload::root().join("share/tests").join(program);
    let output = Command::new(&file).arg("--list").args(filters).output();
    let output = output.with_context(|| format!("run {}", file.display()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut names: Vec<String> =
        text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect();
    names.sort_by_key(|name| !name.starts_with("machine::"));
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_that_did_not_run_have_failed() {
        let names = ["a::x", "a::y", "a::z"].map(str::to_owned);
        let text = "test a::x ... ok (1 s)\ntest a::y ... FAILED (2 s, status 101)\nthread panicked\n";
        assert_eq!(account(text, &names), Count { passed: 1, failed: 2, skipped: 0 });
        assert_eq!(account("", &names), Count { passed: 0, failed: 3, skipped: 0 });
    }
}
