//! Every key of the table: a value and what it reads as, the empty value and what it reads as, a bad value.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests")]

use lxc_conf::keys::{Form, KEYS, Shape, display_name};
use lxc_conf::{Config, Memory};

/// How a key behaves.
struct Case {
    /// The key as written; the row it belongs to is found through `row`.
    key: &'static str,
    value: &'static str,
    /// What `value` reads as.
    reads: &'static str,
    /// What the key reads as before anything is set, and after an empty value unless `empty` says otherwise.
    unset: &'static str,
    /// What the key reads as after an empty value, when that differs; `Err` is an error.
    empty: Option<Result<&'static str, ()>>,
    /// A value that is refused; empty when the key takes any text.
    bad: &'static str,
}

const fn case(
    key: &'static str,
    value: &'static str,
    reads: &'static str,
    unset: &'static str,
    bad: &'static str,
) -> Case {
    Case { key, value, reads, unset, empty: None, bad }
}

/// As [`case`] for a key with an empty value of its own.
const fn odd(
    key: &'static str,
    value: &'static str,
    reads: &'static str,
    unset: &'static str,
    empty: Result<&'static str, ()>,
    bad: &'static str,
) -> Case {
    Case { key, value, reads, unset, empty: Some(empty), bad }
}

const LONG: &str = "lllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllll";
const VERY_LONG: &str = concat!(
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    "01234567890123456789012345678901234567890123456789012345",
);

