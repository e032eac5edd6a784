//! Everything that runs between clone(2) and execve(2).
//!
//! The rules of this crate: no allocation, no logging, no decision that the plan could have taken, no panic. A step
//! either succeeds or ends the process with a [`Fault`] on the handshake socket: the child reports, the parent speaks.
//! The scripts it executes are borrowed from memory of the parent that the clone copied.
#![no_std]
#![forbid(unsafe_code)]

pub mod attach;
pub mod attach_script;
pub mod confine;
pub mod dev;
pub mod hook;
pub mod init;
pub mod inject;
pub mod joiner;
pub mod mini_init;
pub mod mounts;
pub mod rootfs;
pub mod script;
pub mod sync;
pub mod transient;

pub use init::init;
pub use script::InitScript;
pub use sync::{Fault, Milestone, Msg, Parcel, Step};
