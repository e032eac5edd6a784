//! Entry point of `lxc-config`.
fn main() {}