#[rustfmt::skip]
const CASES: &[Case] = &[
    odd("lxc.arch", "armhf", "i686", "", Err(()), "bogus"),
    case("lxc.apparmor.profile", "unconfined", "unconfined", "", ""),
    case("lxc.apparmor.allow_incomplete", "1", "1", "0", "2"),
    case("lxc.apparmor.allow_nesting", "1", "1", "0", "yes"),
    case("lxc.apparmor.raw", "deny /a rw,", "deny /a rw,\n", "", ""),
    odd("lxc.autodev.tmpfs.size", "1000000", "1000000", "0", Ok("500000"), ""),
    odd("lxc.autodev", "1", "1", "1", Ok("0"), "2"),
    case("lxc.cap.drop", "chown 5", "chown\n5\n", "", "CAP_CHOWN"),
    case("lxc.cap.keep", "kill none net_raw", "net_raw\n", "", "bogus"),
    case("lxc.cgroup2.memory.max", "5", "5\n", "", ""),
    case("lxc.cgroup.dir.monitor.pivot", "a//b/", "a/b", "(null)", "/a"),
    case("lxc.cgroup.dir.monitor", "./m", "m", "(null)", "../m"),
    case("lxc.cgroup.dir.container.inner", "inner", "inner", "(null)", "a/b"),
    case("lxc.cgroup.dir.container", "c", "c", "(null)", "a/../b"),
    case("lxc.cgroup.dir", "d", "d", "(null)", "/"),
    case("lxc.cgroup.relative", "1", "1", "0", "-1"),
    case("lxc.cgroup.memory.limit_in_bytes", "5", "5\n", "", ""),
    case("lxc.console.buffer.size", "auto", "131072", "0", "5XX"),
    case("lxc.console.logfile", "/a//b", "/a/b", "", ""),
    case("lxc.console.path", "none", "none", "", ""),
    case("lxc.console.rotate", "1", "1", "0", "x"),
    case("lxc.console.size", "5 kb", "8192", "0", "-1"),
    case("lxc.sched.core", "1", "1", "0", "2"),
    case("lxc.environment.runtime", "A=b c", "A=b c\n", "", "UNSET_VARIABLE"),
    case("lxc.environment.hooks", "A=", "A=\n", "", "=x"),
    case("lxc.environment", "COPIED", "COPIED=from outside\n", "", "UNSET_VARIABLE"),
    case("lxc.ephemeral", "1", "1", "0", "true"),
    case("lxc.execute.cmd", "/bin/sh -c 'a b'", "/bin/sh -c 'a b'", "", ""),
    case("lxc.group", "a b,c", "a\nb,c\n", "", ""),
    case("lxc.hook.autodev", "/a b", "/a b\n", "", ""),
    case("lxc.hook.clone", "/a", "/a\n", "", ""),
    case("lxc.hook.destroy", "/a", "/a\n", "", ""),
    case("lxc.hook.mount", "/a", "/a\n", "", ""),
    case("lxc.hook.post-stop", "/a", "/a\n", "", ""),
    case("lxc.hook.pre-mount", "/a", "/a\n", "", ""),
    case("lxc.hook.pre-start", "/a", "/a\n", "", ""),
    case("lxc.hook.start-host", "/a", "/a\n", "", ""),
    case("lxc.hook.start", "/a", "/a\n", "", ""),
    case("lxc.hook.stop", "/a", "/a\n", "", ""),
    case("lxc.hook.version", "1", "1", "0", "2"),
    case("lxc.idmap", "u 0 16 65536", "u 0 16 65536", "", "b 0 1 2"),
    case("lxc.init.cmd", "/init a", "/init a", "", ""),
    case("lxc.init.gid", "8", "8", "0", "-1"),
    case("lxc.init.groups", "1, 2", "1,2", "", "1 2"),
    case("lxc.init.uid", "5", "5", "0", "5x"),
    case("lxc.init.cwd", "/a/", "/a", "", ""),
    case("lxc.keyring.session", "1", "1", "0", "2"),
    case("lxc.log.file", "/a", "/a", "", ""),
    case("lxc.log.level", "debug", "DEBUG", "NOTSET", "9"),
    case("lxc.log.syslog", "local0", "local0", "", "user"),
    case("lxc.monitor.unshare", "7", "7", "0", "x"),
    case("lxc.monitor.signal.pdeath", "SIGTERM", "15", "9", "term"),
    case("lxc.mount.auto", "cgroup sys:ro proc", "proc:mixed sys:ro cgroup", "", "proc:ro"),
    case("lxc.mount.entry", "/a b none bind 0 0", "/a b none bind 0 0\n", "", ""),
    odd("lxc.mount.fstab", "/a", "/a", "", Err(()), ""),
    case("lxc.namespace.clone", "NET user", "user\nnet\n", "", "mount"),
    case("lxc.namespace.keep", "time", "time\n", "", "user,pid"),
    case("lxc.namespace.share.net", "other", "other", "(null)", ""),
    case("lxc.time.offset.boot", "5h", "18000s", "0ns", "5"),
    case("lxc.time.offset.monotonic", "-5ms", "-5000000ns", "0ns", "5d"),
    case("lxc.no_new_privs", "1", "1", "0", "2"),
    case("lxc.prlimit.nofile", "5 : unlimited", "5:unlimited", "", "5k"),
    case("lxc.pty.max", "1024", "1024", "0", "x"),
    case("lxc.rootfs.managed", "0", "0", "1", "2"),
    case("lxc.rootfs.mount", "/a", "/a", lxc_conf::ROOTFS_MOUNT, ""),
    case("lxc.rootfs.options", "ro,idmap=container", "ro,idmap=container", "", "optional"),
    case("lxc.rootfs.path", "overlayfs:/a:/b", "/a:/b", "", "dir:"),
    case("lxc.seccomp.allow_nesting", "1", "1", "0", "2"),
    case("lxc.seccomp.notify.cookie", "c", "c", "", ""),
    case("lxc.seccomp.notify.proxy", "unix:@a", "a", "", "unix:a"),
    case("lxc.seccomp.profile", "/a", "/a", "", ""),
    case("lxc.selinux.context.keyring", "a:b", "a:b", "", ""),
    case("lxc.selinux.context", "a:b", "a:b", "", ""),
    case("lxc.signal.halt", "SIGRTMIN+3", "37", "0", "SIGFOO"),
    case("lxc.signal.reboot", "SIGINT", "2", "0", "int"),
    case("lxc.signal.stop", "9", "9", "0", "9x"),
    case("lxc.start.auto", "1", "1", "0", "2"),
    case("lxc.start.delay", "5", "5", "0", "-5"),
    case("lxc.start.order", "-5", "-5", "0", "x"),
    case("lxc.tty.dir", "lxc", "lxc", "", VERY_LONG),
    case("lxc.tty.max", "0x10", "16", "0", "16 "),
    case("lxc.uts.name", "host", "host", "", LONG),
    case("lxc.sysctl.net.ipv4.ip_forward", "1", "1", "", ""),
    case("lxc.proc.oom_score_adj", "-10", "-10", "", ""),
    // Interfaces: 0 veth, 1 macvlan, 2 ipvlan, 3 vlan.
    odd("lxc.net.0.type", "phys", "phys", "veth", Ok("empty"), "bridge"),
    case("lxc.net.0.link", "br0", "br0", "", "sixteenletters00"),
    case("lxc.net.0.flags", "down", "up", "", ""),
    case("lxc.net.0.name", "eth0", "eth0", "", "a/b"),
    case("lxc.net.0.hwaddr", "10:66:6a:xx:X1:02", "10:66:6a:aa:a1:02", "", ""),
    case("lxc.net.0.mtu", "1400", "1400", "", ""),
    case("lxc.net.0.ipv4.address", "10.0.3.5/24 10.0.3.255", "10.0.3.5/24", "", "10.0.3.5/33"),
    case("lxc.net.0.ipv4.gateway", "auto", "auto", "", "fe80::1"),
    case("lxc.net.0.ipv6.address", "FE80:0::1", "fe80::1/64", "", "10.0.3.5"),
    case("lxc.net.0.ipv6.gateway", "dev", "dev", "", "10.0.3.1"),
    case("lxc.net.0.l2proxy", "1", "1", "0", "2"),
    case("lxc.net.0.script.up", "/a b", "/a b", "", ""),
    case("lxc.net.0.script.down", "/a", "/a", "", ""),
    case("lxc.net.1.macvlan.mode", "vepa", "vepa", "private", "l2"),
    case("lxc.net.2.ipvlan.mode", "l3s", "l3s", "l2", "l4"),
    case("lxc.net.2.ipvlan.isolation", "vepa", "vepa", "bridge", "none"),
    case("lxc.net.3.vlan.id", "65535", "65535", "0", "65536"),
    case("lxc.net.0.veth.mode", "router", "router", "bridge", "routed"),
    case("lxc.net.0.veth.n_rxqueues", "4", "4", "", "0"),
    case("lxc.net.0.veth.n_txqueues", "4", "4", "", "x"),
    case("lxc.net.0.veth.pair", "veth0", "veth0", "", "sixteenletters00"),
    case("lxc.net.0.veth.ipv4.route", "10.0.0.0/8", "10.0.0.0/8", "", "10.0.0.0"),
    case("lxc.net.0.veth.ipv6.route", "fd00::/8", "fd00::/8", "", "fd00::/129"),
    case("lxc.net.0.veth.vlan.id", "none", "-1", "", "4095"),
    case("lxc.net.0.veth.vlan.tagged.id", "5", "5", "", "none"),
];

