//! Live: what only ours does, or does better. Runs our tools as root; the original takes no part.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod clocks;
mod device;
mod explain;
mod exposed;
mod extra;
mod idmap;
mod json;
mod mount;
mod seal;
mod share;
mod unprivileged;
mod usernic;
