//! Entry point of `lxc-wait`.
fn main() {}
