//! lxc-user-nic, set-uid root: what an ordinary user of the machine may try with it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use testkit::cases;
use testkit::run::Run;
use testkit::subject::Subject;
use testkit::usernic::{ALICE, BOB, CARL, World};

/// Name on the host of the nic that a line of the helper tells.
fn host(line: &str) -> String {
    line.trim_end().split(':').nth(2).unwrap_or_else(|| panic!("{line:?}")).to_owned()
}

/// The system calls of the helper, run by alice under strace.
fn trace(world: &World, line: &str) -> Vec<String> {
    let file = world.scratch().join("trace");
    let path = file.display().to_string();
    let done = Run::under(&world.prefix(), "strace")
        .args(["-f", "-u", "alice", "-o", &path])
        .arg(world.helper())
        .args(line.split(' '))
        .limit(Duration::from_secs(30))
        .done();
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("exited with"), "no trace: {done}\n{text}");
    text.lines().map(str::to_owned).collect()
}

/// The effective uid at the time of each line: what the last set*uid call in a trace of a set-uid program made it.
fn effective_uids(lines: &[String]) -> Vec<u32> {
    let mut uid = 0;
    lines
        .iter()
        .map(|line| {
            if let Some((_, rest)) = line.split_once("setresuid(")
                && line.ends_with("= 0")
                && let Some(word) = rest.split(", ").nth(1)
                && word != "-1"
            {
                uid = word.parse().unwrap();
            }
            uid
        })
        .collect()
}

