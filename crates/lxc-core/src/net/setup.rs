//! Making the links: the host's side of each, then the container's side of all.
//!
//! Context: monitor, in the host's network namespace, after the clone. Order per link as in the original: create,
//! attach, bring the host end up, l2proxy, script.up. Devices are born in the container's namespace under their final
//! names; only physical ones move.

use std::os::fd::{BorrowedFd, OwnedFd};

use lxc_conf::model::{Gateway, UntaggedVlan, VethMode};
use lxc_sys::netlink::open_route_socket;
use rustix::io::Errno;

use crate::error::{Error, ErrorKind, Result, ResultExt};

use super::answer::LinkFacts;
use super::facts::Facts;
use super::inside::{self, Inside};
use super::links::{Link, Links};
use super::plan::{LinkKind, LinkPlan, NetPlan, Veth};
use super::preflight::{check_l2proxy, check_vlans, missing, pair_exists};
use super::request::{self, Ask, Route, Stacked, Tagging, VethPair};
use super::rt::{Conn, Rt};
use super::script::{ScriptCall, ScriptKind, Scripts};
use super::undo::{self, Borrowed, LOOPBACK, Undo};
use super::{names, ovs, sysctl};

/// MTU of a veth that is attached to nothing and has none configured.
const DEFAULT_MTU: u32 = 1500;

/// How often a random host name may already be taken.
const ATTEMPTS: u32 = 8;

/// Where the links go.
#[derive(Debug)]
pub struct Target<'a> {
    /// The container's network namespace.
    pub netns: BorrowedFd<'a>,
    /// The route socket init opened in it, as root of its user namespace; `None` if the plan needs none.
    pub socket: Option<OwnedFd>,
}

/// Creates every link of the plan and configures both sides.
///
/// - Context: monitor, single-threaded, after init is in its namespaces and before it goes on.
/// - Errors: the first failure, with the configuration line; everything done so far is undone, and what of that failed
///   is named too.
pub fn configure(plan: &NetPlan, target: Target<'_>, scripts: &dyn Scripts) -> Result<Links> {
    let netns = target.netns;
    let mut made = Vec::new();
    match make(plan, target, scripts, &mut made) {
        Ok(()) => Ok(Links { links: made }),
        Err(error) => {
            let undo: Vec<_> = made.into_iter().map(|link| link.undo).collect();
            let failed = undo::replay(&undo, netns, scripts);
            if failed.is_empty() {
                return Err(error);
            }
            let failed: Vec<String> = failed.iter().map(Error::to_string).collect();
            Err(error.context(format!("set up the network (not undone: {})", failed.join("; "))))
        }
    }
}

fn make(plan: &NetPlan, target: Target<'_>, scripts: &dyn Scripts, made: &mut Vec<Link>) -> Result<()> {
    if !plan.needs_netlink() {
        for link in &plan.links {
            made.push(started(link));
            run_up(link, scripts, made)?;
        }
        return Ok(());
    }
    let socket = target.socket.ok_or_else(|| {
        Error::new(ErrorKind::Internal, "init sent no route socket for the network configuration")
    })?;
    let rt = Rt::new()?;
    let host = rt.connect(open_route_socket().what(|| "open a route socket")?)?;
    let inside = rt.connect(socket)?;
    let facts = Facts::read(&rt, &host, plan, target.netns)?;
    let names = facts.names(plan);
    let setup = Setup { rt: &rt, host: &host, inside: &inside, netns: target.netns, facts: &facts };
    let mut sides = Vec::new();
    for (link, name) in plan.links.iter().zip(names) {
        made.push(started(link));
        if link.kind != LinkKind::Empty {
            sides.push(setup.link(link, &name, made).map_err(|error| error.at(&link.origin))?);
        }
        run_up(link, scripts, made)?;
    }
    inside::configure(&rt, &inside, &sides, plan.raise_loopback)
}

fn started(link: &LinkPlan) -> Link {
    Link {
        index: link.index,
        type_word: link.type_word(),
        host_name: None,
        host_ifindex: None,
        container_name: String::new(),
        container_ifindex: 0,
        undo: Vec::new(),
    }
}

/// Runs `script.up` of the link made last; from then on its end runs `script.down`.
fn run_up(link: &LinkPlan, scripts: &dyn Scripts, made: &mut [Link]) -> Result<()> {
    let Some(entry) = made.last_mut() else { return Ok(()) };
    if let Some(call) = ScriptCall::new(ScriptKind::Up, link, entry.host_name.as_deref()) {
        scripts.run(&call).what(|| link.key("script.up")).map_err(|error| error.at(&link.origin))?;
    }
    entry.undo.extend(ScriptCall::new(ScriptKind::Down, link, entry.host_name.as_deref()).map(Undo::Script));
    Ok(())
}

/// Everything one link's set-up needs.
struct Setup<'a> {
    rt: &'a Rt,
    host: &'a Conn,
    inside: &'a Conn,
    netns: BorrowedFd<'a>,
    facts: &'a Facts,
}

