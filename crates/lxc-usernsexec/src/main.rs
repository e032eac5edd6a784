//! Entry point of `lxc-usernsexec`.
#![forbid(unsafe_code)]

lxc_cli::main!(lxc_usernsexec);
