//! Every type of link, from creation to the end.

use lxc_conf::model::{Gateway, MacvlanMode, Nic, NicType, VethMode};
use lxc_core::ErrorKind;
use lxc_core::net::{NoScripts, interfaces, preflight};
use serde_json::Value;
use std::os::fd::AsFd;

use super::world::{addr, has_flag, ip, local, net, nic, planned, world};

#[test]
fn a_veth_on_a_bridge_gets_everything_asked_for() {
    world(|world| {
        let before = world.snapshot();
        let links = world.configure(&[Nic {
            name: Some("wan7".into()),
            hwaddr: Some("00:16:3e:11:22:33".into()),
            mtu: Some("1400".into()),
            ipv4: vec![net("10.9.0.2/24")],
            ipv4_gateway: Some(Gateway::Auto),
            ipv6: vec![net("fd00:9::2/64")],
            ipv6_gateway: Some(Gateway::Auto),
            veth_routes4: vec![net("10.44.0.0/16")],
            veth_rx_queues: Some(3),
            ..nic(NicType::Veth, "br0")
        }]);
        let host_name = links.veth_pair(0).expect("pair").to_owned();
        assert!(host_name.starts_with("veth") && host_name.len() == 10, "{host_name}");
        let host = world.link(&host_name);
        assert_eq!(host["master"], "br0");
        assert_eq!(host["mtu"], 1400);
        assert!(host["address"].as_str().is_some_and(|mac| mac.starts_with("fe:")), "{host}");
        assert!(has_flag(&host, "UP"));
        assert_eq!(local(&host), Vec::<String>::new(), "IPv6 must be off on the bridge port");
        assert_eq!(host["num_tx_queues"], 3);
        assert!(ip("route").contains(&format!("10.44.0.0/16 dev {host_name} scope link")));

        let inside = world.link_inside("wan7");
        assert_eq!(inside["address"], "00:16:3e:11:22:33");
        assert_eq!(inside["mtu"], 1400);
        assert_eq!(inside["num_rx_queues"], 3);
        assert!(has_flag(&inside, "UP") && has_flag(&inside, "LOWER_UP"));
        let addresses = local(&inside);
        assert!(addresses.contains(&"10.9.0.2/24".into()) && addresses.contains(&"fd00:9::2/64".into()));
        assert!(world.inside("route").contains("default via 10.9.0.1 dev wan7"));
        assert!(world.inside("-6 route").contains("default via fd00:9::1 dev wan7"));
        assert!(has_flag(&world.link_inside("lo"), "UP"));

        let link = links.get(0).expect("link");
        assert_eq!(link.container_name, "wan7");
        assert_eq!(Some(u64::from(link.container_ifindex)), inside["ifindex"].as_u64());
        assert_eq!(link.host_ifindex.map(u64::from), host["ifindex"].as_u64());
        assert!(ip("netns list-id").contains("nsid 0"));
        world.assert_gone(&before, links);
    });
}

#[test]
fn a_veth_without_flags_stays_down_and_so_does_lo() {
    world(|world| {
        let links = world.configure(&[Nic { up: false, ..nic(NicType::Veth, "") }]);
        assert!(!has_flag(&world.link_inside("eth0"), "UP"));
        assert!(!has_flag(&world.link_inside("lo"), "UP"));
        let host = world.link(links.veth_pair(0).expect("pair"));
        assert!(has_flag(&host, "UP"), "the host end is always up: {host}");
        assert_eq!(links.get(0).map(|link| link.container_name.as_str()), Some("eth0"));
    });
}

#[test]
fn names_inside_follow_the_original() {
    world(|world| {
        let links = world.configure(&[
            nic(NicType::Veth, "br0"),
            Nic { name: Some("eth0".into()), veth_pair: Some("vethfix".into()), ..nic(NicType::Veth, "br0") },
            Nic { name: Some("wan%d".into()), ..nic(NicType::Veth, "") },
        ]);
        let names: Vec<&str> = links.iter().map(|link| link.container_name.as_str()).collect();
        assert_eq!(names, ["eth1", "eth0", "wan0"]);
        assert_eq!(links.veth_pair(1), Some("vethfix"));
        assert_eq!(interfaces(world.container.as_fd()).expect("list"), ["eth0", "eth1", "lo", "wan0"]);
    });
}

