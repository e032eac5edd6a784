//! Interop: the original's tools on containers of our monitor, and ours on containers of the original's.
#![forbid(unsafe_code)]

mod pairs;
