//! Control groups of the monitor and of the payload, on v1, hybrid and v2 hosts.
