//! Failures at every stage leave the host as it was.

use std::os::fd::AsFd;

use lxc_conf::model::{Gateway, Nic, NicType};
use lxc_core::ErrorKind;
use lxc_core::net::{NoScripts, interfaces, preflight};

use super::scripts::{Recorder, scripted};
use super::world::{addr, ip, net, nic, planned, world};

#[test]
fn every_failure_leaves_the_host_as_it_was() {
    world(|world| {
        ip("link add name taken type bridge");
        let before = world.snapshot();
        let first = || scripted(nic(NicType::Veth, "br0"));
        let bridged = || nic(NicType::Veth, "br0");
        let phys = || nic(NicType::Phys, "nic0");
        let gateway = |address: &str, via: &str| Nic {
            ipv4: vec![net(address)],
            ipv4_gateway: addr(via),
            ..nic(NicType::Veth, "br0")
        };
        let huge = || Some("9999999".to_owned());
        let cases: Vec<(&str, Vec<Nic>, Option<&'static str>)> = vec![
            ("missing bridge", vec![first(), nic(NicType::Veth, "nobr")], None),
            ("missing parent", vec![first(), nic(NicType::Macvlan, "nolink")], None),
            ("missing device", vec![first(), nic(NicType::Phys, "nolink")], None),
            ("not a bridge", vec![first(), nic(NicType::Veth, "nic1")], None),
            ("pair name taken", vec![first(), Nic { veth_pair: Some("taken".into()), ..bridged() }], None),
            ("MTU out of range", vec![first(), Nic { mtu: huge(), ..bridged() }], None),
            ("script of the first", vec![first()], Some("up")),
            ("script of a phys", vec![bridged(), scripted(phys())], Some("up phys")),
            (
                "script of a macvlan",
                vec![first(), scripted(nic(NicType::Macvlan, "nic0"))],
                Some("up macvlan"),
            ),
            ("phys with an impossible MTU", vec![first(), Nic { mtu: huge(), ..phys() }], None),
            ("address inside", vec![phys(), Nic { ipv4: vec![net("10.9.0.2/33")], ..bridged() }], None),
            (
                "two gateways",
                vec![gateway("10.9.0.2/24", "10.9.0.1"), gateway("10.8.0.2/24", "10.8.0.1")],
                None,
            ),
            (
                "host route twice",
                vec![
                    first(),
                    Nic { veth_routes4: vec![net("10.44.0.0/16"), net("10.44.0.0/16")], ..bridged() },
                ],
                None,
            ),
        ];
        for (name, nics, fail) in cases {
            let recorder = Recorder { fail, ..Recorder::default() };
            let error = world.configure_with(&nics, &recorder).expect_err(name);
            assert_eq!(world.snapshot(), before, "{name}: {error}");
            let left = interfaces(world.container.as_fd()).expect("list");
            assert_eq!(left, ["lo"], "{name}: {error}");
            assert!(!error.to_string().contains("not undone"), "{name}: {error}");
            assert_eq!(error.origin().map(|origin| origin.line), Some(3), "{name}: {error}");
            // Whoever's up script succeeded gets its down script.
            let calls = recorder.calls.take();
            let ups = calls.iter().filter(|call| call.contains(" up ")).count() - usize::from(fail.is_some());
            let downs = calls.iter().filter(|call| call.contains(" down ")).count();
            assert_eq!(ups, downs, "{name}: {calls:?}");
        }
    });
}

#[test]
fn an_undo_that_fails_too_is_named_in_the_error() {
    world(|world| {
        let recorder = Recorder { fail: Some("net down"), ..Recorder::default() };
        let nics = [scripted(nic(NicType::Veth, "br0")), nic(NicType::Veth, "nobr")];
        // The missing bridge is found before anything is made, so nothing has to be undone.
        let error = world.configure_with(&nics, &recorder).expect_err("missing");
        assert!(!error.to_string().contains("not undone"), "{error}");
        let nics = [
            scripted(nic(NicType::Veth, "br0")),
            Nic { mtu: Some("9999999".into()), ..nic(NicType::Veth, "") },
        ];
        let error = world.configure_with(&nics, &recorder).expect_err("MTU");
        assert!(error.to_string().contains("not undone: script failed"), "{error}");
        assert!(error.errno().is_some(), "the first error stays the error: {error}");
    });
}

#[test]
fn preflight_names_key_line_and_cure_and_changes_nothing() {
    world(|world| {
        let before = world.snapshot();
        let refused = |nic: Nic| preflight(&planned(&[nic])).expect_err("preflight");
        let error = refused(nic(NicType::Veth, "lxcbr9"));
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("lxc.net.0.link = lxcbr9"), "{error}");
        assert!(error.cure_text().is_some_and(|cure| cure.contains("ip link add lxcbr9 type bridge")));
        assert_eq!(error.origin().map(|origin| origin.line), Some(3));
        assert_eq!(refused(nic(NicType::Phys, "nope0")).kind(), ErrorKind::NotFound);
        assert_eq!(refused(nic(NicType::Phys, "nope+")).kind(), ErrorKind::NotFound);
        let error = refused(Nic { veth_pair: Some("nic0".into()), ..nic(NicType::Veth, "br0") });
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        let auto = Nic {
            ipv4: vec![net("10.8.0.2/24")],
            ipv4_gateway: Some(Gateway::Auto),
            ..nic(NicType::Macvlan, "nic1")
        };
        assert!(refused(auto).to_string().contains("nic1 has no IPv4 address"));
        let vlan = Nic { veth_vlan_tagged: vec![5], ..nic(NicType::Veth, "br0") };
        assert!(refused(vlan).cure_text().is_some_and(|cure| cure.contains("vlan_filtering 1")));
        preflight(&planned(&[nic(NicType::Veth, "br0"), nic(NicType::Phys, "nic+")])).expect("fine");
        assert_eq!(world.snapshot(), before);
    });
}

#[test]
fn teardown_accepts_what_is_gone_already() {
    world(|world| {
        let before = world.snapshot();
        let links = world.configure(&[nic(NicType::Veth, "br0"), nic(NicType::Macvlan, "nic0")]);
        ip(&format!("link del {}", links.veth_pair(0).expect("pair")));
        world.inside("link del eth1");
        world.assert_gone(&before, links);
    });
}

#[test]
fn a_script_runner_that_is_missing_is_an_error() {
    world(|world| {
        let before = world.snapshot();
        let error =
            world.configure_with(&[scripted(nic(NicType::Empty, ""))], &NoScripts).expect_err("no runner");
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert_eq!(world.snapshot(), before);
    });
}
