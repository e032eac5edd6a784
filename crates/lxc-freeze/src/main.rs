//! Entry point of `lxc-freeze`.
fn main() {}
