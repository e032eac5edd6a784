//! Entry point of `lxc-freeze`.
#![forbid(unsafe_code)]

lxc_cli::main!(lxc_freeze);
