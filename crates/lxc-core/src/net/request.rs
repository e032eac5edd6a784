//! The route messages this program sends, each with the words an error about it starts with. Pure.

use std::borrow::Cow;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use lxc_conf::model::{IpNet, IpvlanIsolation, IpvlanMode, MacvlanMode};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{
    AfSpecBridge, BridgeVlanInfo, BridgeVlanInfoFlags, InfoData, InfoVeth, IpVlanFlags, IpVlanMode,
    LinkAttribute, LinkExtentMask, LinkMessage, MacVlanMode,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage,
};
use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};
use netlink_packet_route::route::{
    RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use rtnetlink::packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST};
use rtnetlink::{LinkIpVlan, LinkMacVlan, LinkMessageBuilder, LinkUnspec, LinkVeth, LinkVlan};

use super::answer::Packet;
use super::plan::host_prefix;

/// One request of a batch.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) message: RouteNetlinkMessage,
    /// Header flags, `NLM_F_REQUEST` included.
    pub(super) flags: u16,
    /// Operation and object, for errors.
    pub(super) what: Cow<'static, str>,
}

impl Ask {
    /// The message for the encoder.
    pub(super) fn packet(&self) -> Packet {
        Packet::Request(Box::new(self.message.clone()))
    }

    /// The kernel answers with data only, or with an error.
    pub(super) fn is_query(&self) -> bool {
        self.flags & NLM_F_ACK == 0
    }
}

const CHANGE: u16 = NLM_F_REQUEST | NLM_F_ACK;
const CREATE: u16 = CHANGE | NLM_F_CREATE | NLM_F_EXCL;

fn ask(message: RouteNetlinkMessage, flags: u16, what: impl Into<Cow<'static, str>>) -> Ask {
    Ask { message, flags, what: what.into() }
}

/// Gives `netns` the next free id in the sender's namespace (rtnetlink `RTM_NEWNSID`).
pub(super) fn assign_netns_id(netns: BorrowedFd<'_>) -> Ask {
    let mut message = NsidMessage::default();
    message.attributes.push(NsidAttribute::Fd(netns.as_raw_fd() as u32));
    message.attributes.push(NsidAttribute::Id(-1));
    ask(RouteNetlinkMessage::NewNsId(message), CHANGE, "give the container's network namespace an id")
}

/// Asks which id `netns` has in the sender's namespace; -1 in the answer is none.
pub(super) fn netns_id(netns: BorrowedFd<'_>) -> Ask {
    let mut message = NsidMessage::default();
    message.attributes.push(NsidAttribute::Fd(netns.as_raw_fd() as u32));
    ask(RouteNetlinkMessage::GetNsId(message), NLM_F_REQUEST, "look up the id of a network namespace")
}

/// Counters are most of an answer's bytes and of no use here.
fn without_statistics() -> LinkAttribute {
    LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats])
}

/// Looks a link up by name.
pub(super) fn link_named(name: &str) -> Ask {
    let message = LinkUnspec::new_with_name(name).append_extra_attribute(without_statistics()).build();
    ask(RouteNetlinkMessage::GetLink(message), NLM_F_REQUEST, format!("look up interface {name}"))
}

/// Looks a link up by index.
pub(super) fn link_numbered(index: u32) -> Ask {
    let message = LinkUnspec::new_with_index(index).append_extra_attribute(without_statistics()).build();
    ask(RouteNetlinkMessage::GetLink(message), NLM_F_REQUEST, format!("look up interface number {index}"))
}

/// Lists every link, or those of the namespace with this id as seen from the sender's.
///
/// - Source: rtnetlink `IFLA_TARGET_NETNSID` (the number of `IFLA_IF_NETNSID`), Linux 4.16.
pub(super) fn links(netns_id: Option<i32>) -> Ask {
    let mut message = LinkMessage::default();
    message.attributes.push(without_statistics());
    message.attributes.extend(netns_id.map(LinkAttribute::IfNetnsId));
    ask(RouteNetlinkMessage::GetLink(message), NLM_F_REQUEST | NLM_F_DUMP, "list interfaces")
}

