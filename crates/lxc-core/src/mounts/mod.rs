//! lxc.mount.* turned into mount operations.
