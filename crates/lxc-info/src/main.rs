//! Entry point of `lxc-info`.
#![forbid(unsafe_code)]

lxc_cli::main!(lxc_info);
