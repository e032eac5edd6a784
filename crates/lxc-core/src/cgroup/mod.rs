//! Control groups of the monitor and of the payload, on v1, hybrid and v2 hosts.
//!
//! `survey()` → `Layout`; `plan()` → `CgroupPlan`; `Tree` carries it out and takes it back. `limit`, `freezer` and
//! `stats` work on one directory fd of a running container. No global state, nothing happens at load time.

mod apply;
mod cpulist;
pub mod devices;
mod dirs;
mod file;
pub mod freezer;
pub mod layout;
pub mod limit;
pub mod mounts;
pub mod plan;
mod prune;
#[cfg(feature = "systemd")]
pub mod scope;
pub mod serve;
pub mod stats;
mod translate;
pub mod tree;

pub use layout::{Hierarchy, Layout, LayoutKind, Version, survey};
pub use plan::{CgroupGlobals, CgroupPlan, plan};
pub use tree::Tree;
