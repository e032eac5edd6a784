//! The process that stays with a container while it runs.
