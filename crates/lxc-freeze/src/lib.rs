//! `lxc-freeze`.
#![forbid(unsafe_code)]
