//! The machine's own user `tester`: his session by pam_systemd, his systemd, and containers of his with control groups
//! that systemd delegates.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::Duration;

use testkit::{Guest, Run, cases, eventually};

use super::{cgroup, number, read};

/// The words that run a program in a session of his.
pub(super) fn session(how: &str) -> Vec<OsString> {
    ["su", "-l", "-c", how, "--", "tester", "sh"].map(OsString::from).to_vec()
}

/// As it stands in his session.
pub(super) fn plain() -> Vec<OsString> {
    session("exec \"$@\"")
}

/// In a scope of its own with a delegated control group.
fn scope() -> Vec<OsString> {
    session("exec systemd-run --user --scope --quiet -p Delegate=yes -- \"$@\"")
}

/// A container of his.
pub(super) fn guest(prefix: Vec<OsString>, conf: &str) -> Guest {
    let map = "lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536";
    let guest = Guest::build("login").under(prefix).conf(map).conf(conf).make();
    give(&guest);
    guest
}

/// The directory is his, the root file system belongs to the container's root.
pub(super) fn give(guest: &Guest) {
    let chown = |who: &str, options: &[&str], paths: &[&Path]| {
        Run::new("chown").args(options).arg(who).args(paths).done().ok();
    };
    chown("tester:tester", &[], &[guest.lxcpath(), &guest.dir(), &guest.config()]);
    chown("100000:100000", &["-R", "-h"], &[&guest.rootfs()]);
}

fn of(pid: u32, file: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap()
}

/// How a unit ends a container, as the unit of the package does.
fn stop_line(guest: &Guest) -> String {
    let tool = guest.subject().tool("lxc-stop");
    format!("ExecStop={} -P {} -n {} -t 30", tool.display(), guest.lxcpath().display(), guest.name())
}

/// It runs, it is his, and a limit of it bites.
pub(super) fn sound(guest: &Guest) {
    let status = of(guest.pid(), "status");
    assert!(status.contains("Uid:\t100000\t100000\t100000\t100000"), "{status}");
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:\t")).unwrap().parse().unwrap();
    assert!(of(parent, "status").contains("Uid:\t1000\t1000\t1000\t1000"));
    let dir = cgroup(guest);
    assert!(dir.starts_with("/sys/fs/cgroup/user.slice/user-1000.slice"), "{}", dir.display());
    assert!(dir.to_string_lossy().contains(guest.name()), "{}", dir.display());
    assert_eq!(read(guest, "memory.max"), "25165824\n");
    let done = guest.attach(["dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"]);
    assert_eq!(done.code, 137, "{done}");
    assert!(number(guest, "memory.events", "oom_kill") >= 1);
    // Delegated to the container as well: its root may make groups of its own.
    assert_eq!(guest.sh("mount -t tmpfs none /mnt && echo mounted"), "mounted\n");
}

pub(super) const LIMIT: &str = "lxc.cgroup2.memory.max = 24M\nlxc.cgroup2.memory.swap.max = 0";

