//! The tracing subscriber that writes the original's log line format.
