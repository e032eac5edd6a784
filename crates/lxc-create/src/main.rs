//! Entry point of `lxc-create`.
fn main() {}
