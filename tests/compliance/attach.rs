//! lxc-attach: exit codes, environment, namespaces, ids, terminals.

use std::fs;
use std::time::Duration;

use testkit::{Guest, cases};

cases! {
    fn exit_codes() {
        let guest = Guest::build("attach").start();
        for (words, code) in [
            (&["true"][..], 0),
            (&["false"], 1),
            (&["sh", "-c", "exit 42"], 42),
            (&["sh", "-c", "exit 255"], 255),
            (&["/no/such/program"], 127),
            (&["no-such-program"], 127),
            (&["/etc/passwd"], 126),
            (&["sh", "-c", "kill -TERM $$"], 128 + 15),
            (&["sh", "-c", "kill -KILL $$"], 128 + 9),
        ] {
            guest.attach(words).exits(code).prints("").ok_on_stdout();
        }
    }

    fn output_and_input_pass_through() {
        let guest = Guest::build("attach").start();
        let done = guest.attach(["sh", "-c", "echo out; echo err >&2"]).exits(0).prints("out\n");
        assert_eq!(done.stderr, "err\n");
        let run = guest.tool("lxc-attach").args(["--", "sh"]).stdin("echo hello $((1+1))\nexit 7\n");
        run.done().exits(7).prints("hello 2\n").ok_on_stdout();
        let big = "x".repeat(300_000);
        guest.tool("lxc-attach").args(["--", "cat"]).stdin(big.clone()).done().exits(0).prints(&big).ok();
    }

    fn a_command_may_follow_the_name_without_dashes() {
        let guest = Guest::build("attach").start();
        let path = guest.lxcpath();
        let run = guest.bare_tool("lxc-attach").arg("-P").arg(path).args([guest.name(), "hostname"]);
        run.done().exits(0).prints(&format!("{}\n", guest.name())).ok();
        let run = guest.bare_tool("lxc-attach").arg("-P").arg(path).args(["--name", guest.name(), "hostname"]);
        run.done().exits(0).prints(&format!("{}\n", guest.name())).ok();
    }

    fn a_shell_without_a_command() {
        let guest = Guest::build("attach").start();
        guest.tool("lxc-attach").stdin("echo $0; id -u\n").done().exits(0).prints("/bin/sh\n0\n").ok();
    }

    fn it_is_in_every_namespace_and_cgroup_of_the_container() {
        let guest = Guest::build("attach").start();
        let init = guest.pid();
        let mut run = guest.tool("lxc-attach").args(["--", "sh", "-c", "readlink /proc/1/ns/pid; sleep 100"])
            .spawn(std::process::Stdio::null(), std::process::Stdio::null());
        let children = || {
            testkit::leftovers::processes().into_iter().find(|(pid, command)| {
                command == "sleep 100"
                    && fs::read_link(format!("/proc/{pid}/ns/pid")).ok() == fs::read_link(format!("/proc/{init}/ns/pid")).ok()
            })
        };
        assert!(testkit::eventually(Duration::from_secs(5), || children().is_some()));
        let (pid, _) = children().unwrap();
        for name in ["mnt", "pid", "uts", "ipc", "net", "cgroup", "user", "time"] {
            let (a, b) = (format!("/proc/{pid}/ns/{name}"), format!("/proc/{init}/ns/{name}"));
            assert_eq!(fs::read_link(a).unwrap(), fs::read_link(b).unwrap(), "{name}");
        }
        // An attached process sits in a leaf `.lxc` of the unified hierarchy, where inner processes may not be.
        let of = |pid| fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        assert_eq!(of(pid).replace("/.lxc\n", "\n"), of(init));
        run.kill().unwrap();
        run.wait().unwrap();
    }

    fn a_clean_environment() {
        let guest = Guest::build("attach").start();
        let run = guest.tool("lxc-attach").args(["--clear-env", "--", "/bin/env"]).env("SECRET", "1");
        let text = run.done().exits(0).ok();
        let mut lines: Vec<_> = text.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "container=lxc"]);
    }

    fn the_environment_is_kept_by_default() {
        let guest = Guest::build("attach").start();
        let done = guest.tool("lxc-attach").args(["--", "/bin/env"]).env("SECRET", "kept").done().exits(0);
        assert!(done.stdout.contains("SECRET=kept\n") && done.stdout.contains("container=lxc\n"), "{done}");
    }

    fn kept_and_set_variables() {
        let guest = Guest::build("attach").conf("lxc.environment = FROM=config").start();
        let words = ["--clear-env", "--keep-var=KEEP", "-v", "A=1", "--set-var=B=x y", "--", "/bin/env"];
        let text = guest.tool("lxc-attach").args(words).env("KEEP", "k").env("DROP", "d").done().exits(0).ok();
        let has = |line: &str| text.lines().any(|got| got == line);
        assert!(has("KEEP=k") && has("A=1") && has("B=x y") && has("FROM=config"), "{text}");
        assert!(!text.contains("DROP"), "{text}");
    }

    fn ids() {
        let guest = Guest::build("attach").start();
        assert_eq!(guest.sh("id -u; id -g; id -G"), "0\n0\n0\n");
        let run = guest.tool("lxc-attach").args(["-u", "1000", "-g", "1000", "--", "sh", "-c", "id -u; id -g; id -G"]);
        run.done().exits(0).prints("1000\n1000\n1000\n").ok();
        let run = guest.tool("lxc-attach").args(["--uid=1000", "--", "sh", "-c", "id -u; id -g"]);
        run.done().exits(0).prints("1000\n0\n").ok();
    }

    fn chosen_namespaces_only() {
        let guest = Guest::build("attach").start();
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let of = |list: &str| guest.tool("lxc-attach").args(["-s", list, "--", "cat", "/proc/sys/kernel/hostname"]).done();
        assert_eq!(of("NETWORK").exits(0).ok(), host);
        assert_eq!(of("UTSNAME").exits(0).ok(), format!("{}\n", guest.name()));
        assert_eq!(of("NETWORK|UTSNAME").exits(0).ok(), format!("{}\n", guest.name()));
        assert_eq!(of("uts|net").exits(0).ok(), format!("{}\n", guest.name()));
        of("NONSENSE").exits(1).says("could not parse command line").ok_on_stdout();
    }

    fn the_working_directory_is_kept_when_it_exists_inside() {
        let guest = Guest::build("attach").start();
        guest.tool("lxc-attach").args(["--", "pwd"]).dir("/usr/bin").done().exits(0).prints("/usr/bin\n").ok();
        guest.tool("lxc-attach").args(["--", "pwd"]).dir("/usr/share").done().exits(0).prints("/\n").ok();
    }

    fn elevated_privileges_skip_the_cgroup() {
        let guest = Guest::build("attach").start();
        let host = fs::read_to_string("/proc/self/cgroup").unwrap();
        let freezer = |text: &str| text.lines().find(|line| line.contains(":freezer:")).map(str::to_owned);
        let inside = guest.tool("lxc-attach").args(["-s", "UTSNAME", "--", "cat", "/proc/self/cgroup"]).done().ok();
        assert_eq!(freezer(&inside), freezer(&host), "-s keeps the caller's cgroup");
        let plain = guest.tool("lxc-attach").args(["-eCAP", "-s", "UTSNAME|MOUNT|PID", "--", "cat", "/proc/self/cgroup"]).done();
        assert_eq!(plain.code, 0, "{plain}");
    }

    fn capabilities_are_those_of_init() {
        let guest = Guest::build("attach").conf("lxc.cap.drop = sys_time mknod").start();
        let line = |text: &str| text.lines().find(|line| line.starts_with("CapBnd")).unwrap().to_owned();
        let init = line(&fs::read_to_string(format!("/proc/{}/status", guest.pid())).unwrap());
        assert_eq!(line(&guest.sh("cat /proc/self/status")), init);
        let run = guest.tool("lxc-attach").args(["-e", "--", "cat", "/proc/self/status"]);
        assert_ne!(line(&run.done().exits(0).ok()), init, "-e keeps all");
    }

    fn a_terminal_of_the_container() {
        let guest = Guest::build("attach").start();
        let mut terminal = guest.terminal(guest.tool("lxc-attach").args(["--", "/bin/sh"]));
        terminal.expect("# ");
        terminal.send("stty size; tty; echo do''ne\r");
        let text = terminal.expect("done");
        assert!(text.contains("24 80"), "{text}");
        assert!(text.contains("/dev/pts/"), "{text}");
        terminal.expect("# ");
        terminal.resize(100, 30);
        std::thread::sleep(Duration::from_millis(200));
        terminal.send("stty size; exit 5\r");
        terminal.expect("30 100");
        assert_eq!(terminal.exit_within(Duration::from_secs(5)), 5);
    }

    fn control_c_reaches_the_command_only() {
        let guest = Guest::build("attach").start();
        let mut terminal = guest.terminal(guest.tool("lxc-attach").args(["--", "/bin/sh"]));
        terminal.expect("# ");
        terminal.send("sleep 50; echo after=$?\r");
        std::thread::sleep(Duration::from_millis(300));
        terminal.send("\u{3}");
        terminal.expect("# ");
        terminal.send("echo st''ill\r");
        terminal.expect("still");
        terminal.send("exit\r");
        terminal.exit_within(Duration::from_secs(5));
    }

    fn the_terminal_can_be_logged() {
        let guest = Guest::build("attach").start();
        let log = guest.lxcpath().join("pty.log");
        let run = guest.tool("lxc-attach").arg("-L").arg(&log).args(["--", "sh", "-c", "echo lo''gged"]);
        let mut terminal = guest.terminal(run);
        assert_eq!(terminal.exit_within(Duration::from_secs(5)), 0);
        assert!(fs::read_to_string(&log).unwrap().contains("logged"));
    }

    fn no_descriptor_of_the_tool_reaches_the_command() {
        let guest = Guest::build("attach").start();
        // What the test itself inherited passes through; nothing may be added.
        // The descriptor the shell reads the directory with is closed again when it is asked for.
        let line = "for f in /proc/$$/fd/*; do [ -e $f ] && echo ${f##*/}; done; true";
        let before = testkit::Run::new(testkit::rootfs::busybox()).args(["sh", "-c", line]).done().ok();
        let inside = guest.sh(line);
        assert!(inside.lines().all(|fd| before.lines().any(|known| known == fd)), "{inside:?} {before:?}");
    }

    fn arch_sets_the_personality() {
        let guest = Guest::build("attach").start();
        let run = guest.tool("lxc-attach").args(["-a", "i686", "--", "uname", "-m"]);
        run.done().exits(0).prints("i686\n").ok();
    }
}
