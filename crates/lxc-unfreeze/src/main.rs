//! Entry point of `lxc-unfreeze`.
fn main() {}
