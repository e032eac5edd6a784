//! Our tools on a container run by the original: what they print and return must be what the original's tools do.
//!
//! Needs root and the original in /usr/bin; says so and passes without. Not here: containers run by us, which the
//! compliance tests cover.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test")]

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use testkit::{Guest, Subject, eventually};

/// The original's programs, unless they are missing or ours.
fn original_is_here() -> bool {
    let version = Command::new("/usr/bin/lxc-start").arg("--version").output();
    let here = version.is_ok_and(|version| version.stdout != b"7.0.0\n");
    let root =
        std::fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0);
    if !(here && root) {
        eprintln!("skipped: needs root and the original in /usr/bin");
    }
    here && root
}

fn guest(label: &str) -> Guest {
    Guest::build(label).subject(Subject::Theirs).start()
}

fn run(program: PathBuf, guest: &Guest, tool: &str, words: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(program)
        .arg0(tool)
        .arg("-P")
        .arg(guest.lxcpath())
        .args(words.iter().map(|word| word.replace("@NAME@", guest.name())))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

fn ours(guest: &Guest, tool: &str, words: &[&str]) -> (Option<i32>, String) {
    run(env!("CARGO_BIN_EXE_lxc-multicall").into(), guest, tool, words)
}

fn theirs(guest: &Guest, tool: &str, words: &[&str]) -> (Option<i32>, String) {
    run(format!("/usr/bin/{tool}").into(), guest, tool, words)
}

/// Counters move between two calls, so a difference must persist to count.
fn assert_same(guest: &Guest, tool: &str, words: &[&str]) {
    let mut last = None;
    let same = eventually(Duration::from_secs(5), || {
        let pair = (theirs(guest, tool, words), ours(guest, tool, words));
        let same = pair.0 == pair.1;
        last = Some(pair);
        same
    });
    assert!(same, "{tool} {words:?}: (theirs, ours) {last:#?}");
}

#[test]
fn questions_have_the_same_answers() {
    if !original_is_here() {
        return;
    }
    let guest = guest("toolsq");
    for words in [
        &["@NAME@"][..],
        &["@NAME@", "-H"],
        &["@NAME@", "-sH"],
        &["@NAME@", "-pH"],
        &["@NAME@", "-iH"],
        &["@NAME@", "-S"],
        &["@NAME@", "-SH"],
        &["@NAME@", "-c", "lxc.uts.name", "-c", "lxc.mount.entry", "-c", "lxc.net", "-c", "lxc.nope"],
        &["@NAME@", "-H", "-c", "lxc.rootfs.path"],
        &["no-such"],
    ] {
        assert_same(&guest, "lxc-info", words);
    }
    for words in [
        &[][..],
        &["-1"],
        &["-f"],
        &["-f", "-F", "NAME,STATE,PID,RAM,SWAP,AUTOSTART,GROUPS,INTERFACE,IPV4,IPV6,UNPRIVILEGED"],
        &["-f", "-F", "PID,NAME"],
        &["--active"],
        &["--running", "-f"],
        &["--frozen"],
        &["--stopped"],
        &["--defined"],
        &["-g", "x"],
        &["@NAME@"],
        &["^nothing$"],
    ] {
        assert_same(&guest, "lxc-ls", words);
    }
    for words in [&["@NAME@", "cpuset.cpus"][..], &["@NAME@", "memory.nope"], &["@NAME@"], &["no-such", "x"]]
    {
        assert_same(&guest, "lxc-cgroup", words);
    }
    assert_same(&guest, "lxc-wait", &["@NAME@", "-s", "RUNNING"]);
    assert_same(&guest, "lxc-wait", &["@NAME@", "-s", "STOPPED", "-t", "1"]);
    assert_same(&guest, "lxc-start", &["@NAME@"]);
}

#[test]
fn each_sees_what_the_other_does() {
    if !original_is_here() {
        return;
    }
    let guest = guest("toolsf");
    let state = |want: &str| {
        let words = ["@NAME@", "-sH"];
        assert_eq!(theirs(&guest, "lxc-info", &words), (Some(0), format!("{want}\n")));
        assert_eq!(ours(&guest, "lxc-info", &words), (Some(0), format!("{want}\n")));
    };
    let ok = (Some(0), String::new());
    state("RUNNING");
    assert_eq!(ours(&guest, "lxc-freeze", &["@NAME@"]), ok);
    state("FROZEN");
    assert_eq!(theirs(&guest, "lxc-freeze", &["@NAME@"]), ok);
    assert_same(&guest, "lxc-ls", &["--frozen"]);
    assert_same(&guest, "lxc-ls", &["--running"]);
    assert_same(&guest, "lxc-ls", &["--active", "--frozen"]);
    assert_eq!(theirs(&guest, "lxc-unfreeze", &["@NAME@"]), ok);
    state("RUNNING");
    assert_eq!(theirs(&guest, "lxc-freeze", &["@NAME@"]), ok);
    assert_eq!(ours(&guest, "lxc-unfreeze", &["@NAME@"]), ok);
    state("RUNNING");
    let v1 = Path::new("/sys/fs/cgroup/memory").is_dir();
    let limit = if v1 { "memory.limit_in_bytes" } else { "memory.max" };
    assert_eq!(ours(&guest, "lxc-cgroup", &["@NAME@", limit, "200M"]), ok);
    assert_same(&guest, "lxc-cgroup", &["@NAME@", limit]);
    assert_eq!(ours(&guest, "lxc-stop", &["@NAME@", "-k"]), ok);
    state("STOPPED");
    assert_eq!(ours(&guest, "lxc-stop", &["@NAME@"]).0, Some(2));
    guest.await_gone();
}

#[test]
fn json_says_what_the_text_says() {
    if !original_is_here() {
        return;
    }
    let guest = guest("toolsj");
    let json = |tool: &str, words: &[&str]| -> serde_json::Value {
        let (code, text) = ours(&guest, tool, words);
        assert_eq!(code, Some(0));
        serde_json::from_str(&text).unwrap()
    };
    let pid: i64 = ours(&guest, "lxc-info", &["@NAME@", "-pH"]).1.trim().parse().unwrap();
    let info = json("lxc-info", &["@NAME@", "--format=json"]);
    assert_eq!((&info["schema"], &info["version"]), (&"lxc-info".into(), &1.into()));
    assert_eq!((&info["state"], &info["pid"]), (&"RUNNING".into(), &pid.into()));
    let list = json("lxc-ls", &["--format=json"]);
    let found =
        list["containers"].as_array().unwrap().iter().find(|row| row["name"] == guest.name()).unwrap();
    assert_eq!(
        (&found["state"], &found["pid"], &found["defined"]),
        (&"RUNNING".into(), &pid.into(), &true.into())
    );
}
