//! `lxc-monitor`.
#![forbid(unsafe_code)]
