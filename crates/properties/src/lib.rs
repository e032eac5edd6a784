//! What must hold for any input: one function a fuzz target, each panics when its property does not hold.
//!
//! The fuzzers in `fuzz/` feed them with what libFuzzer finds; the tests here with the committed corpora and with
//! mutations of those, on any toolchain. Not here: the engine (`fuzz/`), and tests that know what to expect of one
//! given input (beside the code).
#![forbid(unsafe_code)]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test: panicking is how a broken property is reported"
)]

pub mod cgroup;
pub mod command;
pub mod config;
pub mod define;
pub mod device;
pub mod filter;
pub mod idmap;
pub mod message;
pub mod mount_entry;
pub mod mountinfo;
pub mod mutate;
pub mod nicdb;
pub mod process;
pub mod seccomp;
pub mod subid;
pub mod usernet;
pub mod verdict;

/// A property with the name of its fuzz target, corpus and dictionary.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub name: &'static str,
    /// Panics when the property does not hold for the input.
    pub check: fn(&[u8]),
    /// Inputs are no longer than this.
    pub longest: usize,
}

/// All of them. `fuzz/Cargo.toml` has a program for each; a test compares.
pub const TARGETS: &[Target] = &[
    Target { name: "config", check: config::check, longest: 2048 },
    Target { name: "define", check: define::check, longest: 256 },
    Target { name: "mount_entry", check: mount_entry::check, longest: 512 },
    Target { name: "idmap", check: idmap::check, longest: 512 },
    Target { name: "seccomp", check: seccomp::check, longest: 1024 },
    Target { name: "usernet", check: usernet::check, longest: 512 },
    Target { name: "nicdb", check: nicdb::check, longest: 512 },
    Target { name: "subid", check: subid::check, longest: 512 },
    Target { name: "verdict", check: verdict::check, longest: 256 },
    Target { name: "command", check: command::check, longest: 600 },
    Target { name: "message", check: message::check, longest: 264 },
    Target { name: "mountinfo", check: mountinfo::check, longest: 1024 },
    Target { name: "cgroup", check: cgroup::check, longest: 1024 },
    Target { name: "device", check: device::check, longest: 128 },
    Target { name: "process", check: process::check, longest: 512 },
];

/// The text of an input, when it is text.
fn text(input: &[u8]) -> Option<&str> {
    std::str::from_utf8(input).ok()
}
