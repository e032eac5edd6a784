//! Entry point of `lxc-destroy`.
lxc_cli::main!(lxc_destroy);