#[test]
fn a_router_answers_for_the_gateways_and_knows_the_addresses() {
    world(|world| {
        let before = world.snapshot();
        std::fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1").expect("sysctl");
        let links = world.configure(&[Nic {
            veth_mode: VethMode::Router,
            ipv4: vec![net("10.7.0.2/32")],
            ipv4_gateway: addr("169.254.1.1"),
            ipv6: vec![net("fd00:7::2/128")],
            ipv6_gateway: addr("fe80::1"),
            ..nic(NicType::Veth, "")
        }]);
        let host = links.veth_pair(0).expect("pair").to_owned();
        assert!(ip("route").contains(&format!("10.7.0.2 dev {host} scope link")));
        assert!(ip("-6 route").contains(&format!("fd00:7::2 dev {host} metric 1024")));
        assert!(ip("neigh show proxy").contains(&format!("169.254.1.1 dev {host}")));
        assert!(ip("-6 neigh show proxy").contains(&format!("fe80::1 dev {host}")));
        for (family, key) in [("ipv4", "forwarding"), ("ipv6", "forwarding"), ("ipv6", "proxy_ndp")] {
            let path = format!("/proc/sys/net/{family}/conf/{host}/{key}");
            assert_eq!(std::fs::read_to_string(&path).expect("read").trim(), "1", "{path}");
        }
        assert_eq!(world.link(&host)["master"], Value::Null);
        let routes = world.inside("route");
        assert!(routes.contains("default via 169.254.1.1 dev eth0"), "{routes}");
        assert!(routes.contains("169.254.1.1 dev eth0 scope link"), "{routes}");
        assert!(world.inside("-6 route").contains("default via fe80::1 dev eth0"));
        world.assert_gone(&before, links);
    });
}

#[test]
fn a_router_with_an_ipv6_gateway_needs_forwarding_everywhere() {
    world(|world| {
        let before = world.snapshot();
        let router = Nic {
            veth_mode: VethMode::Router,
            ipv6: vec![net("fd00:7::2/128")],
            ipv6_gateway: addr("fe80::1"),
            ..nic(NicType::Veth, "")
        };
        for error in [
            preflight(&planned(std::slice::from_ref(&router))).expect_err("preflight"),
            world.configure_with(std::slice::from_ref(&router), &NoScripts).expect_err("configure"),
        ] {
            assert!(error.to_string().contains("net.ipv6.conf.all.forwarding=1"), "{error}");
            assert!(error.cure_text().is_some_and(|cure| cure.contains("sysctl -w")));
            assert_eq!(error.origin().map(|origin| origin.line), Some(3));
        }
        assert_eq!(world.snapshot(), before);
    });
}

#[test]
fn default_routes_through_off_link_gateways_and_devices() {
    world(|world| {
        let links = world.configure(&[Nic {
            ipv4: vec![net("10.9.0.2/24")],
            ipv4_gateway: addr("10.77.0.1"),
            ipv6: vec![net("fd00:9::2/64")],
            ipv6_gateway: Some(Gateway::Dev),
            ..nic(NicType::Veth, "br0")
        }]);
        let routes = world.inside("route");
        assert!(routes.contains("default via 10.77.0.1 dev eth0"), "{routes}");
        assert!(routes.contains("10.77.0.1 dev eth0 scope link"), "{routes}");
        assert!(world.inside("-6 route").contains("default dev eth0"));
        assert!(links.teardown(world.container.as_fd(), &NoScripts).is_empty());
    });
}

#[test]
fn a_macvlan_is_born_inside_and_dies_with_its_mac_free_again() {
    world(|world| {
        let before = world.snapshot();
        let wanted = [Nic {
            macvlan_mode: MacvlanMode::Bridge,
            hwaddr: Some("00:16:3e:00:00:01".into()),
            mtu: Some("1400".into()),
            ipv4: vec![net("10.8.0.2/24")],
            ..nic(NicType::Macvlan, "nic0")
        }];
        // Twice with the same MAC while the namespace lives on: a reboot (lxc#4694).
        for _ in 0..2 {
            let links = world.configure(&wanted);
            let inside = world.link_inside("eth0");
            assert_eq!(inside["linkinfo"]["info_kind"], "macvlan");
            assert_eq!(inside["linkinfo"]["info_data"]["mode"], "bridge");
            assert_eq!(inside["address"], "00:16:3e:00:00:01");
            assert_eq!(inside["mtu"], 1400);
            assert_eq!(local(&inside).first().map(String::as_str), Some("10.8.0.2/24"));
            assert_eq!(
                links.get(0).map(|link| u64::from(link.container_ifindex)),
                inside["ifindex"].as_u64()
            );
            world.assert_gone(&before, links);
            assert_eq!(interfaces(world.container.as_fd()).expect("list"), ["lo"]);
        }
    });
}

