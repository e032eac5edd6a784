//! What the set-uid helper lxc-user-nic is made of. A library only so that tests and fuzz targets reach its parsers.
//!
//! The rules of this crate: no environment, no option parser, no thread, no panic; nothing of the caller's is opened with
//! more rights than the caller has; every decision is taken on structures, never on text.
#![forbid(unsafe_code)]

pub mod nicdb;
pub mod usernet;

/// Why nothing was done; the text for the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(pub String);

impl Refusal {
    pub(crate) fn new(text: impl Into<String>) -> Refusal {
        Refusal(text.into())
    }
}

/// `Err` is one line for standard error, exit code 1.
pub type Result<T> = std::result::Result<T, Refusal>;
