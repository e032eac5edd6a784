//! Seccomp policies: text to filter instructions.
//!
//! `compile` reads a policy file and returns what seccomp(2) takes. Not here: installing it (`lxc_sys::cred`, by the
//! child), answering notifications.

mod chain;
mod compile;
pub mod notify;
pub mod policy;

use std::path::Path;

use lxc_conf::model::{Origin, Settings};
use lxc_sys::cred::SockFilter;

use crate::error::{Error, ErrorKind, Result, ResultExt};
use policy::{Policy, Wrong};

/// A finished filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    pub filter: Vec<SockFilter>,
    /// Whether a rule asks a supervisor, so that the filter must be installed with a listener.
    pub notify: bool,
    /// Lines of the policy without effect here, for the log.
    pub warnings: Vec<String>,
}

/// What of the host decides about filters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeccompFacts {
    /// Whether pid 1 as seen from here runs under a filter: we are inside a container ourselves.
    pub init_is_filtered: bool,
}

impl SeccompFacts {
    /// Reads `Seccomp:` of `/proc/1/status`; unreadable counts as unfiltered.
    pub fn survey() -> SeccompFacts {
        let status = std::fs::read_to_string("/proc/1/status").unwrap_or_default();
        SeccompFacts { init_is_filtered: is_filtered(&status) }
    }
}

fn is_filtered(status: &str) -> bool {
    status
        .lines()
        .find_map(|line| line.strip_prefix("Seccomp:"))
        .is_some_and(|mode| !matches!(mode.trim(), "" | "0"))
}

/// Compiles the text of a policy for this host.
///
/// - Errors: the line to blame and what is wrong with it.
pub fn compile_text(text: &str) -> std::result::Result<Program, Wrong> {
    Policy::parse(text).and_then(|policy| compile::compile(&policy))
}

/// Compiles the policy file at `path` for this host.
///
/// - Shape: `None` when a filter is already in force here and `lxc.seccomp.allow_nesting` is off.
/// - Errors: `NotFound` and others for the file, with the line of `lxc.seccomp.profile`; `Config` with file and line of
///   the policy for everything that is wrong in it.
/// - Source: config.md §8; observed: filters and refusals of 5.0.2.
pub fn compile(path: &Path, settings: &Settings, facts: SeccompFacts) -> Result<Option<Program>> {
    if facts.init_is_filtered && !settings.seccomp.allow_nesting {
        tracing::warn!(
            "the seccomp policy {} is not applied: init is filtered already (see lxc.seccomp.allow_nesting)",
            path.display()
        );
        return Ok(None);
    }
    let text = std::fs::read(path).what(|| format!("read the seccomp policy {}", path.display()));
    let text = text.map_err(|error| {
        let origin = settings.origins.get("lxc.seccomp.profile").cloned().unwrap_or_default();
        error.at(&origin).cure("correct lxc.seccomp.profile, or clear it to run without a filter")
    })?;
    let file: std::sync::Arc<str> = path.to_string_lossy().into();
    let program = compile_text(&String::from_utf8_lossy(&text)).map_err(|wrong| {
        let origin = Origin { file: Some(file), line: wrong.line };
        Error::new(ErrorKind::Config, format!("seccomp policy {origin}: {}", wrong.what)).at(&origin)
    })?;
    for warning in &program.warnings {
        tracing::warn!("seccomp policy {}: {warning}", path.display());
    }
    tracing::debug!(
        "compiled the seccomp policy {} to {} instructions",
        path.display(),
        program.filter.len()
    );
    Ok(Some(program))
}

#[cfg(test)]
mod tests;
