//! `lxc-destroy`.
#![forbid(unsafe_code)]
