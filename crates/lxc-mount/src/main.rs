//! Entry point of `lxc-mount`.
fn main() {}
