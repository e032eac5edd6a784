//! Tests of the network planner.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use lxc_conf::model::Item;

use super::*;

const ROOT: HostFacts = HostFacts { privileged: true };

fn nic(kind: NicType) -> Nic {
    Nic { kind, origin: Origin { file: Some(Arc::from("/c/config")), line: 7 }, ..Nic::default() }
}

fn settings(nics: &[Nic]) -> Settings {
    let mut settings = Settings::default();
    for (index, nic) in nics.iter().enumerate() {
        settings.nics.insert(index as u32, nic.clone());
    }
    settings
}

fn v4(addr: [u8; 4], prefix: u8) -> IpNet {
    IpNet { addr: IpAddr::V4(Ipv4Addr::from(addr)), prefix, broadcast: None }
}

fn planned(nics: &[Nic]) -> NetPlan {
    plan(&settings(nics), &ROOT).expect("plan")
}

fn refused(nic: &Nic) -> Error {
    plan(&settings(std::slice::from_ref(nic)), &ROOT).expect_err("must be refused")
}

#[test]
fn no_nic_at_all_means_an_own_namespace_with_lo_down() {
    let plan = planned(&[]);
    assert_eq!(plan.netns, NetNs::Own);
    assert!(!plan.raise_loopback && !plan.needs_netlink() && !plan.child_raises_loopback());
    assert_eq!(plan.to_string(), "net: new namespace\n");
}

#[test]
fn empty_raises_lo_only_with_flags_up_and_without_netlink() {
    assert!(!planned(&[nic(NicType::Empty)]).raise_loopback);
    let plan = planned(&[Nic { up: true, ..nic(NicType::Empty) }]);
    assert!(plan.child_raises_loopback() && !plan.needs_netlink());
    assert_eq!(plan.to_string(), "net: new namespace\nnet 0: empty up [/c/config:7]\nnet lo: up (by init)\n");
}

#[test]
fn none_alone_shares_the_host_and_beside_others_is_ignored() {
    assert_eq!(planned(&[nic(NicType::None)]).netns, NetNs::Host);
    let plan = planned(&[nic(NicType::None), nic(NicType::Veth)]);
    assert_eq!(plan.netns, NetNs::Own);
    assert_eq!(plan.links.len(), 1);
}

#[test]
fn kept_and_shared_namespaces_ignore_every_nic() {
    let mut kept = settings(&[nic(NicType::Veth)]);
    kept.namespaces.keep = Some(vec![Ns::Net]);
    assert_eq!(plan(&kept, &ROOT).expect("plan").netns, NetNs::Host);
    let mut shared = settings(&[nic(NicType::Veth)]);
    shared.namespaces.share[Ns::Net as usize] = Some(Item { value: "1".into(), origin: Origin::default() });
    let plan = plan(&shared, &ROOT).expect("plan");
    assert_eq!(plan.netns, NetNs::Shared);
    assert!(plan.links.is_empty());
}

#[test]
fn a_full_veth_prints_every_decision() {
    let nic = Nic {
        link: Some("lxcbr0".into()),
        up: true,
        name: Some("eth0".into()),
        hwaddr: Some("00:16:3e:0a:0b:0c".into()),
        mtu: Some("1400".into()),
        ipv4: vec![IpNet { broadcast: Some(Ipv4Addr::new(10, 0, 3, 255)), ..v4([10, 0, 3, 2], 24) }],
        ipv4_gateway: Some(Gateway::Auto),
        ipv6: vec![IpNet { addr: IpAddr::V6(Ipv6Addr::LOCALHOST), prefix: 64, broadcast: None }],
        ipv6_gateway: Some(Gateway::Dev),
        script_up: Some("/bin/up x".into()),
        veth_rx_queues: Some(2),
        veth_routes4: vec![v4([10, 9, 0, 0], 16)],
        veth_vlan: Some(UntaggedVlan::Id(5)),
        veth_vlan_tagged: vec![6],
        ..nic(NicType::Veth)
    };
    assert_eq!(
        planned(&[nic]).to_string(),
        "net: new namespace\n\
         net 0: veth host=vethXXXXXX bridge=lxcbr0 rx-queues=2 untagged-vlan=5 tagged-vlan=6 \
         host-route=10.9.0.0/16 name=eth0 mac=00:16:3e:0a:0b:0c mtu=1400 address=10.0.3.2/24+10.0.3.255 \
         address=::1/64 ipv4-gateway=auto ipv6-gateway=dev up script.up=\"/bin/up x\" [/c/config:7]\n\
         net lo: up\n"
    );
}

#[test]
fn the_other_types_print_what_they_use() {
    let link = Some("eth1".to_owned());
    let plan = planned(&[
        Nic { link: link.clone(), macvlan_mode: MacvlanMode::Bridge, ..nic(NicType::Macvlan) },
        Nic { link: link.clone(), ..nic(NicType::Ipvlan) },
        Nic { link: link.clone(), vlan_id: 42, ..nic(NicType::Vlan) },
        Nic { link: Some("wan+".into()), ..nic(NicType::Phys) },
    ]);
    let text = plan.to_string();
    assert!(text.contains("net 0: macvlan parent=eth1 mode=bridge name=eth%d ["), "{text}");
    assert!(text.contains("net 1: ipvlan parent=eth1 mode=l2 isolation=bridge name=eth%d ["), "{text}");
    assert!(text.contains("net 2: vlan parent=eth1 id=42 name=eth%d ["), "{text}");
    assert!(text.contains("net 3: phys device=wan+ name=its own ["), "{text}");
}

