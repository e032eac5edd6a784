//! Entry point of `lxc-execute`.
fn main() {}
