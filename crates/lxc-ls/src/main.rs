//! Entry point of `lxc-ls`.
fn main() {}