/// Lists every address, or those of the namespace with this id as seen from the sender's.
///
/// - Source: rtnetlink `IFA_TARGET_NETNSID`, Linux 4.20, with `NETLINK_GET_STRICT_CHK`.
pub(super) fn addresses(netns_id: Option<i32>) -> Ask {
    let mut message = AddressMessage::default();
    message.attributes.extend(netns_id.map(AddressAttribute::TargetNetNsId));
    ask(RouteNetlinkMessage::GetAddress(message), NLM_F_REQUEST | NLM_F_DUMP, "list addresses")
}

/// Both ends of a veth at once, the peer born in the container.
#[derive(Clone, Debug)]
pub(super) struct VethPair<'a> {
    pub(super) host: &'a str,
    pub(super) host_mac: [u8; 6],
    /// Bring the host end up at once.
    pub(super) host_up: bool,
    /// Index of the bridge.
    pub(super) master: Option<u32>,
    pub(super) peer: &'a str,
    pub(super) peer_mac: Option<[u8; 6]>,
    pub(super) netns: BorrowedFd<'a>,
    pub(super) mtu: u32,
    /// Of the container's end; the host's end gets them crossed.
    pub(super) rx_queues: Option<u32>,
    pub(super) tx_queues: Option<u32>,
}

pub(super) fn new_veth(pair: &VethPair<'_>) -> Ask {
    let mut peer = LinkUnspec::new_with_name(pair.peer).mtu(pair.mtu).setns_by_fd(pair.netns.as_raw_fd());
    let mut host = LinkVeth::new(pair.host, pair.peer).mtu(pair.mtu).address(pair.host_mac.to_vec());
    if let Some(mac) = pair.peer_mac {
        peer = peer.address(mac.to_vec());
    }
    if let Some(queues) = pair.rx_queues {
        peer = peer.append_extra_attribute(LinkAttribute::NumRxQueues(queues));
        host = host.append_extra_attribute(LinkAttribute::NumTxQueues(queues));
    }
    if let Some(queues) = pair.tx_queues {
        peer = peer.append_extra_attribute(LinkAttribute::NumTxQueues(queues));
        host = host.append_extra_attribute(LinkAttribute::NumRxQueues(queues));
    }
    if let Some(master) = pair.master {
        host = host.controller(master);
    }
    if pair.host_up {
        host = host.up();
    }
    let message = host.set_info_data(InfoData::Veth(InfoVeth::Peer(peer.build()))).build();
    let what = format!("create the veth pair {} and {}", pair.host, pair.peer);
    ask(RouteNetlinkMessage::NewLink(message), CREATE, what)
}

/// What macvlan, ipvlan and vlan have in common: a device born in the container on top of a host device.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stacked<'a> {
    pub(super) name: &'a str,
    /// Index of the parent on the host.
    pub(super) parent: u32,
    pub(super) parent_name: &'a str,
    pub(super) netns: BorrowedFd<'a>,
    pub(super) mtu: Option<u32>,
    pub(super) mac: Option<[u8; 6]>,
}

impl Stacked<'_> {
    fn finish<T>(&self, mut builder: LinkMessageBuilder<T>, word: &str) -> Ask {
        builder = builder.setns_by_fd(self.netns.as_raw_fd());
        if let Some(mtu) = self.mtu {
            builder = builder.mtu(mtu);
        }
        if let Some(mac) = self.mac {
            builder = builder.address(mac.to_vec());
        }
        let what = format!("create the {word} {} on {}", self.name, self.parent_name);
        ask(RouteNetlinkMessage::NewLink(builder.build()), CREATE, what)
    }
}

pub(super) fn new_macvlan(link: Stacked<'_>, mode: MacvlanMode) -> Ask {
    let mode = match mode {
        MacvlanMode::Private => MacVlanMode::Private,
        MacvlanMode::Vepa => MacVlanMode::Vepa,
        MacvlanMode::Bridge => MacVlanMode::Bridge,
        MacvlanMode::Passthru => MacVlanMode::Passthrough,
    };
    link.finish(LinkMacVlan::new(link.name, link.parent, mode), "macvlan")
}

