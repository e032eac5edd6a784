//! `lxc-multicall`: every tool in one binary, picked by argv[0] or argv[1].
fn main() {}
