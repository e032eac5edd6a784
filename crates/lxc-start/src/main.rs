//! Entry point of `lxc-start`.
#![forbid(unsafe_code)]

lxc_cli::main!(lxc_start);
