//! Compares what keys read as with the original's `lxc-info -c`, over good, odd and bad values of every key.
//!
//! Skipped with a message where /usr/bin/lxc-info is missing or is not the C tool. `DIFFERENT` lists the differences that
//! are meant, each with its reason; one that has gone fails the test too, so the list cannot rot.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use lxc_conf::keys::{Form, KEYS};
use lxc_conf::{Config, Host};

const LXC_INFO: &str = "/usr/bin/lxc-info";

/// What became of a configuration and a key.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// The file does not load.
    Rejected,
    /// The key has no getter, or does not apply.
    Unreadable,
    Text(String),
}

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A container path of our own, gone at the end.
struct Lxcpath(PathBuf);

impl Lxcpath {
    fn new() -> Lxcpath {
        let dir = std::env::temp_dir().join(format!(
            "conf-original-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        ));
        fs::create_dir_all(dir.join("c")).unwrap();
        Lxcpath(dir)
    }

    fn theirs(&self, text: &str, key: &str) -> Outcome {
        fs::write(self.0.join("c/config"), text).unwrap();
        let out = Command::new(LXC_INFO)
            .args(["-n", "c", "-c", key, "-P"])
            .arg(&self.0)
            .current_dir(&self.0)
            .env_clear()
            .env("HOME", "/root")
            .output()
            .unwrap();
        let stdout = String::from_utf8_lossy(&out.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
        if stderr.contains("Failed to load config") {
            return Outcome::Rejected;
        }
        if stderr.contains(&format!("{key} invalid")) {
            return Outcome::Unreadable;
        }
        let rest = stdout
            .strip_prefix(&format!("{key} ="))
            .unwrap_or_else(|| panic!("{key}: {stdout:?} {stderr:?}"));
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        Outcome::Text(rest.strip_suffix('\n').unwrap_or(rest).to_owned())
    }

    /// What the original logs about a configuration.
    fn their_log(&self, text: &str) -> String {
        fs::write(self.0.join("c/config"), text).unwrap();
        let log = self.0.join("log");
        let _ = fs::remove_file(&log);
        let mut command = Command::new(LXC_INFO);
        command.args(["-n", "c", "-l", "ERROR", "-o"]).arg(&log).arg("-P").arg(&self.0).current_dir(&self.0);
        command.env_clear().env("HOME", "/root").output().unwrap();
        fs::read_to_string(&log).unwrap_or_default()
    }

    fn our_texts(&self, text: &str) -> Vec<String> {
        let file = self.0.join("c/config");
        let mut c = Config::new();
        let Err(errors) = c.load_bytes(file.to_str().unwrap(), text.as_bytes(), &Environment) else {
            return Vec::new();
        };
        // The original stops at the first.
        errors[0].compat_texts()
    }

    fn ours(&self, text: &str, key: &str) -> Outcome {
        let mut c = Config::new();
        if c.load_bytes("c/config", text.as_bytes(), &Environment).is_err() {
            return Outcome::Rejected;
        }
        c.get(key).map_or(Outcome::Unreadable, Outcome::Text)
    }
}

/// The files of the machine, and an environment of one variable.
struct Environment;

impl lxc_conf::Source for Environment {
    fn read(&self, path: &str) -> std::io::Result<Vec<u8>> {
        Host.read(path)
    }
    fn list(&self, path: &str) -> std::io::Result<Option<Vec<String>>> {
        Host.list(path)
    }
    fn env(&self, variable: &str) -> Option<String> {
        (variable == "HOME").then(|| "/root".to_owned())
    }
}

impl Drop for Lxcpath {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
        // The original makes a lock directory for each container path.
        if let Ok(below) = self.0.strip_prefix("/") {
            let _ = fs::remove_dir_all(PathBuf::from("/run/lxc/lock").join(below));
        }
    }
}

/// Version of the original, or why there is none.
fn original() -> Result<String, String> {
    let out = Command::new(LXC_INFO).arg("--version").output().map_err(|e| format!("{LXC_INFO}: {e}"))?;
    let version = String::from_utf8_lossy(&out.stdout).trim().to_owned();
    if version.starts_with("5.") || version.starts_with("6.") {
        Ok(version)
    } else {
        Err(format!("{LXC_INFO} is version {version:?}, not the C tool of 5.x or 6.x"))
    }
}

const BOOLS: &[&str] = &["", "0", "1", "2", "-1", "yes", " 1", "0x1", "01"];
const UINTS: &[&str] = &["", "0", "7", "010", "0x10", "4294967295", "x", "+3"];
const PATHS: &[&str] = &["", "/a//b/./c/", "rel/x", "none", "\"/a b\"", "/a/../b", "/"];
const TEXTS: &[&str] = &["", "text", "'two words'", "a # b", "a=b", "\"", "\"\"", "' '"];
const SIGNALS: &[&str] = &[
    "",
    "9",
    "SIGTERM",
    "sigterm",
    "TERM",
    "SIGRTMIN+3",
    "SIGRTMAX-2",
    "SIGRTMIN",
    "SIGRTMIN-1",
    "SIGRTMIN+31",
    "999",
    "010",
    "-1",
    "9x",
    "SIGIOT",
    "SIGCLD",
    "SIGPOLL",
    "SIGSTKFLT",
    "SIGUNUSED",
    "SIGSYS",
    "SIGPWR",
    "SIGWINCH",
    "SIGXCPU",
];
const SIZES: &[&str] = &[
    "",
    "auto",
    "0",
    "5",
    "5K",
    "5KB",
    "5 kb",
    "5 mB",
    "1GB",
    "5000",
    "5XX",
    "5KBB",
    "5 K B",
    "KB",
    "foo",
    "-1",
    "0x10KB",
    "010MB",
    "99999999999GB",
    "9223372036854775807",
    "AUTO",
    "5x",
];
const TIMES: &[&str] =
    &["", "5", "5d", "5S", "-5 ms", "5 ms", "5  s", "5 s x", "0x5s", "99999999999999999999h"];
const HOOKS: &[&str] = &["", "/a", "'/a b c'", "/a 'b c'"];
const GATEWAYS4: &[&str] = &["", "auto", "dev", "10.0.0.1", "foo", "10.0.0.1/8", "fe80::1"];
const GATEWAYS6: &[&str] = &["", "auto", "dev", "FE80:0::1", "foo", "10.0.0.1"];
const IFNAMES: &[&str] = &["", "eth0", "abcdefghijklmno", "abcdefghijklmnop"];
const NAMESPACES: &[&str] =
    &["", "user", "NET pid", "mount", "user,pid", "time cgroup ipc uts mnt", "user user"];

/// Every key with values; a value is the rest of one line.
#[rustfmt::skip]
const VALUES: &[(&str, &[&str])] = &[
    ("lxc.arch", &["", "x86", "i686", "amd64", "x86_64", "armhf", "arm64", "riscv64", "s390x", "X86", "bogus", "linux32"]),
    ("lxc.apparmor.profile", TEXTS),
    ("lxc.apparmor.allow_incomplete", BOOLS),
    ("lxc.apparmor.allow_nesting", BOOLS),
    ("lxc.apparmor.raw", TEXTS),
    ("lxc.autodev.tmpfs.size", &["", "5", "-5", "5k", "foo", "99999999999"]),
    ("lxc.autodev", BOOLS),
    ("lxc.cap.drop", &["", "chown", "chown  kill", "CHOWN", "cap_chown", "5", "0x5", "41", "none", "chown chown", "checkpoint_restore"]),
    ("lxc.cap.keep", &["", "none", "chown kill", "chown none kill", "bogus"]),
    ("lxc.cgroup2.memory.max", TEXTS),
    ("lxc.cgroup2", &["", "x"]),
    ("lxc.cgroup.dir.monitor.pivot", PATHS),
    ("lxc.cgroup.dir.monitor", PATHS),
    ("lxc.cgroup.dir.container.inner", &["", "a", "a/b", ".", "..", "a.b"]),
    ("lxc.cgroup.dir.container", PATHS),
    ("lxc.cgroup.dir", PATHS),
    ("lxc.cgroup.relative", BOOLS),
    ("lxc.cgroup.memory.limit_in_bytes", TEXTS),
    ("lxc.cgroup", &["", "x"]),
    ("lxc.cgroup.dir.foo", &["x"]),
    ("lxc.console.buffer.size", SIZES),
    ("lxc.console.logfile", PATHS),
    ("lxc.console.path", PATHS),
    ("lxc.console.rotate", BOOLS),
    ("lxc.console.size", SIZES),
    ("lxc.sched.core", BOOLS),
    ("lxc.environment.runtime", &["A=b"]),
    ("lxc.environment.hooks", &["A=b"]),
    ("lxc.environment", &["", "A=b", "A=", "HOME", "NOT_SET", "=x", "A=b c=d"]),
    ("lxc.ephemeral", BOOLS),
    ("lxc.execute.cmd", TEXTS),
    ("lxc.group", &["", "a", "a b", "a,b", "a\tb"]),
    ("lxc.hook.autodev", HOOKS), ("lxc.hook.clone", HOOKS), ("lxc.hook.destroy", HOOKS), ("lxc.hook.mount", HOOKS),
    ("lxc.hook.post-stop", HOOKS), ("lxc.hook.pre-mount", HOOKS), ("lxc.hook.pre-start", HOOKS), ("lxc.hook.start-host", HOOKS),
    ("lxc.hook.start", HOOKS), ("lxc.hook.stop", HOOKS),
    ("lxc.hook.version", &["", "0", "1", "2", "x"]),
    ("lxc.hook", &["", "x"]),
    ("lxc.hook.foo", &["x"]),
    ("lxc.idmap", &["", "u 0 100000 65536", "g 0 0x10 010", "b 0 1 2", "u 0 1", "u 0 1 2 3", "u 0 1 2x", "u 0 1 -2", "u  0\t1 2", "u 0 1 0", "user 0 1 2", "u 0 4294967296 1"]),
    ("lxc.include", &["", "/nonexistent/dir/", "/nonexistent"]),
    ("lxc.init.cmd", TEXTS),
    ("lxc.init.gid", &["", "0", "7", "010", "x", "-1", "5x", "4294967296"]),
    ("lxc.init.groups", &["", "1", "1,2, 3", "5,,6", "5,x", "0x10", "7 8", ",", "1,-1"]),
    ("lxc.init.uid", &["", "0", "7", "010", "x", "-1", "5x", "4294967296"]),
    ("lxc.init.cwd", PATHS),
    ("lxc.keyring.session", BOOLS),
    ("lxc.log.file", &[""]),
    ("lxc.log.level", &["", "0", "8", "9", "debug", "NOTICE", "WARNING", "0x3", "-1", "warn", "FATAL"]),
    ("lxc.log.syslog", &["", "daemon", "local0", "LOCAL7", "local8", "user"]),
    ("lxc.monitor.unshare", UINTS),
    ("lxc.monitor.signal.pdeath", SIGNALS),
    ("lxc.mount.auto", &["", "proc", "proc:mixed", "proc:rw", "proc:ro", "sys", "sys:mixed", "sys:ro", "sys:rw", "cgroup", "cgroup:mixed", "cgroup:ro", "cgroup:rw", "cgroup-full", "cgroup-full:mixed", "cgroup-full:ro", "cgroup-full:rw", "cgroup:force", "cgroup:ro:force", "cgroup2", "cgroup2:ro", "cgroup2:rw", "cgroup2:force", "cgroup2:ro:force", "shmounts:/a", "shmounts:/a:/b", "shmounts:", "shmounts", "foo", "cgroup proc sys:ro", "proc proc:rw"]),
    ("lxc.mount.entry", &["", "/a b none bind 0 0", "garbage", "a b c d e f g"]),
    ("lxc.mount.fstab", PATHS),
    ("lxc.namespace.clone", NAMESPACES),
    ("lxc.namespace.keep", NAMESPACES),
    ("lxc.namespace.share.net", TEXTS),
    ("lxc.namespace.share.mount", &["x"]),
    ("lxc.time.offset.boot", TIMES),
    ("lxc.time.offset.monotonic", TIMES),
    ("lxc.time.offset.boot", &["5h", "5 s", "-5 s", "10ms", "010s"]),
    ("lxc.net", &["", "x"]),
    ("lxc.no_new_privs", BOOLS),
    ("lxc.prlimit.nofile", &["", "5", "5:6", "5 : 6", "unlimited", "5:unlimited", "7:7", "5:", ":5", "-1", "-5", "010", "0x10", "5k", "5:6:7", "5 6", "UNLIMITED", "18446744073709551615", "18446744073709551616"]),
    ("lxc.prlimit", &["", "5"]),
    ("lxc.pty.max", UINTS),
    ("lxc.rootfs.managed", BOOLS),
    ("lxc.rootfs.mount", PATHS),
    ("lxc.rootfs.options", &["", "ro,nodev", "optional", "create=dir", "relative", "idmap=container", "foo=bar"]),
    ("lxc.rootfs.path", &["", "/a", "dir:/a//b/", "overlay:/a:/b", "overlayfs:/a:/b", "zfs:tank/x", "bogus:/a", "rel", "nbd:/a:1", "dir:", "/a:/b", "loop:/x.img"]),
    ("lxc.seccomp.allow_nesting", BOOLS),
    ("lxc.seccomp.notify.cookie", TEXTS),
    ("lxc.seccomp.notify.proxy", &["", "unix:/a", "unix:@a", "unix:a", "unix:", "tcp:a"]),
    ("lxc.seccomp.profile", PATHS),
    ("lxc.selinux.context.keyring", TEXTS),
    ("lxc.selinux.context", TEXTS),
    ("lxc.signal.halt", SIGNALS), ("lxc.signal.reboot", SIGNALS), ("lxc.signal.stop", SIGNALS),
    ("lxc.start.auto", BOOLS),
    ("lxc.start.delay", UINTS),
    ("lxc.start.order", &["", "5", "-5", "0x10", "-0x10", "2147483648", "x", "+5"]),
    ("lxc.tty.dir", TEXTS),
    ("lxc.tty.max", UINTS),
    ("lxc.uts.name", TEXTS),
    ("lxc.uts.name", &["0123456789012345678901234567890123456789012345678901234567890123", "01234567890123456789012345678901234567890123456789012345678901234"]),
    ("lxc.sysctl.net.ipv4.ip_forward", TEXTS),
    ("lxc.sysctl", &["", "x"]),
    ("lxc.proc.oom_score_adj", TEXTS),
    ("lxc.proc", &["", "x"]),
    ("lxc.bogus", &["", "x"]),
    ("lxc.utsname", &["x"]),
    ("lxc.network.type", &["veth"]),
    // Interfaces: 0 veth, 1 macvlan, 2 ipvlan, 3 vlan, 4 phys, 5 empty, 6 none.
    ("lxc.net.0.type", &["veth", "macvlan", "ipvlan", "vlan", "phys", "empty", "none", "bogus"]),
    ("lxc.net.9.type", &["veth", ""]),
    ("lxc.net.0", &["", "x"]),
    ("lxc.net.9", &[""]),
    ("lxc.net.x.type", &["veth"]),
    ("lxc.net.0.bogus", &["x"]),
    ("lxc.net.0.link", IFNAMES), ("lxc.net.1.link", IFNAMES), ("lxc.net.4.link", IFNAMES), ("lxc.net.5.link", &["br0"]), ("lxc.net.6.link", &["br0"]),
    ("lxc.net.0.flags", &["", "up", "down"]),
    ("lxc.net.0.name", IFNAMES),
    ("lxc.net.0.hwaddr", &["", "00:16:3e:01:02:03", "whatever"]),
    ("lxc.net.0.mtu", &["", "1500", "abc"]),
    ("lxc.net.0.ipv4.address", &["", "10.0.3.5/24", "10.0.3.5", "192.168.1.5", "192.168.1.200", "10.0.3.5/24 10.0.3.255", "10.0.3.5/33", "10.0.3.5/0", "10.0.3.5/32", "foo", "1.2.3", "1.2.3.4/x", "1.2.3.4 x", "230.1.1.1"]),
    ("lxc.net.0.ipv4.gateway", GATEWAYS4),
    ("lxc.net.1.ipv4.gateway", GATEWAYS4),
    ("lxc.net.0.ipv6.address", &["", "fe80::1", "FE80:0:0::2/10", "fe80::1/300", "fe80::1/x", "foo", "::1.2.3.4", "::ffff:1.2.3.4", "::1", "::", "1:0:0:2::3", "2001:db8:0:1:1:1:1:1"]),
    ("lxc.net.0.ipv6.gateway", GATEWAYS6),
    ("lxc.net.0.l2proxy", BOOLS),
    ("lxc.net.0.script.up", HOOKS), ("lxc.net.0.script.down", HOOKS),
    ("lxc.net.1.macvlan.mode", &["private", "vepa", "bridge", "passthru", "l2"]),
    ("lxc.net.0.macvlan.mode", &["", "vepa"]),
    ("lxc.net.2.ipvlan.mode", &["l2", "l3", "l3s", "l4"]),
    ("lxc.net.2.ipvlan.isolation", &["bridge", "private", "vepa", "none"]),
    ("lxc.net.3.vlan.id", &["", "0", "5", "4095", "65535", "65536", "-1", "x"]),
    ("lxc.net.0.veth.mode", &["bridge", "router", "x"]),
    ("lxc.net.0.veth.n_rxqueues", &["", "0", "1", "4", "-1", "x"]),
    ("lxc.net.0.veth.n_txqueues", &["", "0", "1", "4", "-1", "x"]),
    ("lxc.net.0.veth.pair", IFNAMES),
    ("lxc.net.0.veth.ipv4.route", &["", "10.0.0.0/8", "10.0.0.0", "10.0.0.0/33", "fe80::/64", "x"]),
    ("lxc.net.0.veth.ipv6.route", &["", "fe80::/64", "fe80::", "fe80::/129", "10.0.0.0/8", "x"]),
    ("lxc.net.0.veth.vlan.id", &["none", "1", "4094", "4095", "-1", "x", "0x5"]),
    ("lxc.net.0.veth.vlan.tagged.id", &["", "0", "1", "4094", "4095", "none", "-1"]),
];

/// Meant differences: key, value (`*` = all), reason.
#[rustfmt::skip]
const DIFFERENT: &[(&str, &str, &str)] = &[
    ("lxc.cgroup.dir.foo", "x", "a misspelt directory key is no file of a controller called dir"),
    ("lxc.environment.runtime", "*", "new in 7.0"),
    ("lxc.environment.hooks", "*", "new in 7.0"),
    ("lxc.environment", "=x", "no name: setenv would fail at start"),
    ("lxc.hook.version", "x", "text taken for 0"),
    ("lxc.idmap", "u 0 4294967296 1", "ids have 32 bits"),
    ("lxc.idmap", "g 0 0x10 010", "ids are plain decimal numbers (CVE-2026-30892)"),
    ("lxc.init.groups", "0x10", "ids are plain decimal numbers (CVE-2026-30892)"),
    ("lxc.init.gid", "010", "ids are plain decimal numbers (CVE-2026-30892)"),
    ("lxc.init.uid", "010", "ids are plain decimal numbers (CVE-2026-30892)"),
    ("lxc.init.gid", "x", "text taken for 0, which is root"),
    ("lxc.init.gid", "5x", "text taken for 0, which is root"),
    ("lxc.init.gid", "4294967296", "a large number taken for 0, which is root"),
    ("lxc.init.uid", "x", "text taken for 0, which is root"),
    ("lxc.init.uid", "5x", "text taken for 0, which is root"),
    ("lxc.init.uid", "4294967296", "a large number taken for 0, which is root"),
    ("lxc.monitor.unshare", "4294967295", "printed as signed"),
    ("lxc.monitor.signal.pdeath", "", "empty makes it 0, no signal at all, instead of the default"),
    ("lxc.mount.auto", "shmounts:", "no directory to share"),
    ("lxc.time.offset.boot", "*", "7.0 prints 18000s, 5.x 18000 s and a newline"),
    ("lxc.time.offset.monotonic", "*", "7.0 prints 0ns, 5.x adds a newline"),
    ("lxc.prlimit.nofile", "-5", "a negative limit wraps to a huge one"),
    ("lxc.rootfs.mount", "", "empty and unset are one thing: the default"),
    ("lxc.rootfs.path", "dir:", "no path"),
    ("lxc.rootfs.path", "/a:/b", "a path with a colon is cut, what is before it taken for a type"),
    ("lxc.seccomp.allow_nesting", "yes", "text taken for 0"),
    ("lxc.start.delay", "4294967295", "printed as signed"),
    ("lxc.net.0.link", "abcdefghijklmnop", "names are cut to 15 bytes, meaning another interface"),
    ("lxc.net.1.link", "abcdefghijklmnop", "names are cut to 15 bytes, meaning another interface"),
    ("lxc.net.4.link", "abcdefghijklmnop", "names are cut to 15 bytes, meaning another interface"),
    ("lxc.net.0.name", "abcdefghijklmnop", "names are cut to 15 bytes, meaning another interface"),
    ("lxc.net.0.veth.pair", "abcdefghijklmnop", "names are cut to 15 bytes, meaning another interface"),
    ("lxc.net.0.ipv4.address", "192.168.1.5", "the class is taken from the last octet (byte order)"),
    ("lxc.net.0.ipv4.address", "230.1.1.1", "the class is taken from the last octet (byte order)"),
    ("lxc.net.0.ipv6.address", "fe80::1/300", "no such prefix length"),
    ("lxc.net.0.veth.vlan.id", "(unset)", "7.0 prints nothing, 5.x 0"),
    ("lxc.net.5.name", "(unset)", "type empty names itself lo"),
];

/// A comparison: text of the file, key to read, and what it is listed under.
struct Case {
    text: String,
    key: String,
    value: String,
}

fn cases() -> Vec<Case> {
    let nics = ["veth", "macvlan", "ipvlan", "vlan", "phys", "empty", "none"];
    let nics: String = nics.iter().enumerate().map(|(i, t)| format!("lxc.net.{i}.type = {t}\n")).collect();
    let mut cases = Vec::new();
    for (key, values) in VALUES {
        let before = if key.starts_with("lxc.net.") { nics.as_str() } else { "" };
        for value in *values {
            let text = format!("{before}{key} = {value}\n");
            cases.push(Case { text, key: (*key).to_owned(), value: (*value).to_owned() });
        }
    }
    // What nothing set reads as.
    for key in KEYS.iter().filter(|k| k.form != Form::Nic) {
        cases.push(Case { text: "#\n".into(), key: key.name.into(), value: "(unset)".into() });
    }
    // Every sub-key on every type of interface.
    for nic in 0..=7 {
        for key in KEYS.iter().filter(|k| k.form == Form::Nic) {
            let key = key.name.replacen('N', &nic.to_string(), 1);
            cases.push(Case { text: nics.clone(), key, value: "(unset)".into() });
        }
    }
    for (text, key) in LINES {
        cases.push(Case { text: (*text).to_owned(), key: (*key).to_owned(), value: (*text).to_owned() });
    }
    cases
}

/// Whole files, for what is between lines.
const LINES: &[(&str, &str)] = &[
    ("lxc.uts.name=a=b", "lxc.uts.name"),
    ("\tlxc.uts.name\t=\ta\t", "lxc.uts.name"),
    ("lxc.uts.name = a\rlxc.tty.max = 4\r\n", "lxc.tty.max"),
    ("lxc.uts.name\n", "lxc.uts.name"),
    ("lxc. = 1\n", "lxc.uts.name"),
    ("lxc.uts.name x = 1\n", "lxc.uts.name"),
    (" = 1\nlxc =2\nLXC.uts.name = 3\nfoo\n", "lxc.uts.name"),
    ("\u{feff}lxc.uts.name = a\n", "lxc.uts.name"),
    ("lxc.uts.name = a \\\nlxc.tty.max = 1\n", "lxc.uts.name"),
    ("lxc.group = a\nlxc.group = b\n", "lxc.group"),
    ("lxc.group = a\nlxc.group =\nlxc.group = b\n", "lxc.group"),
    ("lxc.cap.drop = chown\nlxc.cap.keep = kill\n", "lxc.cap.keep"),
    ("lxc.cap.drop = chown\nlxc.cap.keep =\n", "lxc.cap.drop"),
    ("lxc.cap.drop =\nlxc.cap.keep = kill\n", "lxc.cap.keep"),
    ("lxc.cap.keep = none\nlxc.cap.drop = kill\n", "lxc.cap.drop"),
    ("lxc.namespace.keep = user\nlxc.namespace.clone = pid\n", "lxc.namespace.keep"),
    ("lxc.namespace.keep = user\nlxc.namespace.clone =\n", "lxc.namespace.keep"),
    ("lxc.cgroup2.a = 1\nlxc.cgroup2.b = 2\nlxc.cgroup2.a = 3\n", "lxc.cgroup2"),
    ("lxc.cgroup2.a = 1\nlxc.cgroup2.b = 2\nlxc.cgroup2.a =\n", "lxc.cgroup2"),
    ("lxc.cgroup2.a = 1\nlxc.cgroup2.a = 3\n", "lxc.cgroup2.a"),
    ("lxc.cgroup.a = 1\nlxc.cgroup2.b = 2\nlxc.cgroup =\n", "lxc.cgroup2"),
    ("lxc.prlimit.core = 1\nlxc.prlimit.rss = 2\nlxc.prlimit.core = 3:4\n", "lxc.prlimit"),
    ("lxc.sysctl.a.b = 1\nlxc.sysctl.c = 2\nlxc.sysctl.a.b = 3\n", "lxc.sysctl"),
    ("lxc.proc.a = 1\nlxc.proc.b = 2\nlxc.proc.a =\n", "lxc.proc"),
    ("lxc.hook.start = /a\nlxc.hook.stop = /b\nlxc.hook =\n", "lxc.hook.stop"),
    ("lxc.hook.version = 1\nlxc.hook =\n", "lxc.hook.version"),
    ("lxc.idmap = u 0 1 2\nlxc.idmap = g 0 1 2\n", "lxc.idmap"),
    ("lxc.init.groups = 1\nlxc.init.groups = 2,3\n", "lxc.init.groups"),
    ("lxc.mount.auto = proc sys:ro\nlxc.mount.auto = proc:rw cgroup\n", "lxc.mount.auto"),
    ("lxc.net.3.type = phys\nlxc.net.0.type = veth\n", "lxc.net"),
    ("lxc.net.0.link = a\nlxc.net.0.type = veth\n", "lxc.net.0.link"),
    ("lxc.net.0.link = a\n", "lxc.net"),
    ("lxc.net.0.link = a\nlxc.net.0.veth.pair = b\n", "lxc.net.0.link"),
    ("lxc.net.0.type = veth\nlxc.net.0.vlan.id =\n", "lxc.net"),
    ("lxc.net.0.type = veth\nlxc.net.0 =\n", "lxc.net"),
    ("lxc.net.0.type = veth\nlxc.net.1.type = phys\nlxc.net =\n", "lxc.net"),
    ("lxc.net.007.type = veth\nlxc.net.7.link = a\n", "lxc.net.07.link"),
    (
        "lxc.net.0.type = veth\nlxc.net.0.ipv4.address = 10.0.0.1/8\nlxc.net.0.ipv4.address = 10.0.0.2/8\n",
        "lxc.net.0.ipv4.address",
    ),
    (
        "lxc.net.0.type = veth\nlxc.net.0.veth.vlan.tagged.id = 5\nlxc.net.0.veth.vlan.tagged.id = 5\n",
        "lxc.net.0.veth.vlan.tagged.id",
    ),
    ("lxc.environment = A=1\nlxc.environment = A=2\n", "lxc.environment"),
    ("lxc.autodev =\n", "lxc.autodev"),
    ("lxc.rootfs.managed = 0\nlxc.rootfs.managed =\n", "lxc.rootfs.managed"),
];

#[test]
fn keys_read_as_in_the_original() {
    let version = match original() {
        Ok(version) => version,
        Err(why) => {
            eprintln!("skipped: {why}");
            return;
        }
    };
    let path = Lxcpath::new();
    let mut wrong = Vec::new();
    let mut stale: Vec<_> = DIFFERENT.to_vec();
    let cases = cases();
    for case in &cases {
        let (theirs, ours) = (path.theirs(&case.text, &case.key), path.ours(&case.text, &case.key));
        let listed = DIFFERENT.iter().find(|(k, v, _)| *k == case.key && (*v == case.value || *v == "*"));
        // A build for another prefix has another default.
        let moved = case.key == "lxc.rootfs.mount" && format!("{ours:?}").contains(lxc_conf::ROOTFS_MOUNT);
        match (theirs == ours, listed) {
            (true, _) => {}
            (false, None) if moved => {}
            (false, Some(entry)) => stale.retain(|s| s != entry),
            (false, None) => {
                wrong.push(format!("{} {:?}: theirs {theirs:?} ours {ours:?}", case.key, case.value));
            }
        }
    }
    eprintln!("{} comparisons with {version}, {} listed differences", cases.len(), DIFFERENT.len());
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
    assert!(stale.is_empty(), "these are no longer different: {stale:?}");
}

#[test]
fn mistakes_are_told_in_its_words() {
    if let Err(why) = original() {
        eprintln!("skipped: {why}");
        return;
    }
    let path = Lxcpath::new();
    let mut wrong = Vec::new();
    let mut compared = 0;
    for case in cases() {
        let ours = path.our_texts(&case.text);
        let log = if ours.is_empty() { continue } else { path.their_log(&case.text) };
        // What only we refuse has no words of its own there.
        if log.is_empty() {
            continue;
        }
        compared += 1;
        // 7.0 adds the word to the first; after the second the original goes on with a name cut short.
        let cut = ours.iter().any(|text| text.contains("is too long (>= 16)"));
        let known = |text: &str| {
            text.contains("Invalid capability specified")
                || (cut && text.starts_with("Failed to parse config file"))
        };
        let missing: Vec<_> =
            ours.iter().filter(|text| !log.contains(&format!(" - {text}\n")) && !known(text)).collect();
        if !missing.is_empty() {
            wrong.push(format!("{:?}: {missing:?} not in\n{log}", case.text.lines().last()));
        }
    }
    assert!(compared > 100);
    assert!(wrong.is_empty(), "{} of {compared}:\n{}", wrong.len(), wrong.join("\n"));
}
