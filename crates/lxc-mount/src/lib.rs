//! `lxc-mount`.
#![forbid(unsafe_code)]
