//! Closing ranges, descriptor passing, memfds.
