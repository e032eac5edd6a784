//! `cargo xtask test`: every tier, its time, and one closing line that says what the runners counted.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::{compliance, fuzz, harden, man, packages, sh, stage, tidy, vm};

/// What the runners of one tier reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
}

impl Count {
    fn add(&mut self, other: Count) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

#[derive(Debug, Default)]
struct Report {
    tiers: Vec<(String, Duration, Option<Count>, bool)>,
}

impl Report {
    /// Runs a check that has no tests of its own to count.
    fn check(&mut self, name: &str, body: impl FnOnce() -> Result<()>) -> bool {
        self.tier(name, || body().map(|()| None))
    }

    fn tier(&mut self, name: &str, body: impl FnOnce() -> Result<Option<(bool, Count)>>) -> bool {
        println!("\n=== {name}");
        let started = Instant::now();
        let (count, good) = match body() {
            Ok(None) => (None, true),
            // A runner that fails without a failed test did not get as far as running one.
            Ok(Some((good, count))) => (Some(count), good && count.failed == 0 && count.passed > 0),
            Err(error) => {
                eprintln!("{name}: {error:#}");
                (None, false)
            }
        };
        let time = started.elapsed();
        println!("--- {name}: {} in {}", if good { "ok" } else { "FAILED" }, sh::duration(time));
        self.tiers.push((name.to_owned(), time, count, good));
        good
    }

    fn close(self) -> Result<()> {
        println!("\n{:<28} {:>9}  {:>7} {:>7} {:>7}", "tier", "time", "passed", "failed", "skipped");
        let mut sum = Count::default();
        let mut broken = Vec::new();
        for (name, time, count, good) in &self.tiers {
            let time = sh::duration(*time);
            match count {
                Some(count) => {
                    println!(
                        "{name:<28} {time:>9}  {:>7} {:>7} {:>7}",
                        count.passed, count.failed, count.skipped
                    );
                    sum.add(*count);
                }
                None => println!("{name:<28} {time:>9}  {:>7}", if *good { "ok" } else { "FAILED" }),
            }
            if !good {
                broken.push(name.as_str());
                // Every tier that went wrong shows in the closing line, also those that could not count.
                if count.is_none_or(|count| count.failed == 0) {
                    sum.failed += 1;
                }
            }
        }
        if !broken.is_empty() {
            println!("\nfailed: {}", broken.join(", "));
        }
        let skipped = if sum.skipped > 0 { format!(", {} skipped", sum.skipped) } else { String::new() };
        println!("\n{} passed, {} failed{skipped}", sum.passed, sum.failed);
        if sum.failed > 0 {
            bail!("{} failed", sum.failed);
        }
        if sum.passed == 0 {
            bail!("no test ran");
        }
        Ok(())
    }
}

pub fn run(words: &[String]) -> Result<()> {
    let mut fast = false;
    let mut theirs = false;
    let mut no_vm = false;
    let mut tier = None;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--fast" => fast = true,
            "--theirs" => theirs = true,
            "--no-vm" => no_vm = true,
            "--tier" => tier = words.next().and_then(|number| number.parse::<u32>().ok()),
            other => bail!("test: no option {other}"),
        }
    }
    if fast {
        packages::ensure(&[packages::BUILD, &["mandoc"]])?;
    } else {
        packages::ensure(&[packages::BUILD, packages::TEST])?;
    }
    let mut report = Report::default();
    match (theirs, tier) {
        (true, _) => {
            theirs_compliance(&mut report);
            theirs_attacks(&mut report);
        }
        (_, Some(0..=2)) => unit(&mut report),
        (_, Some(3)) => {
            if staged(&mut report) {
                live(&mut report);
            }
        }
        (_, Some(4)) => {
            if staged(&mut report) {
                ours_compliance(&mut report);
            }
            theirs_compliance(&mut report);
        }
        (_, Some(5)) => {
            if staged(&mut report) {
                ours_attacks(&mut report);
            }
            theirs_attacks(&mut report);
        }
        (_, Some(6)) => {
            if staged(&mut report) {
                interop(&mut report);
            }
        }
        (_, Some(7)) => fuzzing(&mut report),
        (_, Some(8)) => virtual_machine(&mut report),
        (_, Some(other)) => bail!("test: no tier {other}"),
        (false, None) => {
            checks(&mut report);
            unit(&mut report);
            if !fast {
                fuzzing(&mut report);
                theirs_compliance(&mut report);
                theirs_attacks(&mut report);
                if staged(&mut report) {
                    report.check("hardening", harden::staged);
                    ours_compliance(&mut report);
                    live(&mut report);
                    ours_attacks(&mut report);
                    interop(&mut report);
                }
                if !no_vm {
                    virtual_machine(&mut report);
                }
            }
        }
    }
    report.close()
}

