//! `lxc-console`.
#![forbid(unsafe_code)]
