//! Entry point of `lxc-stop`.
fn main() {}
