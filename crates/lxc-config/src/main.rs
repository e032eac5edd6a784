//! Entry point of `lxc-config`.
#![forbid(unsafe_code)]

lxc_cli::main!(lxc_config);
