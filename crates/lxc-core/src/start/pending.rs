//! Stand-in for seccomp until it lands; replaced in the next commits.

use lxc_sys::cred::SockFilter;

use crate::error::Result;

#[derive(Debug)]
#[allow(dead_code, reason = "stand-in")]
pub(super) struct Program {
    pub filters: Vec<SockFilter>,
    pub notify: bool,
}

pub(super) fn load(_: &std::path::Path, _: &lxc_conf::Settings) -> Result<Option<Program>> {
    Ok(None)
}
