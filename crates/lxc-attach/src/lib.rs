//! `lxc-attach`.
#![forbid(unsafe_code)]
