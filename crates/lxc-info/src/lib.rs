//! `lxc-info`.
#![forbid(unsafe_code)]
