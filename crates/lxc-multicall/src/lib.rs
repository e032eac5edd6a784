//! `lxc-multicall`: every tool in one file, chosen by the name it is called by or by its first word.
//!
//! Packages hard-link it under each tool's name: programs that attach a profile to `/usr/bin/lxc-start` see that path.
//! Never in here: the setuid helper, the init that runs inside containers, and lxc-monitord.
#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use lxc_cli::{Tool, exit, tool};

/// Every tool, by name. Written by hand; a test checks it against the crates.
pub const TOOLS: &[Tool] = &[
    lxc_attach::TOOL,
    lxc_cgroup::TOOL,
    lxc_config::TOOL,
    lxc_console::TOOL,
    lxc_create::TOOL,
    lxc_destroy::TOOL,
    lxc_device::TOOL,
    lxc_execute::TOOL,
    lxc_freeze::TOOL,
    lxc_info::TOOL,
    lxc_ls::TOOL,
    lxc_monitor::TOOL,
    lxc_mount::TOOL,
    lxc_start::TOOL,
    lxc_stop::TOOL,
    lxc_unfreeze::TOOL,
    lxc_unshare::TOOL,
    lxc_usernsexec::TOOL,
    lxc_wait::TOOL,
];

/// The tool called `name`, with or without `lxc-`.
pub fn find(name: &str) -> Option<&'static Tool> {
    TOOLS.iter().find(|tool| tool.name == name || tool.name.strip_prefix("lxc-") == Some(name))
}

/// Runs the tool that `argv0` or the first word names.
pub fn main(argv0: &OsStr, words: &[OsString]) -> ExitCode {
    let called = Path::new(argv0).file_name().and_then(OsStr::to_str).unwrap_or_default();
    if let Some(tool) = TOOLS.iter().find(|tool| tool.name == called) {
        return tool::start(tool, argv0, words);
    }
    let Some((first, rest)) = words.split_first() else {
        explain(called);
        return ExitCode::from(exit::FAILURE);
    };
    match first.to_str().and_then(find) {
        Some(tool) => tool::start(tool, OsStr::new(tool.name), rest),
        None if first == "--version" => {
            let version = env!("CARGO_PKG_VERSION");
            use std::io::Write;
            match writeln!(std::io::stdout().lock(), "{version}") {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::from(exit::FAILURE),
            }
        }
        None if first == "-h" || first == "--help" => {
            explain(called);
            ExitCode::from(exit::FAILURE)
        }
        None => {
            exit::plain(format_args!("Unsupported command '{}'", first.display()));
            list();
            ExitCode::from(exit::FAILURE)
        }
    }
}

fn explain(called: &str) {
    exit::plain(format_args!(
        "Usage: {called} TOOL [WORD…]\n\nRuns one of the LXC tools; also by a link named lxc-TOOL.\n"
    ));
    list();
}

fn list() {
    exit::plain("Known commands:");
    for tool in TOOLS {
        exit::plain(format_args!("  {}", tool.name.strip_prefix("lxc-").unwrap_or(tool.name)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_found_by_both_names() {
        assert_eq!(find("lxc-ls").map(|tool| tool.name), Some("lxc-ls"));
        assert_eq!(find("ls").map(|tool| tool.name), Some("lxc-ls"));
        assert!(find("lx").is_none());
    }

    /// Every crate with a library named `lxc-…` that exports a tool is in the table, sorted.
    #[test]
    fn every_tool_crate_is_in_the_table() {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut found: Vec<String> = std::fs::read_dir(crates)
            .unwrap()
            .filter_map(|entry| {
                let path = entry.unwrap().path();
                let lib = std::fs::read_to_string(path.join("src/lib.rs")).ok()?;
                let name = path.file_name()?.to_str()?.to_owned();
                let is_tool = lib.contains("lxc_cli::tool!(") || lib.contains("pub const TOOL: Tool");
                (is_tool && !["lxc-cli", "lxc-multicall"].contains(&name.as_str())).then_some(name)
            })
            .collect();
        found.sort();
        let table: Vec<&str> = TOOLS.iter().map(|tool| tool.name).collect();
        assert_eq!(table, found);
    }

    #[test]
    fn every_definition_is_sound() {
        for tool in TOOLS {
            let command = (tool.command)();
            assert_eq!(command.get_name(), tool.name);
            command.debug_assert();
        }
    }
}
