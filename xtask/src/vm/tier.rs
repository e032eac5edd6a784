//! The tier of tests inside the virtual machine: one boot, a hard limit, and every test accounted for.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::machine::Machine;
use super::{image, machine, payload};
use crate::sh;
use crate::test::{Count, count};

/// For everything, from the start of the emulator on.
const LIMIT: Duration = Duration::from_secs(600);

/// Boots a machine and runs all tests. A machine that does not boot, a program that does not end and a test that is
/// missing from the counts are failures.
pub fn run() -> Result<(bool, Count)> {
    let image = image::ensure()?;
    let share = payload::build()?;
    let deadline = Instant::now() + LIMIT;
    let mut machine = Machine::boot(&image, &share, machine::BOOT)?;
    let mut sum = Count::default();
    let mut good = true;
    for program in payload::PROGRAMS {
        let expected = expected(program, &[])?;
        let left = deadline.saturating_duration_since(Instant::now());
        let got = tests(&mut machine, program, &[], left, expected);
        good &= got.failed == 0 && got.passed > 0;
        sum.passed += got.passed;
        sum.failed += got.failed;
        sum.skipped += got.skipped;
    }
    println!("the tier took {}", sh::duration(LIMIT - deadline.saturating_duration_since(Instant::now())));
    Ok((good, sum))
}

/// Tests with one of the words in their names, or all of a program, in a machine that is up.
pub fn selected(machine: &mut Machine, filters: &[String]) -> Result<(bool, Count)> {
    let mut sum = Count::default();
    for program in payload::PROGRAMS {
        // The name of a program stands for all of it.
        let whole = filters.iter().any(|filter| filter == program);
        let filters = if whole { &[] } else { filters };
        let expected = expected(program, filters)?;
        if expected > 0 && (whole || !filters.is_empty()) {
            let got = tests(machine, program, filters, LIMIT, expected);
            sum.passed += got.passed;
            sum.failed += got.failed;
            sum.skipped += got.skipped;
        }
    }
    if sum.passed + sum.failed == 0 {
        bail!("no test has {} in its name", filters.join(" or "));
    }
    Ok((sum.failed == 0, sum))
}

/// One program, as root, one test at a time. Tests that were not run have failed.
fn tests(machine: &mut Machine, program: &str, filters: &[String], limit: Duration, expected: u64) -> Count {
    println!("\n--- {program}");
    let line = format!(
        "LXC_RS_BIN=/usr/bin LXC_UNDER_TEST=ours RUST_BACKTRACE=0 RUST_TEST_TIME_UNIT=60000 /host/tests/{program} \
         --test-threads=1 --show-output --color=never {}",
        filters.join(" ")
    );
    let mut text = Vec::new();
    let outcome = machine.command(&line, limit, &mut |bytes| {
        text.extend_from_slice(bytes);
        drop(std::io::Write::write_all(&mut std::io::stdout(), bytes));
    });
    println!();
    let mut got = account(&String::from_utf8_lossy(&text), expected);
    match outcome {
        Ok(0) => {}
        Ok(status) => {
            println!("{program}: status {status}");
            got.failed = got.failed.max(1);
        }
        Err(error) => {
            println!("{program}: {error:#}");
            got.failed = got.failed.max(1);
        }
    }
    got
}

/// The program's own count; without one, what its lines say. Tests missing from it count as failed.
fn account(text: &str, expected: u64) -> Count {
    let mut got = count(text);
    if got == Count::default() {
        let ends = |word: &str| {
            text.lines().filter(|line| line.starts_with("test ") && line.ends_with(word)).count()
        };
        got.passed = ends("... ok") as u64;
        got.failed = ends("... FAILED") as u64;
    }
    let missing = expected.saturating_sub(got.passed + got.failed + got.skipped);
    if missing > 0 {
        println!("{missing} of {expected} tests were not run");
        got.failed += missing;
    }
    got
}

/// How many tests the program has, asked on this machine.
fn expected(program: &str, filters: &[String]) -> Result<u64> {
    let file = payload::root().join("share/tests").join(program);
    let output = Command::new(&file).arg("--list").args(filters).output();
    let output = output.with_context(|| format!("run {}", file.display()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.lines().filter(|line| line.ends_with(": test")).count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_that_did_not_run_have_failed() {
        let done = "running 2 tests\ntest a ... ok\ntest b ... ok\n\n\
                    test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s\n";
        assert_eq!(account(done, 2), Count { passed: 2, failed: 0, skipped: 0 });
        assert_eq!(account(done, 3), Count { passed: 2, failed: 1, skipped: 0 });
        let hung = "running 4 tests\ntest a ... ok\ntest b ... FAILED\ntest c ...";
        assert_eq!(account(hung, 4), Count { passed: 1, failed: 3, skipped: 0 });
        assert_eq!(account("", 4), Count { passed: 0, failed: 4, skipped: 0 });
    }
}
