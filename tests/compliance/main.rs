//! Compliance: each test runs on the original (`LXC_UNDER_TEST=theirs`) and on ours, through the tools only.
//!
//! Written against the original first. What ours does not do yet is listed in `tests/expected-failures`.
#![forbid(unsafe_code)]

mod attach;
mod codes;
mod execute;
mod freeze;
mod info;
mod lifecycle;
mod ls;
mod monitor;
mod wait;
