//! A machine with three users, two bridges and lxc-user-nic, all in namespaces of the test's own. Users exist in private
//! copies of /etc/passwd and /etc/group only; /etc/lxc and /run/lxc are empty directories of the test.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::eventually;
use crate::names::TestNames;
use crate::run::{Done, Run};
use crate::subject::Subject;

pub const ALICE: u32 = 4001;
pub const BOB: u32 = 4002;
pub const CARL: u32 = 4003;

/// `$1` scratch directory. `br1` has an MTU of its own; `netty` has alice and bob, `lonely` nobody.
const SETUP: &str = r#"
set -e
cd $1; mkdir etclxc runlxc bin; chmod 755 $1
mount --bind etclxc /etc/lxc; mkdir -p /run/lxc; mount --bind runlxc /run/lxc
cp /etc/passwd passwd; cp /etc/group group
for user in alice:4001 bob:4002 carl:4003; do
    echo "${user%:*}:x:${user#*:}:${user#*:}::/tmp:/bin/sh" >> passwd; echo "${user%:*}:x:${user#*:}:" >> group
done
echo "netty:x:4100:alice,bob" >> group; echo "lonely:x:4101:" >> group
mount --bind passwd /etc/passwd; mount --bind group /etc/group
mount --bind bin /usr/local/bin; mount -t sysfs sysfs /sys; ip link set lo up
ip link add br0 type bridge; ip link set br0 up
ip link add br1 mtu 1400 type bridge; ip link set br1 up
ip link add ovs0 type veth peer name ovs1; ip link set ovs0 up
echo; exec sleep 100000
"#;

/// Kept alive by a sleeping process; everything goes with it.
#[derive(Debug)]
pub struct World {
    keeper: Child,
    sleepers: std::cell::RefCell<Vec<Child>>,
    scratch: PathBuf,
}

impl World {
    pub fn new() -> World {
        let scratch = TestNames::new("usernic").directory();
        fs::create_dir_all(&scratch).unwrap();
        let keeper = Command::new("unshare")
            .args(["--net", "--mount", "--propagation", "private", "sh", "-c", SETUP, "sh"])
            .arg(&scratch)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut world = World { keeper, sleepers: std::cell::RefCell::default(), scratch };
        let mut line = [0; 1];
        std::io::Read::read_exact(world.keeper.stdout.as_mut().unwrap(), &mut line).expect("the world");
        world
    }

    /// The helper under test, where every user can run it.
    pub fn helper(&self) -> PathBuf {
        self.helper_of(Subject::current())
    }

    pub fn helper_of(&self, subject: Subject) -> PathBuf {
        let bin = subject.bin_dir();
        let places = [bin.join("../libexec/lxc/lxc-user-nic"), bin.join("lxc-user-nic")];
        let from = places.iter().find(|path| path.exists());
        let from = from.unwrap_or_else(|| panic!("no lxc-user-nic near {}", bin.display()));
        if subject == Subject::Theirs {
            return from.clone();
        }
        let to = self.scratch.join("lxc-user-nic");
        if !to.exists() {
            fs::copy(from, &to).unwrap();
            fs::set_permissions(&to, fs::Permissions::from_mode(0o4755)).unwrap();
        }
        to
    }

    /// The words that run a program as root inside.
    pub fn prefix(&self) -> Vec<OsString> {
        let target = format!("--target={}", self.keeper.id());
        ["nsenter", &target, "--net", "--mount", "--"].iter().map(OsString::from).collect()
    }

    /// The words that run a program as a user inside, with his groups.
    pub fn prefix_of(&self, uid: u32) -> Vec<OsString> {
        let mut words = self.prefix();
        let id = uid.to_string();
        words.extend(["setpriv", "--reuid", &id, "--regid", &id, "--init-groups"].map(OsString::from));
        words
    }

    /// The helper as a user.
    pub fn nic(&self, uid: u32, line: &str) -> Done {
        self.nic_of(Subject::current(), uid, line)
    }

    pub fn nic_of(&self, subject: Subject, uid: u32, line: &str) -> Done {
        Run::under(&self.prefix_of(uid), self.helper_of(subject)).args(line.split(' ')).done()
    }

