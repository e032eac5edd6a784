//! `lxc-cgroup`.
#![forbid(unsafe_code)]
