//! Attacks: what a hostile root file system, a process in a container or another user of the machine tries, and must not get.
//!
//! Each test is named after the CVE (of LXC or of another runtime) whose trick it plays, and looks at the machine
//! afterwards, not at messages. Runs on ours and on the original (`LXC_UNDER_TEST=theirs`); what the original lets happen
//! is listed in `tests/expected-failures` and in `docs/attacks.md`. Not for what only fails to work.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod cgroups_sealed;
mod descriptors;
mod evidence;
mod identity;
mod injection;
mod nodes;
mod planted;
mod probe;
mod procfs;
mod programs;
mod shape;
mod shipped;
mod sockets;
mod targets;
mod terminals;
mod titles;
mod usernic;
