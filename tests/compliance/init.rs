//! What init is given: environment, ids, directory, limits, capabilities, personality, sysctls, signals.

use std::fs;
use std::time::Duration;

use testkit::rootfs::write_script;
use testkit::{Guest, cases, eventually};

/// Starts a guest whose init writes what `script` prints to /report, and gives that.
fn report(lines: &str, script: &str) -> String {
    let guest = Guest::build("init").conf(lines).make();
    write_script(
        &guest.rootfs().join("sbin/init"),
        &format!("#!/bin/sh\n({script}) > /tmp/r 2>&1\nmv /tmp/r /report\nsleep 1000\n"),
    );
    guest.start();
    let path = guest.rootfs().join("report");
    assert!(eventually(Duration::from_secs(10), || path.exists()), "init reports nothing\n{}", guest.why());
    fs::read_to_string(path).unwrap()
}

fn status(guest: &Guest, field: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{}/status", guest.pid())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{field}:"))).unwrap();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

cases! {
    fn the_environment_is_cleared() {
        let guest = Guest::build("init").conf("lxc.environment = A=1\nlxc.environment = PATH=/bin:/sbin\nlxc.environment = TOKEN").make();
        guest.tool("lxc-start").env("SECRET", "leak").env("TOKEN", "copied").done().exits(0).ok();
        // The configuration cannot be read without the variable.
        let pid = guest.tool("lxc-info").args(["-p", "-H"]).env("TOKEN", "x").done().ok();
        let text = fs::read_to_string(format!("/proc/{}/environ", pid.trim())).unwrap();
        guest.tool("lxc-stop").arg("-k").env("TOKEN", "x").done().exits(0).ok();
        let mut words: Vec<_> = text.split('\0').filter(|word| !word.is_empty()).collect();
        words.sort_unstable();
        assert_eq!(words, ["A=1", "PATH=/bin:/sbin", "TOKEN=copied", "container=lxc"]);
    }

    fn a_variable_that_is_unset_fails_the_load() {
        let guest = Guest::build("init").conf("lxc.environment = NO_SUCH_VARIABLE_X").make();
        guest.tool("lxc-start").done().exits(1).ok_on_stdout();
    }

    fn ids_of_init() {
        let guest = Guest::build("init").conf("lxc.init.uid = 1000\nlxc.init.gid = 1001\nlxc.init.cmd = /bin/sleep 1000").start();
        assert_eq!(status(&guest, "Uid"), "1000 1000 1000 1000");
        assert_eq!(status(&guest, "Gid"), "1001 1001 1001 1001");
    }

    fn the_working_directory() {
        assert_eq!(report("lxc.init.cwd = /usr/bin", "pwd"), "/usr/bin\n");
    }

    fn the_command_of_init() {
        let guest = Guest::build("init").conf("lxc.init.cmd = /bin/sleep 12345").start();
        let text = fs::read(format!("/proc/{}/cmdline", guest.pid())).unwrap();
        assert_eq!(text, b"/bin/sleep\x0012345\0");
    }

    fn init_is_a_session_leader_with_clean_signals() {
        let guest = Guest::build("init").conf("lxc.init.cmd = /bin/sleep 1000").start();
        assert_eq!(status(&guest, "SigBlk"), "0000000000000000");
        assert_eq!(status(&guest, "NSpid").split(' ').nth(1), Some("1"));
        let stat = fs::read_to_string(format!("/proc/{}/stat", guest.pid())).unwrap();
        let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        assert_eq!(fields[3], guest.pid().to_string(), "session");
    }

    fn limits() {
        let guest = Guest::build("init").conf("lxc.prlimit.nofile = 123:456\nlxc.prlimit.core = 0\nlxc.prlimit.stack = unlimited\nlxc.prlimit.nproc = 77").start();
        let text = fs::read_to_string(format!("/proc/{}/limits", guest.pid())).unwrap();
        let of = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().take(2).collect::<Vec<_>>().join(":")
        };
        assert_eq!(of("Max open files"), "123:456");
        assert_eq!(of("Max core file size"), "0:0");
        assert_eq!(of("Max stack size"), "unlimited:unlimited");
        assert_eq!(of("Max processes"), "77:77");
    }

    fn an_unknown_limit_fails_the_start() {
        let guest = Guest::build("init").conf("lxc.prlimit.nonsense = 1").make();
        guest.try_start().exits(1).ok_on_stdout();
        guest.assert_nothing_left();
    }

    fn sysctls_are_those_of_the_container() {
        let host = fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap();
        let text = report(
            "lxc.sysctl.net.ipv4.ip_forward = 1\nlxc.sysctl.kernel.msgmax = 4242\nlxc.sysctl.net.ipv4.ping_group_range = 0 7",
            "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ping_group_range",
        );
        assert_eq!(text, "1\n4242\n0\t7\n");
        assert_eq!(fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap(), host);
    }

    fn files_of_proc() {
        let guest = Guest::build("init").conf("lxc.proc.oom_score_adj = 321").start();
        assert_eq!(fs::read_to_string(format!("/proc/{}/oom_score_adj", guest.pid())).unwrap(), "321\n");
    }

    fn the_personality() {
        assert_eq!(report("lxc.arch = i686", "uname -m"), "i686\n");
        assert_eq!(report("lxc.arch = x86_64", "uname -m"), "x86_64\n");
    }

    fn dropped_capabilities() {
        let guest = Guest::build("init").conf("lxc.cap.drop = sys_module mac_admin\nlxc.cap.drop = sys_time").start();
        let bounding = u64::from_str_radix(&status(&guest, "CapBnd"), 16).unwrap();
        for (number, name) in [(16, "sys_module"), (33, "mac_admin"), (25, "sys_time")] {
            assert_eq!(bounding >> number & 1, 0, "{name}");
        }
        assert_eq!(bounding & 1, 1, "chown");
        assert_eq!(status(&guest, "CapEff"), status(&guest, "CapBnd"));
        assert_eq!(status(&guest, "CapAmb"), "0000000000000000");
    }

    fn kept_capabilities() {
        let guest = Guest::build("init").conf("lxc.cap.keep = chown kill\nlxc.cap.keep = setuid sys_admin").start();
        assert_eq!(status(&guest, "CapBnd"), format!("{:016x}", 1u64 | 1 << 5 | 1 << 7 | 1 << 21));
    }

    fn no_capability_at_all() {
        let guest = Guest::build("init").conf("lxc.cap.keep = none").start();
        assert_eq!(status(&guest, "CapBnd"), "0000000000000000");
        assert_eq!(status(&guest, "CapEff"), "0000000000000000");
    }

    fn no_new_privileges() {
        let guest = Guest::build("init").conf("lxc.no_new_privs = 1").start();
        assert_eq!(status(&guest, "NoNewPrivs"), "1");
        let other = Guest::build("init").start();
        assert_eq!(status(&other, "NoNewPrivs"), "0");
    }

    fn a_seccomp_profile_is_enforced() {
        let guest = Guest::build("init").make();
        let profile = guest.lxcpath().join("profile");
        fs::write(&profile, "2\ndenylist\n[all]\nmkdir errno 13\nmkdirat errno 13\n").unwrap();
        guest.append(&format!("lxc.seccomp.profile = {}", profile.display()));
        guest.start();
        assert_eq!(status(&guest, "Seccomp"), "2");
        guest.attach(["mkdir", "/x"]).exits(1).says("Permission denied").ok_on_stdout();
        guest.sh("touch /x");
    }

    fn the_common_profile_loads() {
        let guest = Guest::build("init").conf("lxc.seccomp.profile = /usr/share/lxc/config/common.seccomp").start();
        assert_eq!(status(&guest, "Seccomp"), "2");
        guest.sh("mkdir /y; umount /nothing 2>/dev/null; true");
    }

    fn the_common_configuration_loads() {
        let path = testkit::Subject::current().data_dir().join("config/common.conf");
        let guest = Guest::build("init").conf(&format!("lxc.mount.auto =\nlxc.include = {}", path.display())).start();
        let bounding = u64::from_str_radix(&status(&guest, "CapBnd"), 16).unwrap();
        assert_eq!(bounding >> 16 & 1, 0);
        assert_eq!(guest.sh("ls -l /dev/tty1 | sed 's/.*-> //'"), "lxc/tty1\n");
        // The device list allows null and nothing of a disk.
        guest.sh("echo x > /dev/null; mknod /tmp/disk b 254 0");
        let done = guest.attach(["sh", "-c", "head -c 1 /tmp/disk"]);
        assert_ne!(done.code, 0, "{done}");
        assert!(done.stderr.contains("not permitted"), "{done}");
    }

    fn the_hostname() {
        let text = report("lxc.uts.name = some-host.example", "hostname");
        assert_eq!(text, "some-host.example\n");
    }

    fn time_offsets() {
        let text = report("lxc.time.offset.boot = 7d\n".replace("7d", "168h").as_str(), "cut -d. -f1 /proc/uptime");
        assert!(text.trim().parse::<u64>().unwrap() > 168 * 3600, "{text}");
    }

    fn kept_namespaces() {
        let guest = Guest::build("init").conf("lxc.net =\nlxc.namespace.keep = net uts user time\nlxc.uts.name =").start();
        for (name, same) in [("net", true), ("uts", true), ("ipc", false), ("mnt", false)] {
            let (a, b) = (format!("/proc/{}/ns/{name}", guest.pid()), format!("/proc/self/ns/{name}"));
            assert_eq!(fs::read_link(a).unwrap() == fs::read_link(b).unwrap(), same, "{name}");
        }
    }

    fn cloned_namespaces() {
        let guest = Guest::build("init").conf("lxc.namespace.clone = pid mnt ipc\nlxc.uts.name =").start();
        for (name, same) in [("net", true), ("uts", true), ("cgroup", true), ("ipc", false), ("mnt", false), ("pid", false)] {
            let (a, b) = (format!("/proc/{}/ns/{name}", guest.pid()), format!("/proc/self/ns/{name}"));
            assert_eq!(fs::read_link(a).unwrap() == fs::read_link(b).unwrap(), same, "{name}");
        }
    }

    fn shared_namespaces() {
        let first = Guest::build("init").start();
        let second = Guest::build("init").conf(&format!("lxc.net =\nlxc.namespace.share.net = {}\nlxc.namespace.share.ipc = {}", first.pid(), first.pid())).start();
        for (name, same) in [("net", true), ("ipc", true), ("uts", false)] {
            let (a, b) = (format!("/proc/{}/ns/{name}", first.pid()), format!("/proc/{}/ns/{name}", second.pid()));
            assert_eq!(fs::read_link(a).unwrap() == fs::read_link(b).unwrap(), same, "{name}");
        }
    }

    fn share_options_of_start() {
        let first = Guest::build("init").start();
        let second = Guest::build("init").conf("lxc.net =").make();
        let pid = first.pid().to_string();
        second.tool("lxc-start").args([format!("--share-net={pid}"), format!("--share-pid={pid}")]).done().exits(0).ok();
        for name in ["net", "pid"] {
            let (a, b) = (format!("/proc/{}/ns/{name}", first.pid()), format!("/proc/{}/ns/{name}", second.pid()));
            assert_eq!(fs::read_link(a).unwrap(), fs::read_link(b).unwrap(), "{name}");
        }
    }

    fn an_id_map_makes_it_unprivileged() {
        // /etc/subuid has to allow the map; this machine's stays as it is.
        let line = "mount --bind $0 /etc/subuid; mount --bind $0 /etc/subgid; exec \"$@\"";
        let subid = std::env::temp_dir().join(format!("lxc-rs-test-subid-{}", std::process::id()));
        fs::write(&subid, "root:100000:65536\n").unwrap();
        let prefix = ["unshare", "--mount", "--propagation", "private", "sh", "-c", line, subid.to_str().unwrap()];
        let guest = Guest::build("init")
            .conf("lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536")
            .under(prefix.iter().map(Into::into).collect())
            .make();
        // The container's root must reach and own its tree.
        testkit::Run::new("chown").args(["-R", "-h", "100000:100000"]).arg(guest.rootfs()).done().ok();
        for dir in [guest.lxcpath().to_owned(), guest.dir()] {
            testkit::Run::new("chmod").args(["755"]).arg(dir).done().ok();
        }
        guest.start();
        assert_eq!(status(&guest, "Uid"), "100000 100000 100000 100000");
        assert_eq!(guest.sh("id -u; cat /proc/self/uid_map | tr -s ' '"), "0\n 0 100000 65536\n");
        let table =
            guest.bare_tool("lxc-ls").arg("-P").arg(guest.lxcpath()).args(["-f", "-F", "UNPRIVILEGED"]).done().ok();
        guest.kill();
        fs::remove_file(subid).unwrap();
        assert_eq!(table.lines().nth(1).unwrap().trim(), "true");
    }

    fn the_halt_signal_of_the_configuration() {
        let guest = Guest::build("init").conf("lxc.signal.halt = SIGUSR2").make();
        write_script(&guest.rootfs().join("sbin/init"), "#!/bin/sh\ntrap 'echo usr2 > /got; exit 0' USR2\nwhile :; do sleep 1000 & wait $!; done\n");
        guest.start();
        guest.tool("lxc-stop").args(["-t", "15"]).done().exits(0).ok();
        guest.await_gone();
        assert_eq!(fs::read_to_string(guest.rootfs().join("got")).unwrap(), "usr2\n");
    }
}