#[test]
fn kernels_without_a_type_say_so_and_nothing_is_left() {
    world(|world| {
        let before = world.snapshot();
        for kind in [NicType::Ipvlan, NicType::Vlan] {
            match world.configure_with(&[nic(NicType::Veth, "br0"), nic(kind, "nic0")], &NoScripts) {
                Ok(links) => world.assert_gone(&before, links),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
                    assert!(error.cure_text().is_some_and(|cure| cure.contains("modprobe")));
                    assert_eq!(world.snapshot(), before);
                }
            }
        }
    });
}

#[test]
fn a_physical_device_comes_home_as_it_left() {
    world(|world| {
        ip("link set nic0 address 02:00:00:00:00:99");
        ip("link property add dev nic0 altname other0");
        let before = world.snapshot();
        let links = world.configure(&[Nic {
            name: Some("eth7".into()),
            mtu: Some("1400".into()),
            hwaddr: Some("00:16:3e:00:00:01".into()),
            ipv4: vec![net("10.8.0.2/24")],
            ..nic(NicType::Phys, "nic0")
        }]);
        let inside = world.link_inside("eth7");
        assert_eq!(inside["mtu"], 1400);
        assert_eq!(inside["address"], "00:16:3e:00:00:01");
        assert!(has_flag(&inside, "UP"));
        assert!(!world.snapshot().contains("nic0"));
        // What a container may do to it.
        world.inside("link set eth7 down");
        world.inside("link set eth7 name renamed");
        // Its name inside must not matter on the host.
        ip("link add name renamed type bridge");
        let errors = links.teardown(world.container.as_fd(), &NoScripts);
        assert!(errors.is_empty(), "{errors:?}");
        ip("link del renamed");
        assert_eq!(world.snapshot(), before);
        assert!(ip("link show dev nic0").contains("altname other0"));
    });
}

#[test]
fn a_physical_device_comes_home_even_when_its_name_is_taken() {
    world(|world| {
        let links = world.configure(&[nic(NicType::Phys, "nic0")]);
        assert_eq!(links.get(0).map(|link| link.container_name.as_str()), Some("nic0"));
        ip("link add name nic0 type bridge");
        let errors = links.teardown(world.container.as_fd(), &NoScripts);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!(errors[0].kind(), ErrorKind::AlreadyExists);
        assert!(world.snapshot().contains("\"phys"), "{}", world.snapshot());
    });
}

#[test]
fn a_prefix_takes_the_newest_free_device() {
    world(|world| {
        let links = world.configure(&[
            nic(NicType::Phys, "nic+"),
            Nic { name: Some("second".into()), ..nic(NicType::Phys, "nic+") },
        ]);
        let taken: Vec<_> = links.iter().filter_map(|link| link.host_name.clone()).collect();
        assert_eq!(taken, ["nic0", "nic1"], "nic0 has the higher index");
        assert!(links.teardown(world.container.as_fd(), &NoScripts).is_empty());
        let error = world.configure_with(&[nic(NicType::Phys, "zzz+")], &NoScripts).expect_err("none");
        assert_eq!(error.kind(), ErrorKind::NotFound);
    });
}

#[test]
fn l2proxy_answers_on_the_parent_until_the_end() {
    world(|world| {
        let before = world.snapshot();
        let proxied = Nic {
            ipv4: vec![net("10.9.0.5/24")],
            ipv6: vec![net("fd00:9::5/64")],
            l2proxy: true,
            ..nic(NicType::Veth, "br0")
        };
        let error = preflight(&planned(std::slice::from_ref(&proxied))).expect_err("sysctls are missing");
        assert!(error.to_string().contains("net.ipv4.conf.br0.forwarding=1"), "{error}");
        for (family, key) in [("ipv4", "forwarding"), ("ipv6", "forwarding"), ("ipv6", "proxy_ndp")] {
            std::fs::write(format!("/proc/sys/net/{family}/conf/br0/{key}"), "1").expect("sysctl");
        }
        preflight(&planned(std::slice::from_ref(&proxied))).expect("preflight");
        let links = world.configure(&[proxied]);
        assert!(ip("neigh show proxy").contains("10.9.0.5 dev br0"));
        assert!(ip("-6 neigh show proxy").contains("fd00:9::5 dev br0"));
        world.assert_gone(&before, links);
    });
}
