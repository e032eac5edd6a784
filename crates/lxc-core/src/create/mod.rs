//! Defining a new container.
