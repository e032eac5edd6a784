//! The runtime of LXC containers.
//!
//! Layers, imports only downward: `error, paths, lock, log` < `host` < nouns (`idmap cgroup net rootfs mounts seccomp
//! lsm console hooks`) < `plan` < `command, state` < `start, attach, monitor, unshare` < `create, template, destroy, inject,
//! select` < `container`. Nouns never import each other. Nothing here prints, exits, or reads the environment outside
//! `host` and `paths`.
#![forbid(unsafe_code)]

pub mod attach;
pub mod cgroup;
pub mod command;
pub mod console;
pub mod container;
pub mod create;
pub mod destroy;
pub mod error;
pub mod hooks;
pub mod host;
pub mod idmap;
pub mod inject;
pub mod lock;
pub mod log;
pub mod lsm;
pub mod monitor;
pub mod mounts;
pub mod net;
pub mod paths;
pub mod plan;
pub mod rootfs;
pub mod seccomp;
pub mod select;
pub mod start;
pub mod state;
pub mod template;
pub mod unshare;

pub use container::Container;
pub use error::{Error, ErrorKind, Result, ResultExt};
