//! Entry point of `lxc-cgroup`.
fn main() {}
