//! Control groups: lxc-cgroup, limits from the configuration, names and directories.

use std::fs;

use testkit::cgroup2::Pure;
use testkit::{Guest, cases};

/// Everything a shell in a container needs but /dev/zero.
const ALLOWLIST: &str = "devices.deny = a\ndevices.allow = c *:* m\ndevices.allow = b *:* m\ndevices.allow = c 1:3 rwm\n\
                         devices.allow = c 1:9 rwm\ndevices.allow = c 5:* rwm\ndevices.allow = c 136:* rwm";

fn allowlist(prefix: &str) -> String {
    ALLOWLIST.lines().map(|line| format!("{prefix}{line}\n")).collect()
}

fn refused(guest: &Guest, command: &str) -> bool {
    let done = guest.attach(["sh", "-c", command]);
    assert!(done.code == 0 || done.stderr.contains("Operation not permitted"), "{done}");
    done.code != 0
}

/// Path of the container's cgroup in one v1 hierarchy.
fn cgroup(guest: &Guest, controller: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{}/cgroup", guest.pid())).unwrap();
    let line = text.lines().find(|line| line.split(':').nth(1) == Some(controller)).unwrap();
    line.splitn(3, ':').nth(2).unwrap().to_owned()
}

fn v1() -> bool {
    std::path::Path::new("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists()
}

/// Removes a directory the configuration asked for: it may be shared, so no container does.
fn remove(name: &str) {
    for hierarchy in fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
        let dir = hierarchy.path().join(name);
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            drop(fs::remove_dir(entry.path()));
        }
        drop(fs::remove_dir(dir));
    }
}

