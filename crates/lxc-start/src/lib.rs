//! `lxc-start`.
#![forbid(unsafe_code)]
