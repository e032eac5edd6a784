//! What every tool says to the command lines in `tests/cli/TOOL.txt`, compared with what is written there, and with the
//! original where it is installed.
//!
//! A line `$ WORDS` starts a case; `$! WORDS` one that the original answers differently, on purpose. The exit code,
//! stdout and stderr follow. `UPDATE_SNAPSHOTS=1 cargo test -p lxc-multicall` writes the answers anew.

#![allow(clippy::unwrap_used, clippy::panic, reason = "how a test fails")]

use std::fmt::Write as _;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[derive(Debug)]
struct Case {
    words: String,
    differs: bool,
    answer: String,
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cli")
}

fn cases(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines() {
        let start = line.strip_prefix("$! ").map(|words| (words, true));
        if let Some((words, differs)) = start.or_else(|| line.strip_prefix("$ ").map(|words| (words, false)))
        {
            cases.push(Case { words: words.to_owned(), differs, answer: String::new() });
        } else if let Some(case) = cases.last_mut() {
            let _ = writeln!(case.answer, "{line}");
        }
    }
    cases
}

/// Exit code, stdout, stderr.
fn run(program: &Path, tool: &str, words: &str) -> (i32, String, String) {
    let output = Command::new(program)
        .arg0(tool)
        .args(words.split_whitespace().filter(|word| *word != "(none)"))
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", "/nonexistent")
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("run {}: {error}", program.display()));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().unwrap_or_else(|| panic!("{tool} {words}: killed"));
    (code, text(&output.stdout), without_places(&text(&output.stderr)))
}

/// Cuts `FILE: FUNCTION: LINE ` out of message lines, which no drop-in can match.
fn without_places(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let mut words: Vec<&str> = line.split(' ').collect();
        let is_file = |word: &&str| word.ends_with(".c:") || word.ends_with(".rs:");
        if let Some(at) = words.iter().take(3).position(is_file)
            && let [_, function, number, ..] = &words[at..]
            && function.ends_with(':')
            && number.parse::<u32>().is_ok()
        {
            words.drain(at..at + 3);
        }
        let _ = writeln!(out, "{}", words.join(" ").trim_end());
    }
    out
}

fn shown((code, stdout, stderr): &(i32, String, String)) -> String {
    let mut text = format!("exit {code}\n");
    for (mark, lines) in [("1|", stdout), ("2|", stderr)] {
        for line in lines.lines() {
            let _ = writeln!(text, "{}", format!("{mark}{line}").trim_end());
        }
    }
    text
}

fn snapshot_files() -> Vec<(String, PathBuf)> {
    let mut files: Vec<(String, PathBuf)> = std::fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), path))
        .collect();
    files.sort();
    files
}

#[test]
fn every_tool_has_cases() {
    let tools: Vec<&str> = lxc_multicall::TOOLS.iter().map(|tool| tool.name).collect();
    let files: Vec<String> = snapshot_files().into_iter().map(|(tool, _)| tool).collect();
    assert_eq!(files, tools);
}

#[test]
fn answers_are_as_written() {
    let program = Path::new(env!("CARGO_BIN_EXE_lxc-multicall"));
    let update = std::env::var_os("UPDATE_SNAPSHOTS").is_some();
    let mut wrong = String::new();
    for (tool, file) in snapshot_files() {
        let mut text = String::new();
        for case in cases(&std::fs::read_to_string(&file).unwrap()) {
            let answer = shown(&run(program, &tool, &case.words));
            if answer.trim_end() != case.answer.trim_end() && !update {
                let _ = writeln!(wrong, "{tool} {}\nwant:\n{}\ngot:\n{answer}", case.words, case.answer);
            }
            let mark = if case.differs { "$!" } else { "$" };
            let _ = writeln!(text, "{mark} {}\n{answer}", case.words);
        }
        if update {
            std::fs::write(&file, text).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The original in /usr/bin, unless it is not there or is one of ours.
fn original(tool: &str) -> Option<PathBuf> {
    let path = Path::new("/usr/bin").join(tool);
    let version = Command::new(&path).arg("--version").output().ok()?;
    (version.stdout != b"7.0.0\n").then_some(path)
}

/// What of an answer must be the same.
///
/// The exit code; whether stdout is used; of `--usage` all but the options we add; of messages the original's first
/// line, which must be one of ours (the reason may come before it). Tools that are silent there (5.0.2) prove nothing.
fn alike(words: &str, ours: &(i32, String, String), theirs: &(i32, String, String)) -> bool {
    let told = match words {
        "--usage" => {
            let options = |text: &str| -> Vec<String> {
                let added = ["[--format=FORMAT]", "[-9|--rbduser=RBDUSER]"];
                let words = text.split_whitespace().filter(|word| !added.contains(word));
                words.map(str::to_owned).collect()
            };
            options(&ours.2) == options(&theirs.2)
        }
        "--help" | "-h" | "-?" => ours.2.starts_with("Usage: ") == theirs.2.starts_with("Usage: "),
        _ => match theirs.2.lines().next() {
            Some(first) => ours.2.lines().any(|line| line == first),
            None => true,
        },
    };
    ours.0 == theirs.0 && ours.1.is_empty() == theirs.1.is_empty() && told
}

#[test]
fn the_original_answers_alike() {
    let program = Path::new(env!("CARGO_BIN_EXE_lxc-multicall"));
    let mut compared = 0;
    let mut wrong = String::new();
    for (tool, file) in snapshot_files() {
        let Some(theirs) = original(&tool) else { continue };
        for case in cases(&std::fs::read_to_string(&file).unwrap()) {
            let ours = run(program, &tool, &case.words);
            let theirs = run(&theirs, &tool, &case.words);
            if alike(&case.words, &ours, &theirs) == case.differs {
                let _ = writeln!(
                    wrong,
                    "{tool} {}\ntheirs {}\nours {}",
                    case.words,
                    shown(&theirs),
                    shown(&ours)
                );
            }
            compared += 1;
        }
    }
    eprintln!("{compared} command lines compared with the original");
    assert!(wrong.is_empty(), "{wrong}");
}
