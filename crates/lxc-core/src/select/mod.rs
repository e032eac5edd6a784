//! Finding containers: defined, active, by name, group and state.
