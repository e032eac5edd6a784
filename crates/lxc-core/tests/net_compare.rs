//! The same configuration, once run by the original and once by this crate, looks the same from `ip`.
//!
//! Root only, and only where the original and a static busybox are installed (skipped otherwise). Each run has a host
//! namespace of its own. Known differences are taken out by [`normal`] and listed there.
#![allow(clippy::expect_used, reason = "a test: what cannot go on shall fail")]

#[path = "net_live/world.rs"]
#[allow(dead_code, reason = "shared with net_live, which uses the rest")]
mod world;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lxc_conf::model::{Gateway, MacvlanMode, Nic, NicType, VethMode};
use lxc_core::net::NoScripts;
use serde_json::{Map, Value};
use std::os::fd::AsFd;

use world::{addr, ip, net, nic, world};

const ORIGINAL: &str = "/usr/bin/lxc-start";
const BUSYBOX: &str = "/bin/busybox";

/// What `ip` shows, host and container.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    host: Vec<String>,
    inside: Vec<String>,
}

/// One configuration in both forms.
struct Case {
    name: &'static str,
    /// Lines after `lxc.net.`.
    config: &'static [&'static str],
    nics: Vec<Nic>,
    /// Run on the host first.
    prepare: fn(),
}

fn nothing() {}

fn forwarding() {
    for (family, device, key) in [
        ("ipv6", "all", "forwarding"),
        ("ipv4", "br0", "forwarding"),
        ("ipv6", "br0", "forwarding"),
        ("ipv6", "br0", "proxy_ndp"),
    ] {
        fs::write(format!("/proc/sys/net/{family}/conf/{device}/{key}"), "1").expect("sysctl");
    }
}

fn cases() -> Vec<Case> {
    let up = |kind, link: &str| nic(kind, link);
    let case = |name, config, nics| Case { name, config, nics, prepare: nothing };
    vec![
        case("down", &["0.type=veth", "0.link=br0"], vec![Nic { up: false, ..up(NicType::Veth, "br0") }]),
        case("no link", &["0.type=veth", "0.flags=up"], vec![up(NicType::Veth, "")]),
        case(
            "full veth",
            &[
                "0.type=veth",
                "0.link=br0",
                "0.flags=up",
                "0.name=wan0",
                "0.mtu=1400",
                "0.hwaddr=00:16:3e:11:22:33",
                "0.ipv4.address=10.9.0.2/24",
                "0.ipv4.gateway=auto",
                "0.ipv6.address=fd00:9::2/64",
                "0.ipv6.gateway=auto",
                "0.veth.n_rxqueues=2",
                "0.veth.n_txqueues=3",
                "0.veth.ipv4.route=10.44.0.0/16",
                "0.veth.ipv6.route=fd00:44::/64",
            ],
            vec![Nic {
                name: Some("wan0".into()),
                mtu: Some("1400".into()),
                hwaddr: Some("00:16:3e:11:22:33".into()),
                ipv4: vec![net("10.9.0.2/24")],
                ipv4_gateway: Some(Gateway::Auto),
                ipv6: vec![net("fd00:9::2/64")],
                ipv6_gateway: Some(Gateway::Auto),
                veth_rx_queues: Some(2),
                veth_tx_queues: Some(3),
                veth_routes4: vec![net("10.44.0.0/16")],
                veth_routes6: vec![net("fd00:44::/64")],
                ..up(NicType::Veth, "br0")
            }],
        ),
        case(
            "names",
            &["0.type=veth", "0.flags=up", "1.type=veth", "1.name=eth0", "2.type=veth", "2.name=wan%d"],
            vec![
                up(NicType::Veth, ""),
                Nic { up: false, name: Some("eth0".into()), ..up(NicType::Veth, "") },
                Nic { up: false, name: Some("wan%d".into()), ..up(NicType::Veth, "") },
            ],
        ),
        case(
            "far gateways",
            &[
                "0.type=veth",
                "0.link=br0",
                "0.flags=up",
                "0.ipv4.address=10.9.0.2/24",
                "0.ipv4.address=10.19.0.2/32",
                "0.ipv4.gateway=10.77.0.1",
                "0.ipv6.address=fd00:9::2/64",
                "0.ipv6.gateway=fd00:77::1",
            ],
            vec![Nic {
                ipv4: vec![net("10.9.0.2/24"), net("10.19.0.2/32")],
                ipv4_gateway: addr("10.77.0.1"),
                ipv6: vec![net("fd00:9::2/64")],
                ipv6_gateway: addr("fd00:77::1"),
                ..up(NicType::Veth, "br0")
            }],
        ),
        case(
            "device gateways",
            &[
                "0.type=veth",
                "0.link=br0",
                "0.flags=up",
                "0.ipv4.address=10.9.0.2/24",
                "0.ipv4.gateway=dev",
                "0.ipv6.address=fd00:9::2/64",
                "0.ipv6.gateway=dev",
            ],
            vec![Nic {
                ipv4: vec![net("10.9.0.2/24")],
                ipv4_gateway: Some(Gateway::Dev),
                ipv6: vec![net("fd00:9::2/64")],
                ipv6_gateway: Some(Gateway::Dev),
                ..up(NicType::Veth, "br0")
            }],
        ),
        Case {
            name: "router",
            config: &[
                "0.type=veth",
                "0.flags=up",
                "0.veth.mode=router",
                "0.ipv4.address=10.7.0.2/32",
                "0.ipv4.gateway=169.254.1.1",
                "0.ipv6.address=fd00:7::2/128",
                "0.ipv6.gateway=fe80::1",
            ],
            nics: vec![Nic {
                veth_mode: VethMode::Router,
                ipv4: vec![net("10.7.0.2/32")],
                ipv4_gateway: addr("169.254.1.1"),
                ipv6: vec![net("fd00:7::2/128")],
                ipv6_gateway: addr("fe80::1"),
                ..up(NicType::Veth, "")
            }],
            prepare: forwarding,
        },
        case(
            "router without gateways",
            &["0.type=veth", "0.flags=up", "0.veth.mode=router", "0.ipv4.address=10.7.0.2/32"],
            vec![Nic {
                veth_mode: VethMode::Router,
                ipv4: vec![net("10.7.0.2/32")],
                ..up(NicType::Veth, "")
            }],
        ),
        Case {
            name: "l2proxy",
            config: &[
                "0.type=veth",
                "0.link=br0",
                "0.flags=up",
                "0.ipv4.address=10.9.0.5/24",
                "0.ipv6.address=fd00:9::5/64",
                "0.l2proxy=1",
            ],
            nics: vec![Nic {
                ipv4: vec![net("10.9.0.5/24")],
                ipv6: vec![net("fd00:9::5/64")],
                l2proxy: true,
                ..up(NicType::Veth, "br0")
            }],
            prepare: forwarding,
        },
        case(
            "macvlan",
            &[
                "0.type=macvlan",
                "0.link=nic0",
                "0.flags=up",
                "0.macvlan.mode=bridge",
                "0.mtu=1400",
                "0.hwaddr=00:16:3e:00:00:01",
                "0.ipv4.address=10.8.0.2/24",
            ],
            vec![Nic {
                macvlan_mode: MacvlanMode::Bridge,
                mtu: Some("1400".into()),
                hwaddr: Some("00:16:3e:00:00:01".into()),
                ipv4: vec![net("10.8.0.2/24")],
                ..up(NicType::Macvlan, "nic0")
            }],
        ),
        case(
            "macvlan as the kernel makes it",
            &["0.type=macvlan", "0.link=nic0"],
            vec![Nic { up: false, ..up(NicType::Macvlan, "nic0") }],
        ),
        case(
            "phys",
            &[
                "0.type=phys",
                "0.link=nic0",
                "0.flags=up",
                "0.name=eth7",
                "0.mtu=1400",
                "0.ipv4.address=10.8.0.2/24",
            ],
            vec![Nic {
                name: Some("eth7".into()),
                mtu: Some("1400".into()),
                ipv4: vec![net("10.8.0.2/24")],
                ..up(NicType::Phys, "nic0")
            }],
        ),
        case(
            "phys by prefix",
            &["0.type=phys", "0.link=nic+"],
            vec![Nic { up: false, ..up(NicType::Phys, "nic+") }],
        ),
        case(
            "none beside veth",
            &["0.type=none", "1.type=veth", "1.link=br0", "1.flags=up"],
            vec![nic(NicType::None, ""), up(NicType::Veth, "br0")],
        ),
    ]
}

