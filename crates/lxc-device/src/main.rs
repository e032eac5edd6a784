//! Entry point of `lxc-device`.
#![forbid(unsafe_code)]

lxc_cli::main!(lxc_device);
