//! `cargo xtask fuzz`: the properties of `crates/properties` under libFuzzer, and the short run of `cargo xtask test`.
//!
//! The programs are built directly, with the compiler flags cargo-fuzz would give: its layout is kept, itself it is not
//! needed (docs/fuzzing.md). Those flags exist on every toolchain; nightly is only preferred.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::test::Count;
use crate::{packages, sh};

/// What makes a program report its coverage to libFuzzer.
const INSTRUMENT: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// The program with every property.
const EVERY: &str = "every";

/// How long one target of the short run is fuzzed.
const SHORT: Duration = Duration::from_secs(3);

#[derive(Clone, Debug)]
struct Target {
    name: String,
    longest: u64,
}

/// How one target went.
#[derive(Clone, Debug)]
struct Outcome {
    name: String,
    good: bool,
    runs: u64,
    coverage: u64,
    time: Duration,
    log: PathBuf,
}

/// `fuzz [--time SECS] [--runs N] [TARGET…]`.
pub fn run(words: &[String]) -> Result<()> {
    let mut time = Duration::from_secs(60);
    let mut runs = None;
    let mut names = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut number =
            || words.next().and_then(|text| text.parse::<u64>().ok()).context("a number is missing");
        match word.as_str() {
            "--time" => time = Duration::from_secs(number()?),
            "--runs" => runs = Some(number()?),
            option if option.starts_with('-') => bail!("fuzz: no option {option}"),
            name => names.push(name.to_owned()),
        }
    }
    let mut targets = targets()?;
    for name in &names {
        if !targets.iter().any(|target| target.name == *name) {
            let known: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
            bail!("fuzz: no target {name}; there are {}", known.join(", "));
        }
    }
    targets.retain(|target| names.is_empty() || names.contains(&target.name));
    let programs = build(&["--bins"])?;
    let outcomes = all(&targets, time, runs, |target| Ok(Command::new(programs.join(&target.name))))?;
    let count = report(&outcomes);
    println!("\n{} passed, {} failed", count.passed, count.failed);
    if count.failed > 0 {
        bail!("{} targets failed", count.failed);
    }
    Ok(())
}

/// The committed inputs and a moment of fuzzing for each target. Counts targets.
pub fn short() -> Result<(bool, Count)> {
    let programs = build(&["--bin", EVERY])?;
    let targets = targets()?;
    let outcomes = all(&targets, SHORT, None, |target| {
        let mut command = Command::new(programs.join(EVERY));
        command.env("LXC_FUZZ_TARGET", &target.name);
        Ok(command)
    })?;
    let count = report(&outcomes);
    Ok((count.failed == 0, count))
}

/// The rows of `properties::TARGETS`: one table for the programs, the tests and this.
fn targets() -> Result<Vec<Target>> {
    let path = sh::repository().join("crates/properties/src/lib.rs");
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let found = rows(&text);
    if found.is_empty() {
        bail!("{} lists no target", path.display());
    }
    Ok(found)
}

fn rows(text: &str) -> Vec<Target> {
    text.lines()
        .filter_map(|line| {
            let row = line.trim().strip_prefix("Target { name: \"")?;
            let (name, rest) = row.split_once('"')?;
            let longest = rest.split_once("longest: ")?.1.split(' ').next()?.parse().ok()?;
            Some(Target { name: name.to_owned(), longest })
        })
        .collect()
}

/// Builds in a target directory of its own, whose artefacts stay from run to run. Gives the directory of the programs.
fn build(selection: &[&str]) -> Result<PathBuf> {
    packages::ensure(&[packages::BUILD, packages::FUZZ])?;
    let dir = sh::target().join("fuzz");
    let triple = host()?;
    let mut cargo = if nightly() {
        let mut rustup = Command::new("rustup");
        rustup.args(["run", "nightly", "cargo"]);
        rustup
    } else {
        println!("no nightly toolchain here: the same flags with the default one");
        sh::cargo()
    };
    // What the outer cargo and rustup have set is about the outer toolchain.
    for name in ["RUSTUP_TOOLCHAIN", "CARGO", "RUSTC", "RUSTDOC", "CARGO_ENCODED_RUSTFLAGS"] {
        cargo.env_remove(name);
    }
    // With a target named, build scripts and macros are spared the flags.
    cargo.current_dir(sh::repository().join("fuzz")).args([
        "build",
        "--release",
        "--quiet",
        "--target",
        &triple,
    ]);
    cargo.args(selection).env("RUSTFLAGS", INSTRUMENT).env("CARGO_TARGET_DIR", &dir);
    let started = Instant::now();
    sh::run(&mut cargo)?;
    println!("built in {}", sh::duration(started.elapsed()));
    Ok(dir.join(triple).join("release"))
}

fn nightly() -> bool {
    let Some(rustup) = sh::which("rustup") else { return false };
    let listed = Command::new(rustup).args(["toolchain", "list"]).output();
    listed.is_ok_and(|output| {
        String::from_utf8_lossy(&output.stdout).lines().any(|line| line.starts_with("nightly-"))
    })
}

fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("run rustc")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
    Ok(line.to_owned())
}

