//! lxc-unshare: a command in new namespaces.

use std::fs;

use testkit::cases;
use testkit::names::TestNames;
use testkit::netns::Netns;
use testkit::run::{Done, Run};
use testkit::subject::Subject;

fn run(words: &[&str]) -> Done {
    Run::new(Subject::current().tool("lxc-unshare")).args(words).done()
}

/// Kinds of namespaces of a command that differ from ours.
fn fresh(list: &str) -> Vec<String> {
    let kinds = ["mnt", "pid", "uts", "ipc", "user", "net", "cgroup"];
    let line = kinds.map(|kind| format!("readlink /proc/self/ns/{kind}")).join(";");
    let said = run(&["-s", list, "--", "sh", "-c", &line]).ok();
    let differs = |(kind, line): (&&str, &str)| {
        let own = fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
        (own.to_str() != Some(line)).then(|| (*kind).to_owned())
    };
    kinds.iter().zip(said.lines()).filter_map(differs).collect()
}

cases! {
    fn namespaces_by_name() {
        for (list, kinds) in [
            ("MOUNT", vec!["mnt"]),
            ("UTSNAME", vec!["uts"]),
            ("IPC", vec!["ipc"]),
            ("USER", vec!["user"]),
            ("NETWORK", vec!["net"]),
            ("CGROUP", vec!["cgroup"]),
            ("uts", vec!["uts"]),
            ("MOUNT|UTSNAME|IPC|NETWORK", vec!["mnt", "uts", "ipc", "net"]),
        ] {
            assert_eq!(fresh(list), kinds, "{list}");
        }
        assert_eq!(run(&["-s", "PID", "--", "sh", "-c", "echo $$"]).ok(), "1\n");
    }

    fn a_hostname() {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        assert_eq!(run(&["-s", "UTSNAME", "-H", "other", "--", "hostname"]).ok(), "other\n");
        assert_eq!(run(&["-s", "UTSNAME", "--hostname=third", "hostname"]).ok(), "third\n");
        assert_eq!(fs::read_to_string("/proc/sys/kernel/hostname").unwrap(), host);
    }

    fn a_user() {
        assert_eq!(run(&["-s", "USER", "--", "id", "-u"]).ok(), "65534\n");
        let line = "id -u; cat /proc/self/uid_map";
        let said = run(&["-s", "USER", "-u", "5", "--", "sh", "-c", line]).ok();
        assert_eq!(said.split_whitespace().collect::<Vec<_>>(), ["5", "5", "0", "1"]);
        assert_eq!(run(&["-s", "USER", "-u", "games", "--", "id", "-u"]).ok(), "5\n");
        let done = run(&["-s", "USER", "-u", "nosuchuser", "--", "id"]).exits(1);
        assert!(done.stdout.is_empty() && done.stderr.contains("could not parse command line"), "{done}");
    }

    fn an_interface() {
        let netns = Netns::new();
        netns.ip("link add give0 type veth peer name keep0");
        let tool = Subject::current().tool("lxc-unshare");
        let said = Run::under(&netns.prefix(), tool).args(["-s", "NETWORK", "-i", "give0", "--", "sh", "-c", "sleep 0.5; ip -o link"]).done();
        assert!(said.clone().ok().contains(" give0@"), "{said}");
    }

    fn exit_codes() {
        let code = |line: &str| run(&["-s", "IPC", "--", "sh", "-c", line]).code;
        // Whatever the command gave.
        assert_eq!((code("exit 0"), code("exit 7"), code("kill -9 $$")), (0, 1, 1));
        let _ = run(&["-s", "IPC", "--", "/nonexistent"]).exits(1).says("/nonexistent");
    }

    fn not_waited_for() {
        let dir = TestNames::new("unshare").directory();
        fs::create_dir_all(&dir).unwrap();
        let file = dir.join("late");
        let line = format!("exec >/dev/null 2>&1; sleep 0.5; echo late > {}", file.display());
        run(&["-s", "IPC", "-d", "--", "sh", "-c", &line]).ok();
        assert!(!file.exists());
        assert!(testkit::eventually(std::time::Duration::from_secs(5), || file.exists()));
        fs::remove_dir_all(dir).unwrap();
    }

    fn options_that_need_a_namespace() {
        for (words, why) in [
            (vec![], "A command to execute in the new namespace is required"),
            (vec!["-s", "UTSNAME"], "A command to execute in the new namespace is required"),
            (vec!["--", "true"], "A namespace to execute command is required"),
            (vec!["-s", "", "--", "true"], "A namespace to execute command is required"),
            (vec!["-s", "IPC", "-i", "lo", "--", "true"], "-i <interfacename> needs -s NETWORK option"),
            (vec!["-s", "IPC", "-H", "x", "--", "true"], "-H <hostname> needs -s UTSNAME option"),
            (vec!["-s", "IPC", "-M", "--", "true"], "-M needs -s MOUNT option"),
            (vec!["-s", "IPC|BOGUS", "--", "true"], "could not parse command line"),
            (vec!["-s", "IPC,USER", "--", "true"], "could not parse command line"),
            (vec!["-s", "IPC", "sh", "-c", "true"], "invalid option -- 'c'"),
        ] {
            let _ = run(&words).exits(1).says(why);
        }
    }

    fn a_fresh_proc() {
        let said = run(&["-s", "MOUNT|PID", "-M", "--", "sh", "-c", "echo /proc/[0-9]*; grep -q ' /dev/shm tmpfs ' /proc/mounts && echo fresh"]);
        assert_eq!(said.ok(), "/proc/1\nfresh\n");
    }
}

#[test]
fn what_only_ours_does() {
    if !Subject::current().is_ours() {
        return;
    }
    let time = run(&["-s", "TIME", "--", "readlink", "/proc/self/ns/time"]).ok();
    assert_ne!(time.trim(), fs::read_link("/proc/self/ns/time").unwrap().to_str().unwrap());
    // Every interface is there when the command starts, or it does not.
    let netns = Netns::new();
    netns.ip("link add one0 type veth peer name two0");
    let ours =
        |words: &[&str]| Run::under(&netns.prefix(), Subject::Ours.tool("lxc-unshare")).args(words).done();
    let said = ours(&["-s", "NETWORK", "-i", "one0", "-i", "two0", "--", "ip", "-o", "link"]).ok();
    assert!(said.contains(" one0@") && said.contains(" two0@"), "{said}");
    let done = ours(&["-s", "NETWORK", "-i", "nosuch", "--", "echo", "ran"]).exits(1);
    assert!(done.stdout.is_empty() && done.stderr.contains("there is no interface nosuch"), "{done}");
    let _ = run(&["-s", "IPC", "-d", "--", "/nonexistent"]).exits(1).says("execute /nonexistent");
    let _ = run(&["-s", "USER", "-u", "0x5", "--", "id"]).exits(1).says("0x5");
    let _ = run(&["-s", "IPC", "-u", "5", "--", "id"]).exits(1).says("-u <user> needs -s USER option");
}
