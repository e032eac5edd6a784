//! Hook command lines, their environment, and running them on the host.
