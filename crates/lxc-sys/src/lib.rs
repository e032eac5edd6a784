//! The system calls that nix and rustix lack or spell as unsafe, as safe functions.
//!
//! The only crate besides `liblxc` that may contain unsafe code. No policy, no strings made up, no allocation in
//! functions that a child between clone and exec may call (they say so in a **Context** line). What rustix already
//! offers safely is re-exported as `lxc_sys::rustix`, so that `lxc-child` depends on this crate alone.
#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks, clippy::multiple_unsafe_ops_per_block)]

pub use rustix;

pub mod bpf;
pub mod clone;
pub mod cred;
pub mod exec;
pub mod fd;
#[cfg(feature = "full")]
pub mod lock;
pub mod memory;
pub mod mount;
pub mod names;
pub mod netlink;
#[cfg(feature = "full")]
pub mod notify;
pub mod ns;
pub mod pidfd;
pub mod proc;
pub mod reap;
pub mod regex;
pub mod seal;
pub mod signal;
pub mod sigpipe;
#[cfg(feature = "full")]
pub mod socket;
pub mod title;
pub mod tree;
pub mod tty;
