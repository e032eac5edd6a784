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

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    /// `cargo xtask harden` runs this with the profile of releases: it is the profile that the test is about.
    #[test]
    fn arithmetic_that_overflows_is_a_panic() {
        let outcomes = [
            std::panic::catch_unwind(|| u64::from(black_box(u32::MAX) + black_box(1))),
            std::panic::catch_unwind(|| black_box(0u64) - black_box(1)),
            std::panic::catch_unwind(|| black_box(u64::MAX) * black_box(2)),
            // Generic code of std is compiled with the crate that uses it.
            std::panic::catch_unwind(|| black_box([u64::MAX, 1]).iter().sum()),
        ];
        assert!(outcomes.iter().all(Result::is_err), "{outcomes:?}");
    }
}
