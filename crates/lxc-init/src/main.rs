//! `init.lxc`: a minimal init for application containers.
fn main() {}
