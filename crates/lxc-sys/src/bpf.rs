//! bpf(2): the device program of a cgroup.
