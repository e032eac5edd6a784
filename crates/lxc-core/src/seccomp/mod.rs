//! Seccomp policies: text to filter instructions.
