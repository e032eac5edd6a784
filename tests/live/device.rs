//! lxc-device where ours does more than Debian's original, or does not have its defects.

use testkit::netns::Netns;
use testkit::{Done, Guest, cases};

fn device(guest: &Guest, words: &[&str]) -> Done {
    guest.tool("lxc-device").args(words).done()
}

const MAP: &str = "lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536";

/// The tree belongs to the mapped root.
fn mapped(label: &str) -> Guest {
    let guest = Guest::build(label).conf(MAP).make();
    testkit::Run::new("chown").args(["-R", "100000:100000"]).arg(guest.rootfs()).done().ok();
    for dir in [guest.lxcpath().to_owned(), guest.dir()] {
        testkit::Run::new("chmod").arg("a+x").arg(dir).done().ok();
    }
    guest.start();
    guest
}

cases! {
    fn a_path_of_its_own() {
        // The original looks the second path up on the host.
        let guest = Guest::build("device").start();
        device(&guest, &["add", "/dev/fuse", "/srv/deep/f"]).silent().exits(0).ok();
        assert_eq!(guest.sh("stat -c '%F %t:%T %a %u:%g' /srv/deep/f"), "character special file a:e5 600 0:0\n");
        device(&guest, &["del", "/dev/fuse", "/srv/deep/f"]).silent().exits(0).ok();
        assert_eq!(guest.sh("ls -A /srv/deep"), "");
    }

    fn in_a_user_namespace_the_node_can_be_opened() {
        let guest = mapped("device");
        device(&guest, &["add", "/dev/zero", "/dev/zero2"]).silent().exits(0).ok();
        // Before Linux 6.15 it is the host's own node that is mounted there, with the host's owner.
        let owner = guest.sh("stat -c %u:%g /dev/zero2");
        assert!(["0:0\n", "65534:65534\n"].contains(&owner.as_str()), "{owner}");
        assert_eq!(guest.sh("stat -c '%t:%T %a' /dev/zero2; head -c 4 /dev/zero2 | wc -c"), "1:5 666\n4\n");
        // Again: what is mounted there is replaced too.
        device(&guest, &["add", "/dev/full", "/dev/zero2"]).silent().exits(0).ok();
        assert_eq!(guest.sh("stat -c %t:%T /dev/zero2"), "1:7\n");
        device(&guest, &["del", "/dev/full", "/dev/zero2"]).silent().exits(0).ok();
        assert_eq!(guest.sh("ls /dev | grep -c zero2; true"), "0\n");
        assert!(!guest.mountinfo().iter().any(|mount| mount.target.contains("zero2")));
        // 0600 and root's on the host: the container's root may all the same.
        device(&guest, &["add", "/dev/fuse"]).silent().exits(0).ok();
        if owner == "0:0\n" {
            guest.sh("exec 3<>/dev/fuse");
        }
    }

    fn what_is_something_else_is_left_alone() {
        let guest = Guest::build("device").start();
        guest.sh("echo precious > /dev/fuse; mkdir /dev/loop0");
        let done = device(&guest, &["del", "/dev/fuse"]);
        done.exits(1).says("is not the device c 10:229").ok_on_stdout();
        assert_eq!(guest.sh("cat /dev/fuse"), "precious\n");
        device(&guest, &["add", "/dev/loop0"]).exits(1).says("a directory is in the way").ok_on_stdout();
        assert_eq!(guest.sh("ls -d /dev/loop0; ls -A /dev | grep -c lxc-device; true"), "/dev/loop0\n0\n");
    }

    fn a_device_the_host_has_no_more_can_be_taken_away() {
        let guest = Guest::build("device").start();
        let node = guest.dir().join("gone");
        testkit::Run::new("mknod").arg(&node).args(["c", "1", "5"]).done().ok();
        let path = node.to_str().unwrap().to_owned();
        device(&guest, &["add", &path, "/dev/gone"]).silent().exits(0).ok();
        std::fs::remove_file(&node).unwrap();
        device(&guest, &["del", &path, "/dev/gone"]).silent().exits(0).ok();
        assert_eq!(guest.sh("ls /dev | grep -c gone; true"), "0\n");
    }

    fn an_interface_that_cannot_be_named_stays_on_the_host() {
        // The original has moved it by then.
        let netns = Netns::new();
        netns.ip("link add dev0 type veth peer name dev1");
        let guest = Guest::build("device").under(netns.prefix()).start();
        for (name, says) in [("lo", "an interface lo is there already"), ("waytoolonginterfacename", "1 to 15 characters")] {
            device(&guest, &["add", "dev0", name]).exits(1).says(says).ok_on_stdout();
            assert!(netns.links().contains(&"dev0".to_owned()), "{name}");
        }
        netns.ip("link del dev0");
    }

    fn an_ordinary_user_is_told() {
        let guest = Guest::build("device").start();
        let done = testkit::Run::new("setpriv")
            .args(["--reuid", "54321", "--regid", "54321", "--clear-groups"])
            .arg(guest.subject().tool("lxc-device"))
            .arg("-P").arg(guest.lxcpath()).args(["-n", guest.name(), "add", "/dev/fuse"])
            .done();
        done.exits(1).says("lxc-device must be run as root").ok_on_stdout();
    }
}