impl Setup<'_> {
    /// Makes the host's side of a link and says what is to be done inside.
    fn link<'p>(&self, link: &'p LinkPlan, name: &str, made: &mut [Link]) -> Result<Inside<'p>> {
        let Some(entry) = made.last_mut() else {
            return Err(Error::new(ErrorKind::Internal, "no entry for the link being made"));
        };
        entry.container_name = name.to_owned();
        let gateways = self.facts.gateways(link)?;
        let stacked = |parent: &str| match self.facts.links.get(parent) {
            Some(facts) => Ok((facts.index, facts.name.clone())),
            None => Err(missing(link, parent)),
        };
        let index = match &link.kind {
            LinkKind::Empty => 0,
            LinkKind::Veth(veth) => self.veth(link, veth, name, &gateways, entry)?,
            LinkKind::Macvlan { parent, mode } => {
                let (parent, parent_name) = stacked(parent)?;
                self.born(
                    entry,
                    name,
                    request::new_macvlan(self.stacked(link, name, parent, &parent_name), *mode),
                )?
            }
            LinkKind::Ipvlan { parent, mode, isolation } => {
                let (parent, parent_name) = stacked(parent)?;
                let link = self.stacked(link, name, parent, &parent_name);
                self.born(entry, name, request::new_ipvlan(link, *mode, *isolation))?
            }
            LinkKind::Vlan { parent, id } => {
                let (parent, parent_name) = stacked(parent)?;
                self.born(
                    entry,
                    name,
                    request::new_vlan(self.stacked(link, name, parent, &parent_name), *id),
                )?
            }
            LinkKind::Phys { .. } => self.phys(link, name, entry)?,
        };
        entry.container_ifindex = index;
        if link.l2proxy {
            self.l2proxy(link, entry)?;
        }
        Ok(Inside { plan: link, index, name: name.to_owned(), gateways })
    }

    fn stacked<'n>(
        &'n self,
        link: &LinkPlan,
        name: &'n str,
        parent: u32,
        parent_name: &'n str,
    ) -> Stacked<'n> {
        Stacked { name, parent, parent_name, netns: self.netns, mtu: link.mtu, mac: link.hwaddr }
    }

    /// Creates a device that lives in the container only; its index there is the answer.
    fn born(&self, entry: &mut Link, name: &str, create: Ask) -> Result<u32> {
        self.rt.all(self.host, &[create]).map_err(unknown_type)?;
        entry.undo.push(Undo::InsideLink { index: None, name: name.to_owned() });
        let facts = self.rt.link(self.inside, &request::link_named(name))?;
        if let Some(Undo::InsideLink { index, .. }) = entry.undo.last_mut() {
            *index = Some(facts.index);
        }
        Ok(facts.index)
    }

    fn veth(
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

    fn phys(&self, link: &LinkPlan, name: &str, entry: &mut Link) -> Result<u32> {
        let Some(found) = self.facts.phys.get(&link.index) else {
            return Err(missing(link, &link.link().unwrap_or_default()));
        };
        entry.host_name = Some(found.name.clone());
        entry.host_ifindex = Some(found.index);
        let borrowed = Borrowed { host: found.clone(), inside_name: name.to_owned(), inside_index: None };
        entry.undo.push(Undo::Phys(borrowed));
        let moved = request::move_link(found.index, &found.name, self.netns, name, link.mtu, link.hwaddr);
        self.rt.all(self.host, &[moved]).map_err(|error| match error.errno() {
            Some(Errno::INVAL) => error.cure(
                "wireless devices and some virtual ones cannot leave their namespace this way (`ip link` shows \
                 netns-immutable)",
            ),
            _ => error,
        })?;
        let facts = self.rt.link(self.inside, &request::link_named(name))?;
        if let Some(Undo::Phys(borrowed)) = entry.undo.last_mut() {
            borrowed.inside_index = Some(facts.index);
        }
        Ok(facts.index)
    }

    /// Answers on the parent for the container's addresses.
    fn l2proxy(&self, link: &LinkPlan, entry: &mut Link) -> Result<()> {
        let parent = link.link().unwrap_or_default();
        let Some(facts) = self.facts.links.get(&parent) else { return Err(missing(link, &parent)) };
        check_l2proxy(link, &parent)?;
        let ipvlan = matches!(link.kind, LinkKind::Ipvlan { .. });
        for net in &link.addresses {
            if ipvlan {
                let route = Route::to_host(net.addr, LOOPBACK);
                self.rt.all(self.host, &[request::add_route(&route, "lo")])?;
                entry.undo.push(Undo::LoopbackRoute { addr: net.addr });
            }
            self.rt.all(self.host, &[request::add_proxy(facts.index, &parent, net.addr)])?;
            entry.undo.push(Undo::Proxy { index: facts.index, name: parent.clone(), addr: net.addr });
        }
        Ok(())
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

/// Says what EOPNOTSUPP means when a device is created.
fn unknown_type(error: Error) -> Error {
    match error.errno() {
        Some(Errno::OPNOTSUPP) => {
            error.cure("the kernel lacks this type of device; load its module with modprobe")
        }
        _ => error,
    }
}