/// Rows that hold nothing of their own; tested below.
const ACTIONS: [&str; 4] = ["lxc.hook", "lxc.include", "lxc.net.", "lxc.net"];

fn source() -> Memory {
    let mut m = Memory::default();
    m.environment.insert("COPIED".into(), "from outside".into());
    m
}

fn fresh() -> Config {
    let mut c = Config::new();
    let types =
        "lxc.net.0.type = veth\nlxc.net.1.type = macvlan\nlxc.net.2.type = ipvlan\nlxc.net.3.type = vlan\n";
    c.load_bytes("t", types.as_bytes(), &source()).unwrap();
    c
}

#[test]
fn every_row_has_a_case() {
    for row in KEYS.iter().filter(|k| !ACTIONS.contains(&k.name)) {
        let matches = |key: &str| lxc_conf::keys::find(key).is_some_and(|m| m.key.id == row.id);
        assert_eq!(CASES.iter().filter(|c| matches(c.key)).count(), 1, "{}", row.name);
    }
    assert_eq!(CASES.len() + ACTIONS.len(), KEYS.len());
    assert!(ACTIONS.iter().all(|a| KEYS.iter().any(|k| k.name == *a && k.shape == Shape::Action)));
}

#[test]
fn values_read_back() {
    for case in CASES {
        let mut c = fresh();
        assert_eq!(c.get(case.key).as_deref(), Ok(case.unset), "{} unset", case.key);
        c.set_from(case.key, case.value, &source()).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(c.get(case.key).as_deref(), Ok(case.reads), "{} = {}", case.key, case.value);
    }
}

#[test]
fn empty_values() {
    for case in CASES {
        let mut c = fresh();
        c.set_from(case.key, case.value, &source()).unwrap();
        let before = (c.get(case.key).unwrap(), c.to_text());
        let result = c.set_from(case.key, "", &source());
        match case.empty.unwrap_or(Ok(case.unset)) {
            Ok(want) => {
                result.unwrap_or_else(|e| panic!("{e}"));
                assert_eq!(c.get(case.key).as_deref(), Ok(want), "{} =", case.key);
            }
            Err(()) => {
                assert!(result.is_err(), "{} =", case.key);
                assert_eq!((c.get(case.key).unwrap(), c.to_text()), before);
            }
        }
    }
}

#[test]
fn cleared_keys_are_as_new() {
    for case in CASES.iter().filter(|c| c.key != "lxc.net.0.type") {
        let mut c = fresh();
        c.set_from(case.key, case.value, &source()).unwrap();
        c.clear(case.key).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(c.get(case.key).as_deref(), Ok(case.unset), "{}", case.key);
        assert_eq!(c.to_text(), fresh().to_text(), "{}", case.key);
    }
}

#[test]
fn bad_values_change_nothing() {
    for case in CASES.iter().filter(|c| !c.bad.is_empty()) {
        let mut c = fresh();
        c.set_from(case.key, case.value, &source()).unwrap();
        let before = (c.get(case.key).unwrap(), c.to_text());
        let error = c.set_from(case.key, case.bad, &source()).expect_err(case.key);
        assert!(error.to_string().starts_with(case.key), "{error}");
        assert_eq!((c.get(case.key).unwrap(), c.to_text()), before);
        let line = format!("{} = {}\n", case.key, case.bad.trim_end());
        if !case.bad.ends_with(' ') {
            assert!(c.load_bytes("t", line.as_bytes(), &source()).is_err(), "{line}");
            assert_eq!((c.get(case.key).unwrap(), c.to_text()), before);
        }
    }
}

