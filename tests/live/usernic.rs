//! lxc-user-nic, where it says or does more than the original's.

use testkit::usernic::{ALICE, BOB, World};

fn host(line: &str) -> String {
    line.trim_end().split(':').nth(2).unwrap_or_else(|| panic!("{line:?}")).to_owned()
}

#[test]
fn every_refusal_has_its_own_words() {
    let world = World::new();
    let pid = world.container(ALICE);
    let create = |rest: &str| {
        let done = world.nic(ALICE, &format!("create /l n {pid} {rest}")).exits(1);
        assert!(done.stdout.is_empty() && done.stderr.lines().count() == 1, "{done}");
        done.stderr
    };
    world.usernet("alice veth br0 1\n@netty veth br0 1\nalice veth br9 1\nalice veth br1 many\n");
    for name in ["eth0", "eth1"] {
        world.nic(ALICE, &format!("create /l n {pid} veth br0 {name}")).ok();
    }
    assert_eq!(
        create("veth br0 eth2"),
        "lxc-user-nic: Quota reached: veth on br0: alice uses 1 of 1 (line 1), @netty uses 1 of 1 (line 2) \
         of /etc/lxc/lxc-usernet\n"
    );
    assert_eq!(
        create("veth br1 eth2"),
        "lxc-user-nic: no line of /etc/lxc/lxc-usernet allows veth on br1 to any of alice, @alice, @netty; \
         line 4: the fourth word is no number\n"
    );
    assert_eq!(create("veth br9 eth2"), "lxc-user-nic: there is no bridge br9 on this host\n");
    assert!(create("macvlan br0 eth2").contains("only veth can be made"));
    world.usernet("alice veth br0 3\n");
    assert!(create("veth br0 eth0").contains("the container already has an interface called eth0"));
    assert!(create("veth br0 a/b").contains("no name for an interface"));
    world.remove_usernet();
    assert!(create("veth br0 eth2").contains("it needs a line: alice veth br0 COUNT"));
}

#[test]
fn a_port_of_a_native_bridge_is_deleted_by_its_owner_only() {
    let world = World::new();
    world.usernet("alice veth br0 2\nbob veth br0 2\n");
    let (alices, bobs) = (world.container(ALICE), world.container(BOB));
    let own = host(&world.nic(ALICE, &format!("create /l n {alices} veth br0 eth0")).ok());
    let other = host(&world.nic(BOB, &format!("create /l n {bobs} veth br0 eth0")).ok());
    let _ = world
        .nic(ALICE, &format!("delete /l n /proc/{alices}/ns/net veth br0 {other}"))
        .exits(1)
        .says(&format!("alice has no veth {other} on br0"));
    let _ = world.nic(ALICE, &format!("delete /l n /proc/{bobs}/ns/net veth br0 {own}")).exits(1);
    world.nic(ALICE, &format!("delete /l n /proc/{alices}/ns/net veth br0 {own}")).ok();
    assert_eq!(world.veths(), std::slice::from_ref(&other));
    assert!(world.links_inside(alices).is_empty());
    assert_eq!(world.record(), format!("bob veth br0 {other}\n"));
}

#[test]
fn what_a_group_pays_for_is_still_its_makers() {
    let world = World::new();
    world.usernet("@netty veth br0 2\n");
    let (alices, bobs) = (world.container(ALICE), world.container(BOB));
    let other = host(&world.nic(BOB, &format!("create /l n {bobs} veth br0 eth0")).ok());
    let done = world.nic(ALICE, &format!("delete /l n /proc/{alices}/ns/net veth br0 {other}")).exits(1);
    let _ = done.says("does not lead into this namespace");
    world.nic(BOB, &format!("delete /l n /proc/{bobs}/ns/net veth br0 {other}")).ok();
    assert!(world.veths().is_empty() && world.record().is_empty());
}

/// The kernel takes the device with the namespace; the bridge's own list of ports has to be told.
#[test]
fn the_port_of_a_device_that_is_gone_is_deleted_too() {
    let world = World::new();
    world.install_ovs();
    world.usernet("alice veth ovs0 1\n");
    let pid = world.container(ALICE);
    let name = host(&world.nic(ALICE, &format!("create /l n {pid} veth ovs0 eth0")).ok());
    drop(world.ovs());
    world.sh(&format!("ip link delete {name}"));
    world.nic(ALICE, &format!("delete /l n /proc/{pid}/ns/net veth ovs0 {name}")).ok();
    assert!(world.ovs().contains(&format!("ovs --if-exists del-port ovs0 {name}")));
    assert!(world.record().is_empty());
}

/// A bridge that is not there for ovs-vsctl either leaves no pair and no line.
#[test]
fn a_failing_ovs_vsctl_leaves_nothing() {
    let world = World::new();
    world.usernet("alice veth ovs0 1\n");
    let pid = world.container(ALICE);
    let done = world.nic(ALICE, &format!("create /l n {pid} veth ovs0 eth0")).exits(1);
    assert!(done.stderr.contains("ovs0 is no bridge of the kernel's"), "{done}");
    assert!(world.veths().is_empty() && world.record().is_empty() && world.links_inside(pid).is_empty());
}
