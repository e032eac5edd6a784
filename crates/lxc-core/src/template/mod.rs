//! Running lxc-create templates.
