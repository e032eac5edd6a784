//! `lxc-ls`.
#![forbid(unsafe_code)]
