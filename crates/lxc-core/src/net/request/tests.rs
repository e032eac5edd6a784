//! Wire bytes of the requests for types and bridges this kernel may lack, against what the original was seen to send.

use std::fs::File;
use std::os::fd::AsFd;

use rtnetlink::packet_core::{NetlinkHeader, NetlinkMessage, NetlinkPayload};

use super::*;

/// The payload after the netlink header.
fn bytes(ask: &Ask) -> (u16, Vec<u8>) {
    let payload = NetlinkPayload::InnerMessage(ask.message.clone());
    let mut message = NetlinkMessage::new(NetlinkHeader::default(), payload);
    message.finalize();
    let mut buffer = vec![0; message.buffer_len()];
    message.serialize(&mut buffer);
    (message.header.message_type, buffer.split_off(16))
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

const LINKINFO: u16 = 18;

/// An attribute: length, type, value, padding.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&(value.len() as u16 + 4).to_ne_bytes());
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(value);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

fn stacked<'a>(netns: &'a File, name: &'a str) -> Stacked<'a> {
    Stacked { name, parent: 4, parent_name: "eth0", netns: netns.as_fd(), mtu: None, mac: None }
}

#[test]
fn ipvlan_mode_and_isolation_match_the_original() {
    let netns = File::open("/proc/self/ns/net").expect("netns");
    // Seen from 5.0.2 for l3s + vepa: nla 6/1 value 2, nla 6/2 value 2.
    let (_, sent) = bytes(&new_ipvlan(stacked(&netns, "eth0"), IpvlanMode::L3s, IpvlanIsolation::Vepa));
    assert!(
        contains(&sent, b"\x06\x00\x01\x00\x02\x00\x00\x00\x06\x00\x02\x00\x02\x00\x00\x00"),
        "{sent:02x?}"
    );
    assert!(contains(&sent, b"ipvlan"));
    let (_, sent) = bytes(&new_ipvlan(stacked(&netns, "eth0"), IpvlanMode::L2, IpvlanIsolation::Private));
    assert!(
        contains(&sent, b"\x06\x00\x01\x00\x00\x00\x00\x00\x06\x00\x02\x00\x01\x00\x00\x00"),
        "{sent:02x?}"
    );
}

#[test]
fn vlan_ids_match_the_original() {
    let netns = File::open("/proc/self/ns/net").expect("netns");
    let (kind, sent) = bytes(&new_vlan(stacked(&netns, "eth0"), 7));
    assert_eq!(kind, 16);
    assert!(contains(&sent, b"\x06\x00\x01\x00\x07\x00"), "{sent:02x?}");
    assert!(contains(&sent, &attribute(5, &4u32.to_ne_bytes())), "IFLA_LINK: {sent:02x?}");
    let fd = std::os::fd::AsRawFd::as_raw_fd(&netns) as u32;
    assert!(contains(&sent, &attribute(28, &fd.to_ne_bytes())), "IFLA_NET_NS_FD: {sent:02x?}");
}

#[test]
fn macvlan_modes_are_the_kernels() {
    let netns = File::open("/proc/self/ns/net").expect("netns");
    for (mode, value) in [
        (MacvlanMode::Private, 1u8),
        (MacvlanMode::Vepa, 2),
        (MacvlanMode::Bridge, 4),
        (MacvlanMode::Passthru, 8),
    ] {
        let (_, sent) = bytes(&new_macvlan(stacked(&netns, "eth0"), mode));
        assert!(contains(&sent, &attribute(1, &[value, 0, 0, 0])), "{mode:?}: {sent:02x?}");
    }
}

#[test]
fn a_veth_pair_is_one_message_with_its_queues_crossed() {
    let netns = File::open("/proc/self/ns/net").expect("netns");
    let ask = new_veth(&VethPair {
        host: "vethX",
        host_mac: [0xfe, 1, 2, 3, 4, 5],
        host_up: true,
        master: Some(9),
        peer: "eth0",
        peer_mac: Some([0, 0x16, 0x3e, 1, 2, 3]),
        netns: netns.as_fd(),
        mtu: 1400,
        rx_queues: Some(2),
        tx_queues: Some(3),
    });
    let (kind, sent) = bytes(&ask);
    assert_eq!(kind, 16);
    assert_eq!(ask.flags, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
    let at =
        sent.windows(4).position(|window| window[2..4] == LINKINFO.to_ne_bytes()).expect("IFLA_LINKINFO");
    let (host, peer) = sent.split_at(at);
    assert_eq!(host.get(8..12), Some(1u32.to_ne_bytes().as_slice()), "IFF_UP in ifi_flags");
    assert!(contains(host, &attribute(10, &9u32.to_ne_bytes())), "IFLA_MASTER");
    assert!(contains(host, &attribute(1, &[0xfe, 1, 2, 3, 4, 5])), "IFLA_ADDRESS");
    assert!(
        contains(host, &attribute(31, &2u32.to_ne_bytes()))
            && contains(host, &attribute(32, &3u32.to_ne_bytes()))
    );
    assert!(
        contains(peer, &attribute(32, &2u32.to_ne_bytes()))
            && contains(peer, &attribute(31, &3u32.to_ne_bytes()))
    );
    assert!(contains(peer, &attribute(1, &[0, 0x16, 0x3e, 1, 2, 3])));
    assert!(contains(peer, &attribute(4, &1400u32.to_ne_bytes())), "IFLA_MTU of the peer");
}

#[test]
fn addresses_routes_and_proxies_match_the_original() {
    let net = IpNet { addr: "10.9.0.2".parse().expect("addr"), prefix: 24, broadcast: None };
    let (kind, sent) = bytes(&add_address(2, "eth0", &net));
    assert_eq!(kind, 20);
    assert_eq!(
        sent,
        b"\x02\x18\x00\x00\x02\x00\x00\x00\x08\x00\x02\x00\x0a\x09\x00\x02\x08\x00\x01\x00\x0a\x09\x00\x02"
    );
    let gateway = "10.9.0.1".parse().expect("addr");
    let default = Route { destination: None, gateway: Some(gateway), ipv6: false, index: 2 };
    let (kind, sent) = bytes(&add_route(&default, "eth0"));
    assert_eq!(kind, 24);
    assert_eq!(
        sent,
        b"\x02\x00\x00\x00\xfe\x03\x00\x01\x00\x00\x00\x00\x08\x00\x05\x00\x0a\x09\x00\x01\x08\x00\x04\x00\x02\x00\x00\x00"
    );
    let (_, sent) = bytes(&add_route(&Route::to_host("169.254.1.1".parse().expect("addr"), 2), "eth0"));
    assert_eq!(
        sent,
        b"\x02\x20\x00\x00\xfe\x03\xfd\x01\x00\x00\x00\x00\x08\x00\x01\x00\xa9\xfe\x01\x01\x08\x00\x04\x00\x02\x00\x00\x00"
    );
    let (kind, sent) = bytes(&add_proxy(5, "vethX", "169.254.1.1".parse().expect("addr")));
    assert_eq!(kind, 28);
    assert_eq!(sent, b"\x02\x00\x00\x00\x05\x00\x00\x00\x00\x00\x08\x01\x08\x00\x01\x00\xa9\xfe\x01\x01");
}

#[test]
fn bridge_vlans_go_through_the_bridge_family() {
    // linux/if_bridge.h: BRIDGE_VLAN_INFO_PVID 2, UNTAGGED 4; RTM_SETLINK 19, RTM_DELLINK 17; AF_BRIDGE 7.
    let (kind, sent) = bytes(&add_vlan(5, "vethX", 7, Tagging::Untagged));
    assert_eq!((kind, sent.first()), (19, Some(&7)));
    assert!(contains(&sent, &attribute(26, &attribute(2, &[6, 0, 7, 0]))), "{sent:02x?}");
    let (kind, sent) = bytes(&add_vlan(5, "vethX", 8, Tagging::Tagged));
    assert_eq!(kind, 19);
    assert!(contains(&sent, &attribute(26, &attribute(2, &[0, 0, 8, 0]))), "{sent:02x?}");
    let (kind, sent) = bytes(&delete_vlan(5, "vethX", 1));
    assert_eq!(kind, 17);
    assert!(contains(&sent, &attribute(26, &attribute(2, &[0, 0, 1, 0]))), "{sent:02x?}");
}
