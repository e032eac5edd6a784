//! `lxc-stop`.
#![forbid(unsafe_code)]