#[test]
fn keys_that_take_any_text_take_it() {
    for case in CASES.iter().filter(|c| c.bad.is_empty()) {
        let mut c = fresh();
        c.set_from(case.key, "!\"$%&/()=?# äöü \\", &source()).unwrap_or_else(|e| panic!("{e}"));
    }
}

#[test]
fn a_saved_value_loads_as_it_was() {
    for case in CASES {
        let mut c = fresh();
        c.set_from(case.key, case.value, &source()).unwrap();
        let mut again = Config::new();
        again.load_bytes("t", &c.to_bytes(), &source()).unwrap();
        assert_eq!(again.get(case.key), c.get(case.key), "{}", case.key);
        assert_eq!(again.to_bytes(), c.to_bytes());
    }
}

#[test]
fn lists_grow_and_scalars_are_replaced() {
    for case in CASES {
        let row = lxc_conf::keys::find(case.key).unwrap().key;
        // Words that are already there, or exclude what follows them, do not grow a list.
        if matches!(
            case.key,
            "lxc.namespace.clone" | "lxc.namespace.keep" | "lxc.mount.auto" | "lxc.cap.keep"
        ) {
            continue;
        }
        let grows =
            row.shape == Shape::List || row.name.starts_with("lxc.cgroup2") || row.name == "lxc.cgroup";
        let mut c = fresh();
        c.set_from(case.key, case.value, &source()).unwrap();
        let once = c.get(case.key).unwrap().len();
        c.set_from(case.key, case.value, &source()).unwrap();
        assert_eq!(c.get(case.key).unwrap().len() > once, grows, "{}", case.key);
    }
}

#[test]
fn actions() {
    let mut c = fresh();
    for (key, value) in
        [("lxc.hook", "x"), ("lxc.net", "x"), ("lxc.net.0", "x"), ("lxc.cgroup2", "x"), ("lxc.prlimit", "5")]
    {
        let e = c.set(key, value).unwrap_err().to_string();
        assert_eq!(e, format!("{key} must not have a value"));
    }
    assert!(c.get("lxc.hook").is_err());
    assert!(c.get("lxc.include").is_err());
    assert_eq!(c.get("lxc.net").as_deref(), Ok("veth\nmacvlan\nipvlan\nvlan\n"));
    c.set("lxc.net.1", "").unwrap();
    c.set("lxc.net.77", "").unwrap();
    assert_eq!(c.get("lxc.net").as_deref(), Ok("veth\nipvlan\nvlan\n"));
    c.set("lxc.net", "").unwrap();
    assert_eq!(c.get("lxc.net").as_deref(), Ok(""));
    assert_eq!(c.to_text(), "");
}

#[test]
fn families_read_as_lines() {
    let mut c = Config::new();
    for (key, value) in [
        ("lxc.cgroup2.a", "1"),
        ("lxc.cgroup2.b", "2"),
        ("lxc.cgroup.m.x", "3"),
        ("lxc.prlimit.core", "unlimited"),
        ("lxc.sysctl.a.b", "4"),
        ("lxc.proc.p", "5"),
    ] {
        c.set(key, value).unwrap();
    }
    for (key, want) in [
        ("lxc.cgroup2", "lxc.cgroup2.a = 1\nlxc.cgroup2.b = 2\n"),
        ("lxc.cgroup", "lxc.cgroup.m.x = 3\n"),
        ("lxc.prlimit", "lxc.prlimit.core = unlimited\n"),
        ("lxc.sysctl", "lxc.sysctl.a.b = 4\n"),
        ("lxc.proc", "lxc.proc.p = 5\n"),
    ] {
        assert_eq!(c.get(key).as_deref(), Ok(want));
        c.set(key, "").unwrap();
        assert_eq!(c.get(key).as_deref(), Ok(""), "{key}");
    }
    assert_eq!(c.to_text(), "");
}

#[test]
fn names_in_the_manual_are_names_of_keys() {
    for row in KEYS {
        let name = display_name(row)
            .replace("CONTROLLER.FILE", "memory.x")
            .replace("FILE", "x")
            .replace("NAMESPACE", "net")
            .replace("NAME", "x")
            .replace(".N", ".0");
        let found = lxc_conf::keys::find(&name);
        assert_eq!(found.map(|m| m.key.id), Some(row.id), "{name}");
        assert_eq!(row.form == Form::Nic, row.name.contains(".N."));
    }
}
