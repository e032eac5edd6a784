//! `lxc-create`.
#![forbid(unsafe_code)]
