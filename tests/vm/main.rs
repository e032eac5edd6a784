//! In the virtual machine of `cargo xtask vm`, as root: a distribution's kernel with systemd, AppArmor and cgroup2 only.
//! What this can show and a developer's machine cannot; everything else is in the other programs.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod machine;

/// These tests change the machine they run on.
fn inside() {
    assert!(std::env::var_os("LXC_VM").is_some(), "not on this machine: cargo xtask vm");
}
