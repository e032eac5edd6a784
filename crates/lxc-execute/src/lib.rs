//! `lxc-execute`.
#![forbid(unsafe_code)]
