//! Pairs of virtual ethernet devices: made, attached to a bridge or set up as the container's router.

use lxc_conf::model::{Gateway, UntaggedVlan, VethMode};
use rustix::io::Errno;

use crate::error::{Error, Result, ResultExt};

use super::answer::LinkFacts;
use super::inside::Inside;
use super::links::Link;
use super::plan::{LinkPlan, Veth};
use super::preflight::{check_vlans, pair_exists};
use super::request::{self, Ask, Route, Tagging, VethPair};
use super::setup::{Setup, unknown_type};
use super::undo::Undo;
use super::usernic::UserNic;
use super::{names, ovs, sysctl};

/// MTU of a veth that is attached to nothing and has none configured.
const DEFAULT_MTU: u32 = 1500;

/// How often a random host name may already be taken.
const ATTEMPTS: u32 = 8;

impl Setup<'_> {
    pub(super) fn veth(
        &self,
        link: &LinkPlan,
        veth: &Veth,
        name: &str,
        gateways: &[Option<Gateway>; 2],
        entry: &mut Link,
    ) -> Result<u32> {
        let bridge = veth.bridge().and_then(|bridge| self.facts.links.get(bridge));
        if let Some(bridge) = bridge {
            check_vlans(link, bridge)?;
        }
        let native = bridge.filter(|bridge| bridge.bridge.is_some());
        let mtu = link.mtu.or(bridge.map(|bridge| bridge.mtu)).unwrap_or(DEFAULT_MTU);
        let (facts, host_name) = self.veth_pair(link, veth, name, mtu, bridge, native, entry)?;
        entry.host_ifindex = Some(facts.index);
        if let Some(bridge) = bridge {
            // Before the end comes up, or it would get a link-local address for a moment. IPv6 routes need it on.
            if !veth.routes.iter().any(|route| route.addr.is_ipv6()) {
                sysctl::disable_ipv6(&host_name)?;
            }
            if native.is_none() {
                ovs::add_port(&bridge.name, &host_name, veth.vlan, &veth.vlan_tagged)?;
                entry.undo.push(Undo::OvsPort { bridge: bridge.name.clone(), port: host_name.clone() });
            }
        }
        let mut asks = Vec::new();
        if let Some(bridge) = native {
            vlans(veth, bridge, facts.index, &host_name, &mut asks);
            asks.push(request::raise(facts.index, &host_name));
        } else if bridge.is_some() {
            asks.push(request::raise(facts.index, &host_name));
        }
        if veth.mode == VethMode::Router {
            router(link, gateways, facts.index, &host_name, &mut asks)?;
        }
        for route in &veth.routes {
            let route = Route {
                destination: Some((route.addr, route.prefix)),
                gateway: None,
                ipv6: route.addr.is_ipv6(),
                index: facts.index,
            };
            asks.push(request::add_route(&route, &host_name));
        }
        self.rt.all(self.host, &asks)?;
        match facts.peer {
            Some(index) => Ok(index),
            // A kernel that does not report the peer's index.
            None => self.rt.link(self.inside, &request::link_named(name)).map(|facts| facts.index),
        }
    }

    /// Creates the pair, with another random name if the first is taken.
    #[allow(clippy::too_many_arguments, reason = "the parts of one request")]
    fn veth_pair(
        &self,
        link: &LinkPlan,
        veth: &Veth,
        name: &str,
        mtu: u32,
        bridge: Option<&LinkFacts>,
        native: Option<&LinkFacts>,
        entry: &mut Link,
    ) -> Result<(LinkFacts, String)> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let host_name = match &veth.pair {
                Some(pair) => pair.clone(),
                None => names::transient("veth")?,
            };
            let asks = [
                request::new_veth(&VethPair {
                    host: &host_name,
                    host_mac: request::host_mac(names::random()?),
                    host_up: bridge.is_none(),
                    master: native.map(|bridge| bridge.index),
                    peer: name,
                    peer_mac: link.hwaddr,
                    netns: self.netns,
                    mtu,
                    rx_queues: veth.rx_queues,
                    tx_queues: veth.tx_queues,
                }),
                request::link_named(&host_name),
            ];
            let mut answers = self.rt.ask(self.host, &asks)?.into_iter();
            match answers.next().unwrap_or(Err(Errno::IO)) {
                Err(Errno::EXIST) if veth.pair.is_none() && attempt < ATTEMPTS => continue,
                // EEXIST may also mean the name inside, but a new namespace has nothing but tunnels' fallback devices.
                Err(Errno::EXIST) if veth.pair.is_some() => return Err(pair_exists(link, &host_name)),
                created => created
                    .what(|| format!("create the veth pair {host_name} and {name}"))
                    .map_err(unknown_type)?,
            };
            entry.host_name = Some(host_name.clone());
            entry.undo.push(Undo::HostLink { name: host_name.clone() });
            let found =
                answers.next().unwrap_or(Err(Errno::IO)).what(|| format!("look up interface {host_name}"))?;
            let facts = found.iter().find_map(LinkFacts::of);
            let facts =
                facts.ok_or_else(|| Error::kernel(Errno::NODEV, format!("look up interface {host_name}")))?;
            return Ok((facts, host_name));
        }
    }

    /// A veth made by the helper, which knows nothing of MTU and MAC.
    pub(super) fn user_veth<'p>(
        &self,
        user: &UserNic,
        link: &'p LinkPlan,
        veth: &Veth,
        name: &str,
        gateways: [Option<Gateway>; 2],
        entry: &mut Link,
    ) -> Result<Inside<'p>> {
        let made = user.create(link, veth, name)?;
        if let Some(bridge) = veth.bridge().filter(|bridge| self.facts.is_foreign_bridge(bridge)) {
            entry.undo.push(Undo::UserPort {
                user: user.clone(),
                bridge: bridge.to_owned(),
                port: made.host.clone(),
            });
        }
        entry.host_name = Some(made.host);
        entry.host_ifindex = Some(made.host_index);
        entry.container_name.clone_from(&made.inside);
        entry.container_ifindex = made.inside_index;
        let first = (link.mtu.is_some() || link.hwaddr.is_some()).then(|| {
            request::set_link(
                made.inside_index,
                &made.inside,
                link.mtu,
                link.hwaddr.as_ref().map(<[u8; 6]>::as_slice),
            )
        });
        Ok(Inside { plan: link, index: made.inside_index, name: made.inside, gateways, first })
    }
}

