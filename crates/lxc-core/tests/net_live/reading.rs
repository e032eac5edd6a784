//! Addresses and interfaces of a container as lxc-info and lxc-ls read them.

use std::os::fd::AsFd;

use lxc_conf::model::NicType;
use lxc_core::net::{Family, NoScripts, addresses, addresses_of};

use super::world::{ip, nic, world};

#[test]
fn addresses_are_listed_as_lxc_info_does_with_and_without_a_namespace_id() {
    world(|world| {
        let seen = |family| addresses(world.container.as_fd(), family).expect("addresses");
        world.inside("link set lo up");
        assert!(seen(Family::Both).is_empty());
        for line in [
            "link add name zz0 type bridge",
            "link add name aa0 type bridge",
            "addr add 192.168.7.7/24 dev zz0",
            "addr add 172.16.0.1/24 dev aa0",
            "addr add 9.9.9.9/32 dev zz0",
            "-6 addr add 2001:db8::5/64 dev aa0 nodad",
            "-6 addr add 1234::5/64 dev zz0 nodad",
            "addr add 10.0.0.9/32 dev lo",
            "addr add 10.3.3.3/32 peer 10.4.4.4 dev aa0",
            "link set zz0 up",
        ] {
            world.inside(line);
        }
        let expected = ["10.3.3.3", "1234::5", "172.16.0.1", "192.168.7.7", "2001:db8::5", "9.9.9.9"];
        assert_eq!(seen(Family::Both), expected);
        assert_eq!(seen(Family::Inet), ["10.3.3.3", "172.16.0.1", "192.168.7.7", "9.9.9.9"]);
        assert_eq!(seen(Family::Inet6), ["1234::5", "2001:db8::5"]);
        // The other way to look.
        let links = world.configure(&[nic(NicType::Veth, "br0")]);
        assert!(ip("netns list-id").contains("nsid"));
        assert_eq!(seen(Family::Both), expected);
        assert_eq!(
            addresses_of(world.container.as_fd(), "zz0", Family::Inet).expect("zz0"),
            ["192.168.7.7", "9.9.9.9"]
        );
        assert_eq!(
            addresses_of(world.container.as_fd(), "lo", Family::Inet).expect("lo"),
            ["10.0.0.9", "127.0.0.1"]
        );
        assert!(links.teardown(world.container.as_fd(), &NoScripts).is_empty());
    });
}
