//! What is read out of the kernel's answers. Pure.

use std::net::{IpAddr, Ipv6Addr};

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressAttribute;
use netlink_packet_route::link::{InfoBridge, InfoData, InfoKind, LinkAttribute, LinkInfo, LinkMessage};
use netlink_packet_route::nsid::NsidAttribute;

/// The facts about a link that anything here needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LinkFacts {
    pub(super) index: u32,
    pub(super) name: String,
    pub(super) mtu: u32,
    pub(super) mac: Vec<u8>,
    /// Index of the peer or parent, in whichever namespace that is.
    pub(super) peer: Option<u32>,
    /// A native bridge, and whether it filters VLANs with which default PVID.
    pub(super) bridge: Option<BridgeFacts>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct BridgeFacts {
    pub(super) vlan_filtering: bool,
    pub(super) default_pvid: u16,
}

impl LinkFacts {
    pub(super) fn read(message: &LinkMessage) -> LinkFacts {
        let mut facts = LinkFacts { index: message.header.index, ..LinkFacts::default() };
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => facts.name.clone_from(name),
                LinkAttribute::Mtu(mtu) => facts.mtu = *mtu,
                LinkAttribute::Address(mac) => facts.mac.clone_from(mac),
                LinkAttribute::Link(index) => facts.peer = Some(*index),
                LinkAttribute::LinkInfo(infos) if infos.contains(&LinkInfo::Kind(InfoKind::Bridge)) => {
                    let mut bridge = BridgeFacts::default();
                    for info in infos {
                        let LinkInfo::Data(InfoData::Bridge(data)) = info else { continue };
                        for item in data {
                            match item {
                                InfoBridge::VlanFiltering(on) => bridge.vlan_filtering = *on,
                                InfoBridge::VlanDefaultPvid(id) => bridge.default_pvid = *id,
                                _ => {}
                            }
                        }
                    }
                    facts.bridge = Some(bridge);
                }
                _ => {}
            }
        }
        facts
    }

    /// The link in an answer, if it is one.
    pub(super) fn of(message: &RouteNetlinkMessage) -> Option<LinkFacts> {
        match message {
            RouteNetlinkMessage::NewLink(link) => Some(LinkFacts::read(link)),
            _ => None,
        }
    }
}

/// An address in an answer: interface index and address (the local one of a point-to-point pair).
pub(super) fn address_of(message: &RouteNetlinkMessage) -> Option<(u32, IpAddr)> {
    let RouteNetlinkMessage::NewAddress(message) = message else { return None };
    let mut remote = None;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(addr) => return Some((message.header.index, *addr)),
            AddressAttribute::Address(addr) => remote = Some(*addr),
            _ => {}
        }
    }
    remote.map(|addr| (message.header.index, addr))
}

/// fe80::/10 or an IPv6 multicast address of link scope: meaningless without an interface.
pub(super) fn is_link_local(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(_) => false,
        IpAddr::V6(addr) => is_link_local6(addr),
    }
}

fn is_link_local6(addr: Ipv6Addr) -> bool {
    addr.is_unicast_link_local() || addr.octets().starts_with(&[0xff, 0x02])
}

/// What `auto` stands for: the first address of the family on the link, a global one before a link-local one.
pub(super) fn pick_gateway(addresses: &[(u32, IpAddr)], index: u32, ipv6: bool) -> Option<IpAddr> {
    let of_link = || addresses.iter().filter(|(at, addr)| *at == index && addr.is_ipv6() == ipv6);
    let global = of_link().find(|(_, addr)| !is_link_local(*addr));
    global.or_else(|| of_link().next()).map(|(_, addr)| *addr)
}

/// The id a namespace has in the asking one's, if any.
pub(super) fn netns_id_of(message: &RouteNetlinkMessage) -> Option<i32> {
    let RouteNetlinkMessage::NewNsId(message) = message else { return None };
    message.attributes.iter().find_map(|attribute| match attribute {
        NsidAttribute::Id(id) if *id >= 0 => Some(*id),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn automatic_gateways_prefer_global_addresses_of_the_right_link() {
        let parse = |text: &str| text.parse::<IpAddr>().expect("addr");
        let all = [
            (2, parse("fe80::1")),
            (3, parse("10.0.0.1")),
            (2, parse("10.9.0.1")),
            (2, parse("10.9.0.9")),
            (2, parse("fd00::1")),
        ];
        assert_eq!(pick_gateway(&all, 2, false), Some(parse("10.9.0.1")));
        assert_eq!(pick_gateway(&all, 2, true), Some(parse("fd00::1")));
        assert_eq!(pick_gateway(&all[..1], 2, true), Some(parse("fe80::1")));
        assert_eq!(pick_gateway(&all, 3, true), None);
    }
}
