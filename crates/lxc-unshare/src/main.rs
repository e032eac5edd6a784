//! Entry point of `lxc-unshare`.
#![forbid(unsafe_code)]

lxc_cli::main!(lxc_unshare);
