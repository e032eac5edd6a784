//! A network namespace of the test's own, with a bridge and a DHCP server in it. Never touches the machine's network.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::eventually;
use crate::names::TestNames;
use crate::run::{Done, Run};

/// sysfs shows the interfaces of the namespace that mounted it, and the cgroups have to stay where they are, and
/// AppArmor says in securityfs what it mediates.
const SETUP: &str = "set -e; mkdir $1/sys; mount -t sysfs sysfs $1/sys; mount --rbind /sys/fs/cgroup $1/sys/fs/cgroup; \
                     ! mountpoint -q /sys/kernel/security || mount --rbind /sys/kernel/security $1/sys/kernel/security; \
                     mount --rbind $1/sys /sys; ip link set lo up; echo; exec sleep 100000";

/// A network (and mount) namespace kept alive by a sleeping process.
#[derive(Debug)]
pub struct Netns {
    keeper: Child,
    servers: Vec<Child>,
    pids: bool,
    scratch: PathBuf,
}

impl Netns {
    /// A fresh namespace with `lo` up.
    pub fn new() -> Netns {
        Netns::make(false)
    }

    /// The same with a pid namespace and a /proc of its own: some programs take pid 1's network for the host's.
    pub fn with_pids() -> Netns {
        Netns::make(true)
    }

    fn make(pids: bool) -> Netns {
        let scratch = TestNames::new("netns").directory();
        std::fs::create_dir_all(&scratch).unwrap();
        let keeper = Command::new("unshare")
            .args(["--net", "--mount", "--propagation", "private"])
            .args(pids.then_some(["--pid", "--fork", "--kill-child", "--mount-proc"]).into_iter().flatten())
            .args(["sh", "-c", SETUP, "sh"])
            .arg(&scratch)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut netns = Netns { keeper, servers: Vec::new(), pids, scratch };
        let mut line = [0; 1];
        std::io::Read::read_exact(netns.keeper.stdout.as_mut().unwrap(), &mut line).unwrap();
        netns
    }

    /// The words that run a program inside.
    pub fn prefix(&self) -> Vec<OsString> {
        let target = format!("--target={}", self.keeper.id());
        let pids = self.pids.then(|| format!("--pid=/proc/{}/ns/pid_for_children", self.keeper.id()));
        let words = ["nsenter", &target, "--net", "--mount"].into_iter().chain(pids.as_deref()).chain(["--"]);
        words.map(OsString::from).collect()
    }

    /// Runs a program inside.
    pub fn run(&self, words: &[&str]) -> Done {
        Run::under(&self.prefix(), words[0]).args(&words[1..]).done()
    }

    /// `ip WORDS…` inside; must succeed.
    pub fn ip(&self, line: &str) -> String {
        let words: Vec<&str> = std::iter::once("ip").chain(line.split_whitespace()).collect();
        self.run(&words).ok()
    }

    /// Names of the links inside, without `lo`.
    pub fn links(&self) -> Vec<String> {
        self.ip("-o link show")
            .lines()
            .filter_map(|line| line.split(": ").nth(1))
            .map(|name| name.split('@').next().unwrap_or(name).to_owned())
            .filter(|name| name != "lo")
            .collect()
    }

    /// A bridge with an address, up.
    pub fn bridge(&self, name: &str, address: &str) {
        self.ip(&format!("link add {name} type bridge"));
        self.ip(&format!("addr add {address} dev {name}"));
        self.ip(&format!("link set {name} up"));
    }

    /// dnsmasq answering DHCP on a bridge; no DNS.
    pub fn dhcp(&mut self, bridge: &str, first: &str, last: &str) {
        let leases = self.scratch.join("leases");
        let server = Run::under(&self.prefix(), "dnsmasq")
            .args([
                "--keep-in-foreground",
                "--port=0",
                "--conf-file=/dev/null",
                "--bind-interfaces",
                "--no-ping",
            ])
            .args([
                "--user=root",
                "--pid-file=",
                "--dhcp-authoritative",
                "--dhcp-no-override",
                "--except-interface=lo",
            ])
            .args([format!("--interface={bridge}"), format!("--dhcp-range={first},{last},1h")])
            .arg(format!("--dhcp-leasefile={}", leases.display()))
            .spawn(Stdio::null(), Stdio::null());
        let pid = server.id();
        self.servers.push(server);
        let listening = eventually(Duration::from_secs(5), || {
            self.run(&["cat", "/proc/net/udp"]).stdout.contains(":0043 ")
        });
        assert!(listening, "dnsmasq {pid} does not listen");
    }
}

impl Default for Netns {
    fn default() -> Netns {
        Netns::new()
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        for child in self.servers.iter_mut().chain([&mut self.keeper]) {
            drop(child.kill());
            drop(child.wait());
        }
        drop(std::fs::remove_dir_all(&self.scratch));
    }
}
