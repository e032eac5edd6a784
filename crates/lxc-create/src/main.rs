//! Entry point of `lxc-create`.
lxc_cli::main!(lxc_create);
