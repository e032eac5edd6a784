//! Entry point of `lxc-execute`.
#![forbid(unsafe_code)]

lxc_cli::main!(lxc_execute);
