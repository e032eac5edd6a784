//! Entry point of `lxc-attach`.
fn main() {}
