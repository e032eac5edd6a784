//! Entry point of `lxc-ls`.
#![forbid(unsafe_code)]

lxc_cli::main!(lxc_ls);
