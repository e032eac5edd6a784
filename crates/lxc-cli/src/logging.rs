//! The logging options of a command line (`-o`, `-l`, `-q`), handed to the log.
//!
//! Not here: writing log lines (`lxc_core::log`).

use std::ffi::OsStr;

use lxc_core::log::{LogSetup, init};

use crate::Ctx;

/// Starts logging as the command line says; without `-o` and `-l` only errors on stderr.
///
/// - Errors: the file of `-o` cannot be written.
pub fn start(ctx: &Ctx) -> lxc_core::Result<()> {
    let text = |value: Option<&OsStr>| value.map(|value| value.to_string_lossy().into_owned());
    let (file, level) = (text(ctx.logfile()), text(ctx.logpriority()));
    init(&LogSetup {
        program: ctx.tool(),
        name: Some(ctx.name()).filter(|name| !name.is_empty()),
        lxcpath: ctx.lxcpath(),
        file: file.as_deref(),
        level: level.as_deref(),
        quiet: ctx.quiet(),
    })
}
