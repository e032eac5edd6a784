//! Removing a container.
