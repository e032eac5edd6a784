//! Adopting a netlink socket that a child opened in its own network namespace.
