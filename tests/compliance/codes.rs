//! The matrix of exit codes and messages for a container that does not exist or does not run, and for bad words.

use testkit::{Guest, Run, Subject, cases};

fn absent(tool: &str) -> Run {
    let path = "/tmp/lxc-rs-test/none";
    std::fs::create_dir_all(path).unwrap();
    Run::new(Subject::current().tool(tool)).args(["-P", path, "-n", "nosuch"])
}

const SHARED: &[&str] = &[
    "attach", "cgroup", "console", "create", "destroy", "execute", "freeze", "info", "ls", "monitor",
    "start", "stop", "unfreeze", "wait",
];

cases! {
    fn the_version_is_bare() {
        for tool in SHARED {
            let done = Run::new(Subject::current().tool(&format!("lxc-{tool}"))).arg("--version").done();
            let text = done.exits(0).silent().ok();
            let version = text.strip_suffix('\n').unwrap();
            let numbers: Vec<_> = version.split('.').collect();
            assert_eq!(numbers.len(), 3, "{tool}: {version}");
            assert!(numbers.iter().all(|part| part.parse::<u32>().is_ok()), "{tool}: {version}");
        }
    }

    fn help_goes_to_stderr_and_succeeds() {
        for tool in SHARED {
            for option in ["--help", "-h"] {
                let done = Run::new(Subject::current().tool(&format!("lxc-{tool}"))).arg(option).done();
                let done = done.exits(0).prints("");
                assert!(done.stderr.starts_with(&format!("Usage: lxc-{tool}")), "{done}");
            }
        }
    }

    fn usage_goes_to_stderr_and_succeeds() {
        for tool in SHARED {
            let done = Run::new(Subject::current().tool(&format!("lxc-{tool}"))).arg("--usage").done();
            let done = done.exits(0).prints("");
            assert!(done.stderr.starts_with(&format!("Usage: lxc-{tool} ")), "{done}");
        }
    }

    fn an_unknown_option_fails_with_getopts_words() {
        for tool in SHARED {
            let path = Subject::current().tool(&format!("lxc-{tool}"));
            let done = Run::new(&path).args(["-n", "x", "--no-such-option"]).done().exits(1).prints("");
            let done = done.says("unrecognized option '--no-such-option'");
            assert!(done.stderr.contains(&format!("Usage: lxc-{tool}")), "{done}");
        }
    }

    fn no_name_fails() {
        for tool in ["attach", "cgroup", "console", "destroy", "execute", "freeze", "info", "start", "stop", "unfreeze",
                     "wait"] {
            let path = Subject::current().tool(&format!("lxc-{tool}"));
            Run::new(path).done().exits(1).says(&format!("lxc-{tool}: No container name specified")).ok_on_stdout();
        }
    }

    fn two_paths_fail() {
        absent("lxc-info").args(["-P", "/tmp"]).done().exits(1).says("only accepts 1 -P,--lxcpath").ok_on_stdout();
    }

    fn attach_to_nothing() {
        absent("lxc-attach").args(["--", "true"]).done().exits(1).says("Failed to get init pid").ok_on_stdout();
    }

    fn cgroup_of_nothing() {
        absent("lxc-cgroup").arg("cpuset.cpus").done().exits(1).says("nosuch' is not running").ok_on_stdout();
    }

    fn console_of_nothing() {
        absent("lxc-console").done().exits(1).says("nosuch is not running").ok_on_stdout();
    }

    fn destroy_of_nothing() {
        absent("lxc-destroy").done().exits(1).says("Container is not defined").ok_on_stdout();
    }

    fn execute_without_configuration() {
        absent("lxc-execute").args(["--", "true"]).done().exits(1).says("no configuration file may crash the host").ok_on_stdout();
    }

    fn freeze_of_nothing() {
        absent("lxc-freeze").done().exits(1).says("Failed to freeze /tmp/lxc-rs-test/none:nosuch").ok_on_stdout();
    }

    fn unfreeze_of_nothing() {
        absent("lxc-unfreeze").done().exits(1).says("Failed to unfreeze /tmp/lxc-rs-test/none:nosuch").ok_on_stdout();
    }

    fn info_of_nothing() {
        let done = absent("lxc-info").done().exits(1).prints("");
        assert_eq!(done.stderr, "nosuch doesn't exist\n");
    }

    fn start_of_nothing() {
        absent("lxc-start").done().exits(1).says("No container config specified").ok_on_stdout();
    }

    fn stop_of_nothing() {
        absent("lxc-stop").done().exits(2).says("nosuch is not running").ok_on_stdout();
    }

    fn wait_for_nothing_to_be_stopped() {
        absent("lxc-wait").args(["-s", "STOPPED"]).done().exits(0).silent().ok();
    }

    fn a_stopped_container() {
        let guest = Guest::build("codes").make();
        guest.tool("lxc-attach").args(["--", "true"]).done().exits(1).ok_on_stdout();
        guest.tool("lxc-cgroup").arg("cpuset.cpus").done().exits(1).says("is not running").ok_on_stdout();
        guest.tool("lxc-console").done().exits(1).says("is not running").ok_on_stdout();
        let freeze = format!("Failed to freeze {}:{}", guest.lxcpath().display(), guest.name());
        guest.tool("lxc-freeze").done().exits(1).says(&freeze).ok_on_stdout();
        guest.tool("lxc-unfreeze").done().exits(0).prints("").silent().ok();
        guest.tool("lxc-stop").done().exits(2).ok_on_stdout();
        guest.tool("lxc-stop").arg("-k").done().exits(2).ok_on_stdout();
        guest.tool("lxc-wait").args(["-s", "STOPPED"]).done().exits(0).ok();
        guest.tool("lxc-wait").args(["-s", "RUNNING", "-t", "1"]).done().exits(1).silent().ok_on_stdout();
    }

    fn a_broken_configuration() {
        let guest = Guest::build("codes").conf("lxc.no.such.key = 1").make();
        let load = format!("Failed to load config for {}", guest.name());
        for tool in ["start", "info", "stop", "freeze", "unfreeze", "destroy", "console", "attach", "wait"] {
            let mut run = guest.tool(&format!("lxc-{tool}"));
            if tool == "wait" {
                run = run.args(["-s", "STOPPED"]);
            }
            run.done().exits(1).says(&load).ok_on_stdout();
        }
        guest.bare_tool("lxc-ls").arg("-P").arg(guest.lxcpath()).done().exits(0).prints("").ok();
    }

    fn words_after_the_name_are_ignored() {
        let guest = Guest::build("codes").make();
        let done = guest.bare_tool("lxc-info").arg("-P").arg(guest.lxcpath()).args([guest.name(), "junk"]).done();
        done.exits(0).prints(&format!("Name:           {}\nState:          STOPPED\n", guest.name())).ok();
    }

    fn long_options_may_be_abbreviated() {
        let guest = Guest::build("codes").make();
        guest.tool("lxc-info").arg("--sta").done().exits(1).says("ambiguous").ok_on_stdout();
        guest.tool("lxc-info").args(["--stat", "--no-hum"]).done().exits(1).says("ambiguous").ok_on_stdout();
        guest.tool("lxc-info").args(["--state", "--no-hum"]).done().exits(0).prints("STOPPED\n").ok();
    }

    fn every_spelling_of_the_name() {
        let guest = Guest::build("codes").make();
        let path = guest.lxcpath().to_str().unwrap();
        let (short, long) = (format!("-n{}", guest.name()), format!("--name={}", guest.name()));
        for words in [
            vec!["-P", path, "-n", guest.name(), "-sH"],
            vec!["-P", path, &short, "-sH"],
            vec!["-P", path, &long, "-sH"],
            vec!["-P", path, "--name", guest.name(), "-sH"],
            vec!["-sH", "-P", path, guest.name()],
            vec![guest.name(), "-sH", "-P", path],
            vec!["-sHP", path, "--", guest.name()],
        ] {
            guest.bare_tool("lxc-info").args(words).done().exits(0).prints("STOPPED\n").ok();
        }
    }

    fn quiet_says_nothing() {
        absent("lxc-start").arg("-q").done().exits(1).silent().ok_on_stdout();
        absent("lxc-stop").arg("--quiet").done().exits(2).silent().ok_on_stdout();
    }

    fn messages_carry_program_and_name() {
        let done = absent("lxc-stop").done();
        assert!(done.stderr.starts_with("lxc-stop: nosuch: "), "{done}");
    }
}
