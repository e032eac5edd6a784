//! Entry point of the multi-call binary.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let argv0 = words.next().unwrap_or_default();
    lxc_multicall::main(&argv0, &words.collect::<Vec<_>>())
}
