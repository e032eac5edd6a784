//! `lxc-wait`.
#![forbid(unsafe_code)]
