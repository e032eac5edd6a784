//! Every pairing: a container of one implementation, each tool of the other.

use std::process::Stdio;
use std::time::Duration;

use testkit::rootfs::Init;
use testkit::{Guest, GuestBuilder, Subject, cases, eventually};

/// Runs a test for both directions: (who runs the container, whose tools).
fn both(body: impl Fn(GuestBuilder, Subject)) {
    for monitor in [Subject::Ours, Subject::Theirs] {
        println!("monitor: {}, tools: {}", monitor.word(), monitor.other().word());
        body(Guest::build("pair").subject(monitor), monitor.other());
    }
}

cases! {
    fn every_query() {
        both(|builder, tools| {
            let guest = builder.start();
            guest.tool_of(tools, "lxc-info").arg("-sH").done().exits(0).prints("RUNNING\n").ok();
            guest.tool_of(tools, "lxc-info").arg("-pH").done().exits(0).prints(&format!("{}\n", guest.pid())).ok();
            let whole = guest.tool_of(tools, "lxc-info").done().exits(0).ok();
            assert!(whole.contains("CPU use:") && whole.contains("Memory use:"), "{whole}");
            let list = testkit::Run::new(tools.tool("lxc-ls")).arg("-P").arg(guest.lxcpath()).args(["--running", "-1"]);
            list.done().exits(0).prints(&format!("{}\n", guest.name())).ok();
        });
    }

    fn attach() {
        both(|builder, tools| {
            let guest = builder.conf("lxc.environment = FROM=config\nlxc.cap.drop = sys_time").start();
            guest.tool_of(tools, "lxc-attach").args(["--", "hostname"]).done().exits(0).prints(&format!("{}\n", guest.name())).ok();
            guest.tool_of(tools, "lxc-attach").args(["--", "sh", "-c", "exit 42"]).done().exits(42).ok_on_stdout();
            let cgroup = guest.tool_of(tools, "lxc-attach").args(["--", "cat", "/proc/self/cgroup"]).done().ok();
            assert!(cgroup.lines().all(|line| line.ends_with(":/") || line.ends_with("/.lxc")), "{cgroup}");
            let mut terminal = guest.terminal(guest.tool_of(tools, "lxc-attach").args(["--", "/bin/sh"]));
            terminal.expect("# ");
            terminal.send("tty; exit 6\r");
            terminal.expect("/dev/pts/");
            assert_eq!(terminal.exit_within(Duration::from_secs(5)), 6);
        });
    }

    fn freeze_and_thaw() {
        both(|builder, tools| {
            let guest = builder.start();
            guest.tool_of(tools, "lxc-freeze").done().exits(0).ok();
            for side in [tools, tools.other()] {
                guest.tool_of(side, "lxc-info").arg("-sH").done().exits(0).prints("FROZEN\n").ok();
            }
            guest.tool_of(tools, "lxc-unfreeze").done().exits(0).ok();
            assert_eq!(guest.state(), "RUNNING");
        });
    }

    fn wait() {
        both(|builder, tools| {
            let guest = builder.start();
            guest.tool_of(tools, "lxc-wait").args(["-s", "RUNNING", "-t", "5"]).done().exits(0).ok();
            let mut waiter = guest.tool_of(tools, "lxc-wait").args(["-s", "STOPPED", "-t", "20"]).spawn(Stdio::null(), Stdio::null());
            std::thread::sleep(Duration::from_millis(200));
            assert!(waiter.try_wait().unwrap().is_none());
            guest.kill();
            let mut status = None;
            eventually(Duration::from_secs(5), || { status = waiter.try_wait().unwrap(); status.is_some() });
            assert_eq!(status.and_then(|status| status.code()), Some(0));
        });
    }

    fn stop_cleanly_kill_and_reboot() {
        both(|builder, tools| {
            let guest = builder.start();
            let init = guest.pid();
            guest.tool_of(tools, "lxc-stop").arg("-r").done().exits(0).ok();
            assert!(eventually(Duration::from_secs(10), || guest.has_new_init(init)), "{}", guest.why());
            guest.tool_of(tools, "lxc-stop").args(["-t", "20"]).done().exits(0).ok();
            guest.await_gone();
            guest.start();
            guest.tool_of(tools, "lxc-stop").arg("-k").done().exits(0).ok();
            guest.await_gone();
            guest.tool_of(tools, "lxc-stop").arg("-k").done().exits(2).ok_on_stdout();
            guest.assert_nothing_left();
        });
    }

    fn console() {
        both(|builder, tools| {
            let guest = builder.init(Init::Busybox).conf("lxc.tty.max = 1").start();
            let mut terminal = guest.terminal(guest.tool_of(tools, "lxc-console").args(["-t", "1"]));
            terminal.expect("Connected to tty 1");
            std::thread::sleep(Duration::from_millis(200));
            terminal.send("\r");
            terminal.expect("login: ");
            terminal.send("\u{1}q");
            assert_eq!(terminal.exit_within(Duration::from_secs(5)), 0);
        });
    }

    fn cgroup() {
        both(|builder, tools| {
            let guest = builder.start();
            if !std::path::Path::new("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists() {
                return;
            }
            guest.tool_of(tools, "lxc-cgroup").args(["memory.limit_in_bytes", "64M"]).done().exits(0).ok();
            guest.tool_of(tools, "lxc-cgroup").arg("memory.limit_in_bytes").done().exits(0).prints("67108864\n\n").ok();
        });
    }

    fn monitor() {
        both(|builder, tools| {
            let guest = builder.make();
            let path = guest.lxcpath().join("events");
            let out = std::fs::File::create(&path).unwrap();
            let mut watcher = guest.tool_of(tools, "lxc-monitor").spawn(out, Stdio::null());
            guest.await_watcher();
            guest.start();
            guest.kill();
            let read = || std::fs::read_to_string(&path).unwrap();
            eventually(Duration::from_secs(5), || read().contains("[STOPPED]"));
            drop(watcher.kill());
            drop(watcher.wait());
            testkit::Run::new(tools.tool("lxc-monitor")).arg("-P").arg(guest.lxcpath()).arg("-Q").done();
            let text = read();
            let states: Vec<&str> = text.lines().filter_map(|line| line.split('[').nth(1)?.strip_suffix(']')).collect();
            assert_eq!(states, ["STARTING", "RUNNING", "0", "STOPPING", "STOPPED"], "{text}");
            let title = guest.lxcpath().to_str().unwrap().to_owned();
            eventually(Duration::from_secs(40), || {
                !testkit::leftovers::processes().iter().any(|(_, command)| command.contains("lxc-monitord") && command.contains(&title))
            });
        });
    }

    fn destroy() {
        both(|builder, tools| {
            let guest = builder.start();
            guest.tool_of(tools, "lxc-destroy").done().exits(1).says("is running").ok_on_stdout();
            guest.tool_of(tools, "lxc-destroy").arg("-f").done().exits(0).ok();
            assert!(!guest.dir().exists());
        });
    }

    fn a_second_start_by_the_other_side() {
        both(|builder, tools| {
            let guest = builder.start();
            guest.tool_of(tools, "lxc-start").done().exits(0).says("already running").ok();
            assert_eq!(guest.state(), "RUNNING");
        });
    }

    fn device_rules_on_pure_cgroup2() {
        // ADD_BPF_DEVICE_CGROUP carries a C structure with two pointers of the client's; its size decides.
        let pure = testkit::cgroup2::Pure::new();
        both(|builder, tools| {
            let list = "lxc.cgroup2.devices.deny = a\nlxc.cgroup2.devices.allow = c *:* m\nlxc.cgroup2.devices.allow = c 1:3 rwm\n\
                        lxc.cgroup2.devices.allow = c 5:* rwm\nlxc.cgroup2.devices.allow = c 136:* rwm";
            let guest = builder.under(pure.prefix()).conf(list).start();
            let opens = || guest.attach(["sh", "-c", "head -c 1 /dev/zero"]).code == 0;
            assert!(!opens());
            guest.tool_of(tools, "lxc-cgroup").args(["devices.allow", "c 1:5 rwm"]).done().exits(0).silent().ok();
            assert!(opens());
            guest.tool_of(tools, "lxc-cgroup").args(["devices.deny", "c 1:5 rwm"]).done().exits(0).silent().ok();
            assert!(!opens());
            guest.tool_of(tools, "lxc-device").args(["add", "/dev/zero"]).done().exits(0).ok();
            assert!(opens());
            guest.tool_of(tools, "lxc-device").args(["del", "/dev/zero"]).done().exits(0).ok();
            guest.sh("mknod /dev/zero c 1 5");
            assert!(!opens());
        });
    }

    fn on_pure_cgroup2() {
        let pure = testkit::cgroup2::Pure::new();
        both(|builder, tools| {
            let guest = builder.under(pure.prefix()).start();
            guest.tool_of(tools, "lxc-freeze").done().exits(0).ok();
            guest.tool_of(tools, "lxc-info").arg("-sH").done().exits(0).prints("FROZEN\n").ok();
            guest.tool_of(tools, "lxc-unfreeze").done().exits(0).ok();
            guest.tool_of(tools, "lxc-attach").args(["--", "hostname"]).done().exits(0).prints(&format!("{}\n", guest.name())).ok();
            guest.tool_of(tools, "lxc-stop").arg("-k").done().exits(0).ok();
            guest.await_gone();
        });
    }
}
