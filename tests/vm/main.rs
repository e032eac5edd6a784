//! In the virtual machine of `cargo xtask vm`, as root: a distribution's kernel with systemd, AppArmor and cgroup2 only.
//! What this can show and a developer's machine cannot; everything else is in the other programs.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod apparmor;
mod debian;
mod devices;
mod limits;
mod login;
mod machine;
mod nested;
mod unprivileged;

use std::fs;
use std::path::PathBuf;

use testkit::Guest;

/// These tests change the machine they run on.
fn inside() {
    assert!(std::env::var_os("LXC_VM").is_some(), "not on this machine: cargo xtask vm");
}

/// Directory of the container's control group, as the machine sees it.
fn cgroup(guest: &Guest) -> PathBuf {
    let text = fs::read_to_string(format!("/proc/{}/cgroup", guest.pid())).unwrap();
    let path = text.lines().find_map(|line| line.strip_prefix("0::/")).expect("a cgroup2").to_owned();
    // What init puts itself into below is its own affair.
    let path = path.strip_suffix("/init.scope").unwrap_or(&path).to_owned();
    PathBuf::from("/sys/fs/cgroup").join(path)
}

/// A file of the container's control group.
fn read(guest: &Guest, file: &str) -> String {
    let path = cgroup(guest).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The number behind a word of such a file (`oom_kill 3`).
fn number(guest: &Guest, file: &str, word: &str) -> u64 {
    let text = read(guest, file);
    let line = text.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {word} in {file}: {text}")).trim().parse().unwrap()
}
