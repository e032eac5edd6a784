//! lxc-execute: a command under the small init.

use std::time::Duration;

use testkit::{Guest, cases};

cases! {
    fn exit_codes() {
        let guest = Guest::build("exec").make();
        for (line, code) in [("exit 0", 0), ("exit 1", 1), ("exit 42", 42), ("kill -TERM $$", 143), ("kill -KILL $$", 137)] {
            guest.tool("lxc-execute").args(["--", "sh", "-c", line]).done().exits(code).ok_on_stdout();
        }
        guest.tool("lxc-execute").args(["--", "/no/such/program"]).done().exits(255).ok_on_stdout();
        guest.assert_nothing_left();
    }

    fn output_passes_through() {
        let guest = Guest::build("exec").make();
        let done = guest.tool("lxc-execute").args(["--", "sh", "-c", "echo out; echo err >&2"]).done();
        assert!(done.exits(0).prints("out\n").stderr.contains("err\n"));
    }

    fn input_passes_through() {
        let guest = Guest::build("exec").make();
        guest.tool("lxc-execute").args(["--", "cat"]).stdin("text\n").done().exits(0).prints("text\n").ok();
    }

    fn the_init_is_pid_1_and_reaps() {
        let guest = Guest::build("exec").make();
        let line = "(sleep 0.1 &); sleep 0.4; tr '\\0' ' ' </proc/1/cmdline; echo; grep -l Z /proc/[0-9]*/stat | wc -l; echo $$";
        let done = guest.tool("lxc-execute").args(["--", "sh", "-c", line]).done().exits(0);
        let lines: Vec<_> = done.stdout.lines().collect();
        assert_eq!(lines[0].trim(), "init", "{done}");
        assert_eq!(lines[2], "2", "{done}");
    }

    fn the_command_from_the_configuration() {
        let guest = Guest::build("exec").conf("lxc.execute.cmd = echo from configuration").make();
        guest.tool("lxc-execute").done().exits(0).prints("from configuration\n").ok();
    }

    fn ids() {
        let guest = Guest::build("exec").make();
        let run = guest.tool("lxc-execute").args(["-u", "1000", "-g", "1000", "--", "sh", "-c", "id -u; id -g"]);
        run.done().exits(0).prints("1000\n1000\n").ok();
    }

    fn in_the_background() {
        let guest = Guest::build("exec").make();
        guest.tool("lxc-execute").args(["-d", "--", "sleep", "100"]).done().exits(0).ok();
        guest.await_state("RUNNING");
        guest.attach(["true"]).exits(0).ok();
        guest.kill();
    }

    fn define() {
        let guest = Guest::build("exec").make();
        let run = guest.tool("lxc-execute").args(["-s", "lxc.uts.name=defined", "--", "hostname"]);
        run.done().exits(0).prints("defined\n").ok();
    }

    fn stop_ends_the_command() {
        let guest = Guest::build("exec").make();
        guest.tool("lxc-execute").args(["-d", "--", "sleep", "100"]).done().exits(0).ok();
        guest.await_state("RUNNING");
        let done = guest.tool("lxc-stop").args(["-t", "20"]).done().exits(0);
        assert!(done.elapsed < Duration::from_secs(15), "{done}");
        guest.await_gone();
    }

    fn on_a_terminal_the_command_has_a_console() {
        let guest = Guest::build("exec").make();
        let mut terminal = guest.terminal(guest.tool("lxc-execute").args(["--", "sh", "-c", "tty; read x; echo got $x; exit 3"]));
        terminal.expect("/dev/");
        terminal.send("word\r");
        terminal.expect("got word");
        assert_eq!(terminal.exit_within(Duration::from_secs(10)), 3);
    }
}