fn parse(text: &str) -> Vec<Map<String, Value>> {
    serde_json::from_str(if text.trim().is_empty() { "[]" } else { text }).expect("json")
}

/// Comparable lines of `ip -j -d addr`, `route` and `neigh show proxy`.
///
/// Left out: indices, random names and MACs, states that settle later; addresses of link scope (they follow the MAC, and
/// the original leaves IPv6 on at the host end); the broadcast address (5.0.2 sets `0.0.0.255` for a /24).
fn normal(addr: &str, routes: &[String], proxies: &[String], random: impl Fn(&str) -> String) -> Vec<String> {
    let mut lines = Vec::new();
    for link in parse(addr) {
        let text = |key: &str| link.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
        let name = random(&text("ifname"));
        let flags = link.get("flags").and_then(Value::as_array).cloned().unwrap_or_default();
        let up = flags.iter().any(|flag| flag == "UP");
        let mac = Some(text("address")).filter(|mac| mac.starts_with("00:16:3e:")).unwrap_or_default();
        let number = |key: &str| link.get(key).cloned().unwrap_or_default();
        let kind = link.get("linkinfo").and_then(|info| info.get("info_kind")).cloned().unwrap_or_default();
        let mode =
            link.get("linkinfo").and_then(|info| info.get("info_data")).and_then(|data| data.get("mode"));
        let mode = mode.cloned().unwrap_or_default();
        lines.push(format!(
            "{name} up={up} mtu={} mac={mac} master={} rx={} tx={} qlen={} kind={kind} mode={mode}",
            number("mtu"),
            number("master"),
            number("num_rx_queues"),
            number("num_tx_queues"),
            number("txqlen"),
        ));
        let infos = link.get("addr_info").and_then(Value::as_array).cloned().unwrap_or_default();
        for info in infos.iter().filter(|info| info["scope"] != "link") {
            lines.push(format!(
                "{name} {} {}/{} {}",
                info["family"], info["local"], info["prefixlen"], info["scope"]
            ));
        }
    }
    for route in routes.iter().flat_map(|text| parse(text)) {
        let field = |key: &str| route.get(key).map(ToString::to_string).unwrap_or_default();
        let dst = field("dst");
        if dst.contains("fe80::/64") || dst.contains("ff00::/8") {
            continue;
        }
        let dev = random(route.get("dev").and_then(Value::as_str).unwrap_or(""));
        let fields = ["gateway", "scope", "protocol", "metric", "prefsrc", "type"].map(field);
        lines.push(format!("route {dst} {dev} {}", fields.join(" ")));
    }
    for neighbour in proxies.iter().flat_map(|text| parse(text)) {
        let field = |key: &str| neighbour.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
        let line = format!("proxy {} {}", field("dst"), random(&field("dev")));
        // iproute2 lists IPv6 proxies twice.
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines.sort();
    lines
}

fn look(inside: impl Fn(&str) -> String) -> Seen {
    let random = |name: &str| match name.strip_prefix("veth") {
        Some(rest) if rest.len() == 6 => "vethXXXXXX".to_owned(),
        _ => name.to_owned(),
    };
    let see = |run: &dyn Fn(&str) -> String| {
        let routes = [run("-j -d route"), run("-j -d -6 route")];
        let proxies = [run("-j neigh show proxy"), run("-j -6 neigh show proxy")];
        normal(&run("-j -d addr"), &routes, &proxies, random)
    };
    Seen { host: see(&ip), inside: see(&inside) }
}

/// A directory with a root file system that can sleep.
fn lxcpath() -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("net-compare-{}", std::process::id()));
    let rootfs = dir.join("rootfs");
    for part in ["bin", "dev", "proc", "sys", "tmp", "etc"] {
        fs::create_dir_all(rootfs.join(part)).expect("mkdir");
    }
    fs::copy(BUSYBOX, rootfs.join("bin/sleep")).expect("copy busybox");
    dir
}

