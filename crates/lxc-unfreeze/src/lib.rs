//! `lxc-unfreeze`.
#![forbid(unsafe_code)]
