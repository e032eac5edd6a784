//! The /dev of autodev: which entries, their types, numbers and modes; consoles and terminals.

use std::fs;
use std::time::Duration;

use testkit::rootfs::{Init, write_script};
use testkit::{Guest, cases, eventually};

cases! {
    fn nodes_and_links() {
        let guest = Guest::build("dev").conf("lxc.tty.max = 2").start();
        let text = guest.sh("for n in full null random tty urandom zero; do stat -c '%n %F %a %t:%T' /dev/$n; done");
        assert_eq!(
            text,
            "/dev/full character special file 666 1:7\n/dev/null character special file 666 1:3\n\
             /dev/random character special file 666 1:8\n/dev/tty character special file 666 5:0\n\
             /dev/urandom character special file 666 1:9\n/dev/zero character special file 666 1:5\n"
        );
        let links = guest.sh("for n in fd stdin stdout stderr; do echo $n $(readlink /dev/$n); done");
        assert_eq!(links, "fd /proc/self/fd\nstdin /proc/self/fd/0\nstdout /proc/self/fd/1\nstderr /proc/self/fd/2\n");
    }

    fn the_whole_list() {
        let guest = Guest::build("dev").conf("lxc.tty.max = 2").start();
        let mut names: Vec<_> = guest.sh("ls -A /dev").lines().map(str::to_owned).collect();
        names.sort();
        let mut expected = [".lxc-boot-id", "console", "fd", "full", "null", "ptmx", "pts", "random", "stderr", "stdin", "stdout",
                        "tty", "tty1", "tty2", "urandom", "zero"].map(str::to_owned).to_vec();
        // Mount points some systems have.
        names.retain(|name| !["shm", "mqueue", "initctl"].contains(&name.as_str()));
        expected.sort();
        assert_eq!(names, expected);
    }

    fn the_file_system() {
        let guest = Guest::build("dev").conf("lxc.autodev.tmpfs.size = 1048576").start();
        let dev = guest.mountinfo().into_iter().find(|mount| mount.target == "/dev").unwrap();
        assert_eq!(dev.fstype, "tmpfs");
        assert!(dev.super_options.contains("size=1024k") && dev.super_options.contains("mode=755"), "{dev:?}");
        let pts = guest.mountinfo().into_iter().find(|mount| mount.target == "/dev/pts").unwrap();
        assert_eq!(pts.fstype, "devpts");
        for word in ["gid=5", "mode=620", "ptmxmode=666", "max=16"] {
            assert!(pts.super_options.split(',').any(|got| got == word), "{word}: {pts:?}");
        }
    }

    fn without_autodev_the_rootfs_has_its_own() {
        let guest = Guest::build("dev").conf("lxc.autodev = 0").start();
        assert!(!guest.mountinfo().iter().any(|mount| mount.target == "/dev"));
    }

    fn no_ptys_without_a_maximum() {
        let guest = Guest::build("dev").conf("lxc.pty.max = 0").start();
        assert!(!guest.mountinfo().iter().any(|mount| mount.target == "/dev/pts"));
    }

    fn ttys_in_a_directory() {
        let guest = Guest::build("dev").conf("lxc.tty.max = 2\nlxc.tty.dir = lxc").start();
        assert_eq!(guest.sh("readlink /dev/tty1; readlink /dev/tty2"), "lxc/tty1\nlxc/tty2\n");
        assert_eq!(guest.sh("stat -c %t:%T /dev/console"), guest.sh("stat -c %t:%T /dev/lxc/console"));
        assert_eq!(guest.sh("stat -c %F /dev/lxc/tty1 /dev/lxc/console"), "character special file\n".repeat(2));
    }

    fn a_console_login_by_the_tool() {
        let guest = Guest::build("dev").init(Init::Busybox).conf("lxc.tty.max = 2").start();
        let mut terminal = guest.terminal(guest.tool("lxc-console").args(["-t", "1"]));
        terminal.expect("Connected to tty 1");
        terminal.expect("Type <Ctrl+a q> to exit the console, <Ctrl+a Ctrl+a> to enter Ctrl+a itself");
        terminal.send("\r");
        terminal.expect("login: ");
        terminal.send("root\r");
        terminal.expect("# ");
        terminal.send("tty; echo do''ne\r");
        let text = terminal.expect("done");
        assert!(text.contains("tty1"), "{text}");
        terminal.send("\u{1}q");
        assert_eq!(terminal.exit_within(Duration::from_secs(5)), 0);
    }

    fn the_console_itself() {
        let guest = Guest::build("dev").init(Init::Busybox).start();
        let mut terminal = guest.terminal(guest.tool("lxc-console").args(["-t", "0"]));
        terminal.expect("Connected to tty 0");
        terminal.send("\r");
        terminal.expect("login: ");
        terminal.send("\u{1}q");
        assert_eq!(terminal.exit_within(Duration::from_secs(5)), 0);
    }

    fn another_escape() {
        let guest = Guest::build("dev").conf("lxc.tty.max = 1").start();
        let mut terminal = guest.terminal(guest.tool("lxc-console").args(["-t", "1", "-e", "^b"]));
        terminal.expect("Type <Ctrl+b q>");
        // The banner comes before the terminal is in raw mode, and the change drops what was typed.
        std::thread::sleep(Duration::from_millis(200));
        terminal.send("\u{2}q");
        assert_eq!(terminal.exit_within(Duration::from_secs(5)), 0);
    }

    fn a_tty_has_one_client() {
        let guest = Guest::build("dev").conf("lxc.tty.max = 1").start();
        let mut first = guest.terminal(guest.tool("lxc-console").args(["-t", "1"]));
        first.expect("exit the console");
        let mut second = guest.terminal(guest.tool("lxc-console").args(["-t", "1"]));
        assert_eq!(second.exit_within(Duration::from_secs(5)), 1, "{}", second.all());
        let mut third = guest.terminal(guest.tool("lxc-console").args(["-t", "7"]));
        assert_eq!(third.exit_within(Duration::from_secs(5)), 1, "{}", third.all());
        std::thread::sleep(Duration::from_millis(200));
        first.send("\u{1}q");
        first.exit_within(Duration::from_secs(5));
        let again = || {
            let mut terminal = guest.terminal(guest.tool("lxc-console").args(["-t", "1"]));
            terminal.sees("exit the console", Duration::from_secs(2))
        };
        assert!(eventually(Duration::from_secs(5), again), "the tty is not given back");
    }

    fn the_console_log() {
        let guest = Guest::build("dev").make();
        let log = guest.lxcpath().join("console.log");
        guest.append(&format!("lxc.console.logfile = {}", log.display()));
        write_script(&guest.rootfs().join("etc/rc"), "#!/bin/sh\necho booting > /dev/console\n");
        guest.start();
        assert!(eventually(Duration::from_secs(5), || fs::read_to_string(&log).is_ok_and(|text| text.contains("booting"))));
    }

    fn the_console_log_option_of_start() {
        let guest = Guest::build("dev").make();
        let log = guest.lxcpath().join("console.log");
        write_script(&guest.rootfs().join("etc/rc"), "#!/bin/sh\necho booting > /dev/console\n");
        guest.tool("lxc-start").arg("-L").arg(&log).done().exits(0).ok();
        assert!(eventually(Duration::from_secs(5), || fs::read_to_string(&log).is_ok_and(|text| text.contains("booting"))));
    }

    fn a_console_that_is_no_terminal_fails_the_start() {
        let guest = Guest::build("dev").make();
        let file = guest.lxcpath().join("console.out");
        fs::write(&file, "").unwrap();
        guest.append(&format!("lxc.console.path = {}", file.display()));
        guest.try_start().exits(1).ok_on_stdout();
        guest.assert_nothing_left();
    }

    fn no_console() {
        let guest = Guest::build("dev").conf("lxc.console.path = none").start();
        assert_eq!(guest.sh("[ -c /dev/console ] && [ \"$(readlink -f /proc/1/fd/0)\" = /dev/console ] && echo console || echo none"), "none\n");
    }

    fn a_foreground_start_shows_the_console() {
        let guest = Guest::build("dev").make();
        write_script(&guest.rootfs().join("etc/rc"), "#!/bin/sh\necho boot''ing > /dev/console\nread line < /dev/console\necho got $line > /dev/console\n");
        let mut terminal = guest.terminal(guest.tool("lxc-start").arg("-F"));
        terminal.expect("booting");
        terminal.send("typed\r");
        terminal.expect("got typed");
        guest.tool("lxc-stop").arg("-k").done().exits(0).ok();
        assert_eq!(terminal.exit_within(Duration::from_secs(10)), 0);
    }
}
