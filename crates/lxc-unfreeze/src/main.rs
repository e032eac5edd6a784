//! Entry point of `lxc-unfreeze`.
#![forbid(unsafe_code)]

lxc_cli::main!(lxc_unfreeze);
