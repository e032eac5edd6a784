//! Starting and stopping: what runs, what is left, what the monitor looks like from outside.

use std::fs;
use std::time::Duration;

use testkit::rootfs::Init;
use testkit::{Guest, cases, eventually, leftovers};

cases! {
    fn a_daemonised_start_runs_and_a_kill_leaves_nothing() {
        let guest = Guest::build("life").start();
        assert!(guest.pid() > 1);
        guest.kill();
        guest.assert_nothing_left();
        assert_eq!(guest.state(), "STOPPED");
    }

    fn start_is_silent() {
        let guest = Guest::build("life").make();
        guest.tool("lxc-start").done().exits(0).prints("").silent().ok();
    }

    fn a_second_start_says_so_and_succeeds() {
        let guest = Guest::build("life").start();
        guest.tool("lxc-start").done().exits(0).says("Container is already running").ok();
        assert_eq!(guest.state(), "RUNNING");
    }

    fn the_monitor_has_its_title_and_the_socket_its_name() {
        let guest = Guest::build("life").start();
        let title = format!("[lxc monitor] {} {}", guest.lxcpath().display(), guest.name());
        let found = leftovers::processes().into_iter().filter(|(_, command)| *command == title).count();
        assert_eq!(found, 1);
        let socket = format!("@{}/{}/command", guest.lxcpath().display(), guest.name());
        let sockets = fs::read_to_string("/proc/net/unix").unwrap();
        assert!(sockets.lines().any(|line| line.ends_with(&socket)), "{socket}");
    }

    fn the_cgroups_have_the_names_of_the_original() {
        let guest = Guest::build("life").start();
        let pid = guest.pid();
        let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        for line in cgroups.lines() {
            let path = line.splitn(3, ':').nth(2).unwrap();
            assert!(path.ends_with(&format!("lxc.payload.{}", guest.name())), "{line}");
        }
        let monitor = fs::read_to_string(format!("/proc/{}/cgroup", guest.monitor())).unwrap();
        for line in monitor.lines() {
            assert!(line.ends_with(&format!("lxc.monitor.{}", guest.name())), "{line}");
        }
    }

    fn the_namespaces_are_all_new_but_user_and_time() {
        let guest = Guest::build("life").start();
        let pid = guest.pid();
        for (name, fresh) in
            [("mnt", true), ("pid", true), ("uts", true), ("ipc", true), ("net", true), ("cgroup", true),
             ("user", false), ("time", false)]
        {
            let theirs = fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap();
            let ours = fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
            assert_eq!(theirs != ours, fresh, "{name}");
        }
    }

    fn a_clean_stop_sends_the_halt_signal() {
        let guest = Guest::build("life").start();
        guest.tool("lxc-stop").args(["-t", "20"]).done().exits(0).prints("").silent().ok();
        guest.await_gone();
        guest.assert_nothing_left();
    }

    fn stop_without_waiting_returns_once_the_signal_is_sent() {
        let guest = Guest::build("life").start();
        guest.tool("lxc-stop").arg("-W").done().exits(0).ok();
        guest.await_state("STOPPED");
    }

    fn a_stop_that_init_ignores_kills_after_the_timeout() {
        let guest = Guest::build("life").conf("lxc.signal.halt = SIGHUP").start();
        let done = guest.tool("lxc-stop").args(["-t", "1"]).done().exits(0);
        assert!(done.elapsed >= Duration::from_millis(900), "{done}");
        guest.await_state("STOPPED");
    }

    fn nokill_leaves_it_running_and_fails() {
        let guest = Guest::build("life").conf("lxc.signal.halt = SIGHUP").start();
        guest.tool("lxc-stop").args(["--nokill", "-t", "1"]).done().exits(1).ok_on_stdout();
        assert_eq!(guest.state(), "RUNNING");
    }

    fn stop_of_a_stopped_one_exits_with_2() {
        let guest = Guest::build("life").make();
        guest.tool("lxc-stop").done().exits(2).says("is not running").prints("").ok_on_stdout();
    }

    fn options_of_stop_that_exclude_each_other() {
        let guest = Guest::build("life").start();
        for (args, text) in [
            (&["-k", "--nokill"][..], "-k can't be used with --nokill"),
            (&["-k", "-r"], "-k can't be used with -r"),
            (&["-k", "-t", "5"], "-k doesn't allow timeouts"),
            (&["--nolock"], "--nolock may only be used with -k"),
        ] {
            guest.tool("lxc-stop").args(args).done().exits(1).says(text).ok_on_stdout();
        }
        assert_eq!(guest.state(), "RUNNING");
    }

    fn reboot_keeps_the_monitor_and_makes_a_new_init() {
        let guest = Guest::build("life").start();
        let (init, monitor) = (guest.pid(), guest.monitor());
        guest.tool("lxc-stop").args(["-r"]).done().exits(0).ok();
        let changed = eventually(Duration::from_secs(10), || guest.has_new_init(init));
        assert!(changed, "still {init}\n{}", guest.why());
        assert_eq!(guest.monitor(), monitor);
    }

    fn reboot_from_inside_makes_a_new_init() {
        let guest = Guest::build("life").start();
        let init = guest.pid();
        guest.attach(["reboot", "-f"]);
        assert!(eventually(Duration::from_secs(10), || guest.has_new_init(init)));
        // It can be done again: the second start was as complete as the first.
        let second = guest.pid();
        guest.attach(["reboot", "-f"]);
        assert!(eventually(Duration::from_secs(10), || guest.has_new_init(second)));
        assert_eq!(guest.sh("hostname").trim(), guest.name());
    }

    fn poweroff_from_inside_stops_it() {
        let guest = Guest::build("life").start();
        guest.attach(["poweroff", "-f"]);
        guest.await_gone();
        guest.assert_nothing_left();
    }

    fn an_init_that_ends_stops_it() {
        let guest = Guest::build("life").make();
        guest.tool("lxc-start").args(["--", "/bin/sh", "-c", "sleep 0.3"]).done().exits(0).ok();
        guest.await_gone();
        guest.assert_nothing_left();
    }

    fn foreground_start_returns_0_whatever_init_returned() {
        let guest = Guest::build("life").make();
        guest.tool("lxc-start").args(["-F", "--", "/bin/sh", "-c", "exit 3"]).done().exits(0).ok();
        guest.tool("lxc-start").args(["-F", "--", "/bin/true"]).done().exits(0).ok();
    }

    fn the_pid_file_holds_the_monitor_and_goes_away() {
        let guest = Guest::build("life").make();
        let file = guest.lxcpath().join("pid");
        guest.tool("lxc-start").arg("-p").arg(&file).done().exits(0).ok();
        assert_eq!(fs::read_to_string(&file).unwrap(), guest.monitor().to_string());
        guest.kill();
        assert!(!file.exists());
    }

    fn define_overrides_the_file() {
        let guest = Guest::build("life").make();
        guest.tool("lxc-start").args(["-s", "lxc.uts.name=other"]).done().exits(0).ok();
        assert_eq!(guest.sh("hostname"), "other\n");
        assert_eq!(guest.tool("lxc-info").args(["-H", "-c", "lxc.uts.name"]).done().ok().trim(), guest.name());
    }

    fn an_rcfile_replaces_the_configuration() {
        let guest = Guest::build("life").make();
        let file = guest.lxcpath().join("other.conf");
        let text = fs::read_to_string(guest.config()).unwrap().replace(guest.name(), "renamed-host");
        let text = text.replace("renamed-host/rootfs", &format!("{}/rootfs", guest.name()));
        let text = text.replace("/renamed-host/", &format!("/{}/", guest.name()));
        fs::write(&file, text).unwrap();
        guest.tool("lxc-start").arg("-f").arg(&file).done().exits(0).ok();
        assert_eq!(guest.sh("hostname"), "renamed-host\n");
    }

    fn an_ephemeral_container_destroys_itself() {
        let guest = Guest::build("life").conf("lxc.ephemeral = 1").start();
        guest.kill();
        assert!(eventually(Duration::from_secs(5), || !guest.dir().exists()), "still there");
    }

    fn destroy_refuses_a_running_one_unless_forced() {
        let guest = Guest::build("life").start();
        guest.tool("lxc-destroy").done().exits(1).says("is running").ok_on_stdout();
        assert!(guest.rootfs().exists());
        guest.tool("lxc-destroy").arg("-f").done().exits(0).ok();
        assert!(!guest.dir().exists());
        guest.assert_nothing_left();
    }

    fn destroy_leaves_an_unmanaged_rootfs() {
        let guest = Guest::build("life").without_rootfs().make();
        let root = guest.lxcpath().join("elsewhere");
        testkit::rootfs::make(&root, Init::Script);
        guest.append(&format!("lxc.rootfs.path = dir:{}\nlxc.rootfs.managed = 0", root.display()));
        guest.tool("lxc-destroy").done().exits(0).ok();
        assert!(root.join("bin/busybox").exists());
    }

    fn busybox_init_halts_and_reboots_by_its_own_signals() {
        let guest = Guest::build("life").init(Init::Busybox).conf("lxc.tty.max = 1").start();
        let init = guest.pid();
        guest.tool("lxc-stop").arg("-r").done().exits(0).ok();
        assert!(eventually(Duration::from_secs(15), || guest.has_new_init(init)));
        guest.tool("lxc-stop").args(["-t", "15"]).done().exits(0).ok();
        guest.await_gone();
    }

    fn init_dies_with_the_monitor() {
        let guest = Guest::build("life").start();
        let (init, monitor) = (guest.pid(), guest.monitor());
        testkit::Run::new("kill").args(["-KILL", &monitor.to_string()]).done().ok();
        let proc = format!("/proc/{init}/ns/pid");
        assert!(eventually(Duration::from_secs(5), || fs::read_link(&proc).is_err()), "init outlives its monitor");
        // A killed monitor cannot tidy up its cgroups; the next start must cope and the next stop must clean.
        for hierarchy in fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
            for kind in ["payload", "monitor"] {
                drop(fs::remove_dir(hierarchy.path().join(format!("lxc.{kind}.{}", guest.name()))));
            }
        }
    }

    fn a_taken_cgroup_name_gets_a_suffix() {
        let guest = Guest::build("life").make();
        let taken: Vec<_> = fs::read_dir("/sys/fs/cgroup")
            .unwrap()
            .flatten()
            .filter(|entry| entry.file_type().unwrap().is_dir())
            .map(|entry| entry.path().join(format!("lxc.payload.{}", guest.name())))
            .collect();
        for dir in &taken {
            fs::create_dir(dir).unwrap();
        }
        guest.start();
        let cgroups = fs::read_to_string(format!("/proc/{}/cgroup", guest.pid())).unwrap();
        for line in cgroups.lines() {
            assert!(line.ends_with(&format!("lxc.payload.{}-1", guest.name())), "{line}");
        }
        guest.kill();
        for dir in &taken {
            fs::remove_dir(dir).unwrap();
        }
    }
}
