//! Compliance: each test runs on the original (`LXC_UNDER_TEST=theirs`) and on ours, through the tools only.
//!
//! Written against the original first. What ours does not do yet is listed in `tests/expected-failures`.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod attach;
mod cgroups;
mod codes;
mod config;
mod create;
mod dev;
mod device;
mod execute;
mod failures;
mod freeze;
mod hooks;
mod idmap;
mod info;
mod init;
mod lifecycle;
mod logs;
mod ls;
mod monitor;
mod mounts;
mod net;
mod parallel;
mod seal;
#[cfg(target_arch = "x86_64")]
mod seccomp;
mod share;
mod system;
mod time;
mod unprivileged;
mod unshare;
mod usernic;
mod usernsexec;
mod wait;
