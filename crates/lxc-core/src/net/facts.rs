//! What set-up has to know about the host: bridges, parents, devices to take, addresses for `gateway = auto`.
//!
//! Read in one batch (and one more per kind of dump). Not here: the same questions before the clone (`preflight`).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use lxc_conf::model::Gateway;
use rustix::io::Errno;

use crate::error::{Result, ResultExt};

use super::answer::{LinkFacts, address_of, pick_gateway};
use super::names;
use super::plan::{LinkKind, LinkPlan, NetPlan, PhysLink};
use super::preflight::{missing, no_gateway};
use super::request;
use super::rt::{Conn, Rt};

/// What the host looks like, asked once for all links.
#[derive(Debug)]
pub(super) struct Facts {
    /// Bridges, parents and physical devices by name.
    pub(super) links: BTreeMap<String, LinkFacts>,
    /// The device a `phys` link takes, by N.
    pub(super) phys: BTreeMap<u32, LinkFacts>,
    /// Addresses, read only for `gateway = auto`.
    addresses: Vec<(u32, IpAddr)>,
}

impl Facts {
    pub(super) fn read(rt: &Rt, host: &Conn, plan: &NetPlan, netns: BorrowedFd<'_>) -> Result<Facts> {
        let prefix = |link: &&LinkPlan| matches!(&link.kind, LinkKind::Phys { link: PhysLink::Prefix(_) });
        let mut wanted: Vec<(&LinkPlan, String)> = Vec::new();
        for link in plan.links.iter().filter(|link| link.kind != LinkKind::Empty && !prefix(link)) {
            wanted.extend(link.link().map(|name| (link, name)));
        }
        let mut asks = vec![request::assign_netns_id(netns)];
        asks.extend(wanted.iter().map(|(_, name)| request::link_named(name)));
        let auto = plan
            .links
            .iter()
            .any(|link| link.gateway4 == Some(Gateway::Auto) || link.gateway6 == Some(Gateway::Auto));
        let mut answers = rt.ask(host, &asks)?.into_iter();
        match answers.next() {
            Some(Err(Errno::EXIST)) | Some(Ok(_)) | None => {}
            // Only readers of addresses profit from the id, and they can do without.
            Some(Err(errno)) => tracing::debug!(%errno, "the container's network namespace gets no id"),
        }
        let mut facts = Facts { links: BTreeMap::new(), phys: BTreeMap::new(), addresses: Vec::new() };
        for ((link, name), answer) in wanted.into_iter().zip(answers) {
            let found = match answer {
                Err(Errno::NODEV) => return Err(missing(link, &name)),
                answer => answer
                    .what(|| format!("look up interface {name}"))
                    .map_err(|error| error.at(&link.origin))?,
            };
            let found = found.iter().find_map(LinkFacts::of).ok_or_else(|| missing(link, &name))?;
            if matches!(link.kind, LinkKind::Phys { .. }) {
                facts.phys.insert(link.index, found.clone());
            }
            facts.links.insert(name, found);
        }
        if plan.links.iter().any(|link| prefix(&link)) {
            facts.find_prefixes(rt, host, plan)?;
        }
        // The kernel runs one dump per socket at a time, so this one has a batch of its own.
        if auto {
            let answers = rt.all(host, &[request::addresses(None)])?;
            facts.addresses = answers.iter().flatten().filter_map(address_of).collect();
        }
        Ok(facts)
    }

    /// Takes, for every `link = PREFIX+`, the newest device no other link has.
    ///
    /// COMPAT: the man page says the first; the original takes the one with the highest index.
    fn find_prefixes(&mut self, rt: &Rt, host: &Conn, plan: &NetPlan) -> Result<()> {
        let answers = rt.all(host, &[request::links(None)])?;
        let mut free: Vec<LinkFacts> = answers.iter().flatten().filter_map(LinkFacts::of).collect();
        free.sort_by_key(|found| found.index);
        free.retain(|found| !self.phys.values().any(|taken| taken.index == found.index));
        for link in &plan.links {
            let LinkKind::Phys { link: PhysLink::Prefix(prefix) } = &link.kind else { continue };
            let Some(at) = free.iter().rposition(|found| found.name.starts_with(prefix.as_str())) else {
                return Err(missing(link, &format!("{prefix}+")));
            };
            self.phys.insert(link.index, free.remove(at));
        }
        Ok(())
    }

    /// The link is there and no native bridge: an Open vSwitch one.
    pub(super) fn is_foreign_bridge(&self, name: &str) -> bool {
        self.links.get(name).is_some_and(|facts| facts.bridge.is_none())
    }

    /// Names inside, one per link.
    pub(super) fn names(&self, plan: &NetPlan) -> Vec<String> {
        let wanted = plan.links.iter().map(|link| match (&link.name, &link.kind) {
            (Some(name), _) => Some(name.as_str()),
            (None, LinkKind::Phys { .. }) => self.phys.get(&link.index).map(|found| found.name.as_str()),
            // Never used; must not take a number away from the others.
            (None, LinkKind::Empty) => Some(""),
            (None, _) => None,
        });
        names::inside(&wanted.collect::<Vec<_>>())
    }

    /// The link's gateways with `auto` looked up.
    pub(super) fn gateways(&self, link: &LinkPlan) -> Result<[Option<Gateway>; 2]> {
        let resolve = |gateway: &Option<Gateway>, ipv6| match gateway {
            Some(Gateway::Auto) => {
                let parent = link.link().unwrap_or_default();
                let index = self.links.get(&parent).map(|facts| facts.index).unwrap_or_default();
                match pick_gateway(&self.addresses, index, ipv6) {
                    Some(addr) => Ok(Some(Gateway::Addr(addr))),
                    None => Err(no_gateway(link, &parent, ipv6)),
                }
            }
            other => Ok(other.clone()),
        };
        Ok([resolve(&link.gateway4, false)?, resolve(&link.gateway6, true)?])
    }
}
