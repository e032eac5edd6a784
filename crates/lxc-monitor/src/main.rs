//! Entry point of `lxc-monitor`.
#![forbid(unsafe_code)]

lxc_cli::main!(lxc_monitor);
