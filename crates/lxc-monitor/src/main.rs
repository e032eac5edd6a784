//! Entry point of `lxc-monitor`.
fn main() {}