#[test]
fn gateways_need_an_address_and_the_link_up() {
    let with = |up, ipv4: Vec<IpNet>| Nic {
        up,
        ipv4,
        link: Some("br0".into()),
        ipv4_gateway: Some(Gateway::Dev),
        ..nic(NicType::Veth)
    };
    let error = refused(&with(false, vec![v4([10, 0, 0, 2], 8)]));
    assert!(error.to_string().contains("flags = up"), "{error}");
    assert_eq!(error.origin().map(|origin| origin.line), Some(7));
    assert!(refused(&with(true, Vec::new())).to_string().contains("ipv4.address"));
    assert!(plan(&settings(&[with(true, vec![v4([10, 0, 0, 2], 8)])]), &ROOT).is_ok());
}

#[test]
fn automatic_gateways_need_a_link_of_the_right_type() {
    let auto = |kind, link: Option<&str>| Nic {
        up: true,
        link: link.map(str::to_owned),
        ipv4: vec![v4([10, 0, 0, 2], 8)],
        ipv4_gateway: Some(Gateway::Auto),
        ..nic(kind)
    };
    assert!(
        refused(&auto(NicType::Phys, Some("eth0"))).to_string().contains("only for types veth and macvlan")
    );
    assert!(refused(&auto(NicType::Veth, None)).to_string().contains("needs lxc.net.0.link"));
    assert!(plan(&settings(&[auto(NicType::Macvlan, Some("eth0"))]), &ROOT).is_ok());
}

#[test]
fn parents_are_required_where_the_kernel_requires_them() {
    for kind in [NicType::Macvlan, NicType::Ipvlan, NicType::Vlan, NicType::Phys] {
        assert!(refused(&nic(kind)).to_string().contains("lxc.net.0.link is not set"), "{kind:?}");
    }
    assert!(plan(&settings(&[nic(NicType::Veth)]), &ROOT).is_ok());
}

#[test]
fn unusable_values_are_found_before_anything_exists() {
    for hwaddr in ["zz:11", "00:16:3e:00:00", "00:16:3e:00:00:00:00", "01:16:3e:00:00:00"] {
        assert_eq!(
            refused(&Nic { hwaddr: Some(hwaddr.into()), ..nic(NicType::Veth) }).kind(),
            ErrorKind::Config
        );
    }
    assert!(refused(&Nic { mtu: Some("abc".into()), ..nic(NicType::Veth) }).to_string().contains("mtu"));
    for name in ["sixteen_letters_", "a/b", "", "..", "a b"] {
        assert!(refused(&Nic { name: Some(name.into()), ..nic(NicType::Veth) }).to_string().contains("name"));
    }
    assert!(refused(&Nic { name: Some("lo".into()), ..nic(NicType::Veth) }).to_string().contains("loopback"));
}

#[test]
fn names_are_unique_on_each_side() {
    let named = |name: &str| Nic { name: Some(name.into()), ..nic(NicType::Veth) };
    let error = plan(&settings(&[named("eth0"), named("eth0")]), &ROOT).expect_err("clash");
    assert_eq!(error.to_string(), "lxc.net.1.name = eth0 is already the name of lxc.net.0");
    let paired = |pair: &str| Nic { veth_pair: Some(pair.into()), ..nic(NicType::Veth) };
    assert!(plan(&settings(&[paired("v0"), paired("v0")]), &ROOT).is_err());
    assert!(plan(&settings(&[named("wan%d"), named("wan%d")]), &ROOT).is_ok());
}

#[test]
fn vlans_need_a_bridge_and_one_meaning_per_id() {
    let vlan = Nic { veth_vlan: Some(UntaggedVlan::Id(3)), ..nic(NicType::Veth) };
    assert!(refused(&vlan).to_string().contains("veth.vlan"));
    let bridged = Nic { link: Some("br0".into()), ..vlan };
    assert!(plan(&settings(std::slice::from_ref(&bridged)), &ROOT).is_ok());
    assert!(
        refused(&Nic { veth_mode: VethMode::Router, ..bridged.clone() }).to_string().contains("veth.vlan")
    );
    assert!(refused(&Nic { veth_vlan_tagged: vec![3], ..bridged }).to_string().contains("both"));
}

#[test]
fn l2proxy_needs_a_link_and_l3s() {
    assert!(refused(&Nic { l2proxy: true, ..nic(NicType::Veth) }).to_string().contains("l2proxy"));
    let ipvlan = Nic { l2proxy: true, link: Some("eth0".into()), ..nic(NicType::Ipvlan) };
    assert!(refused(&ipvlan).to_string().contains("l3s"));
    assert!(plan(&settings(&[Nic { ipvlan_mode: Some(IpvlanMode::L3s), ..ipvlan }]), &ROOT).is_ok());
}

#[test]
fn unprivileged_users_get_veth_and_empty_only() {
    let facts = HostFacts { privileged: false };
    let macvlan = Nic { link: Some("eth0".into()), ..nic(NicType::Macvlan) };
    let error = plan(&settings(&[macvlan]), &facts).expect_err("needs root");
    assert_eq!(error.kind(), ErrorKind::Permission);
    assert!(plan(&settings(&[nic(NicType::Empty), nic(NicType::Veth)]), &facts).is_ok());
}
