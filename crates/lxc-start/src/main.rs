//! Entry point of `lxc-start`.
fn main() {}
