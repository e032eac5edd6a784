//! What is read out of the kernel's answers. Pure.
//!
//! Read by hand and only as far as needed: a full decoder refuses a message over one attribute it does not know, and
//! every kernel has some of those on some device. Requests are encoded by netlink-packet-route.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_route::RouteNetlinkMessage;
use rtnetlink::packet_core::{NetlinkDeserializable, NetlinkHeader, NetlinkSerializable};

/// A message either way: a request as it is sent, or what an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Packet {
    Request(Box<RouteNetlinkMessage>),
    Link(LinkFacts),
    /// Interface index and address (the local one of a point-to-point pair).
    Address(u32, IpAddr),
    /// The id a namespace has in the asking one's; negative for none.
    NetnsId(i32),
    /// Nothing anybody here asks for.
    Other,
}

// linux/rtnetlink.h
const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWNSID: u16 = 88;

impl NetlinkDeserializable for Packet {
    type Error = Infallible;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Packet, Infallible> {
        let packet = match header.message_type {
            RTM_NEWLINK => LinkFacts::read(payload).map(Packet::Link),
            RTM_NEWADDR => address(payload).map(|(index, addr)| Packet::Address(index, addr)),
            RTM_NEWNSID => netns_id(payload).map(Packet::NetnsId),
            _ => None,
        };
        Ok(packet.unwrap_or(Packet::Other))
    }
}

impl NetlinkSerializable for Packet {
    fn message_type(&self) -> u16 {
        match self {
            Packet::Request(message) => message.message_type(),
            // NLMSG_NOOP: answers are never sent.
            _ => 1,
        }
    }

    fn buffer_len(&self) -> usize {
        match self {
            Packet::Request(message) => message.buffer_len(),
            _ => 0,
        }
    }

    fn serialize(&self, buffer: &mut [u8]) {
        if let Packet::Request(message) = self {
            message.serialize(buffer);
        }
    }
}

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
    /// Reads an `ifinfomsg` and its attributes (linux/if_link.h).
    fn read(payload: &[u8]) -> Option<LinkFacts> {
        let (header, attributes) = payload.split_first_chunk::<16>()?;
        let [_, _, _, _, a, b, c, d, ..] = *header;
        let mut facts = LinkFacts { index: u32::from_ne_bytes([a, b, c, d]), ..LinkFacts::default() };
        for (kind, value) in Attributes(attributes) {
            match kind {
                1 => facts.mac = value.to_vec(),
                3 => facts.name = text(value),
                4 => facts.mtu = number(value)?,
                5 => facts.peer = Some(number(value)?),
                18 => facts.bridge = bridge(value),
                _ => {}
            }
        }
        Some(facts)
    }

    /// The link in an answer, if it is one.
    pub(super) fn of(packet: &Packet) -> Option<LinkFacts> {
        match packet {
            Packet::Link(facts) => Some(facts.clone()),
            _ => None,
        }
    }
}

/// `IFLA_LINKINFO` of a bridge.
fn bridge(info: &[u8]) -> Option<BridgeFacts> {
    Attributes(info).find(|(kind, value)| *kind == 1 && text(value) == "bridge")?;
    let mut facts = BridgeFacts::default();
    for (_, data) in Attributes(info).filter(|(kind, _)| *kind == 2) {
        for (kind, value) in Attributes(data) {
            match (kind, value) {
                (7, [on, ..]) => facts.vlan_filtering = *on != 0,
                (39, [a, b, ..]) => facts.default_pvid = u16::from_ne_bytes([*a, *b]),
                _ => {}
            }
        }
    }
    Some(facts)
}

/// Reads an `ifaddrmsg` and its attributes (linux/if_addr.h).
fn address(payload: &[u8]) -> Option<(u32, IpAddr)> {
    let (header, attributes) = payload.split_first_chunk::<8>()?;
    let [_, _, _, _, a, b, c, d] = *header;
    let index = u32::from_ne_bytes([a, b, c, d]);
    let mut found = None;
    for (kind, value) in Attributes(attributes) {
        match kind {
            // IFA_ADDRESS is the other end where there is an IFA_LOCAL.
            1 if found.is_none() => found = ip(value),
            2 => found = ip(value),
            _ => {}
        }
    }
    Some((index, found?))
}

