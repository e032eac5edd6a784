//! What the set-uid helper lxc-user-nic is made of. A library only so that tests and fuzz targets reach its parsers.
//!
//! The rules of this crate: no environment, no option parser, no thread, no panic; nothing of the caller's is opened with
//! more rights than the caller has; every decision is taken on structures, never on text.
#![forbid(unsafe_code)]

pub mod caller;
pub mod create;
pub mod delete;
pub mod link;
pub mod netns;
pub mod nicdb;
pub mod ovs;
pub mod request;
pub mod rtnl;
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

/// Build-time directories; the same settings as `lxc_core::paths`.
const SYSCONFDIR: &str = match option_env!("LXC_SYSCONFDIR") {
    Some(dir) => dir,
    None => "/etc",
};
const RUNTIMEDIR: &str = match option_env!("LXC_RUNTIMEDIR") {
    Some(dir) => dir,
    None => "/run",
};

/// The administrator's rules, lxc-usernet(5).
pub fn usernet_file() -> String {
    format!("{SYSCONFDIR}/lxc/lxc-usernet")
}

/// The record of what was handed out.
pub fn database_file() -> String {
    format!("{RUNTIMEDIR}/lxc/nics")
}
