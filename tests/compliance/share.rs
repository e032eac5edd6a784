//! Namespaces of other containers: lxc.namespace.share.*, named in every way, with and without user namespaces.

use std::fs;

use testkit::subids::{MAP, SubIds};
use testkit::{Guest, Run, cases};

fn namespace(pid: u32, name: &str) -> String {
    fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap().display().to_string()
}

/// Namespaces of both that are the same.
fn shared(one: &Guest, other: &Guest) -> Vec<&'static str> {
    let names = ["user", "mnt", "pid", "uts", "ipc", "net", "cgroup"];
    names.into_iter().filter(|name| namespace(one.pid(), name) == namespace(other.pid(), name)).collect()
}

/// A running guest with a user namespace that owns its files.
fn mapped(ids: &SubIds) -> Guest {
    let guest = ids.guest(Guest::build("share").conf(MAP));
    own(&guest);
    guest.start();
    guest
}

fn own(guest: &Guest) {
    Run::new("chown").args(["-R", "-h", "100000:100000"]).arg(guest.rootfs()).done().exits(0).ok();
}

cases! {
    fn by_pid_and_by_path() {
        let first = Guest::build("share").start();
        let second = Guest::build("share").conf("lxc.net =\nlxc.uts.name =").make();
        second.append(&format!(
            "lxc.namespace.share.net = {0}\nlxc.namespace.share.ipc = /proc/{0}/ns/ipc\nlxc.namespace.share.uts = {0}",
            first.pid()
        ));
        second.start();
        assert_eq!(shared(&first, &second), ["user", "uts", "ipc", "net"]);
    }

    fn by_name_in_the_same_lxcpath() {
        let first = Guest::build("share").start();
        let second = Guest::build("share").conf("lxc.net =").make();
        second.append(&format!("lxc.namespace.share.net = {}", first.name()));
        // The name is looked up where the container is.
        let there = first.lxcpath().join(second.name());
        fs::rename(second.dir(), &there).unwrap();
        let text = fs::read_to_string(there.join("config")).unwrap();
        let old = second.dir().display().to_string();
        fs::write(there.join("config"), text.replace(&old, &there.display().to_string())).unwrap();
        let tool = |name: &str| second.bare_tool(name).arg("-P").arg(first.lxcpath()).args(["-n", second.name()]);
        tool("lxc-start").done().exits(0).ok();
        let pid: u32 = tool("lxc-info").args(["-p", "-H"]).done().stdout.trim().parse().unwrap();
        let same = namespace(pid, "net") == namespace(first.pid(), "net");
        tool("lxc-stop").arg("-k").done().exits(0).ok();
        assert!(same);
    }

    fn a_container_that_does_not_run() {
        let guest = Guest::build("share").conf("lxc.net =\nlxc.namespace.share.net = no-such-container").make();
        guest.try_start().exits(1).ok_on_stdout();
        guest.assert_nothing_left();
    }

    fn a_user_namespace() {
        let ids = SubIds::usual();
        let first = mapped(&ids);
        let second = ids.guest(Guest::build("share").conf(MAP));
        own(&second);
        second.append(&format!("lxc.namespace.share.user = {}", first.pid()));
        second.start();
        assert_eq!(shared(&first, &second), ["user"]);
        assert_eq!(second.sh("id -u; cat /proc/self/uid_map | tr -s ' '; touch /new; stat -c %u /new"), "0\n 0 100000 65536\n0\n");
        // Its own namespaces belong to the shared one: root in it may change them.
        assert_eq!(second.sh("hostname other; hostname; mount -t tmpfs t /mnt && echo mounted"), "other\nmounted\n");
    }

    fn a_user_namespace_and_others_of_its_container() {
        let ids = SubIds::usual();
        let first = mapped(&ids);
        let second = ids.guest(Guest::build("share").conf(MAP).conf("lxc.net =\nlxc.uts.name ="));
        own(&second);
        for name in ["user", "net", "ipc", "uts", "pid"] {
            second.append(&format!("lxc.namespace.share.{name} = {}", first.pid()));
        }
        second.start();
        assert_eq!(shared(&first, &second), ["user", "pid", "uts", "ipc", "net"]);
    }

    fn namespaces_of_the_host_s_root_for_a_mapped_container() {
        let ids = SubIds::usual();
        let first = Guest::build("share").start();
        let second = ids.guest(Guest::build("share").conf(MAP).conf("lxc.net =\nlxc.mount.auto =\nlxc.mount.auto = proc:rw"));
        own(&second);
        second.append(&format!("lxc.namespace.share.net = {0}\nlxc.namespace.share.ipc = {0}", first.pid()));
        second.start();
        assert_eq!(shared(&first, &second), ["ipc", "net"]);
    }
}
