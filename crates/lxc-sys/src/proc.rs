//! Verified procfs descriptors and writes through them.
