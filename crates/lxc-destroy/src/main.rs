//! Entry point of `lxc-destroy`.
fn main() {}