fn checks(report: &mut Report) {
    report.check("fmt", || sh::run(sh::cargo().args(["fmt", "--all", "--check"])));
    report.check("tidy", tidy::check);
    report.check("clippy", || {
        let mut clippy = sh::cargo();
        clippy.args(["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]);
        sh::run(&mut clippy)
    });
    report.check("docs", || {
        let mut doc = sh::cargo();
        doc.args(["doc", "--workspace", "--no-deps", "--document-private-items", "--quiet"]);
        sh::run(doc.env("RUSTDOCFLAGS", "-D warnings"))
    });
    report.check("man", man::check);
}

/// Tiers 0 to 2: what needs no container. Product crates only.
fn unit(report: &mut Report) {
    report.tier("unit and plan", || runner(&["--workspace", "--exclude", "compliance"], &[]).map(Some));
}

/// Every fuzz target for a moment; the corpora are replayed by the unit tests as well.
fn fuzzing(report: &mut Report) {
    report.tier("fuzz", || fuzz::short().map(Some));
}

fn staged(report: &mut Report) -> bool {
    report.check("build and stage", stage::build)
}

fn live(report: &mut Report) {
    report.tier("live", || container_tests("live", "ours").map(Some));
}

fn ours_compliance(report: &mut Report) {
    report.tier("compliance, ours", || container_tests("compliance", "ours").map(Some));
}

fn theirs_compliance(report: &mut Report) {
    report.tier("compliance, theirs", || container_tests("compliance", "theirs").map(Some));
}

fn ours_attacks(report: &mut Report) {
    report.tier("attacks, ours", || container_tests("attacks", "ours").map(Some));
}

/// What the original lets happen is listed in `tests/expected-failures`; what it withstands, too, must stay true.
fn theirs_attacks(report: &mut Report) {
    report.tier("attacks, theirs", || container_tests("attacks", "theirs").map(Some));
}

fn interop(report: &mut Report) {
    report.tier("interop", || container_tests("interop", "ours").map(Some));
}

/// Debian's kernel with systemd, AppArmor and cgroup2 only.
fn virtual_machine(report: &mut Report) {
    report.tier("virtual machine", || vm::tier().map(Some));
}

/// One of the test programs below `tests/`, as root.
fn container_tests(program: &str, subject: &str) -> Result<(bool, Count)> {
    let variables =
        [("LXC_UNDER_TEST", subject.to_owned()), ("LXC_RS_BIN", stage::bin().display().to_string())];
    let (good, mut count) = runner(&["-p", "compliance", "--test", program], &variables)?;
    // A listed test that fails as expected counts as passed for the runner, which it is not.
    let expected = compliance::expected_failures(program, subject)?.min(count.passed);
    count.passed -= expected;
    count.skipped += expected;
    Ok((good, count))
}

/// nextest when it is installed, cargo's own runner otherwise.
fn runner(selection: &[&str], variables: &[(&str, String)]) -> Result<(bool, Count)> {
    let nextest = sh::which("cargo-nextest").is_some();
    let mut build = sh::cargo();
    match nextest {
        true => build.args(["nextest", "run", "--no-run", "--cargo-quiet"]),
        false => build.args(["test", "--no-run", "--quiet"]),
    };
    sh::run(build.args(selection))?;
    let mut run = sh::cargo();
    match nextest {
        true => run.args(["nextest", "run", "--no-fail-fast"]),
        false => run.args(["test", "--no-fail-fast"]),
    };
    run.args(selection);
    run.env("RUST_BACKTRACE", "0").env("CARGO_TERM_COLOR", "never");
    for (key, value) in variables {
        run.env(key, value);
    }
    let mut run = if variables.is_empty() { run } else { as_root(run)? };
    let (good, text) = sh::tee(&mut run)?;
    Ok((good, count(&text)))
}

/// The same command as root, with the same environment.
fn as_root(command: Command) -> Result<Command> {
    if sh::is_root() {
        return Ok(command);
    }
    let mut root = packages::privileged("env")?;
    for name in ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME"] {
        if let Ok(value) = std::env::var(name) {
            root.arg(format!("{name}={value}"));
        }
    }
    for (key, value) in command.get_envs() {
        if let Some(value) = value {
            root.arg(format!("{}={}", key.to_string_lossy(), value.to_string_lossy()));
        }
    }
    root.arg(command.get_program()).args(command.get_args()).current_dir(sh::repository());
    Ok(root)
}

/// Adds up the summary lines of nextest and of cargo's own runner.
pub fn count(text: &str) -> Count {
    let mut sum = Count::default();
    for line in text.lines() {
        let line = line.trim();
        let fields: Vec<&str> = if line.starts_with("Summary [") && line.contains(" tests run: ")
            || line.starts_with("Summary [") && line.contains(" test run: ")
        {
            line.split(" run: ").nth(1).unwrap_or_default().split(',').collect()
        } else if let Some(rest) = line.strip_prefix("test result: ") {
            // nextest shows this line of each failed test, too: only the runner's own has more than one test.
            if text.contains("Nextest run ID") {
                continue;
            }
            rest.split_once(". ").map_or("", |(_, counts)| counts).split(';').collect()
        } else {
            continue;
        };
        for field in fields {
            let mut words = field.split_whitespace();
            let Some(number) = words.next().and_then(|word| word.parse::<u64>().ok()) else { continue };
            match words.next() {
                Some("passed") => sum.passed += number,
                Some("failed" | "timed" | "exec") => sum.failed += number,
                Some("skipped" | "ignored") => sum.skipped += number,
                _ => {}
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nextest_is_counted() {
        let text = "Nextest run ID x\ntest result: FAILED. 0 passed; 1 failed; 0 ignored\n\
                    \x20    Summary [  16.164s] 107 tests run: 102 passed (1 slow), 4 failed, 1 timed out, 2 skipped\n";
        assert_eq!(count(text), Count { passed: 102, failed: 5, skipped: 2 });
        let one = "Nextest run ID x\n Summary [ 0.1s] 1 test run: 1 passed, 0 skipped";
        assert_eq!(count(one), Count { passed: 1, failed: 0, skipped: 0 });
    }

    #[test]
    fn cargo_is_counted() {
        let text = "test result: ok. 4 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
                    test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(count(text), Count { passed: 5, failed: 2, skipped: 1 });
    }
}
