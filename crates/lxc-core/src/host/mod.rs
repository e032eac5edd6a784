//! Facts of this machine and this caller, read once per process.
