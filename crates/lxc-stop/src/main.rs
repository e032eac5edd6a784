//! Entry point of `lxc-stop`.
#![forbid(unsafe_code)]

lxc_cli::main!(lxc_stop);
