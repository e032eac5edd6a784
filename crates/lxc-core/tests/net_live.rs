//! Network set-up and teardown in private network namespaces: a thread is the host, another namespace the container.
//!
//! Root only (skipped otherwise). The machine's own interfaces are never touched. Not here: the comparison with the
//! original (`net_compare.rs`).
#![allow(clippy::expect_used, reason = "a test: what cannot go on shall fail")]

#[path = "net_live/world.rs"]
mod world;

#[path = "net_live/failures.rs"]
mod failures;
#[path = "net_live/kinds.rs"]
mod kinds;
#[path = "net_live/reading.rs"]
mod reading;
#[path = "net_live/scripts.rs"]
mod scripts;
#[path = "net_live/unprivileged.rs"]
mod unprivileged;
#[path = "net_live/userns.rs"]
mod userns;