pub(super) fn new_ipvlan(link: Stacked<'_>, mode: IpvlanMode, isolation: IpvlanIsolation) -> Ask {
    let mode = match mode {
        IpvlanMode::L2 => IpVlanMode::L2,
        IpvlanMode::L3 => IpVlanMode::L3,
        IpvlanMode::L3s => IpVlanMode::L3S,
    };
    let flags = match isolation {
        IpvlanIsolation::Bridge => IpVlanFlags::empty(),
        IpvlanIsolation::Private => IpVlanFlags::Private,
        IpvlanIsolation::Vepa => IpVlanFlags::Vepa,
    };
    link.finish(LinkIpVlan::new(link.name, link.parent, mode).flag(flags), "ipvlan")
}

pub(super) fn new_vlan(link: Stacked<'_>, id: u16) -> Ask {
    link.finish(LinkVlan::new(link.name, link.parent, id), "vlan")
}

/// Moves a device to another namespace and names it there.
pub(super) fn move_link(
    index: u32,
    old: &str,
    netns: BorrowedFd<'_>,
    new: &str,
    mtu: Option<u32>,
    mac: Option<[u8; 6]>,
) -> Ask {
    let mut builder = LinkUnspec::new_with_index(index).name(new).setns_by_fd(netns.as_raw_fd());
    if let Some(mtu) = mtu {
        builder = builder.mtu(mtu);
    }
    if let Some(mac) = mac {
        builder = builder.address(mac.to_vec());
    }
    let what = format!("move interface {old} to another namespace as {new}");
    ask(RouteNetlinkMessage::SetLink(builder.build()), CHANGE, what)
}

/// Gives a device an MTU and a MAC, as far as there are any.
pub(super) fn set_link(index: u32, name: &str, mtu: Option<u32>, mac: Option<&[u8]>) -> Ask {
    let mut builder = LinkUnspec::new_with_index(index);
    if let Some(mtu) = mtu {
        builder = builder.mtu(mtu);
    }
    if let Some(mac) = mac {
        builder = builder.address(mac.to_vec());
    }
    ask(RouteNetlinkMessage::SetLink(builder.build()), CHANGE, format!("set MTU and MAC of {name}"))
}

pub(super) fn raise(index: u32, name: &str) -> Ask {
    let message = LinkUnspec::new_with_index(index).up().build();
    ask(RouteNetlinkMessage::SetLink(message), CHANGE, format!("bring interface {name} up"))
}

pub(super) fn delete_link(index: u32, name: &str) -> Ask {
    let message = LinkUnspec::new_with_index(index).build();
    ask(RouteNetlinkMessage::DelLink(message), CHANGE, format!("delete interface {name}"))
}

fn family(addr: IpAddr) -> AddressFamily {
    if addr.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

pub(super) fn add_address(index: u32, name: &str, net: &IpNet) -> Ask {
    let mut message = AddressMessage::default();
    message.header.family = family(net.addr);
    message.header.prefix_len = net.prefix;
    message.header.index = index;
    message.attributes.push(AddressAttribute::Local(net.addr));
    message.attributes.push(AddressAttribute::Address(net.addr));
    message.attributes.extend(net.broadcast.map(AddressAttribute::Broadcast));
    let what = format!("add address {}/{} to {name}", net.addr, net.prefix);
    ask(RouteNetlinkMessage::NewAddress(message), CREATE, what)
}

/// Where packets go: `destination` `None` is the default route.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route {
    pub(super) destination: Option<(IpAddr, u8)>,
    pub(super) gateway: Option<IpAddr>,
    /// Family of the route; needed when neither address is given.
    pub(super) ipv6: bool,
    pub(super) index: u32,
}

impl Route {
    /// A single address behind the device.
    pub(super) fn to_host(addr: IpAddr, index: u32) -> Route {
        Route { destination: Some((addr, host_prefix(addr))), gateway: None, ipv6: addr.is_ipv6(), index }
    }