    /// Runs all lines at the same time, by turns with each of the helpers; gives their exit codes.
    pub fn at_once(&self, subjects: &[Subject], uid: u32, lines: &[String]) -> Vec<i32> {
        let children: Vec<Child> = lines
            .iter()
            .zip(subjects.iter().cycle())
            .map(|(line, subject)| {
                Run::under(&self.prefix_of(uid), self.helper_of(*subject))
                    .args(line.split(' '))
                    .spawn(Stdio::null(), Stdio::null())
            })
            .collect();
        children.into_iter().map(|mut child| child.wait().unwrap().code().unwrap_or(-1)).collect()
    }

    /// A shell line as root; must succeed.
    pub fn sh(&self, line: &str) -> String {
        Run::under(&self.prefix(), "sh").args(["-c", line]).done().ok()
    }

    /// A process of the user in a user and network namespace of his own.
    pub fn container(&self, uid: u32) -> u32 {
        self.sleeper(uid, &["unshare", "--user", "--map-root-user", "--net", "sleep", "100000"])
    }

    /// A program that stays, started in the background; waits until it has its own network namespace and sleeps.
    pub fn sleeper(&self, uid: u32, words: &[&str]) -> u32 {
        let child =
            Run::under(&self.prefix_of(uid), words[0]).args(&words[1..]).spawn(Stdio::null(), Stdio::null());
        let pid = child.id();
        self.sleepers.borrow_mut().push(child);
        let ready = || fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "sleep\n");
        assert!(eventually(Duration::from_secs(10), ready), "no sleeper");
        pid
    }

    pub fn usernet(&self, text: &str) {
        fs::write(self.scratch.join("etclxc/lxc-usernet"), text).unwrap();
    }

    pub fn remove_usernet(&self) {
        fs::remove_file(self.scratch.join("etclxc/lxc-usernet")).unwrap();
    }

    /// The record of nics; empty when there is none.
    pub fn record(&self) -> String {
        fs::read_to_string(self.record_file()).unwrap_or_default()
    }

    pub fn record_file(&self) -> PathBuf {
        self.scratch.join("runlxc/nics")
    }

    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Puts a stand-in for ovs-vsctl(8) into /usr/local/bin, which writes its words and environment to [`World::ovs`].
    pub fn install_ovs(&self) {
        let (path, log) = (self.scratch.join("bin/ovs-vsctl"), self.scratch.join("ovs.log"));
        let script = format!("#!/bin/sh\necho \"ovs $*\" >> {log}\nexec env >> {log}\n", log = log.display());
        fs::write(&path, script).unwrap();
        // The original runs it with the caller's real uid, and a shell then gives up the effective one.
        fs::write(&log, "").unwrap();
        fs::set_permissions(&log, fs::Permissions::from_mode(0o666)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// What the stand-in was called with, then its environment; empties it.
    pub fn ovs(&self) -> String {
        let log = self.scratch.join("ovs.log");
        let text = fs::read_to_string(&log).unwrap();
        fs::write(log, "").unwrap();
        text
    }

    /// `ip -d link show LINK` in the namespace of a process.
    pub fn inside(&self, pid: u32, link: &str) -> String {
        let target = format!("--target={pid}");
        Run::new("nsenter").args([&target, "--net", "ip", "-d", "link", "show", link]).done().ok()
    }

    /// Names of the links in the namespace of a process, sorted.
    pub fn links_inside(&self, pid: u32) -> Vec<String> {
        let target = format!("--target={pid}");
        names(&Run::new("nsenter").args([&target, "--net", "ip", "-o", "link", "show"]).done().ok())
    }

    /// Names of the veths of the host made by a helper, sorted.
    pub fn veths(&self) -> Vec<String> {
        let mut names = names(&self.sh("ip -o link show"));
        names.retain(|name| name.starts_with("veth"));
        names
    }
}

fn names(listing: &str) -> Vec<String> {
    let mut names: Vec<String> = listing
        .lines()
        .filter_map(|line| line.split(": ").nth(1))
        .map(|name| name.split('@').next().unwrap_or(name).to_owned())
        .filter(|name| name != "lo")
        .collect();
    names.sort();
    names
}

impl Default for World {
    fn default() -> World {
        World::new()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for child in self.sleepers.borrow_mut().iter_mut().chain([&mut self.keeper]) {
            drop(child.kill());
            drop(child.wait());
        }
        drop(fs::remove_dir_all(&self.scratch));
    }
}
