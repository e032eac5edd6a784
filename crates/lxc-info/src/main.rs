//! Entry point of `lxc-info`.
fn main() {}
