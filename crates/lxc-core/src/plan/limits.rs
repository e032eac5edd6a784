//! `lxc.prlimit.*`.

use lxc_conf::model::{Origin, Settings};

use crate::error::{Error, ErrorKind, Result};

/// One resource limit of init; `u64::MAX` is unlimited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    pub name: String,
    pub resource: u32,
    pub soft: u64,
    pub hard: u64,
    pub origin: Origin,
}

/// Names are not checked while parsing, only here.
pub(super) fn plan(settings: &Settings) -> Result<Vec<Limit>> {
    settings
        .prlimits
        .iter()
        .map(|limit| {
            let resource = lxc_conf::value::prlimit::resource(&limit.name).ok_or_else(|| {
                Error::new(ErrorKind::Config, format!("lxc.prlimit.{}: no such resource", limit.name))
                    .at(&limit.origin)
                    .cure("see setrlimit(2); names are lower case without RLIMIT_")
            })?;
            Ok(Limit {
                name: limit.name.clone(),
                resource,
                soft: limit.soft,
                hard: limit.hard,
                origin: limit.origin.clone(),
            })
        })
        .collect()
}