    fn message(&self) -> RouteMessage {
        let mut message = RouteMessage::default();
        message.header.address_family = if self.ipv6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.protocol = RouteProtocol::Boot;
        message.header.kind = RouteType::Unicast;
        message.header.scope = match (self.destination, self.gateway) {
            (Some(_), None) => RouteScope::Link,
            // COMPAT: also a default route without a gateway, where ip-route(8) would say `scope link`.
            _ => RouteScope::Universe,
        };
        if let Some((addr, prefix)) = self.destination {
            message.header.destination_prefix_length = prefix;
            message.attributes.push(RouteAttribute::Destination(addr.into()));
        }
        message.attributes.extend(self.gateway.map(|addr| RouteAttribute::Gateway(addr.into())));
        message.attributes.push(RouteAttribute::Oif(self.index));
        message
    }

    fn words(&self) -> String {
        let mut words = match self.destination {
            Some((addr, prefix)) => format!("route to {addr}/{prefix}"),
            None if self.ipv6 => "IPv6 default route".to_owned(),
            None => "IPv4 default route".to_owned(),
        };
        if let Some(gateway) = self.gateway {
            words.push_str(&format!(" via {gateway}"));
        }
        words
    }
}

pub(super) fn add_route(route: &Route, device: &str) -> Ask {
    let what = format!("add the {} on {device}", route.words());
    ask(RouteNetlinkMessage::NewRoute(route.message()), CREATE, what)
}

pub(super) fn delete_route(route: &Route, device: &str) -> Ask {
    let what = format!("delete the {} on {device}", route.words());
    ask(RouteNetlinkMessage::DelRoute(route.message()), CHANGE, what)
}

fn proxy(index: u32, addr: IpAddr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family(addr);
    message.header.ifindex = index;
    message.header.flags = NeighbourFlags::Proxy;
    message.header.kind = RouteType::Unicast;
    message.attributes.push(NeighbourAttribute::Destination(match addr {
        IpAddr::V4(addr) => NeighbourAddress::Inet(addr),
        IpAddr::V6(addr) => NeighbourAddress::Inet6(addr),
    }));
    message
}

/// Answers ARP or neighbour solicitations for `addr` on a device.
pub(super) fn add_proxy(index: u32, name: &str, addr: IpAddr) -> Ask {
    let what = format!("answer for {addr} on {name}");
    ask(RouteNetlinkMessage::NewNeighbour(proxy(index, addr)), CREATE, what)
}

pub(super) fn delete_proxy(index: u32, name: &str, addr: IpAddr) -> Ask {
    let what = format!("stop answering for {addr} on {name}");
    ask(RouteNetlinkMessage::DelNeighbour(proxy(index, addr)), CHANGE, what)
}

/// What a VLAN means on a bridge port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tagging {
    Untagged,
    Tagged,
}

fn bridge_vlan(index: u32, id: u16, flags: BridgeVlanInfoFlags) -> LinkMessage {
    let mut message = LinkUnspec::new_with_index(index).interface_family(AddressFamily::Bridge).build();
    message
        .attributes
        .push(LinkAttribute::AfSpecBridge(vec![AfSpecBridge::VlanInfo(BridgeVlanInfo { flags, vid: id })]));
    message
}

/// Makes a bridge port a member of a VLAN.
pub(super) fn add_vlan(index: u32, port: &str, id: u16, tagging: Tagging) -> Ask {
    let flags = match tagging {
        Tagging::Untagged => BridgeVlanInfoFlags::Pvid | BridgeVlanInfoFlags::Untagged,
        Tagging::Tagged => BridgeVlanInfoFlags::empty(),
    };
    let message = bridge_vlan(index, id, flags);
    ask(RouteNetlinkMessage::SetLink(message), CHANGE, format!("put bridge port {port} into vlan {id}"))
}

/// Takes a bridge port out of a VLAN.
pub(super) fn delete_vlan(index: u32, port: &str, id: u16) -> Ask {
    let message = bridge_vlan(index, id, BridgeVlanInfoFlags::empty());
    ask(RouteNetlinkMessage::DelLink(message), CHANGE, format!("take bridge port {port} out of vlan {id}"))
}

/// A locally administered unicast MAC for the host end of a veth.
///
/// - Shape: the first octet is `fe`: a bridge takes the lowest MAC of its ports as its own, and must not change it when
///   containers come and go.
pub(super) fn host_mac(random: [u8; 5]) -> [u8; 6] {
    let [a, b, c, d, e] = random;
    [0xfe, a, b, c, d, e]
}

#[cfg(test)]
mod tests;
