//! Entry point of `lxc-wait`.
#![forbid(unsafe_code)]

lxc_cli::main!(lxc_wait);
