//! `lxc-config`.
#![forbid(unsafe_code)]
