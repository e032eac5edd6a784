//! Addresses and interfaces of a container, for lxc-info and lxc-ls: no fork, no runtime, one dump.

use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use crate::error::Result;

use super::answer::{address_of, is_link_local, netns_id_of};
use super::raw::Route;
use super::request;
use super::undo::LOOPBACK;

/// Which addresses are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    #[default]
    Both,
    Inet,
    Inet6,
}

/// The addresses in a network namespace as lxc-info(1) `-i` and lxc-ls(1) print them.
///
/// - Shape: without those of `lo` and without IPv6 link-local ones, each once, sorted as text (so `9.9.9.9` follows
///   `2001:db8::1`).
/// - Context: anywhere, in any thread; CAP_NET_ADMIN over the namespace, or what setns(2) asks for.
/// - Errors: `Permission` when the namespace may not be entered.
/// - Source: observed on 5.0.2 `lxc-info -iH`, `lxc-ls -f`.
pub fn addresses(netns: BorrowedFd<'_>, family: Family) -> Result<Vec<String>> {
    let mut texts: Vec<String> = dump(netns)?
        .into_iter()
        .filter(|(index, addr)| *index != LOOPBACK && !is_link_local(*addr))
        .filter(|(_, addr)| match family {
            Family::Both => true,
            Family::Inet => addr.is_ipv4(),
            Family::Inet6 => addr.is_ipv6(),
        })
        .map(|(_, addr)| addr.to_string())
        .collect();
    texts.sort_unstable();
    texts.dedup();
    Ok(texts)
}

/// The addresses of one interface, `lo` included; otherwise as [`addresses`].
pub fn addresses_of(netns: BorrowedFd<'_>, interface: &str, family: Family) -> Result<Vec<String>> {
    let mut route = Route::open_in(netns)?;
    let Some(link) = route.link(&request::link_named(interface))? else { return Ok(Vec::new()) };
    let all = route.one(&request::addresses(None))?;
    let mut texts: Vec<String> = all
        .iter()
        .filter_map(address_of)
        .filter(|(index, addr)| *index == link.index && !is_link_local(*addr))
        .filter(|(_, addr)| family == Family::Both || addr.is_ipv4() == (family == Family::Inet))
        .map(|(_, addr)| addr.to_string())
        .collect();
    texts.sort_unstable();
    texts.dedup();
    Ok(texts)
}

/// The names of all interfaces in a network namespace, `lo` included, sorted.
pub fn interfaces(netns: BorrowedFd<'_>) -> Result<Vec<String>> {
    let mut names: Vec<String> = Route::open_in(netns)?.links()?.into_iter().map(|link| link.name).collect();
    names.sort_unstable();
    Ok(names)
}

/// Every address with the index of its interface.
///
/// A namespace that has an id in ours is dumped from here; another is visited.
fn dump(netns: BorrowedFd<'_>) -> Result<Vec<(u32, IpAddr)>> {
    let mut route = Route::open()?;
    if route.check_strictly().is_ok()
        && let Ok(answer) = route.one(&request::netns_id(netns))
        && let Some(id) = answer.iter().find_map(netns_id_of)
        && let Ok(messages) = route.one(&request::addresses(Some(id)))
    {
        return Ok(messages.iter().filter_map(address_of).collect());
    }
    let messages = Route::open_in(netns)?.one(&request::addresses(None))?;
    Ok(messages.iter().filter_map(address_of).collect())
}