cases! {
    fn cve_2017_5985_a_namespace_of_somebody_else() {
        let world = World::new();
        world.usernet("alice veth br0 9\nbob veth br0 9\n");
        let bobs = world.container(BOB);
        // Made by alice, but with a network namespace that root made.
        let roots = world.sleeper(0, &["unshare", "--net", "sleep", "100000"]);
        // Alice's process in the host's own network namespace.
        let hosts = world.sleeper(ALICE, &["sleep", "100000"]);
        let mapped = world.sleeper(ALICE, &["unshare", "--user", "--map-root-user", "sleep", "100000"]);
        for pid in [bobs, roots, hosts, mapped, 1, 999_999] {
            let done = world.nic(ALICE, &format!("create /l n {pid} veth br0 eth0"));
            assert!(done.code != 0 && done.stdout.is_empty(), "{done}");
        }
        assert!(world.veths().is_empty());
        assert!(world.links_inside(bobs).is_empty() && world.links_inside(roots).is_empty());
    }

    fn a_namespace_below_the_own_one_is_the_own() {
        let world = World::new();
        world.usernet("alice veth br0 9\n");
        let line = ["unshare", "--user", "--map-root-user", "unshare", "--user", "--net", "sleep", "100000"];
        let pid = world.sleeper(ALICE, &line);
        world.nic(ALICE, &format!("create /l n {pid} veth br0 eth0")).ok();
        let done = world.nic(BOB, &format!("create /l n {pid} veth br0 eth1"));
        assert!(done.code != 0, "{done}");
    }

    fn cve_2018_6556_paths_are_opened_as_the_caller_only() {
        let world = World::new();
        world.usernet("alice veth br0 9\n");
        let pid = world.container(ALICE);
        for (line, path) in [
            (format!("create /l n {pid} veth br0 eth0"), format!("/proc/{pid}/ns/net")),
            ("delete /l n /root/secret veth br0 veth4001_none".to_owned(), "/root/secret".to_owned()),
            (format!("delete /l n /proc/{pid}/ns/net veth br0 veth4001_none"), format!("/proc/{pid}/ns/net")),
        ] {
            let lines = trace(&world, &line);
            let uids = effective_uids(&lines);
            let quoted = format!("\"{path}\"");
            // The command line itself has the word, too.
            let uses: Vec<(&String, u32)> = lines
                .iter()
                .zip(uids)
                .filter(|(line, _)| line.contains(&quoted) && !line.contains("execve("))
                .collect();
            assert!(!uses.is_empty(), "{path} is never looked at");
            for (line, uid) in uses {
                assert_eq!(uid, ALICE, "as root: {line}");
            }
        }
    }

    fn cve_2018_6556_pipes_and_devices_are_not_opened() {
        let world = World::new();
        world.sh("mkfifo -m 666 /run/lxc/pipe; mknod -m 666 /run/lxc/null c 1 3; mknod -m 666 /run/lxc/tty c 5 0");
        for path in ["/run/lxc/pipe", "/run/lxc/null", "/run/lxc/tty", "/run/lxc", "/dev/ptmx"] {
            let done = Run::under(&world.prefix_of(ALICE), world.helper())
                .args(["delete", "/l", "n", path, "veth", "br0", "veth4001_none"])
                .limit(Duration::from_secs(5))
                .done();
            assert!(done.code == 1 && done.stdout.is_empty(), "{done}");
            let lines = trace(&world, &format!("delete /l n {path} veth br0 veth4001_none"));
            let quoted = format!("\"{path}\"");
            for line in lines.iter().filter(|line| line.contains("open") && line.contains(&quoted)) {
                assert!(line.contains("O_PATH"), "{line}");
            }
        }
    }

    fn cve_2022_47952_no_answer_tells_whether_a_file_exists() {
        let world = World::new();
        world.sh("mkdir -m 700 /run/lxc/closed; touch /run/lxc/closed/there; ln -s /etc/passwd /run/lxc/closed/link; \
                  mkfifo /run/lxc/closed/pipe; mkdir /run/lxc/closed/dir");
        let answer = |path: &str| {
            let done = world.nic(ALICE, &format!("delete /l n /run/lxc/closed/{path} veth br0 veth4001_none"));
            // Names of one length: an echo of the path is no difference.
            (done.code, done.stdout, done.stderr.replace(path, "X"))
        };
        let absent = answer("none");
        assert_eq!(absent.0, 1);
        for path in ["there", "link", "pipe", "dir", "dir/more"] {
            assert_eq!(answer(path), absent, "{path}");
        }
        // Nor does it tell by kind what can be seen.
        let visible = |path: &str| {
            let done = world.nic(ALICE, &format!("delete /l n {path} veth br0 veth4001_none"));
            (done.code, done.stdout, done.stderr.replace(path, "X"))
        };
        for path in ["/etc/passwd", "/none", "/proc/1/ns/net", "/proc/self/ns/mnt", "/etc"] {
            assert_eq!(visible(path).0, absent.0, "{path}");
            assert_eq!(visible(path).2.lines().count(), absent.2.lines().count(), "{path}");
        }
    }

    fn cve_2026_39402_only_the_own_port_is_deleted() {
        let world = World::new();
        world.install_ovs();
        world.usernet("alice veth ovs0 9\nbob veth ovs0 9\nalice veth br0 9\n");
        let (alices, bobs) = (world.container(ALICE), world.container(BOB));
        let own = host(&world.nic(ALICE, &format!("create /l n {alices} veth ovs0 eth0")).ok());
        let other = host(&world.nic(BOB, &format!("create /l n {bobs} veth ovs0 eth0")).ok());
        // One bridge's name is the start of another's, and a nic's of another's: text searches go wrong there.
        world.sh(&format!("ip link add {other}x type veth peer name pa; ip link add xveth type veth peer name pb"));
        let rows = [
            format!("alice veth ovs0 {own}"),
            format!("bob veth ovs0 {other}"),
            format!("alice veth br0 {other}x"),
            "alice veth ovs xveth".to_owned(),
        ];
        drop(world.ovs());
        for shift in 0..rows.len() {
            for swap in [false, true] {
                let mut lines = rows.clone();
                lines.rotate_left(shift);
                if swap {
                    lines.swap(0, 1);
                }
                fs::write(world.record_file(), lines.join("\n") + "\n").unwrap();
                for (bridge, name) in [("ovs0", other.as_str()), ("ovs0", "xveth"), ("br0", &other), ("ovs0", &format!("{other}x"))] {
                    let done = world.nic(ALICE, &format!("delete /l n /proc/{alices}/ns/net veth {bridge} {name}"));
                    let log = world.ovs();
                    assert!(done.code == 1 && log.is_empty(), "{bridge} {name} {lines:?}: {done}\n{log}");
                }
            }
        }
        assert!(world.veths().contains(&other));
        world.nic(ALICE, &format!("delete /l n /proc/{alices}/ns/net veth ovs0 {own}")).ok();
        assert!(world.ovs().contains(&format!("del-port ovs0 {own}")));
    }

    fn a_rule_for_a_group_of_others_crashes_nothing() {
        let world = World::new();
        let pid = world.container(ALICE);
        world.usernet("@lonely veth br0 2\n@nosuchgroup veth br0 2\nalice veth br0 1\n");
        world.nic(ALICE, &format!("create /l n {pid} veth br0 eth0")).ok();
    }

    /// What is left over would count against the user's quota for ever, and is not told to him.
    fn a_name_that_is_taken_leaves_nothing_behind() {
        let world = World::new();
        let pid = world.container(ALICE);
        world.usernet("alice veth br0 2\n");
        world.nic(ALICE, &format!("create /l n {pid} veth br0 eth0")).ok();
        let before = (world.veths(), world.links_inside(pid), world.record());
        for name in ["eth0", "sixteen-bytes-xy", "a/b", "lo"] {
            let done = world.nic(ALICE, &format!("create /l n {pid} veth br0 {name}"));
            assert!(done.code == 1 && done.stdout.is_empty(), "{done}");
        }
        assert_eq!((world.veths(), world.links_inside(pid), world.record()), before);
        world.nic(ALICE, &format!("create /l n {pid} veth br0 eth1")).ok();
    }

    fn closed_standard_descriptors_do_not_become_the_record() {
        let world = World::new();
        world.usernet("alice veth br0 9\n");
        let pid = world.container(ALICE);
        let helper = world.helper().display().to_string();
        for closed in ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"] {
            for name in ["fine", "a/b"] {
                let line = format!("exec {helper} create /l n {pid} veth br0 {name} {closed}");
                drop(Run::under(&world.prefix_of(ALICE), "sh").args(["-c", &line]).done());
            }
            drop(Run::under(&world.prefix_of(ALICE), "sh").args(["-c", &format!("exec {helper} {closed}")]).done());
            let record = world.record();
            for row in record.lines() {
                let words: Vec<&str> = row.split(' ').collect();
                assert!(words.len() == 4 && words[..3] == ["alice", "veth", "br0"], "{closed}: {record}");
            }
        }
    }

    /// The limits of whoever calls must not cut the record short.
    fn a_file_size_limit_does_not_cut_the_record() {
        let world = World::new();
        world.usernet("alice veth br0 9\nbob veth br0 9\n");
        let (alices, bobs) = (world.container(ALICE), world.container(BOB));
        world.nic(BOB, &format!("create /l n {bobs} veth br0 eth0")).ok();
        let before = world.record();
        let line = format!("create /l n {alices} veth br0 eth0");
        for limit in ["--fsize=0", "--fsize=3", "--fsize=40"] {
            drop(
                Run::under(&world.prefix_of(ALICE), "prlimit")
                    .args([limit, "--"])
                    .arg(world.helper())
                    .args(line.split(' '))
                    .done(),
            );
            assert!(world.record().starts_with(&before), "{limit}: {}", world.record());
            let recorded = world.record().lines().count();
            assert_eq!(recorded, world.veths().len(), "{limit}: a nic nobody counts");
            for name in world.veths().iter().filter(|name| name.starts_with("veth4001")) {
                world.sh(&format!("ip link delete {name}"));
            }
            world.sh("sed -i /^alice/d /run/lxc/nics");
        }
    }

    fn signals_of_the_caller_do_not_reach_the_holder_of_the_lock() {
        let world = World::new();
        world.usernet("alice veth br0 9\n");
        let pid = world.container(ALICE);
        let lines = trace(&world, &format!("create /l n {pid} veth br0 eth0"));
        let mut real = ALICE;
        let mut locked = false;
        for line in &lines {
            if let Some((_, rest)) = line.split_once("setresuid(")
                && line.ends_with("= 0")
                && let Some(word) = rest.split(", ").next()
                && word != "-1"
            {
                real = word.parse().unwrap();
            }
            if line.contains("F_SETLK") || line.contains("F_OFD_SETLK") || line.contains("flock(") {
                assert_eq!(real, 0, "kill(2) by the caller works here: {line}");
                locked = true;
            }
        }
        assert!(locked, "{lines:?}");
    }

    fn a_user_without_a_rule_gets_nothing_whatever_he_calls_himself() {
        let world = World::new();
        world.usernet("alice veth br0 9\n@netty veth br0 9\n");
        let pid = world.container(CARL);
        for variables in [["USER", "alice"], ["LOGNAME", "alice"], ["HOME", "/root"], ["LXC_SYSCONFDIR", "/tmp"]] {
            let done = Run::under(&world.prefix_of(CARL), world.helper())
                .args(format!("create /l n {pid} veth br0 eth0").split(' '))
                .env(variables[0], variables[1])
                .done();
            assert!(done.code != 0 && done.stdout.is_empty(), "{done}");
        }
        assert!(world.veths().is_empty());
    }

    /// What is left of root's rights when the caller's words are acted upon (ours), and where the process goes.
    fn the_helper_stays_in_its_namespace_and_keeps_one_capability() {
        let world = World::new();
        world.usernet("alice veth br0 9\n");
        let pid = world.container(ALICE);
        let lines = trace(&world, &format!("create /l n {pid} veth br0 eth0"));
        assert!(!lines.iter().any(|line| line.contains("setns(")), "enters a namespace of the caller's");
        let set = lines.iter().rposition(|line| line.contains("capset(") && line.ends_with("= 0"));
        let set = set.expect("keeps all capabilities");
        assert!(lines[set].contains("effective=1<<CAP_NET_ADMIN, permitted=1<<CAP_NET_ADMIN, inheritable=0"), "{}", lines[set]);
        let made = lines.iter().position(|line| line.contains("RTM_NEWLINK") && line.contains("NLM_F_CREATE"));
        assert!(made.is_some_and(|made| set < made), "{lines:?}");
    }
}

#[test]
fn both_helpers_share_one_record() {
    if !Subject::current().is_ours() {
        return;
    }
    let world = World::new();
    let pid = world.container(ALICE);
    world.usernet("alice veth br0 13\n");
    let lines: Vec<String> = (0..20).map(|number| format!("create /l n {pid} veth br0 e{number}")).collect();
    let codes = world.at_once(&[Subject::Ours, Subject::Theirs], ALICE, &lines);
    assert_eq!(codes.iter().filter(|code| **code == 0).count(), 13, "{codes:?}");
    assert_eq!(world.record().lines().count(), 13);
    assert_eq!(world.veths().len(), 13);
    let theirs = world.nic_of(Subject::Theirs, ALICE, &format!("create /l n {pid} veth br0 more")).exits(1);
    let _ = theirs.says("Quota reached");
    let mode = fs::metadata(world.record_file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