cases! {
    fn a_session_is_what_pam_makes() {
        super::inside();
        let done = Run::under(&plain(), "sh").args(["-c", "id -un; echo $XDG_RUNTIME_DIR; cat /proc/self/cgroup"]).done();
        let text = done.exits(0).ok();
        assert!(text.starts_with("tester\n/run/user/1000\n0::/user.slice/user-1000.slice/session-"), "{text}");
    }

    fn in_a_delegated_scope() {
        super::inside();
        let guest = guest(scope(), LIMIT);
        guest.start();
        sound(&guest);
        guest.tool("lxc-freeze").done().exits(0).silent().ok();
        assert_eq!(guest.state(), "FROZEN");
        guest.tool("lxc-unfreeze").done().exits(0).silent().ok();
        guest.tool("lxc-stop").args(["-t", "20"]).done().exits(0).ok();
        guest.await_gone();
        guest.assert_nothing_left();
    }

    fn in_his_session_it_gets_a_scope() {
        super::inside();
        let guest = guest(plain(), LIMIT);
        guest.start();
        sound(&guest);
        let dir = cgroup(&guest);
        assert!(dir.starts_with("/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service"), "{}", dir.display());
        let scope = dir.iter().map(|part| part.to_str().unwrap()).find(|part| part.ends_with(".scope")).unwrap();
        let units = || {
            let list = ["--user", "list-units", "--no-legend", "--type=scope"];
            Run::under(&plain(), "systemctl").args(list).done().ok()
        };
        assert!(units().contains(scope), "{scope}: {}", units());
        guest.kill();
        guest.assert_nothing_left();
        assert!(eventually(Duration::from_secs(20), || !units().contains(scope)), "{}", units());
    }

    fn below_a_unit_of_his() {
        super::inside();
        let guest = guest(plain(), LIMIT);
        let unit = format!("{}.service", guest.name());
        let start = "stop=$1; shift; exec systemd-run --user --quiet -p Delegate=yes -p \"$stop\" --unit \"$0\" -- \"$@\"";
        let words = ["su", "-l", "-c", start, "--", "tester", &unit, &stop_line(&guest)].map(OsString::from);
        let run = Run::under(&words, guest.subject().tool("lxc-start"));
        run.arg("-P").arg(guest.lxcpath()).args(["-n", guest.name(), "-F"]).done().exits(0).ok();
        guest.await_state("RUNNING");
        sound(&guest);
        assert!(cgroup(&guest).to_string_lossy().contains(&unit), "{}", cgroup(&guest).display());
        // The end of the unit is the container's.
        Run::under(&plain(), "systemctl").args(["--user", "stop", &unit]).done().exits(0).ok();
        guest.await_state("STOPPED");
        guest.assert_nothing_left();
    }

    fn its_console_may_be_a_terminal_of_the_machine() {
        super::inside();
        // Without a devpts of its own. The group of the machine's terminals is `tty`, which he may not map.
        let guest = guest(scope(), "lxc.pty.max = 0");
        guest.start();
        let console = Run::new("stat").args(["-c", "%u"]).arg(format!("/proc/{}/root/dev/console", guest.pid()));
        assert_eq!(console.done().ok(), "100000\n");
        guest.kill();
        guest.assert_nothing_left();
    }

    fn another_user_does_not_reach_it() {
        super::inside();
        let guest = guest(scope(), "");
        guest.start();
        let other = ["su", "-l", "-c", "exec \"$@\"", "--", "other", "sh"].map(OsString::from);
        let tool = |name: &str| Run::under(&other, guest.subject().tool(name)).arg("-P").arg(guest.lxcpath()).args(["-n", guest.name()]);
        assert_ne!(tool("lxc-stop").arg("-k").done().code, 0);
        assert_ne!(tool("lxc-attach").args(["--", "true"]).done().code, 0);
        assert_eq!(guest.state(), "RUNNING");
    }
}

cases! {
    fn root_below_a_unit_of_the_system() {
        super::inside();
        let guest = Guest::build("login").conf("lxc.cgroup.relative = 1\nlxc.cgroup2.pids.max = 50").make();
        let unit = format!("{}.service", guest.name());
        let run = Run::new("systemd-run").args(["--quiet", "-p", "Delegate=yes", "-p", "MemoryMax=32M", "-p", &stop_line(&guest), "--unit", &unit, "--"]);
        let run = run.arg(guest.subject().tool("lxc-start")).arg("-P").arg(guest.lxcpath());
        run.args(["-n", guest.name(), "-F"]).done().exits(0).ok();
        guest.await_state("RUNNING");
        let dir = cgroup(&guest);
        assert!(dir.starts_with(format!("/sys/fs/cgroup/system.slice/{unit}")), "{}", dir.display());
        assert_eq!(read(&guest, "pids.max"), "50\n");
        // The unit's own limit holds for the container.
        assert_eq!(guest.attach(["dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"]).code, 137);
        Run::new("systemctl").args(["stop", &unit]).done().exits(0).ok();
        guest.await_state("STOPPED");
        guest.assert_nothing_left();
    }
}
