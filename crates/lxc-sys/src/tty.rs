//! Ptys, controlling terminals, window sizes.
