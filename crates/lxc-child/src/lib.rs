//! lxc-child
