//! Entry point of `lxc-attach`.
#![forbid(unsafe_code)]

lxc_cli::main!(lxc_attach);
