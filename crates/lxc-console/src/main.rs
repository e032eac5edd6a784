//! Entry point of `lxc-console`.
fn main() {}
