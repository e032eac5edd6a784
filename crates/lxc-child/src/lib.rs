//! lxc-child
#![no_std]
#![forbid(unsafe_code)]

pub mod mini_init;
