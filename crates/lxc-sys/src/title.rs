//! The process title as ps(1) shows it.
