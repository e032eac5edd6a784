//! Mapped ids where Debian's original refuses, cannot reach, or leaves the user to guess.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use testkit::ordinary::{Cgroups, Ordinary};
use testkit::subids::{MAP, SubIds};
use testkit::{Guest, Run, cases};

fn owner(path: &Path) -> (u32, u32) {
    let data = fs::metadata(path).unwrap();
    (data.uid(), data.gid())
}

fn run(program: &str, args: &[&str], path: &Path) {
    Run::new(program).args(args).arg(path).done().exits(0).ok();
}

cases! {
    fn an_idmapped_overlay() {
        let ids = SubIds::usual();
        let guest = ids.guest(Guest::build("idmap").conf(MAP).conf("lxc.rootfs.options = idmap=container"));
        let (first, second) = (guest.lxcpath().join("first"), guest.lxcpath().join("second"));
        fs::rename(guest.rootfs(), &first).unwrap();
        fs::create_dir(&second).unwrap();
        fs::write(second.join("top"), "").unwrap();
        run("chown", &["12:34"], &second.join("top"));
        let delta = guest.dir().join("overlay/delta");
        fs::create_dir_all(&delta).unwrap();
        fs::create_dir_all(guest.rootfs()).unwrap();
        let old = format!("dir:{}", guest.rootfs().display());
        let new = format!("overlay:{}:{}:{}", second.display(), first.display(), delta.display());
        let text = fs::read_to_string(guest.config()).unwrap();
        fs::write(guest.config(), text.replace(&old, &new)).unwrap();
        guest.start();
        assert_eq!(guest.sh("stat -c '%u %g' / /top /bin/busybox"), "0 0\n12 34\n0 0\n");
        guest.sh("echo new > /root/new; chown 5:6 /top; rm /bin/yes");
        assert_eq!(owner(&delta.join("root/new")), (0, 0));
        assert_eq!(owner(&delta.join("top")), (5, 6));
        assert_eq!(owner(&second.join("top")), (12, 34));
        assert!(first.join("bin/yes").symlink_metadata().is_ok());
        // What the layers were attached to is not to be seen.
        assert_eq!(guest.mountinfo().iter().filter(|mount| mount.target == "/").count(), 1);
        assert!(guest.attach(["ls", "/upper"]).code != 0);
    }

    fn the_map_of_another_namespace() {
        let ids = SubIds::of(&["100000:65536", "200000:65536"]);
        let other = ids.guest(Guest::build("idmap").conf("lxc.idmap = u 0 200000 65536\nlxc.idmap = g 0 200000 65536"));
        run("chown", &["200000:200000"], &other.rootfs());
        other.start();
        let guest = ids.guest(Guest::build("idmap").conf(MAP).conf("lxc.rootfs.options = idmap=container"));
        guest.append("lxc.idmap = u 65536 200000 65536\nlxc.idmap = g 65536 200000 65536");
        let data = guest.lxcpath().join("data");
        fs::create_dir(&data).unwrap();
        guest.append(&format!("lxc.mount.entry = {} mnt none bind,idmap=/proc/{}/ns/user 0 0", data.display(), other.pid()));
        guest.start();
        // Root of the other container is the 65536th id of this one.
        assert_eq!(guest.sh("stat -c '%u %g' /mnt"), "65536 65536\n");
    }

    fn a_map_that_is_spelled_out() {
        let ids = SubIds::usual();
        let guest = ids.guest(Guest::build("idmap").conf(MAP).conf("lxc.rootfs.options = idmap=container"));
        let data = guest.lxcpath().join("data");
        fs::create_dir(&data).unwrap();
        // Files of the host's user 1000 are those of the container's user 33.
        run("chown", &["1000:1001"], &data);
        guest.append(&format!(
            "lxc.mount.entry = {} mnt none bind,idmap=u:1000:100033:1;g:1001:100034:1 0 0",
            data.display()
        ));
        guest.start();
        assert_eq!(guest.sh("stat -c '%u %g' /mnt"), "33 34\n");
        guest.tool("lxc-attach").args(["-u", "33", "-g", "34", "--", "touch", "/mnt/new"]).done().exits(0).ok();
        assert_eq!(owner(&data.join("new")), (1000, 1001));
        // Nobody else's ids can be written there.
        guest.attach(["touch", "/mnt/of-root"]).exits(1).ok_on_stdout();
    }

    fn maps_of_a_container_without_user_namespace() {
        let guest = Guest::build("idmap").make();
        let data = guest.lxcpath().join("data");
        fs::create_dir(&data).unwrap();
        run("chown", &["1000:1000"], &data);
        guest.append(&format!("lxc.mount.entry = {} mnt none bind,idmap=b:1000:0:1 0 0", data.display()));
        guest.start();
        assert_eq!(guest.sh("stat -c '%u %g' /mnt; touch /mnt/new"), "0 0\n");
        assert_eq!(owner(&data.join("new")), (1000, 1000));
    }

    fn a_refusal_names_the_file_system() {
        let ids = SubIds::usual();
        let guest = ids.guest(Guest::build("idmap").conf(MAP).conf("lxc.rootfs.options = idmap=container"));
        guest.append("lxc.mount.entry = /sys/kernel mnt none rbind,idmap=container 0 0");
        let done = guest.try_start().exits(1);
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        for word in ["/sys/kernel", "idmap=container", "sysfs", release.trim(), "config:"] {
            assert!(done.stderr.contains(word), "{word}: {done}");
        }
        guest.assert_nothing_left();
        // What may fail does, without ending the start.
        let text = fs::read_to_string(guest.config()).unwrap();
        fs::write(guest.config(), text.replace("rbind,idmap", "rbind,optional,idmap")).unwrap();
        guest.start();
        assert!(guest.mountinfo().iter().all(|mount| mount.target != "/mnt"));
    }

    fn a_container_without_map_has_nothing_to_map_to() {
        let guest = Guest::build("idmap").conf("lxc.mount.entry = /tmp mnt none bind,idmap=container 0 0").make();
        let done = guest.try_start().exits(1);
        assert!(done.stderr.contains("without a user namespace") && done.stderr.contains("lxc.idmap"), "{done}");
    }

    fn directories_the_container_s_root_may_not_pass() {
        let ids = SubIds::usual();
        let guest = ids.guest(Guest::build("idmap").conf(MAP));
        run("chown", &["-R", "-h", "100000:100000"], &guest.rootfs());
        let data = guest.lxcpath().join("private/data");
        fs::create_dir_all(&data).unwrap();
        fs::write(data.join("file"), "text").unwrap();
        guest.append(&format!("lxc.mount.entry = {} mnt none bind 0 0", data.display()));
        // Not even the user the monitor runs as owns them: it is his capability that counts.
        for dir in [guest.lxcpath().to_owned(), guest.dir(), data.parent().unwrap().to_owned()] {
            run("chmod", &["700"], &dir);
            run("chown", &["4321"], &dir);
        }
        guest.start();
        assert_eq!(guest.sh("cat /mnt/file; stat -c %u /"), "text0\n");
    }

    fn groups_of_init_in_a_user_namespace() {
        let ids = SubIds::usual();
        for (extra, expected) in [("", "0 0 5 6"), ("lxc.init.uid = 33\nlxc.init.gid = 34", "33 34 5 6")] {
            let guest = ids.guest(Guest::build("idmap").conf(MAP).conf("lxc.rootfs.options = idmap=container"));
            guest.append(&format!("lxc.init.groups = 5,6\n{extra}"));
            let line = "echo $(id -u) $(id -g) $(grep Groups /proc/self/status | cut -d: -f2)";
            let done = guest.tool("lxc-execute").args(["--", "sh", "-c", line]).done().exits(0);
            assert_eq!(done.stdout.trim(), expected, "{done}");
        }
    }

    fn ids_of_init_that_are_not_mapped() {
        let guest = Guest::build("idmap").conf("lxc.idmap = u 0 100000 10\nlxc.idmap = g 0 100000 10").make();
        for line in ["lxc.init.uid = 10", "lxc.init.gid = 11", "lxc.init.groups = 3,12"] {
            let done = guest.tool("lxc-execute").args(["-s", &line.replace(" = ", "="), "--", "true"]).done().exits(1);
            let (key, ids) = line.split_once(" = ").unwrap();
            let id = ids.rsplit(',').next().unwrap();
            assert!(done.stderr.contains(key) && done.stderr.contains(&format!("id {id} is not mapped")), "{line}: {done}");
        }
        guest.assert_nothing_left();
    }

    fn pid_1_of_an_application_without_root_has_no_capabilities() {
        let ids = SubIds::of(&["1000:1"]);
        let guest = ids.guest(Guest::build("idmap"));
        guest.append("lxc.idmap = u 1000 1000 1\nlxc.idmap = g 1000 1000 1\nlxc.init.uid = 1000\nlxc.init.gid = 1000");
        let done = guest.tool("lxc-execute").args(["--", "grep", "-E", "Cap(Prm|Eff)", "/proc/1/status"]).done().exits(0);
        assert_eq!(done.stdout, "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n", "{done}");
    }

    fn attaching_where_root_is_not_mapped() {
        let ids = SubIds::of(&["300000:10"]);
        let guest = ids.guest(Guest::build("idmap"));
        guest.append("lxc.idmap = u 1000 300000 10\nlxc.idmap = g 2000 300000 10\nlxc.init.uid = 1003\nlxc.init.gid = 2004\nlxc.init.cmd = /bin/sleep 1000");
        guest.start();
        assert_eq!(guest.sh("id -u; id -g"), "1003\n2004\n");
    }

    fn hooks_without_a_mapped_root_have_the_namespace_s_capabilities() {
        let ids = SubIds::of(&["1000:1"]);
        let guest = ids.guest(Guest::build("idmap"));
        guest.append("lxc.idmap = u 1000 1000 1\nlxc.idmap = g 1000 1000 1\nlxc.init.uid = 1000\nlxc.init.gid = 1000\nlxc.cap.drop = sys_time");
        let out = guest.lxcpath().join("out");
        fs::create_dir(&out).unwrap();
        run("chmod", &["777"], &out);
        let script = guest.lxcpath().join("hook.sh");
        let text = format!("#!/bin/sh\ngrep CapAmb /proc/self/status > {}/$3\n", out.display());
        testkit::rootfs::write_script(&script, &text);
        testkit::rootfs::write_script(&guest.rootfs().join("bin/hook"), "#!/bin/sh\ngrep CapAmb /proc/self/status > /tmp/start\n");
        for kind in ["pre-mount", "mount", "autodev"] {
            guest.append(&format!("lxc.hook.{kind} = {}", script.display()));
        }
        guest.append("lxc.hook.start = /bin/hook");
        let done = guest.tool("lxc-execute").args(["--", "grep", "-E", "Cap(Inh|Prm|Eff|Amb)", "/proc/self/status"]).done().exits(0);
        let zero = |name: &str| format!("Cap{name}:\t0000000000000000\n");
        assert_eq!(done.stdout, [zero("Inh"), zero("Prm"), zero("Eff"), zero("Amb")].concat(), "{done}");
        let ambient = |path: &Path| {
            let text = fs::read_to_string(path).unwrap();
            u64::from_str_radix(text.trim().rsplit('\t').next().unwrap(), 16).unwrap()
        };
        let (sys_admin, sys_time) = (1u64 << 21, 1u64 << 25);
        for kind in ["pre-mount", "mount", "autodev"] {
            let set = ambient(&out.join(kind));
            assert!(set & sys_admin != 0 && set & sys_time != 0, "{kind}: {set:x}");
        }
        // What the container shall not have a program inside does not get.
        let set = ambient(&guest.rootfs().join("tmp/start"));
        assert!(set & sys_admin != 0 && set & sys_time == 0, "{set:x}");
    }

    fn hooks_keep_the_inherited_capabilities_of_a_starter_who_is_not_root() {
        let home = Guest::build("idmap").make();
        let dir = home.lxcpath().join("starter");
        fs::create_dir_all(dir.join("run")).unwrap();
        run("chown", &["-R", "12345:12345"], &dir);
        run("chmod", &["700"], &dir.join("run"));
        run("chmod", &["755"], home.lxcpath());
        let names = ["chown", "dac_override", "fowner", "kill", "setgid", "setuid", "setpcap", "net_admin", "sys_chroot", "sys_ptrace", "sys_admin", "mknod"];
        let (file, inherited) = (names.map(|name| format!("cap_{name}")).join(","), names.map(|name| format!("+{name}")).join(","));
        // His program may use what he has inherited, but only what is ambient would reach the programs it executes.
        let line = format!(
            "cp -L $1 {dir}/$(basename $1); setcap {file}=ei {dir}/$(basename $1); tool={dir}/$(basename $1); shift; \
             exec setpriv --reuid 12345 --regid 12345 --clear-groups --inh-caps {inherited} \
             env HOME={dir} XDG_RUNTIME_DIR={dir}/run $tool \"$@\"",
            dir = dir.display()
        );
        let prefix = ["sh", "-c", line.as_str(), "sh"];
        let guest = Guest::build("idmap").under(prefix.iter().map(Into::into).collect()).make();
        let script = guest.lxcpath().join("hook.sh");
        let text = format!("#!/bin/sh\ngrep CapAmb /proc/self/status > {}/$3\n", dir.display());
        testkit::rootfs::write_script(&script, &text);
        for kind in ["pre-mount", "mount", "pre-start"] {
            guest.append(&format!("lxc.hook.{kind} = {}", script.display()));
        }
        guest.append("lxc.console.path = none");
        for path in [guest.lxcpath().to_owned(), guest.dir()] {
            run("chmod", &["755"], &path);
        }
        let done = guest.tool("lxc-execute").args(["--", "grep", "-E", "^Uid|Cap(Inh|Amb)", "/proc/self/status"]).done().exits(0);
        assert_eq!(done.stdout, "Uid:\t0\t0\t0\t0\nCapInh:\t0000000000000000\nCapAmb:\t0000000000000000\n", "{done}");
        for (kind, has) in [("pre-mount", true), ("mount", true), ("pre-start", false)] {
            let text = fs::read_to_string(dir.join(kind)).unwrap();
            let set = u64::from_str_radix(text.trim().rsplit('\t').next().unwrap(), 16).unwrap();
            assert_eq!(set & 1 << 21 != 0, has, "{kind}: {set:x}");
        }
    }

    fn an_ordinary_user_s_private_directories() {
        let user = Ordinary::new(Cgroups::Machine);
        let guest = user.guest("idmap").make();
        user.give(&guest);
        let data = guest.lxcpath().join("private/data");
        fs::create_dir_all(&data).unwrap();
        fs::write(data.join("file"), "text").unwrap();
        run("chown", &["-R", &testkit::ordinary::UID.to_string()], data.parent().unwrap());
        guest.append(&format!("lxc.mount.entry = {} mnt none bind 0 0", data.display()));
        for dir in [data.parent().unwrap(), &guest.dir(), guest.lxcpath()] {
            run("chmod", &["700"], dir);
        }
        guest.start();
        assert_eq!(guest.sh("cat /mnt/file; stat -c %u /"), "text0\n");
    }

    fn an_ordinary_user_cannot_map_the_ids_of_the_host_s_file_systems() {
        let user = Ordinary::new(Cgroups::Machine);
        let guest = user.guest("idmap").conf("lxc.rootfs.options = idmap=container").make();
        user.give(&guest);
        let done = guest.try_start().exits(1);
        for word in ["idmap=container", "config:", "only root of the host"] {
            assert!(done.stderr.contains(word), "{word}: {done}");
        }
        guest.assert_nothing_left();
    }
}