/// Runs the targets, as many at a time as there are processors.
fn all(
    targets: &[Target],
    time: Duration,
    runs: Option<u64>,
    program: impl Fn(&Target) -> Result<Command>,
) -> Result<Vec<Outcome>> {
    let slots = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut waiting = targets.iter();
    let mut running: Vec<(String, Instant, PathBuf, std::process::Child)> = Vec::new();
    let mut outcomes = Vec::new();
    loop {
        while running.len() < slots
            && let Some(target) = waiting.next()
        {
            let (child, log) = start(target, time, runs, program(target)?)?;
            running.push((target.name.clone(), Instant::now(), log, child));
        }
        if running.is_empty() {
            return Ok(outcomes);
        }
        let mut still = Vec::new();
        for (name, since, log, mut child) in running {
            // libFuzzer stops by itself; what hangs before its first run is stopped here.
            let late = since.elapsed() > time + Duration::from_secs(60);
            if late {
                let _ = child.kill();
            }
            match child.try_wait()? {
                None if !late => still.push((name, since, log, child)),
                None | Some(_) => {
                    let good = child.wait()?.success() && !late;
                    let text = fs::read(&log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())?;
                    let (runs, coverage) = figures(&text);
                    let outcome =
                        Outcome { name, good: good && runs > 0, runs, coverage, time: since.elapsed(), log };
                    println!("{}", line(&outcome));
                    outcomes.push(outcome);
                }
            }
        }
        running = still;
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Inputs found go below the build directory; the committed ones are only read.
fn start(
    target: &Target,
    time: Duration,
    runs: Option<u64>,
    mut command: Command,
) -> Result<(std::process::Child, PathBuf)> {
    let fuzz = sh::repository().join("fuzz");
    let work = sh::target().join("fuzz");
    let found = work.join("corpus").join(&target.name);
    let kept = work.join("crashes");
    let logs = work.join("logs");
    for dir in [&found, &kept, &logs] {
        fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
    }
    let log = logs.join(format!("{}.log", target.name));
    let output = fs::File::create(&log).with_context(|| format!("create {}", log.display()))?;
    command.arg(format!("-max_total_time={}", time.as_secs()));
    if let Some(runs) = runs {
        command.arg(format!("-runs={runs}"));
    }
    command
        .arg(format!("-max_len={}", target.longest))
        .args(["-timeout=20", "-rss_limit_mb=1024", "-print_final_stats=1"])
        .arg(format!("-dict={}", fuzz.join("dictionaries").join(format!("{}.dict", target.name)).display()))
        .arg(format!("-artifact_prefix={}/{}-", kept.display(), target.name))
        .arg(found)
        .arg(fuzz.join("corpus").join(&target.name))
        .current_dir(&work)
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output);
    let child = command.spawn().with_context(|| format!("run {}", sh::show(&command)))?;
    Ok((child, log))
}

/// Executed units and covered edges of libFuzzer's report.
fn figures(text: &str) -> (u64, u64) {
    let last = |mark: &str| {
        let found = text.lines().rev().find_map(|line| line.split_once(mark))?;
        found.1.split_whitespace().next()?.parse::<u64>().ok()
    };
    (last("stat::number_of_executed_units:").unwrap_or(0), last(" cov: ").unwrap_or(0))
}

fn line(outcome: &Outcome) -> String {
    let Outcome { name, good, runs, coverage, time, .. } = outcome;
    let state = if *good { "ok" } else { "FAILED" };
    format!("{name:<14} {state:<6} {runs:>10} runs {coverage:>6} edges {:>9}", sh::duration(*time))
}

/// Shows what went wrong and counts.
fn report(outcomes: &[Outcome]) -> Count {
    let mut count = Count::default();
    let mut reasons: BTreeMap<&str, String> = BTreeMap::new();
    for outcome in outcomes {
        if outcome.good {
            count.passed += 1;
            continue;
        }
        count.failed += 1;
        let text = fs::read(&outcome.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let text = text.unwrap_or_default();
        let start = text.find("panicked at").or_else(|| text.find("ERROR: libFuzzer")).unwrap_or(0);
        let shown: Vec<&str> = text.get(start..).unwrap_or_default().lines().take(12).collect();
        reasons.insert(&outcome.name, shown.join("\n"));
    }
    for (name, reason) in reasons {
        println!(
            "\n{name} failed; the input is in {}:\n{reason}",
            sh::target().join("fuzz/crashes").display()
        );
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_from_the_table_of_properties() {
        let text = "pub const T: &[Target] = &[\n    Target { name: \"config\", check: config::check, longest: 2048 },\n];\n";
        let found = rows(text);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].name.as_str(), found[0].longest), ("config", 2048));
        assert!(targets().unwrap().len() >= 11);
    }

    #[test]
    fn the_figures_are_the_last_ones() {
        let text = "#2 INITED cov: 7 ft: 8\n#9\tDONE   cov: 255 ft: 1401 corp: 1\nstat::number_of_executed_units: 323804\n";
        assert_eq!(figures(text), (323_804, 255));
        assert_eq!(figures(""), (0, 0));
    }
}