fn run(program: &str, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(program).args(arguments).output().expect("run");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn by_the_original(lxcpath: &Path, number: usize, case: &Case) -> Seen {
    let name = format!("net-compare-{number}");
    let dir = lxcpath.join(&name);
    fs::create_dir_all(&dir).expect("mkdir");
    let mut config = format!(
        "lxc.uts.name = {name}\nlxc.rootfs.path = dir:{}\nlxc.mount.auto = proc:mixed\n",
        lxcpath.join("rootfs").display()
    );
    config.extend(case.config.iter().map(|line| format!("lxc.net.{line}\n")));
    fs::write(dir.join("config"), config).expect("config");
    let path = lxcpath.to_str().expect("utf-8");
    let log = dir.join("log");
    let log = log.to_str().expect("utf-8");
    // The original looks for bridges in /sys, which shows the namespace it was mounted in.
    let line =
        format!("mount -t sysfs sysfs /sys && exec {ORIGINAL} -P {path} -n {name} -o {log} -- /bin/sleep 60");
    let (started, _) = run("unshare", &["-m", "--propagation", "private", "sh", "-c", &line]);
    assert!(started, "{}: {}", case.name, fs::read_to_string(log).unwrap_or_default());
    let (_, pid) = run("lxc-info", &["-P", path, "-n", &name, "-pH"]);
    let pid = pid.trim().to_owned();
    let seen = look(|arguments| {
        let mut words = vec!["-t", &pid, "-n", "ip"];
        words.extend(arguments.split_whitespace());
        let (fine, text) = run("nsenter", &words);
        assert!(fine, "{}: nsenter {words:?}", case.name);
        text
    });
    run("lxc-stop", &["-P", path, "-n", &name, "-k"]);
    seen
}

#[test]
fn every_case_looks_like_the_originals() {
    if !Path::new(ORIGINAL).exists() || !Path::new(BUSYBOX).exists() || !rustix::process::geteuid().is_root()
    {
        return;
    }
    let lxcpath = lxcpath();
    for (number, case) in cases().into_iter().enumerate() {
        let Case { name, nics, prepare, .. } = &case;
        let (name, nics, prepare) = (*name, nics.clone(), *prepare);
        let (sender, receiver) = std::sync::mpsc::channel();
        let path = lxcpath.clone();
        world(move |_| {
            prepare();
            sender.send(by_the_original(&path, number, &case)).expect("send");
        });
        let theirs = receiver.recv().expect("the original's view");
        world(move |world| {
            prepare();
            let links = world.configure(&nics);
            let ours = look(|arguments| world.inside(arguments));
            assert_eq!(ours.inside, theirs.inside, "{name}: inside");
            assert_eq!(ours.host, theirs.host, "{name}: host");
            let errors = links.teardown(world.container.as_fd(), &NoScripts);
            assert!(errors.is_empty(), "{name}: {errors:?}");
        });
    }
    fs::remove_dir_all(&lxcpath).expect("clean up");
}
