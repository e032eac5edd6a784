//! Entry point of `lxc-console`.
#![forbid(unsafe_code)]

lxc_cli::main!(lxc_console);
