//! Entry point of `lxc-mount`.
#![forbid(unsafe_code)]

lxc_cli::main!(lxc_mount);
