//! What the tests of containers share: throw-away containers, terminals and networks, driven through the tools only.
//!
//! Knows nothing of the product's crates, so the same test runs on the original (`LXC_UNDER_TEST=theirs`) and on ours.
//! Not for unit tests: everything here needs root and starts real containers.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "test support: a panic is how a test reports, and nothing here runs in a product"
)]

pub mod cgroup2;
pub mod guest;
pub mod leftovers;
pub mod names;
pub mod netns;
pub mod ordinary;
pub mod pty;
pub mod ratchet;
pub mod rootfs;
pub mod run;
pub mod subids;
pub mod subject;
pub mod system;
pub mod user_manager;
pub mod usernic;

pub use guest::{Guest, GuestBuilder};
pub use pty::Terminal;
pub use run::{Done, Run};
pub use subject::Subject;

use std::time::{Duration, Instant};

/// Asks `probe` every few milliseconds until it is true; false when `limit` has passed first.
pub fn eventually(limit: Duration, mut probe: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if probe() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