/// Memberships of a port of a VLAN-filtering bridge; the kernel has already put it into the default one, untagged.
fn vlans(veth: &Veth, bridge: &LinkFacts, port: u32, name: &str, asks: &mut Vec<Ask>) {
    let default = bridge.bridge.map(|facts| facts.default_pvid).unwrap_or_default();
    match veth.vlan {
        Some(UntaggedVlan::Id(id)) if id != default => {
            if default != 0 {
                asks.push(request::delete_vlan(port, name, default));
            }
            asks.push(request::add_vlan(port, name, id, Tagging::Untagged));
        }
        Some(UntaggedVlan::None) if default != 0 => asks.push(request::delete_vlan(port, name, default)),
        _ => {}
    }
    asks.extend(veth.vlan_tagged.iter().map(|id| request::add_vlan(port, name, *id, Tagging::Tagged)));
}

/// The host end as the container's router: it answers for the gateways and knows the way to the addresses.
fn router(
    link: &LinkPlan,
    gateways: &[Option<Gateway>; 2],
    host: u32,
    host_name: &str,
    asks: &mut Vec<Ask>,
) -> Result<()> {
    for gateway in gateways.iter().flatten() {
        let Gateway::Addr(addr) = gateway else { continue };
        if addr.is_ipv6() {
            // Per-device forwarding does nothing for IPv6 unless it is on everywhere (ip-sysctl.rst).
            sysctl::require("ipv6", "all", "forwarding")?;
            sysctl::write("ipv6", host_name, "proxy_ndp", "1")?;
        }
        sysctl::write(sysctl::family(*addr), host_name, "forwarding", "1")?;
        asks.push(request::add_proxy(host, host_name, *addr));
    }
    for net in &link.addresses {
        asks.push(request::add_route(&Route::to_host(net.addr, host), host_name));
    }
    Ok(())
}
