//! User namespaces of containers started by root: maps with and without a root, and mounts whose ids are mapped.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use testkit::subids::{MAP, SubIds};
use testkit::{Guest, Run, cases};

/// Owner and group of a file of the host.
fn owner(path: &Path) -> (u32, u32) {
    let data = fs::metadata(path).unwrap();
    (data.uid(), data.gid())
}

fn chown(path: &Path, owner: &str) {
    Run::new("chown").args(["-h", owner]).arg(path).done().exits(0).ok();
}

cases! {
    fn an_idmapped_rootfs() {
        let ids = SubIds::usual();
        let guest = ids.guest(Guest::build("idmap").conf(MAP).conf("lxc.rootfs.options = idmap=container"));
        for (name, who) in [("of-root", "0:0"), ("of-guest", "1234:1235"), ("of-nobody", "70000:0")] {
            fs::write(guest.rootfs().join(name), name).unwrap();
            chown(&guest.rootfs().join(name), who);
        }
        guest.start();
        // What is outside of the map belongs to the kernel's overflow id.
        assert_eq!(
            guest.sh("cd /; id -u; stat -c '%u %g' of-root of-guest of-nobody; cat /proc/self/uid_map | tr -s ' '"),
            "0\n0 0\n1234 1235\n65534 0\n 0 100000 65536\n"
        );
        guest.sh("echo new > /root/new; mkdir /root/dir; chown 77:78 /root/dir; chown 0:0 /of-guest; rm /of-root");
        assert_eq!(owner(&guest.rootfs().join("root/new")), (0, 0));
        assert_eq!(owner(&guest.rootfs().join("root/dir")), (77, 78));
        assert_eq!(owner(&guest.rootfs().join("of-guest")), (0, 0));
        assert!(!guest.rootfs().join("of-root").exists());
    }

    fn without_idmap_the_files_are_nobody_s() {
        let ids = SubIds::usual();
        let guest = ids.guest(Guest::build("idmap").conf(MAP));
        chown(&guest.rootfs(), "100000:100000");
        guest.start();
        assert_eq!(guest.sh("stat -c '%u %g' /bin / "), "65534 65534\n0 0\n");
        guest.attach(["touch", "/bin/x"]).exits(1).ok_on_stdout();
    }

    fn idmapped_entries() {
        let ids = SubIds::usual();
        let guest = ids.guest(Guest::build("idmap").conf(MAP).conf("lxc.rootfs.options = idmap=container"));
        let data = guest.lxcpath().join("data");
        fs::create_dir(&data).unwrap();
        fs::write(data.join("file"), "text").unwrap();
        chown(&data.join("file"), "5:6");
        guest.append(&format!(
            "lxc.mount.entry = {0} mnt none bind,idmap=container 0 0\nlxc.mount.entry = {0} home none bind 0 0\n\
             lxc.mount.entry = {0} srv none rbind,ro,nosuid,idmap=container,create=dir 0 0\n\
             lxc.mount.entry = {0}/file one none bind,idmap=container,create=file 0 0",
            data.display()
        ));
        guest.start();
        assert_eq!(
            guest.sh("stat -c '%u %g' /mnt /mnt/file /home /home/file /srv/file /one"),
            "0 0\n5 6\n65534 65534\n65534 65534\n5 6\n5 6\n"
        );
        guest.sh("echo new > /mnt/new");
        assert_eq!(owner(&data.join("new")), (0, 0));
        guest.attach(["touch", "/home/new2"]).exits(1).ok_on_stdout();
        guest.attach(["touch", "/srv/new3"]).exits(1).ok_on_stdout();
    }

    fn a_recursive_entry_maps_what_is_mounted_below() {
        let ids = SubIds::usual();
        let probe = Guest::build("idmap").make();
        let data = probe.lxcpath().join("data");
        fs::create_dir_all(data.join("sub")).unwrap();
        Run::new("chmod").arg("755").arg(probe.lxcpath()).done().ok();
        let ids = ids.before(&format!("mount -t tmpfs t {0}/sub; touch {0}/sub/file", data.display()));
        let guest = ids.guest(Guest::build("idmap").conf(MAP).conf("lxc.rootfs.options = idmap=container"));
        guest.append(&format!("lxc.mount.entry = {} mnt none rbind,idmap=container 0 0", data.display()));
        guest.start();
        assert_eq!(guest.sh("touch /mnt/sub/new; stat -c '%u %g' /mnt /mnt/sub/file /mnt/sub/new"), "0 0\n0 0\n0 0\n");
    }

    fn a_file_system_that_cannot() {
        let ids = SubIds::usual();
        let guest = ids.guest(Guest::build("idmap").conf(MAP).conf("lxc.rootfs.options = idmap=container"));
        guest.append("lxc.mount.entry = /sys/kernel mnt none rbind,idmap=container 0 0");
        guest.try_start().exits(1).ok_on_stdout();
        guest.assert_nothing_left();
    }

    fn an_application_mapped_to_a_single_id() {
        // The example of the announcement of LXC 3.1: no root inside at all.
        let ids = SubIds::of(&["1000:1"]);
        let guest = ids.guest(Guest::build("idmap"));
        guest.append("lxc.idmap = u 1000 1000 1\nlxc.idmap = g 1000 1000 1\nlxc.init.uid = 1000\nlxc.init.gid = 1000");
        let line = "id -u; id -g; cat /proc/self/uid_map | tr -s ' '; stat -c '%u %g' / /dev; \
                    grep -E '^(Groups|Cap(Prm|Eff|Amb))' /proc/self/status | tr -d '\t '; touch /tmp/made; stat -c %u /dev/console";
        let done = guest.tool("lxc-execute").args(["--", "sh", "-c", line]).done().exits(0);
        let zero = "0000000000000000";
        assert_eq!(
            done.stdout,
            format!("1000\n1000\n 1000 1000 1\n65534 65534\n1000 1000\nGroups:\nCapPrm:{zero}\nCapEff:{zero}\nCapAmb:{zero}\n1000\n"),
            "{done}"
        );
        assert_eq!(owner(&guest.rootfs().join("tmp/made")), (1000, 1000));
    }

    fn a_daemon_without_root() {
        let ids = SubIds::of(&["300000:10"]);
        let guest = ids.guest(Guest::build("idmap"));
        guest.append("lxc.idmap = u 1000 300000 10\nlxc.idmap = g 2000 300000 10\nlxc.init.uid = 1003\nlxc.init.gid = 2004\nlxc.init.cmd = /bin/sleep 1000");
        guest.start();
        let status = fs::read_to_string(format!("/proc/{}/status", guest.pid())).unwrap();
        let of = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!((of("Uid:"), of("Gid:")), ("300003 300003 300003 300003".into(), "300004 300004 300004 300004".into()));
        assert_eq!((of("CapEff:"), of("CapPrm:"), of("CapAmb:"), of("Groups:")), ("0000000000000000".into(), "0000000000000000".into(), "0000000000000000".into(), String::new()));
    }

    fn init_s_ids_in_a_user_namespace() {
        let ids = SubIds::usual();
        let guest = ids.guest(Guest::build("idmap").conf(MAP).conf("lxc.rootfs.options = idmap=container"));
        guest.append("lxc.init.uid = 33\nlxc.init.gid = 34");
        let done = guest.tool("lxc-execute").args(["--", "sh", "-c", "id -u; id -g; grep CapEff /proc/self/status"]).done().exits(0);
        assert_eq!(done.stdout, "33\n34\nCapEff:\t0000000000000000\n", "{done}");
    }

    fn groups_of_init() {
        let guest = Guest::build("idmap").make();
        guest.append("lxc.init.uid = 33\nlxc.init.gid = 34\nlxc.init.groups = 5,6,7");
        let line = "id -u; id -g; grep Groups /proc/self/status";
        let done = guest.tool("lxc-execute").args(["--", "sh", "-c", line]).done().exits(0);
        assert_eq!(done.stdout.split_whitespace().collect::<Vec<_>>(), ["33", "34", "Groups:", "5", "6", "7"], "{done}");
        let other = Guest::build("idmap").make();
        let done = other.tool("lxc-execute").args(["--", "sh", "-c", line]).done().exits(0);
        assert_eq!(done.stdout.split_whitespace().collect::<Vec<_>>(), ["0", "0", "Groups:"], "{done}");
    }
}
