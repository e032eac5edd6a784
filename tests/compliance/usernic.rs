//! lxc-user-nic: what it makes, what it counts, what it prints. The attacks on it are in tests/attacks/usernic.rs.

use testkit::cases;
use testkit::run::Run;
use testkit::subject::Subject;
use testkit::usernic::{ALICE, BOB, World};

/// `CONTNAME:INDEX:HOSTNAME:INDEX`.
fn parts(line: &str) -> [String; 4] {
    let parts: Vec<String> = line.trim_end().split(':').map(str::to_owned).collect();
    parts.try_into().unwrap_or_else(|_| panic!("not four parts: {line:?}"))
}

/// How many of six creates succeed under these rules.
fn allowed(world: &World, pid: u32, rules: &str, link: &str) -> usize {
    world.usernet(rules);
    let made = (0..6)
        .filter(|number| world.nic(ALICE, &format!("create /l n {pid} veth {link} e{number}")).code == 0)
        .count();
    for name in world.veths() {
        world.sh(&format!("ip link delete {name}"));
    }
    made
}

cases! {
    fn a_pair_on_a_bridge() {
        let world = World::new();
        let pid = world.container(ALICE);
        world.usernet("alice veth br1 2\n");
        let made = world.nic(ALICE, &format!("create /l n {pid} veth br1 net7"));
        let [inside, inside_index, host, host_index] = parts(&made.clone().ok());
        assert_eq!(inside, "net7");
        assert!(made.stdout.ends_with('\n') && made.stdout.lines().count() == 1);
        assert!(host.starts_with("veth4001_") && host.len() == 13, "{host}");
        let there = world.sh(&format!("ip -d link show {host}"));
        assert!(there.starts_with(&format!("{host_index}: ")), "{there}");
        for word in ["mtu 1400", "master br1", "<", "UP", "link/ether fe:"] {
            assert!(there.contains(word), "{word}: {there}");
        }
        let here = world.inside(pid, "net7");
        assert!(here.starts_with(&format!("{inside_index}: net7@")) && here.contains("mtu 1400"), "{here}");
        assert!(!here.contains("UP"), "{here}");
        assert_eq!(world.record(), format!("alice veth br1 {host}\n"));
        assert_eq!(world.sh("stat -c '%a %u' /run/lxc/nics /run/lxc").trim(), "600 0\n755 0");
    }

    fn without_a_name_the_first_free_eth() {
        let world = World::new();
        let pid = world.container(ALICE);
        world.usernet("alice veth br0 5\n");
        let names: Vec<String> = (0..2)
            .map(|_| parts(&world.nic(ALICE, &format!("create /l n {pid} veth br0")).ok())[0].clone())
            .collect();
        assert_eq!(names, ["eth0", "eth1"]);
        assert_eq!(world.links_inside(pid), ["eth0", "eth1"]);
    }

    fn no_bridge() {
        let world = World::new();
        let pid = world.container(ALICE);
        world.usernet("alice veth none 1\n");
        let [_, _, host, _] = parts(&world.nic(ALICE, &format!("create /l n {pid} veth none eth0")).ok());
        assert!(!world.sh(&format!("ip link show {host}")).contains("master"));
        assert_eq!(world.record(), format!("alice veth none {host}\n"));
        let full = world.nic(ALICE, &format!("create /l n {pid} veth none eth1")).exits(1);
        assert!(full.stdout.is_empty());
        let _ = full.says("Quota reached");
    }

    fn root_has_rules_too() {
        let world = World::new();
        let pid = world.container(0);
        world.usernet("root veth br0 1\n");
        let [_, _, host, _] = parts(&world.nic(0, &format!("create /l n {pid} veth br0 eth0")).ok());
        assert!(host.starts_with("veth") && host.len() == 10, "{host}");
        let _ = world.nic(0, &format!("create /l n {pid} veth br0 eth1")).exits(1).says("Quota reached");
    }

    fn quotas_are_counted_line_by_line() {
        let world = World::new();
        let pid = world.container(ALICE);
        for (rules, made) in [
            ("alice veth br0 1\n@netty veth br0 1\n", 2),
            ("@netty veth br0 1\nalice veth br0 1\n@alice veth br0 1\n", 3),
            // Lines with one owner count the same nics.
            ("alice veth br0 1\nalice veth br0 2\n", 2),
            ("alice veth br0 1\nbob veth br0 2\nalice veth br1 3\nalice veth br0 1\n", 1),
            ("bob veth br0 2\n", 0),
            ("alice veth br1 2\n", 0),
            ("alice phys br0 2\n", 0),
            ("* veth br0 2\n4001 veth br0 2\n", 0),
            ("alice veth br0 0\n", 0),
        ] {
            assert_eq!(allowed(&world, pid, rules, "br0"), made, "{rules}");
        }
    }

    fn the_grammar_of_the_rules() {
        let world = World::new();
        let pid = world.container(ALICE);
        for (rules, made) in [
            ("alice  veth\tbr0   2\n", 2),
            ("alice veth br0 2  \n", 2),
            ("alice veth br0 2\r\n", 2),
            ("alice veth br0 2 # why\n", 2),
            ("alice veth br0 2", 2),
            ("# alice veth br0 2\n", 0),
            (" alice veth br0 2\n\talice veth br0 2\n", 0),
            ("alice veth br0\n", 0),
            ("alice veth br0 -1\n", 0),
            ("alice veth br0 0x2\n", 0),
            ("alice veth br0 many\n", 0),
            ("alice veth br0 99999999999999999999\n", 0),
            ("\u{feff}alice veth br0 2\n", 0),
        ] {
            assert_eq!(allowed(&world, pid, rules, "br0"), made, "{rules:?}");
        }
    }

    fn a_group_shares_its_quota() {
        let world = World::new();
        world.usernet("@netty veth br0 2\n");
        let (alice, bob) = (world.container(ALICE), world.container(BOB));
        world.nic(ALICE, &format!("create /l n {alice} veth br0 eth0")).ok();
        world.nic(BOB, &format!("create /l n {bob} veth br0 eth0")).ok();
        let _ = world.nic(ALICE, &format!("create /l n {alice} veth br0 eth1")).exits(1).says("Quota reached");
        let record = world.record();
        assert_eq!(record.lines().filter(|line| line.starts_with("@netty veth br0 ")).count(), 2, "{record}");
    }

    fn a_nic_that_is_gone_is_no_longer_counted() {
        let world = World::new();
        let pid = world.container(ALICE);
        world.usernet("alice veth br0 1\n");
        let [_, _, host, _] = parts(&world.nic(ALICE, &format!("create /l n {pid} veth br0 eth0")).ok());
        world.sh(&format!("ip link delete {host}"));
        let [_, _, host, _] = parts(&world.nic(ALICE, &format!("create /l n {pid} veth br0 eth0")).ok());
        assert_eq!(world.record(), format!("alice veth br0 {host}\n"));
    }

    fn without_the_file_nobody_has_anything() {
        let world = World::new();
        let pid = world.container(ALICE);
        let _ = world.nic(ALICE, &format!("create /l n {pid} veth br0 eth0")).exits(1).says("lxc-usernet");
    }

    fn words_that_are_no_request() {
        let world = World::new();
        for line in ["create", "create /l n 1 veth", "frob /l n 1 veth br0", "delete /l n /proc/1/ns/net veth"] {
            let done = world.nic(ALICE, line).exits(1).says("Usage:").says("create {lxcpath} {name} {pid}");
            assert!(done.stdout.is_empty());
        }
        for pid in ["x", "self", "1/../1"] {
            let done = world.nic(ALICE, &format!("create /l n {pid} veth br0")).exits(1);
            assert!(done.stdout.is_empty() && done.stderr.contains(pid), "{done}");
        }
    }

    /// An Open vSwitch bridge is whatever is no native one; its port is made and deleted by ovs-vsctl.
    fn a_port_of_open_vswitch() {
        let world = World::new();
        world.install_ovs();
        let pid = world.container(ALICE);
        world.usernet("alice veth ovs0 1\n");
        let create = Run::under(&world.prefix_of(ALICE), world.helper())
            .args(format!("create /l n {pid} veth ovs0 eth0").split(' '))
            .env("OVS_RUNDIR", "/tmp/evil")
            .env("LD_PRELOAD_LATER", "x");
        let [_, _, host, _] = parts(&create.done().ok());
        let log = world.ovs();
        assert!(log.contains(&format!("add-port ovs0 {host}")), "{log}");
        assert!(!log.contains("evil") && !log.contains("LATER"), "the caller's environment: {log}");
        world.nic(ALICE, &format!("delete /l n /proc/{pid}/ns/net veth ovs0 {host}")).ok();
        let log = world.ovs();
        assert!(log.contains(&format!("del-port ovs0 {host}")), "{log}");
    }

    fn twenty_at_once_get_what_the_quota_gives() {
        let world = World::new();
        let pid = world.container(ALICE);
        world.usernet("alice veth br0 12\n");
        let lines: Vec<String> = (0..20).map(|number| format!("create /l n {pid} veth br0 e{number}")).collect();
        let codes = world.at_once(&[Subject::current()], ALICE, &lines);
        assert_eq!(codes.iter().filter(|code| **code == 0).count(), 12, "{codes:?}");
        assert_eq!(world.record().lines().count(), 12);
        assert_eq!(world.links_inside(pid).len(), 12);
        assert_eq!(world.veths().len(), 12);
    }
}
