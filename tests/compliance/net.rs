//! Networks: every type, addresses, names, scripts, and the way back of a physical interface.

use std::fs;
use std::time::Duration;

use testkit::names::TestNames;
use testkit::netns::Netns;
use testkit::rootfs::{UDHCPC_SCRIPT, write_script};
use testkit::{Guest, GuestBuilder, cases, eventually};

/// A namespace with a bridge `br0`, 10.98.0.1/24.
fn world() -> Netns {
    let netns = Netns::new();
    netns.bridge("br0", "10.98.0.1/24");
    netns
}

fn nic(netns: &Netns, lines: &str) -> GuestBuilder {
    Guest::build("net")
        .conf(&format!("lxc.net.0.type =\nlxc.net =\n{lines}").replace("lxc.net.0.type =\n", ""))
        .under(netns.prefix())
}

/// A link that can be given away or stacked upon; its peer stays.
fn parent(netns: &Netns, name: &str) {
    netns.ip(&format!("link add {name} type veth peer name peer-{name}"));
    netns.ip(&format!("link set {name} up"));
    netns.ip(&format!("link set peer-{name} up"));
}

/// Whether this kernel has a type of link that sits on `par0`.
fn supported(netns: &Netns, kind: &str) -> bool {
    let words: Vec<&str> =
        "ip link add link par0 name probe0 type".split(' ').chain(kind.split(' ')).collect();
    let there = netns.run(&words).code == 0;
    if there {
        netns.ip("link delete probe0");
    }
    there
}

/// `ip -d link show` of a link inside.
fn details(guest: &Guest, link: &str) -> String {
    let target = format!("--target={}", guest.pid());
    testkit::Run::new("nsenter").args([&target, "--net", "ip", "-d", "link", "show", link]).done().ok()
}

const VETH: &str = "lxc.net.0.type = veth\nlxc.net.0.link = br0\nlxc.net.0.flags = up\nlxc.net.0.name = eth0";