/// Reads an `rtgenmsg` and `NETNSA_NSID` (linux/net_namespace.h).
fn netns_id(payload: &[u8]) -> Option<i32> {
    // One byte of family, padded.
    let attributes = payload.get(4..)?;
    let (_, value) = Attributes(attributes).find(|(kind, _)| *kind == 1)?;
    Some(number(value)?.cast_signed())
}

/// Type and value of each attribute; ends at the first that does not fit.
struct Attributes<'a>(&'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        // The two top bits are flags (NLA_F_NESTED, NLA_F_NET_BYTEORDER).
        const TYPE_MASK: u16 = 0x3fff;
        let (&[a, b, c, d], _) = self.0.split_first_chunk::<4>()?;
        let length = usize::from(u16::from_ne_bytes([a, b]));
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([c, d]) & TYPE_MASK, value))
    }
}

fn number(value: &[u8]) -> Option<u32> {
    value.first_chunk::<4>().map(|bytes| u32::from_ne_bytes(*bytes))
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

fn ip(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => value.first_chunk::<4>().map(|bytes| Ipv4Addr::from(*bytes).into()),
        16 => value.first_chunk::<16>().map(|bytes| Ipv6Addr::from(*bytes).into()),
        _ => None,
    }
}

/// The address in an answer, if it is one.
pub(super) fn address_of(packet: &Packet) -> Option<(u32, IpAddr)> {
    match packet {
        Packet::Address(index, addr) => Some((*index, *addr)),
        _ => None,
    }
}

/// The id in an answer, if the namespace has one.
pub(super) fn netns_id_of(packet: &Packet) -> Option<i32> {
    match packet {
        Packet::NetnsId(id) if *id >= 0 => Some(*id),
        _ => None,
    }
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

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut out = (value.len() as u16 + 4).to_ne_bytes().to_vec();
        out.extend_from_slice(&kind.to_ne_bytes());
        out.extend_from_slice(value);
        out.resize(out.len().next_multiple_of(4), 0);
        out
    }

    fn read(message_type: u16, payload: &[u8]) -> Packet {
        let mut header = NetlinkHeader::default();
        header.message_type = message_type;
        Packet::deserialize(&header, payload).unwrap_or(Packet::Other)
    }

    #[test]
    fn links_are_read_past_attributes_nobody_knows() {
        let mut payload = vec![0; 16];
        payload[4] = 7;
        payload.extend(attribute(0x3ffe, b"from the future"));
        payload.extend(attribute(3, b"br0\0"));
        payload.extend(attribute(4, &1400u32.to_ne_bytes()));
        let data = [attribute(7, &[1]), attribute(39, &5u16.to_ne_bytes())].concat();
        // NLA_F_NESTED on the type.
        payload.extend(attribute(18 | 0x8000, &[attribute(1, b"bridge\0"), attribute(2, &data)].concat()));
        let Packet::Link(facts) = read(RTM_NEWLINK, &payload) else { panic!("no link") };
        assert_eq!((facts.index, facts.name.as_str(), facts.mtu), (7, "br0", 1400));
        assert_eq!(facts.bridge, Some(BridgeFacts { vlan_filtering: true, default_pvid: 5 }));
    }

    #[test]
    fn the_local_end_of_a_pair_is_the_address() {
        let mut payload = vec![2, 32, 0, 0, 4, 0, 0, 0];
        payload.extend(attribute(1, &[10, 4, 4, 4]));
        payload.extend(attribute(2, &[10, 3, 3, 3]));
        assert_eq!(read(RTM_NEWADDR, &payload), Packet::Address(4, "10.3.3.3".parse().expect("addr")));
    }

    #[test]
    fn no_answer_makes_the_reader_fail() {
        // Cut short at every length, and with a length that lies.
        let mut payload = vec![0; 16];
        payload.extend(attribute(18, &attribute(1, b"bridge\0")));
        payload.extend(attribute(4, &1u32.to_ne_bytes()));
        for kind in [RTM_NEWLINK, RTM_NEWADDR, RTM_NEWNSID, 99] {
            for length in 0..payload.len() {
                read(kind, &payload[..length]);
            }
        }
        payload[16] = 0xff;
        assert!(matches!(read(RTM_NEWLINK, &payload), Packet::Link(_)));
        payload[16] = 0;
        assert!(matches!(read(RTM_NEWLINK, &payload), Packet::Link(_)));
    }
}
