//! Mounts injected into a running container (lxc-mount).
