//! The OPTIONS sections of a tool's page. Not the prose around them.

use anyhow::Result;
use clap::Command;

/// The tool's own options, then the common ones, as man(7) text with their headings.
pub(crate) fn section(command: &Command) -> Result<String> {
    let mut bytes = Vec::new();
    clap_mangen::Man::new(command.clone()).render_options_section(&mut bytes)?;
    let text = String::from_utf8(bytes)?;
    // A tool without options of its own has only the common ones.
    Ok(text.replace(".SH COMMON OPTIONS", ".SH \"COMMON OPTIONS\""))
}
