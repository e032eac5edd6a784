//! Entry point of `lxc-cgroup`.
#![forbid(unsafe_code)]

lxc_cli::main!(lxc_cgroup);
