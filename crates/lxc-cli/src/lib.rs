//! What every command line of the suite shares, and only that: the common options, getopt_long's rules, help and
//! usage texts, exit codes, error lines, and the row a tool is described by.
//!
//! Not here: anything that knows what a container is (`lxc-core`), and the formatting of one tool's output.
//!
//! A tool crate is `#[derive(clap::Args)] struct Args` (its own options only, in the order of the manual page),
//! `pub fn command() -> clap::Command` made by [`command`], `pub const TOOL: Tool`, and a `main.rs` of one line:
//! `lxc_cli::main!(lxc_info);`.
#![forbid(unsafe_code)]

pub mod args;
pub mod exit;
pub mod help;
pub mod logging;
pub mod tool;

pub use args::{Common, command};
pub use tool::{Ctx, Names, Paths, Tool};

pub use clap;

/// Defines `main` of a tool crate whose library exports `TOOL`.
#[macro_export]
macro_rules! main {
    ($library:ident) => {
        fn main() -> std::process::ExitCode {
            $crate::tool::main(&$library::TOOL)
        }
    };
}

/// Defines `pub const TOOL: Tool` from the crate's `Args`, `command` and `run`.
///
/// `tool!("lxc-info")`, with more fields as for a struct update: `tool!("lxc-ls", names: Names::None)`.
#[macro_export]
macro_rules! tool {
    ($name:literal $(, $field:ident : $value:expr)* $(,)?) => {
        /// This tool's row: what `main` and the multi-call binary run.
        pub const TOOL: $crate::Tool = $crate::Tool {
            $($field: $value,)*
            ..$crate::Tool::new($name, command, |matches, ctx| {
                run(<Args as $crate::clap::FromArgMatches>::from_arg_matches(matches)?, ctx)
            })
        };
    };
}
