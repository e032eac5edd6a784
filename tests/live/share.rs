//! Shared namespaces that Debian's original cannot share.

use std::fs;

use testkit::ordinary::{Cgroups, Ordinary};
use testkit::subids::{MAP, SubIds};
use testkit::{Guest, Run, cases};

fn namespace(pid: u32, name: &str) -> String {
    fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap().display().to_string()
}

/// The number of a process in its innermost pid namespace.
fn inside(pid: u32) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find(|line| line.starts_with("NSpid")).unwrap();
    line.split_whitespace().last().unwrap().to_owned()
}

cases! {
    fn a_user_namespace_brings_its_map() {
        let ids = SubIds::usual();
        let first = ids.guest(Guest::build("share").conf(MAP));
        let second = ids.guest(Guest::build("share").conf("lxc.tty.max = 1"));
        for guest in [&first, &second] {
            Run::new("chown").args(["-R", "-h", "100000:100000"]).arg(guest.rootfs()).done().exits(0).ok();
        }
        first.start();
        for name in ["user", "cgroup"] {
            second.append(&format!("lxc.namespace.share.{name} = {}", first.pid()));
        }
        second.start();
        for (name, same) in [("user", true), ("cgroup", true), ("pid", false), ("mnt", false)] {
            assert_eq!(namespace(first.pid(), name) == namespace(second.pid(), name), same, "{name}");
        }
        // Without lxc.idmap the console and terminals still belong to the container's root.
        assert_eq!(second.sh("stat -c %u /dev/console /dev/tty1 /dev/pts"), "0\n0\n0\n");
        // A reboot goes through the same steps.
        let old = second.pid();
        second.tool("lxc-stop").arg("-r").done().exits(0).ok();
        assert!(testkit::eventually(std::time::Duration::from_secs(20), || second.has_new_init(old)), "{}", second.why());
        assert_eq!(namespace(first.pid(), "user"), namespace(second.pid(), "user"));
    }

    fn by_lxcpath_and_name() {
        let first = Guest::build("share").start();
        let second = Guest::build("share").conf("lxc.net =").make();
        second.append(&format!("lxc.namespace.share.net = {}", first.dir().display()));
        second.start();
        assert_eq!(namespace(first.pid(), "net"), namespace(second.pid(), "net"));
    }

    fn a_time_namespace() {
        let first = Guest::build("share").conf("lxc.time.offset.boot = 1000h").start();
        let second = Guest::build("share").make();
        second.append(&format!("lxc.namespace.share.time = {}", first.pid()));
        second.start();
        assert_eq!(namespace(first.pid(), "time"), namespace(second.pid(), "time"));
        let uptime: f64 = second.sh("cut -d' ' -f1 /proc/uptime").trim().parse().unwrap();
        assert!(uptime > 3_600_000.0, "{uptime}");
    }

    fn a_namespace_that_may_not_be_joined_is_named() {
        let guest = Guest::build("share").conf("lxc.net =\nlxc.namespace.share.net = /proc/self/ns/ipc").make();
        let done = guest.try_start().exits(1);
        assert!(done.stderr.contains("join the net namespace of /proc/self/ns/ipc"), "{done}");
        assert!(done.stderr.contains("config:"), "{done}");
        guest.assert_nothing_left();
    }

    fn of_an_ordinary_user() {
        let user = Ordinary::new(Cgroups::Machine);
        let first = user.guest("share").make();
        user.give(&first);
        first.start();
        let second = user.guest("share").conf("lxc.net =\nlxc.uts.name =").make();
        user.give(&second);
        // Only in the user namespace he has a say over the others.
        for name in ["user", "net", "ipc", "uts", "pid"] {
            second.append(&format!("lxc.namespace.share.{name} = {}", first.pid()));
        }
        second.start();
        for (name, same) in [("user", true), ("net", true), ("ipc", true), ("uts", true), ("pid", true), ("mnt", false)] {
            assert_eq!(namespace(first.pid(), name) == namespace(second.pid(), name), same, "{name}");
        }
        assert_eq!(second.sh("id -u; stat -c %u /"), "0\n0\n");
    }

    fn a_mount_namespace() {
        let first = Guest::build("share").start();
        let second = Guest::build("share").without_rootfs().conf("lxc.init.cmd = /bin/sleep 1000").make();
        second.append(&format!("lxc.namespace.share.mnt = {0}\nlxc.namespace.share.pid = {0}", first.pid()));
        second.start();
        for name in ["mnt", "pid"] {
            assert_eq!(namespace(first.pid(), name), namespace(second.pid(), name));
        }
        assert_eq!(first.sh(&format!("readlink /proc/{}/exe", inside(second.pid()))), "/bin/busybox\n");
    }
}