cases! {
    fn empty_has_only_lo() {
        let guest = Guest::build("net").start();
        assert_eq!(guest.sh("ls /sys/class/net"), "lo\n");
        assert!(!guest.sh("ip link show lo").contains("UP"));
        let guest = Guest::build("net").conf("lxc.net.0.flags = up").start();
        assert!(guest.sh("ip link show lo").contains("<LOOPBACK,UP,LOWER_UP>"));
    }

    fn none_shares_the_hosts() {
        let netns = world();
        let guest = nic(&netns, "lxc.net.0.type = none").start();
        assert!(guest.sh("ip link").contains("br0"));
    }

    fn no_network_section_makes_a_namespace() {
        let guest = Guest::build("net").conf("lxc.net =").start();
        let host = fs::read_link("/proc/self/ns/net").unwrap();
        assert_ne!(fs::read_link(format!("/proc/{}/ns/net", guest.pid())).unwrap(), host);
    }

    fn veth_with_addresses() {
        let netns = world();
        let lines = format!(
            "{VETH}\nlxc.net.0.hwaddr = 00:16:3e:11:22:33\nlxc.net.0.mtu = 1400\nlxc.net.0.ipv4.address = 10.98.0.2/24\n\
             lxc.net.0.ipv4.gateway = 10.98.0.1\nlxc.net.0.ipv6.address = fd98::2/64\nlxc.net.0.veth.pair = vpair0"
        );
        let guest = nic(&netns, &lines).start();
        let link = guest.sh("ip link show eth0");
        assert!(link.contains("mtu 1400") && link.contains("00:16:3e:11:22:33") && link.contains("UP"), "{link}");
        let addresses = guest.sh("ip addr show dev eth0");
        assert!(addresses.contains("10.98.0.2/24 brd ") && addresses.contains("fd98::2/64"), "{addresses}");
        assert!(guest.sh("ip route").contains("default via 10.98.0.1 dev eth0"));
        assert!(netns.links().contains(&"vpair0".to_owned()));
        assert!(netns.ip("-o link show vpair0").contains("master br0"));
        let host = netns.ip("-o link show vpair0");
        assert!(host.contains("link/ether fe:"), "{host}");
        assert!(host.contains("mtu 1400"), "{host}");
        guest.sh("ping -c 1 -W 2 10.98.0.1 >/dev/null");
        guest.kill();
        assert_eq!(netns.links(), ["br0"]);
    }

    fn veth_names_follow_the_pattern() {
        let netns = world();
        let guest = nic(&netns, "lxc.net.0.type = veth\nlxc.net.0.flags = up").start();
        assert!(guest.sh("ls /sys/class/net").contains("eth0"));
        let name = netns.links().into_iter().find(|name| name != "br0").unwrap();
        assert!(name.starts_with("veth") && name.len() == 10, "{name}");
    }

    fn an_address_without_a_prefix_has_that_of_its_class() {
        let netns = world();
        let guest = nic(&netns, &format!("{VETH}\nlxc.net.0.ipv4.address = 10.98.0.9")).start();
        assert!(guest.sh("ip addr show dev eth0").contains("10.98.0.9/8"));
    }

    fn two_nics() {
        let netns = world();
        let lines = format!("{VETH}\nlxc.net.7.type = veth\nlxc.net.7.name = second\nlxc.net.7.link = br0");
        let guest = nic(&netns, &lines).start();
        assert_eq!(guest.sh("ls /sys/class/net"), "eth0\nlo\nsecond\n");
        assert!(!guest.sh("ip link show second").contains("state UP"));
    }

    fn a_gateway_taken_from_the_bridge() {
        let netns = world();
        let guest = nic(&netns, &format!("{VETH}\nlxc.net.0.ipv4.address = 10.98.0.3/24\nlxc.net.0.ipv4.gateway = auto")).start();
        assert!(guest.sh("ip route").contains("default via 10.98.0.1 dev eth0"));
    }

    fn a_gateway_that_is_the_device() {
        let netns = world();
        let guest = nic(&netns, &format!("{VETH}\nlxc.net.0.ipv4.address = 10.98.0.3/24\nlxc.net.0.ipv4.gateway = dev")).start();
        assert!(guest.sh("ip route").contains("default dev eth0"));
    }

    fn veth_in_router_mode() {
        let netns = world();
        let lines = "lxc.net.0.type = veth\nlxc.net.0.veth.mode = router\nlxc.net.0.flags = up\nlxc.net.0.name = eth0\n\
                     lxc.net.0.veth.pair = vrouter0\nlxc.net.0.ipv4.address = 10.77.0.2/32\n\
                     lxc.net.0.ipv4.gateway = 169.254.1.1";
        let guest = nic(&netns, lines).start();
        assert!(netns.ip("route").contains("10.77.0.2 dev vrouter0"));
        assert!(!netns.ip("-o link show vrouter0").contains("master"));
        let routes = guest.sh("ip route");
        assert!(routes.contains("default via 169.254.1.1 dev eth0"), "{routes}");
    }

    fn a_route_of_the_host_side() {
        let netns = world();
        let lines = format!("{VETH}\nlxc.net.0.veth.pair = vroute0\nlxc.net.0.veth.ipv4.route = 192.0.2.0/24");
        let _guest = nic(&netns, &lines).start();
        assert!(netns.ip("route").contains("192.0.2.0/24 dev vroute0"));
    }

    fn macvlan() {
        let netns = world();
        parent(&netns, "par0");
        for mode in ["private", "vepa", "bridge", "passthru"] {
            let lines = format!("lxc.net.0.type = macvlan\nlxc.net.0.macvlan.mode = {mode}\nlxc.net.0.link = par0\nlxc.net.0.flags = up\nlxc.net.0.name = mac0");
            let guest = nic(&netns, &lines).start();
            let text = details(&guest, "mac0");
            assert!(text.contains(&format!("macvlan mode {mode}")), "{text}");
        }
    }

    fn ipvlan() {
        let netns = world();
        parent(&netns, "par0");
        for mode in ["l2", "l3", "l3s"] {
            let lines = format!("lxc.net.0.type = ipvlan\nlxc.net.0.ipvlan.mode = {mode}\nlxc.net.0.link = par0\nlxc.net.0.flags = up\nlxc.net.0.name = ipv0");
            let guest = nic(&netns, &lines).make();
            if supported(&netns, "ipvlan") {
                guest.start();
                let text = details(&guest, "ipv0");
                assert!(text.contains("ipvlan") && text.contains(&format!("mode {mode} bridge")), "{text}");
            } else {
                guest.try_start().exits(1).ok_on_stdout();
                guest.assert_nothing_left();
            }
        }
    }

    fn vlan() {
        let netns = world();
        parent(&netns, "par0");
        let guest = nic(&netns, "lxc.net.0.type = vlan\nlxc.net.0.vlan.id = 42\nlxc.net.0.link = par0\nlxc.net.0.flags = up\nlxc.net.0.name = vl0").make();
        if supported(&netns, "vlan id 5") {
            guest.start();
            let text = details(&guest, "vl0");
            assert!(text.contains("vlan protocol 802.1Q id 42"), "{text}");
        } else {
            guest.try_start().exits(1).ok_on_stdout();
            guest.assert_nothing_left();
        }
    }

    fn phys_comes_back_with_its_name_and_mtu() {
        let netns = world();
        parent(&netns, "phys0");
        netns.ip("link set phys0 mtu 1450");
        let guest = nic(&netns, "lxc.net.0.type = phys\nlxc.net.0.link = phys0\nlxc.net.0.name = inside0\nlxc.net.0.flags = up\nlxc.net.0.mtu = 1300").start();
        assert!(!netns.links().contains(&"phys0".to_owned()));
        assert!(guest.sh("ip link show inside0").contains("mtu 1300"));
        guest.kill();
        assert!(eventually(Duration::from_secs(3), || netns.links().contains(&"phys0".to_owned())), "{:?}", netns.links());
        assert!(netns.ip("-o link show phys0").contains("mtu 1450"));
    }

    fn phys_comes_back_after_a_reboot_and_is_taken_again() {
        let netns = world();
        parent(&netns, "phys0");
        let guest = nic(&netns, "lxc.net.0.type = phys\nlxc.net.0.link = phys0\nlxc.net.0.name = inside0").start();
        let init = guest.pid();
        guest.attach(["reboot", "-f"]);
        assert!(eventually(Duration::from_secs(10), || guest.has_new_init(init)));
        assert!(guest.sh("ls /sys/class/net").contains("inside0"));
        guest.kill();
        assert!(eventually(Duration::from_secs(3), || netns.links().contains(&"phys0".to_owned())));
    }

    fn scripts_version_0() {
        let netns = world();
        let guest = nic(&netns, &format!("{VETH}\nlxc.net.0.veth.pair = vscript0")).make();
        let (up, down) = (guest.lxcpath().join("up.sh"), guest.lxcpath().join("down.sh"));
        let (up_out, down_out) = (guest.lxcpath().join("up"), guest.lxcpath().join("down"));
        write_script(&up, &format!("#!/bin/sh\n{{ echo \"$@\"; env; }} > {}\n", up_out.display()));
        write_script(&down, &format!("#!/bin/sh\n{{ echo \"$@\"; env; }} > {}\n", down_out.display()));
        guest.append(&format!("lxc.net.0.script.up = {}\nlxc.net.0.script.down = {}", up.display(), down.display()));
        guest.start();
        guest.kill();
        let first = |path| fs::read_to_string(path).unwrap().lines().next().unwrap().to_owned();
        assert_eq!(first(&up_out), format!("{} net up veth br0 vscript0", guest.name()));
        assert_eq!(first(&down_out), format!("{} net down veth br0 vscript0", guest.name()));
        let env = fs::read_to_string(&up_out).unwrap();
        assert!(env.contains(&format!("LXC_NAME={}\n", guest.name())), "{env}");
    }

    fn scripts_version_1() {
        let netns = world();
        let guest = nic(&netns, &format!("{VETH}\nlxc.net.0.veth.pair = vscript1\nlxc.hook.version = 1")).make();
        let (up, out) = (guest.lxcpath().join("up.sh"), guest.lxcpath().join("up"));
        write_script(&up, &format!("#!/bin/sh\n{{ echo \"$@\"; env; }} > {}\n", out.display()));
        guest.append(&format!("lxc.net.0.script.up = {}", up.display()));
        guest.start();
        let text = fs::read_to_string(&out).unwrap();
        for line in ["LXC_HOOK_TYPE=up", "LXC_HOOK_SECTION=net", "LXC_NET_TYPE=veth", "LXC_NET_PARENT=br0", "LXC_NET_PEER=vscript1"] {
            assert!(text.lines().any(|got| got == line), "{line}: {text}");
        }
        assert_eq!(text.lines().next().unwrap(), "veth br0 vscript1");
    }

    fn a_failing_up_script_fails_the_start() {
        let netns = world();
        let guest = nic(&netns, &format!("{VETH}\nlxc.net.0.script.up = /bin/false")).make();
        guest.try_start().exits(1).ok_on_stdout();
        assert!(eventually(Duration::from_secs(2), || netns.links() == ["br0"]), "{:?}", netns.links());
    }

    fn an_address_by_dhcp_is_shown_by_info() {
        let mut netns = world();
        netns.dhcp("br0", "10.98.0.50", "10.98.0.99");
        let guest = nic(&netns, VETH).make();
        write_script(&guest.rootfs().join("etc/udhcpc.script"), UDHCPC_SCRIPT);
        write_script(&guest.rootfs().join("etc/rc"), "#!/bin/sh\nudhcpc -q -n -i eth0 -s /etc/udhcpc.script >/dev/null 2>&1\n");
        guest.start();
        let info = || guest.tool("lxc-info").arg("-iH").done().ok();
        assert!(eventually(Duration::from_secs(15), || info().lines().any(|line| line.starts_with("10.98.0."))), "{}", info());
        let address = info().lines().find(|line| line.starts_with("10.98.0.")).unwrap().to_owned();
        let table = guest.bare_tool("lxc-ls").arg("-P").arg(guest.lxcpath()).args(["-f", "-F", "IPV4"]).done().ok();
        assert_eq!(table.lines().nth(1).unwrap().trim(), address);
    }

    fn hwaddr_placeholders_are_filled() {
        let netns = world();
        let guest = nic(&netns, &format!("{VETH}\nlxc.net.0.hwaddr = 00:16:3e:xx:xx:xx")).start();
        let link = guest.sh("cat /sys/class/net/eth0/address");
        assert!(link.starts_with("00:16:3e:") && !link.contains('x'), "{link}");
    }

    fn a_second_container_cannot_have_the_same_host_side() {
        let netns = world();
        let pair = TestNames::interface("vp");
        let lines = format!("{VETH}\nlxc.net.0.veth.pair = {pair}");
        let first = nic(&netns, &lines).start();
        let second = nic(&netns, &lines).make();
        second.try_start().exits(1).ok_on_stdout();
        second.assert_nothing_left();
        assert!(netns.links().contains(&pair), "the port of the other container is gone");
        assert_eq!(first.state(), "RUNNING");
        first.sh("ip link show eth0");
    }
}