cases! {
    fn values_are_read_and_written() {
        let guest = Guest::build("cgroup").start();
        if !v1() {
            return;
        }
        let tool = |words: &[&str]| guest.tool("lxc-cgroup").args(words).done();
        tool(&["memory.limit_in_bytes", "64M"]).exits(0).prints("").silent().ok();
        tool(&["memory.limit_in_bytes"]).exits(0).prints("67108864\n\n").ok();
        tool(&["cpuset.cpus"]).exits(0).ok();
        tool(&["no.such.file"]).exits(1).prints("").says("Failed to retrieve value of 'no.such.file'").ok_on_stdout();
        tool(&["memory.limit_in_bytes", "nonsense"]).exits(1).says("Failed to assign 'nonsense' value to 'memory.limit_in_bytes'").ok_on_stdout();
        tool(&[]).exits(1).says("could not parse command line").ok_on_stdout();
    }

    fn device_rules() {
        let guest = Guest::build("cgroup").start();
        if !v1() {
            return;
        }
        guest.sh("mknod /tmp/zero c 1 5; head -c 1 /tmp/zero >/dev/null");
        guest.tool("lxc-cgroup").args(["devices.deny", "c 1:5 rwm"]).done().exits(0).ok();
        assert_ne!(guest.attach(["sh", "-c", "head -c 1 /tmp/zero"]).code, 0);
        guest.tool("lxc-cgroup").args(["devices.allow", "c 1:5 rwm"]).done().exits(0).ok();
        guest.sh("head -c 1 /tmp/zero >/dev/null");
    }

    fn a_device_list_from_the_configuration() {
        if !v1() {
            return;
        }
        let guest = Guest::build("cgroup").conf(&allowlist("lxc.cgroup.")).start();
        assert!(refused(&guest, "head -c 1 /dev/zero"));
        guest.sh("head -c 1 /dev/urandom > /dev/null; mknod /tmp/loop b 7 0");
        assert!(refused(&guest, "head -c 1 /tmp/loop"));
    }

    fn a_device_list_on_pure_cgroup2() {
        let pure = Pure::new();
        let guest = Guest::build("cgroup").under(pure.prefix()).conf(&allowlist("lxc.cgroup2.")).start();
        guest.sh("head -c 1 /dev/urandom > /dev/null");
        assert!(refused(&guest, "head -c 1 /dev/zero"), "the list is not in force");
        guest.tool("lxc-cgroup").args(["devices.allow", "c 1:5 rwm"]).done().exits(0).prints("").silent().ok();
        assert!(!refused(&guest, "head -c 1 /dev/zero"), "allowed, but refused");
        guest.tool("lxc-cgroup").args(["devices.deny", "c 1:5 rwm"]).done().exits(0).silent().ok();
        assert!(refused(&guest, "head -c 1 /dev/zero"), "an old program stayed or no new one came");
        assert!(!refused(&guest, "head -c 1 /dev/urandom"), "other devices are as before");
        for wrong in ["x 1:5 rw", "c 1:5 rwx", "c1:5"] {
            let done = guest.tool("lxc-cgroup").args(["devices.allow", wrong]).done();
            done.exits(1).says(&format!("Failed to assign '{wrong}' value to 'devices.allow'")).ok_on_stdout();
        }
    }

    fn limits_from_the_configuration() {
        if !v1() {
            return;
        }
        let guest = Guest::build("cgroup").conf("lxc.cgroup.memory.limit_in_bytes = 100M\nlxc.cgroup.cpu.shares = 512\nlxc.cgroup.pids.max = 77").start();
        let read = |controller: &str, file: &str| {
            fs::read_to_string(format!("/sys/fs/cgroup/{controller}{}/{file}", cgroup(&guest, controller))).unwrap()
        };
        assert_eq!(read("memory", "memory.limit_in_bytes"), "104857600\n");
        assert_eq!(read("cpu", "cpu.shares"), "512\n");
        assert_eq!(read("pids", "pids.max"), "77\n");
    }

    fn a_limit_the_kernel_refuses_fails_the_start() {
        if !v1() {
            return;
        }
        let guest = Guest::build("cgroup").conf("lxc.cgroup.memory.limit_in_bytes = nonsense").make();
        guest.try_start().exits(1).ok_on_stdout();
        guest.assert_nothing_left();
    }

    fn a_parent_directory() {
        let guest = Guest::build("cgroup").conf("lxc.cgroup.dir = @NAME@-dir").start();
        let expected = format!("/{0}-dir/lxc.payload.{0}", guest.name());
        assert_eq!(cgroup(&guest, "freezer"), expected);
        guest.kill();
        remove(&format!("{}-dir", guest.name()));
    }

    fn directories_for_monitor_and_payload() {
        let lines = "lxc.cgroup.dir.monitor = @NAME@-d/monitor\nlxc.cgroup.dir.container = @NAME@-d/payload\n\
                     lxc.cgroup.dir.monitor.pivot = @NAME@-d/pivot";
        let guest = Guest::build("cgroup").conf(lines).start();
        assert_eq!(cgroup(&guest, "freezer"), format!("/{}-d/payload", guest.name()));
        let monitor = fs::read_to_string(format!("/proc/{}/cgroup", guest.monitor())).unwrap();
        assert!(monitor.lines().all(|line| line.ends_with(&format!("/{}-d/monitor", guest.name()))), "{monitor}");
        guest.kill();
        remove(&format!("{}-d", guest.name()));
    }

    fn an_inner_directory() {
        let lines = "lxc.cgroup.dir.monitor = @NAME@-d/monitor\nlxc.cgroup.dir.container = @NAME@-d/payload\n\
                     lxc.cgroup.dir.container.inner = inner";
        let guest = Guest::build("cgroup").conf(lines).start();
        assert_eq!(cgroup(&guest, "freezer"), format!("/{}-d/payload/inner", guest.name()));
        guest.kill();
        remove(&format!("{}-d", guest.name()));
    }

    fn limits_and_processes_apart() {
        if !v1() {
            return;
        }
        let lines = "lxc.cgroup.dir.monitor = @NAME@-d/monitor\nlxc.cgroup.dir.container = @NAME@-d/payload\n\
                     lxc.cgroup.dir.container.inner = inner\nlxc.cgroup.pids.max = 88";
        let guest = Guest::build("cgroup").conf(lines).start();
        let read = |controller: &str, file: &str| {
            fs::read_to_string(format!("/sys/fs/cgroup/{controller}/{}-d/payload/{file}", guest.name())).unwrap()
        };
        // Limits go above the cgroup that the container sees as its root.
        assert_eq!((read("pids", "pids.max"), read("pids", "inner/pids.max")), ("88\n".to_owned(), "max\n".to_owned()));
        // lxc-cgroup goes to the one with the processes.
        guest.tool("lxc-cgroup").args(["pids.max", "66"]).done().exits(0).ok();
        assert_eq!((read("pids", "pids.max"), read("pids", "inner/pids.max")), ("88\n".to_owned(), "66\n".to_owned()));
        guest.tool("lxc-freeze").done().exits(0).ok();
        assert_eq!((read("freezer", "freezer.self_freezing"), read("freezer", "inner/freezer.self_freezing")), ("1\n".to_owned(), "0\n".to_owned()));
        assert_eq!(read("freezer", "inner/freezer.state"), "FROZEN\n");
        guest.tool("lxc-unfreeze").done().exits(0).ok();
        assert_eq!(read("freezer", "inner/freezer.state"), "THAWED\n");
        guest.kill();
        remove(&format!("{}-d", guest.name()));
    }

    fn an_explicit_directory_excludes_the_general_one() {
        let guest = Guest::build("cgroup").conf("lxc.cgroup.dir = a\nlxc.cgroup.dir.container = b\nlxc.cgroup.dir.monitor = c").make();
        guest.try_start().exits(1).ok_on_stdout();
        guest.assert_nothing_left();
    }

    fn cpus_and_memory_nodes_are_inherited() {
        let guest = Guest::build("cgroup").start();
        if !v1() {
            return;
        }
        let dir = format!("/sys/fs/cgroup/cpuset{}", cgroup(&guest, "cpuset"));
        assert_eq!(fs::read_to_string(format!("{dir}/cpuset.cpus")).unwrap(), fs::read_to_string("/sys/fs/cgroup/cpuset/cpuset.cpus").unwrap());
    }

    fn the_container_sees_itself_as_the_root() {
        let guest = Guest::build("cgroup").start();
        let inside = guest.tool("lxc-attach").args(["--", "cat", "/proc/1/cgroup"]).done().ok();
        assert!(inside.lines().all(|line| line.ends_with(":/")), "{inside}");
    }
}
