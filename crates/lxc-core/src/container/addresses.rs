//! Interfaces and addresses of a running container.
//!
//! Not here: how they are read (`net`).

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, openat};

use super::Container;
use crate::error::{Result, ResultExt};
use crate::net::{Family, View, addresses as net_addresses, addresses_of, interfaces as net_interfaces};

/// Interfaces and addresses of a container, as `lxc-ls` shows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// `lo` is one of them.
    pub interfaces: Vec<String>,
    pub ipv4: Vec<String>,
    pub ipv6: Vec<String>,
}

impl Addresses {
    /// What is in the network namespace of a container's init.
    pub fn of_init(pid: i32) -> Result<Addresses> {
        let netns = netns_of(pid)?;
        let mut view = View::open(netns.as_fd())?;
        let interfaces = view.interfaces()?;
        let (ipv4, ipv6) = view.by_family()?;
        Ok(Addresses { interfaces, ipv4, ipv6 })
    }
}

/// The addresses `get_ips` without arguments gives, in the network namespace of a container's init.
pub fn ips_of_init(pid: i32) -> Result<Vec<String>> {
    net_addresses(netns_of(pid)?.as_fd(), Family::Both)
}

fn netns_of(pid: i32) -> Result<OwnedFd> {
    openat(CWD, format!("/proc/{pid}/ns/net"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .what(|| format!("open the network namespace of process {pid}"))
}

impl Container {
    /// Names of the interfaces in the container's network namespace, sorted (`get_interfaces`).
    pub fn interfaces(&self) -> Result<Vec<String>> {
        net_interfaces(self.netns()?.as_fd())
    }

    /// Addresses of all interfaces but `lo`, without link-local ones (`get_ips` without arguments).
    pub fn ips(&self) -> Result<Vec<String>> {
        net_addresses(self.netns()?.as_fd(), Family::Both)
    }

    /// Addresses of one interface or of all, of one family or of both (`get_ips`).
    pub fn ips_of(&self, interface: Option<&str>, family: Family) -> Result<Vec<String>> {
        let netns = self.netns()?;
        match interface {
            Some(interface) => addresses_of(netns.as_fd(), interface, family),
            None => net_addresses(netns.as_fd(), family),
        }
    }

    /// Interfaces and addresses in one go.
    pub fn addresses(&self) -> Result<Addresses> {
        Addresses::of_init(self.init_pid()?.ok_or_else(|| self.not_running())?)
    }

    pub(super) fn netns(&self) -> Result<OwnedFd> {
        netns_of(self.init_pid()?.ok_or_else(|| self.not_running())?)
    }
}
