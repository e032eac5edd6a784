//! What the configuration says when asked: lxc-info -c for every kind of key, and lxc-config.

use testkit::{Guest, Run, Subject, cases};

/// `lxc-info -H -c KEY` for a configuration.
fn get(lines: &str, key: &str) -> String {
    let guest = Guest::build("config").without_rootfs().conf(lines).make();
    let done = guest.tool("lxc-info").args(["-H", "-c", key]).done().exits(0);
    assert!(done.stderr.is_empty(), "{done}");
    done.stdout
}

fn fails(lines: &str) {
    let guest = Guest::build("config").without_rootfs().conf(lines).make();
    guest.tool("lxc-info").done().exits(1).prints("").says("Failed to load config for").ok_on_stdout();
}

cases! {
    fn plain_values() {
        for (line, key, value) in [
            ("lxc.uts.name = host", "lxc.uts.name", "host"),
            ("lxc.uts.name=host", "lxc.uts.name", "host"),
            ("  lxc.uts.name   =   host  ", "lxc.uts.name", "host"),
            ("lxc.uts.name = \"host\"", "lxc.uts.name", "host"),
            ("lxc.uts.name = 'host'", "lxc.uts.name", "host"),
            ("lxc.init.cmd = /bin/x a b", "lxc.init.cmd", "/bin/x a b"),
            ("lxc.init.cmd = /bin/x # not a comment", "lxc.init.cmd", "/bin/x # not a comment"),
            ("lxc.tty.max = 0x10", "lxc.tty.max", "16"),
            ("lxc.tty.max = 010", "lxc.tty.max", "8"),
            ("lxc.init.uid = 1000", "lxc.init.uid", "1000"),
            ("lxc.start.order = -5", "lxc.start.order", "-5"),
            ("lxc.arch = amd64", "lxc.arch", "x86_64"),
            ("lxc.arch = linux32", "lxc.arch", "i686"),
            ("lxc.rootfs.path = dir:/a/b", "lxc.rootfs.path", "/a/b"),
            ("lxc.rootfs.path = /a/b", "lxc.rootfs.path", "/a/b"),
            ("lxc.rootfs.options = ro,noatime", "lxc.rootfs.options", "ro,noatime"),
            ("lxc.signal.halt = SIGUSR1", "lxc.signal.halt", "10"),
            ("lxc.signal.halt = SIGRTMIN+3", "lxc.signal.halt", "37"),
            ("lxc.signal.stop = 999", "lxc.signal.stop", "999"),
            ("lxc.log.level = debug", "lxc.log.level", "DEBUG"),
            ("lxc.log.level = 5", "lxc.log.level", "ERROR"),
            ("lxc.console.buffer.size = auto", "lxc.console.buffer.size", "131072"),
            ("lxc.console.buffer.size = 5KB", "lxc.console.buffer.size", "8192"),
            ("lxc.console.size = 1", "lxc.console.size", "4096"),
            ("lxc.console.path = none", "lxc.console.path", "none"),
            ("lxc.cgroup.dir = a/b", "lxc.cgroup.dir", "a/b"),
            ("lxc.prlimit.nofile = 10:20", "lxc.prlimit.nofile", "10:20"),
            ("lxc.prlimit.nofile = unlimited", "lxc.prlimit.nofile", "unlimited"),
            ("lxc.sysctl.net.ipv4.ip_forward = 1", "lxc.sysctl.net.ipv4.ip_forward", "1"),
            ("lxc.proc.oom_score_adj = 10", "lxc.proc.oom_score_adj", "10"),
            ("lxc.ephemeral = 1", "lxc.ephemeral", "1"),
            ("lxc.apparmor.profile = unconfined", "lxc.apparmor.profile", "unconfined"),
            ("lxc.autodev.tmpfs.size = 4096", "lxc.autodev.tmpfs.size", "4096"),
            ("lxc.init.groups = 1,2,3", "lxc.init.groups", "1,2,3"),
            ("lxc.mount.auto = sys proc:rw", "lxc.mount.auto", "proc:rw sys:mixed"),
        ] {
            assert_eq!(get(line, key), format!("{value}\n"), "{line}");
        }
    }

    fn defaults() {
        for (key, value) in [
            ("lxc.tty.max", "0"), ("lxc.pty.max", "0"), ("lxc.autodev", "1"), ("lxc.rootfs.managed", "1"),
            ("lxc.hook.version", "0"), ("lxc.monitor.unshare", "0"), ("lxc.log.level", "NOTSET"),
            ("lxc.cgroup.relative", "0"), ("lxc.no_new_privs", "0"), ("lxc.start.auto", "0"), ("lxc.ephemeral", "0"),
            ("lxc.signal.halt", "0"), ("lxc.init.uid", "0"), ("lxc.autodev.tmpfs.size", "0"),
            ("lxc.console.buffer.size", "0"), ("lxc.start.delay", "0"),
        ] {
            assert_eq!(get("", key), format!("{value}\n"), "{key}");
        }
    }

    fn lists() {
        assert_eq!(get("lxc.cap.drop = sys_time mknod\nlxc.cap.drop = kill", "lxc.cap.drop"), "sys_time\nmknod\nkill\n\n");
        assert_eq!(get("lxc.cap.drop = sys_time\nlxc.cap.drop =\nlxc.cap.drop = kill", "lxc.cap.drop"), "kill\n\n");
        assert_eq!(get("lxc.group = a b", "lxc.group"), "a\nb\n\n");
        assert_eq!(get("lxc.environment = A=1\nlxc.environment = B=2", "lxc.environment"), "A=1\nB=2\n\n");
        assert_eq!(get("lxc.mount.entry = a b none bind 0 0", "lxc.mount.entry"), "a b none bind 0 0\n\n");
        assert_eq!(get("lxc.hook.pre-start = /a b\nlxc.hook.pre-start = /c", "lxc.hook.pre-start"), "/a b\n/c\n\n");
        assert_eq!(get("lxc.idmap = u 0 1000 10\nlxc.idmap = g 0 1000 10", "lxc.idmap"), "u 0 1000 10\ng 0 1000 10\n");
        assert_eq!(get("lxc.namespace.keep = net user", "lxc.namespace.keep"), "user\nnet\n\n");
        assert_eq!(get("lxc.cgroup2.memory.max = 1G", "lxc.cgroup2.memory.max"), "1G\n\n");
        assert_eq!(get("lxc.prlimit.nofile = 1\nlxc.prlimit.core = 2", "lxc.prlimit"), "lxc.prlimit.nofile = 1\nlxc.prlimit.core = 2\n\n");
    }

    fn networks() {
        let lines = "lxc.net.0.type = veth\nlxc.net.0.link = br0\nlxc.net.0.flags = up\nlxc.net.0.ipv4.address = 10.0.0.1/24\n\
                     lxc.net.0.ipv4.address = 10.0.0.2/24\nlxc.net.0.ipv4.gateway = auto\nlxc.net.3.type = macvlan\nlxc.net.3.link = eth0";
        for (key, value) in [
            ("lxc.net", "veth\nmacvlan\n"),
            ("lxc.net.0.type", "veth"),
            ("lxc.net.0.link", "br0"),
            ("lxc.net.0.flags", "up"),
            ("lxc.net.0.ipv4.address", "10.0.0.1/24\n10.0.0.2/24"),
            ("lxc.net.0.ipv4.gateway", "auto"),
            ("lxc.net.3.macvlan.mode", "private"),
            ("lxc.net.0.veth.mode", "bridge"),
        ] {
            assert_eq!(get(lines, key), format!("{value}\n"), "{key}");
        }
    }

    fn nulls_of_the_original() {
        assert_eq!(get("", "lxc.cgroup.dir.container"), "(null)\n");
        assert_eq!(get("", "lxc.cgroup.dir.monitor"), "(null)\n");
    }

    fn lines_that_fail_the_load() {
        for lines in [
            "lxc.no.such = 1",
            "lxc.uts.name",
            "lxc.autodev = 2",
            "lxc.tty.max = -1",
            "lxc.tty.max = 1x",
            "lxc.arch = nonsense",
            "lxc.cap.drop = nonsense",
            "lxc.cap.drop = kill\nlxc.cap.keep = kill",
            "lxc.net = x",
            "lxc.net.0.type = nonsense",
            "lxc.net.0.type = veth\nlxc.net.0.macvlan.mode = bridge",
            "lxc.hook = x",
            "lxc.hook.version = 2",
            "lxc.signal.halt = SIGNONSENSE",
            "lxc.idmap = u 0 1000",
            "lxc.idmap = x 0 1000 10",
            "lxc.log.level = loud",
            "lxc.include = /no/such/file",
            "lxc.namespace.keep = net\nlxc.namespace.clone = pid",
            "lxc.cgroup.dir = /absolute",
            "lxc.mount.auto = nonsense",
            "lxc.utsname = old",
            "lxc.rootfs = old",
            "lxc.network.type = veth",
            "lxc.uts.name = aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ] {
            fails(lines);
        }
    }

    fn lines_that_are_skipped() {
        assert_eq!(get("# lxc.uts.name = no\nnot.lxc = 1\nanything\nlxc.uts.name = yes\n\n   \n", "lxc.uts.name"), "yes\n");
    }

    fn includes() {
        let guest = Guest::build("config").make();
        let dir = guest.lxcpath().join("conf.d");
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("one.conf"), "lxc.tty.max = 3\n").unwrap();
        std::fs::write(dir.join("ignored.txt"), "lxc.no.such = 1\n").unwrap();
        std::fs::write(guest.lxcpath().join("single"), "lxc.init.cmd = /from/include\n").unwrap();
        guest.append(&format!("lxc.include = {}\nlxc.include = {}", dir.display(), guest.lxcpath().join("single").display()));
        let of = |key: &str| guest.tool("lxc-info").args(["-H", "-c", key]).done().ok();
        assert_eq!(of("lxc.tty.max"), "3\n");
        assert_eq!(of("lxc.init.cmd"), "/from/include\n");
    }

    fn a_message_names_the_key() {
        let guest = Guest::build("config").without_rootfs().conf("lxc.no.such = 1").make();
        guest.tool("lxc-start").done().exits(1).says("lxc.no.such").ok_on_stdout();
    }

    fn lxc_config_lists_and_prints() {
        let config = |words: &[&str]| Run::new(Subject::current().tool("lxc-config")).args(words).done();
        config(&["-l"]).exits(0).prints(
            "lxc.default_config\nlxc.lxcpath\nlxc.bdev.lvm.vg\nlxc.bdev.lvm.thin_pool\nlxc.bdev.zfs.root\nlxc.cgroup.use\nlxc.cgroup.pattern\n",
        ).ok();
        config(&["lxc.lxcpath"]).exits(0).prints("/var/lib/lxc\n").ok();
        config(&["lxc.l"]).exits(0).prints("/var/lib/lxc\n").ok();
        config(&["lxc.default_config"]).exits(0).prints("/etc/lxc/default.conf\n").ok();
        config(&["lxc.bdev.lvm.vg"]).exits(0).prints("lxc\n").ok();
        config(&["lxc.cgroup.use"]).exits(0).prints("lxc.cgroup.use is not set.\n").ok();
        config(&["nonsense"]).exits(1).prints("Unknown configuration item: nonsense\n").ok_on_stdout();
        let usage = config(&[]).exits(0).stdout;
        assert_eq!(usage.lines().count(), 2, "{usage}");
        assert_eq!(config(&["--help"]).exits(0).stdout, usage);
    }
}
