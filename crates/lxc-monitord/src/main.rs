//! `lxc-monitord`: fans state changes of the containers of one lxcpath out to listeners.
#![forbid(unsafe_code)]
fn main() {}
