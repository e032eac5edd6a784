//! Addresses and interfaces of a container, for lxc-info and lxc-ls: no fork, no runtime, one socket.

use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use crate::error::Result;

use super::answer::{LinkFacts, Packet, address_of, is_link_local, netns_id_of};
use super::raw::Route;
use super::request::{self, Ask};
use super::undo::LOOPBACK;

/// Which addresses are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    #[default]
    Both,
    Inet,
    Inet6,
}

/// A network namespace, read through one route socket.
///
/// From here by the namespace's id in ours where the kernel can (Linux 4.20); else a socket is opened in there.
#[derive(Debug)]
pub struct View<'a> {
    netns: BorrowedFd<'a>,
    route: Route,
    /// Its id in the namespace of the socket; `None` = it is the socket's own.
    target: Option<i32>,
}

impl<'a> View<'a> {
    /// Opens the socket and finds, or gives, the namespace's id.
    ///
    /// - Context: anywhere, in any thread; CAP_NET_ADMIN over the namespace, or what setns(2) asks for.
    /// - Errors: `Permission` when the namespace may not be entered.
    pub fn open(netns: BorrowedFd<'a>) -> Result<View<'a>> {
        let mut route = Route::open()?;
        if is_own(netns) {
            return Ok(View { netns, route, target: None });
        }
        match id_of(&mut route, netns) {
            Some(id) => Ok(View { netns, route, target: Some(id) }),
            None => View::inside(netns),
        }
    }

    /// Until Linux 4.20 is the floor, and for who may not administer the namespaces: visits it.
    fn inside(netns: BorrowedFd<'a>) -> Result<View<'a>> {
        Ok(View { netns, route: Route::open_in(netns)?, target: None })
    }

    fn ask(&mut self, ask: impl Fn(Option<i32>) -> Ask) -> Result<Vec<Packet>> {
        match self.route.one(&ask(self.target)) {
            Err(_) if self.target.is_some() => {
                *self = View::inside(self.netns)?;
                self.route.one(&ask(None))
            }
            answer => answer,
        }
    }

    fn links(&mut self) -> Result<Vec<LinkFacts>> {
        Ok(self.ask(request::links)?.iter().filter_map(LinkFacts::of).collect())
    }

    /// The names of all interfaces, `lo` included, sorted.
    pub fn interfaces(&mut self) -> Result<Vec<String>> {
        let mut names: Vec<String> = self.links()?.into_iter().map(|link| link.name).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Every address with the index of its interface.
    fn all(&mut self) -> Result<Vec<(u32, IpAddr)>> {
        Ok(self.ask(request::addresses)?.iter().filter_map(address_of).collect())
    }

    /// IPv4 and IPv6 addresses apart, as [`addresses`] gives them.
    pub fn by_family(&mut self) -> Result<(Vec<String>, Vec<String>)> {
        let all = self.all()?;
        let of = |family| texts(all.iter().filter(|(index, _)| *index != LOOPBACK), family);
        Ok((of(Family::Inet), of(Family::Inet6)))
    }
}

/// The addresses in a network namespace as lxc-info(1) `-i` and lxc-ls(1) print them.
///
/// - Shape: without those of `lo` and without IPv6 link-local ones, each once, sorted as text (so `9.9.9.9` follows
///   `2001:db8::1`).
/// - Context, errors: as for [`View::open`].
/// - Source: observed on 5.0.2 `lxc-info -iH`, `lxc-ls -f`.
pub fn addresses(netns: BorrowedFd<'_>, family: Family) -> Result<Vec<String>> {
    let all = View::open(netns)?.all()?;
    Ok(texts(all.iter().filter(|(index, _)| *index != LOOPBACK), family))
}

/// The addresses of one interface, `lo` included; otherwise as [`addresses`].
pub fn addresses_of(netns: BorrowedFd<'_>, interface: &str, family: Family) -> Result<Vec<String>> {
    let mut view = View::open(netns)?;
    let Some(link) = view.links()?.into_iter().find(|link| link.name == interface) else {
        return Ok(Vec::new());
    };
    let all = view.all()?;
    Ok(texts(all.iter().filter(|(index, _)| *index == link.index), family))
}

/// The names of all interfaces in a network namespace, `lo` included, sorted.
pub fn interfaces(netns: BorrowedFd<'_>) -> Result<Vec<String>> {
    View::open(netns)?.interfaces()
}

fn texts<'a>(addresses: impl Iterator<Item = &'a (u32, IpAddr)>, family: Family) -> Vec<String> {
    let mut texts: Vec<String> = addresses
        .map(|(_, addr)| *addr)
        .filter(|addr| !is_link_local(*addr))
        .filter(|addr| family == Family::Both || addr.is_ipv4() == (family == Family::Inet))
        .map(|addr| addr.to_string())
        .collect();
    texts.sort_unstable();
    texts.dedup();
    texts
}

/// The namespace's id in that of the socket, given now if it had none.
fn id_of(route: &mut Route, netns: BorrowedFd<'_>) -> Option<i32> {
    route.check_strictly().ok()?;
    let mut ask = || route.one(&request::netns_id(netns)).ok()?.iter().find_map(netns_id_of);
    if let Some(id) = ask() {
        return Some(id);
    }
    route.one(&request::assign_netns_id(netns)).ok()?;
    route.one(&request::netns_id(netns)).ok()?.iter().find_map(netns_id_of)
}

/// A container that shares our namespace: it has no id in itself.
fn is_own(netns: BorrowedFd<'_>) -> bool {
    let own = rustix::fs::stat("/proc/thread-self/ns/net");
    let that = rustix::fs::fstat(netns);
    matches!((own, that), (Ok(own), Ok(that)) if (own.st_dev, own.st_ino) == (that.st_dev, that.st_ino))
}
