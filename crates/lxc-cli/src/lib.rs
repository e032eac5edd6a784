//! lxc-cli
