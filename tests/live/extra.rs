//! Where ours does more than Debian's original, or does not have its defects.

use std::fs;
use std::time::Duration;

use testkit::cgroup2::Pure;
use testkit::netns::Netns;
use testkit::rootfs::{Init, write_script};
use testkit::{Guest, cases, eventually};

/// What init reports by a script.
fn report(lines: &str, script: &str) -> String {
    let guest = Guest::build("extra").conf(lines).make();
    write_script(
        &guest.rootfs().join("sbin/init"),
        &format!("#!/bin/sh\n({script}) > /tmp/r 2>&1\nmv /tmp/r /report\nsleep 1000\n"),
    );
    guest.start();
    let path = guest.rootfs().join("report");
    assert!(eventually(Duration::from_secs(10), || path.exists()), "init reports nothing\n{}", guest.why());
    fs::read_to_string(path).unwrap()
}

cases! {
    fn a_missing_working_directory_is_made() {
        assert_eq!(report("lxc.init.cwd = /srv/made", "pwd; stat -c %a /srv/made"), "/srv/made\n755\n");
    }

    fn ttys_are_announced() {
        let text = report("lxc.tty.max = 2", "echo $container_ttys");
        assert_eq!(text.split_whitespace().count(), 2, "{text}");
        assert!(text.split_whitespace().all(|word| word.starts_with("pts/")), "{text}");
    }

    fn a_bind_keeps_its_flags() {
        let guest = Guest::build("extra").make();
        let dir = guest.lxcpath().join("data");
        fs::create_dir(&dir).unwrap();
        guest.append(&format!("lxc.mount.entry = {} mnt none bind,nosuid,nodev,noexec 0 0", dir.display()));
        guest.start();
        let mounts = guest.mountinfo();
        let mount = mounts.iter().find(|mount| mount.target == "/mnt").unwrap();
        for word in ["nosuid", "nodev", "noexec"] {
            assert!(mount.options.split(',').any(|got| got == word), "{word}: {mount:?}");
        }
    }

    fn the_broadcast_address() {
        let netns = Netns::new();
        netns.bridge("br0", "10.96.0.1/24");
        let lines = "lxc.net.0.type = veth\nlxc.net.0.link = br0\nlxc.net.0.flags = up\nlxc.net.0.name = eth0\n\
                     lxc.net.0.ipv4.address = 10.96.0.2/24";
        let guest = Guest::build("extra").conf(lines).under(netns.prefix()).start();
        let text = guest.sh("ip addr show dev eth0");
        assert!(text.contains("brd 10.96.0.255"), "{text}");
    }

    fn a_hangup_of_the_console_is_survived() {
        let guest = Guest::build("extra").init(Init::Busybox).start();
        for _ in 0..5 {
            let mut terminal = guest.terminal(guest.tool("lxc-console").args(["-t", "0"]));
            terminal.expect("Connected to tty 0");
            std::thread::sleep(Duration::from_millis(200));
            terminal.send("\r");
            terminal.expect("login: ");
            terminal.send("root\r");
            terminal.expect("# ");
            terminal.send("exit\r");
            std::thread::sleep(Duration::from_millis(20));
            terminal.send("\u{1}q");
            assert_eq!(terminal.exit_within(Duration::from_secs(5)), 0);
        }
        assert_eq!(guest.state(), "RUNNING");
    }

    fn a_first_device_rule_leaves_the_other_devices_alone() {
        // The original starts an allowlist with it: nothing opens /dev/null any more.
        let pure = Pure::new();
        let guest = Guest::build("extra").under(pure.prefix()).start();
        let opens = |node: &str| guest.attach(["sh", "-c", &format!("head -c 1 {node}")]).code == 0;
        guest.tool("lxc-cgroup").args(["devices.allow", "c 1:5 rwm"]).done().exits(0).ok();
        assert!(opens("/dev/zero") && opens("/dev/urandom"));
        guest.tool("lxc-cgroup").args(["devices.deny", "/dev/zero r"]).done().exits(0).ok();
        assert!(!opens("/dev/zero") && opens("/dev/urandom"));
        guest.sh("echo > /dev/zero");
    }

    fn a_device_rule_reaches_below_the_cgroup_with_the_limits() {
        // The original writes to the inner cgroup only: what is refused above stays refused.
        let lines = "lxc.cgroup.dir.monitor = @NAME@-d/monitor\nlxc.cgroup.dir.container = @NAME@-d/payload\n\
                     lxc.cgroup.dir.container.inner = inner\nlxc.cgroup.devices.deny = c 1:5 rwm";
        let guest = Guest::build("extra").conf(lines).start();
        let opens = || guest.attach(["sh", "-c", "head -c 1 /dev/zero"]).code == 0;
        assert!(!opens());
        guest.tool("lxc-cgroup").args(["devices.allow", "c 1:5 rwm"]).done().silent().exits(0).ok();
        assert!(opens());
        guest.kill();
        for hierarchy in fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
            let dir = hierarchy.path().join(format!("{}-d", guest.name()));
            for below in fs::read_dir(&dir).into_iter().flatten().flatten() {
                drop(fs::remove_dir(below.path()));
            }
            drop(fs::remove_dir(dir));
        }
    }

    fn v1_keys_apply_on_pure_cgroup2_and_the_log_says_so() {
        let pure = Pure::new();
        let lines = "lxc.cgroup.devices.deny = c 1:5 rwm\nlxc.cgroup.memory.swappiness = 10";
        let guest = Guest::build("extra").under(pure.prefix()).conf(lines).start();
        assert_ne!(guest.attach(["sh", "-c", "head -c 1 /dev/zero"]).code, 0);
        assert_eq!(guest.attach(["sh", "-c", "head -c 1 /dev/urandom >/dev/null"]).code, 0);
        let log = fs::read_to_string(guest.dir().join("log")).unwrap();
        assert!(log.contains("lxc.cgroup.devices.* is applied as a cgroup2 device program"), "{log}");
        assert!(log.contains("lxc.cgroup.memory.swappiness is ignored"), "{log}");
    }

    fn what_is_typed_before_the_escape_arrives() {
        let guest = Guest::build("extra").conf("lxc.tty.max = 1").make();
        write_script(&guest.rootfs().join("etc/rc"), "#!/bin/sh\n(read line < /dev/tty1; echo \"$line\" > /typed) &\n");
        guest.start();
        let mut terminal = guest.terminal(guest.tool("lxc-console").args(["-t", "1"]));
        terminal.expect("exit the console");
        std::thread::sleep(Duration::from_millis(200));
        terminal.send("pasted\r\u{1}q");
        assert_eq!(terminal.exit_within(Duration::from_secs(5)), 0);
        let path = guest.rootfs().join("typed");
        let text = || fs::read_to_string(&path).unwrap_or_default();
        assert!(eventually(Duration::from_secs(5), || text() == "pasted\n"), "{:?}", text());
    }

    fn a_start_leaves_no_descriptor_of_the_caller_open() {
        // A pipe read to its end: it ends when nobody holds it any more.
        let guest = Guest::build("extra").make();
        let line = format!(
            "out=$({} -P {} -n {} -d 2>&1); echo \"[$out]\"",
            guest.subject().tool("lxc-start").display(), guest.lxcpath().display(), guest.name()
        );
        testkit::Run::new("sh").args(["-c", &line]).done().exits(0).prints("[]\n").ok();
        for entry in fs::read_dir(format!("/proc/{}/fd", guest.monitor())).unwrap().flatten() {
            let target = fs::read_link(entry.path()).unwrap_or_default();
            assert!(!target.to_string_lossy().starts_with("pipe:"), "{target:?}");
        }
    }

    fn a_kill_does_not_wait_for_a_monitor_that_hangs() {
        let guest = Guest::build("extra").start();
        let signal = |name: &str| testkit::Run::new("kill").args([name, &guest.monitor().to_string()]).done().ok();
        signal("-STOP");
        let done = guest.tool("lxc-stop").arg("-k").limit(Duration::from_secs(40)).done();
        signal("-CONT");
        done.exits(1).says("its monitor hangs").ok_on_stdout();
        guest.kill();
    }

    fn a_kill_waits_for_slow_hooks() {
        let guest = Guest::build("extra").conf("lxc.hook.post-stop = sh -c 'sleep 2; touch @DIR@/done'").start();
        guest.tool("lxc-stop").arg("-k").done().exits(0).ok();
        assert!(guest.dir().join("done").exists());
    }

    fn a_silent_client_does_not_hold_the_monitor() {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::net::{SocketAddr, UnixStream};
        let guest = Guest::build("extra").start();
        let name = format!("{}/{}/command", guest.lxcpath().display(), guest.name());
        let address = SocketAddr::from_abstract_name(name).unwrap();
        let mut silent: Vec<UnixStream> = (0..100).map(|_| UnixStream::connect_addr(&address).unwrap()).collect();
        for stream in silent.iter_mut().take(50) {
            std::io::Write::write_all(stream, &[3, 0, 0]).unwrap();
        }
        let done = guest.tool("lxc-info").arg("-sH").limit(Duration::from_secs(5)).done();
        assert_eq!(done.stdout, "RUNNING\n", "{done}");
        guest.kill();
        drop(silent);
    }

    fn every_hostile_request_is_survived() {
        use std::io::{Read, Write};
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::net::{SocketAddr, UnixStream};
        let guest = Guest::build("extra").start();
        let name = format!("{}/{}/command", guest.lxcpath().display(), guest.name());
        let address = SocketAddr::from_abstract_name(name).unwrap();
        // STOP (2) would end it, and that is no attack.
        let numbers = (0..40i32).filter(|number| *number != 2).chain([-1, i32::MAX, i32::MIN]);
        for number in numbers {
            for length in [0i32, 1, 4, 16, 80, 8192, 8193, -1, i32::MAX] {
                let Ok(mut stream) = UnixStream::connect_addr(&address) else { panic!("{number}: nobody listens") };
                stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
                let mut request = [number.to_ne_bytes(), length.to_ne_bytes()].concat();
                request.extend([0xff; 8]);
                request.extend(vec![0x41; usize::try_from(length.clamp(0, 8193)).unwrap()]);
                let _ = stream.write_all(&request);
                let _ = stream.read(&mut [0; 64]);
            }
        }
        // SERVE_STATE_CLIENTS among them may have changed what is reported, not what is.
        assert!(guest.attach(["true"]).code == 0, "{}", guest.why());
    }
}
