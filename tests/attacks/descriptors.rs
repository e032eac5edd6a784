//! What a process in a container inherits: no descriptor and no working directory of the host, in no way in.

use std::path::Path;

use testkit::{Guest, Run, cases, eventually};

use crate::probe;

/// Runs a tool by a careless caller: files, directories and a socket of the host are open, and its directory is its own.
fn careless(run: Run) -> Run {
    let command = run.into_command();
    let line = "exec 5</ 7</etc/passwd 9</root 11</proc 13>/dev/null; cd /root; exec \"$0\" \"$@\"";
    Run::new("/bin/bash").args(["-c", line]).arg(command.get_program()).args(command.get_args())
}

/// The lines of one report of the probe: every descriptor but 0–2, and the working directory.
fn audit(report: &str) {
    let lines: Vec<&str> = report.lines().filter(|line| !line.starts_with("of ") && *line != "end").collect();
    assert!(!lines.is_empty(), "nothing was reported");
    for line in lines {
        let cwd = line.strip_prefix("cwd ");
        let good = cwd.is_some_and(|cwd| cwd.starts_with('/') && !cwd.contains("unreachable"));
        assert!(good, "a process of the container has {line:?}\n{report}");
    }
}

fn wait_for(file: &Path) -> String {
    let whole = || std::fs::read_to_string(file).is_ok_and(|text| text.ends_with("end\n"));
    assert!(eventually(std::time::Duration::from_secs(10), whole), "no report in {}", file.display());
    std::fs::read_to_string(file).unwrap()
}

cases! {
    fn cve_2024_21626_no_descriptor_or_directory_reaches_init() {
        let guest = Guest::build("fdinit").conf("lxc.init.cmd = /probe init /report").make();
        probe::plant(&guest);
        careless(guest.tool("lxc-start").arg("-d")).done().exits(0).ok();
        audit(&wait_for(&guest.rootfs().join("report")));
        guest.kill();
    }

    fn cve_2024_21626_nor_init_of_a_start_in_the_foreground() {
        let guest = Guest::build("fdfore").conf("lxc.init.cmd = /probe fds-to /report").make();
        probe::plant(&guest);
        let _ = careless(guest.tool("lxc-start").arg("-F")).done();
        audit(&wait_for(&guest.rootfs().join("report")));
        guest.await_gone();
    }

    fn cve_2024_21626_nor_an_executed_command() {
        let guest = Guest::build("fdexec").make();
        probe::plant(&guest);
        let done = careless(guest.tool("lxc-execute").args(["--", "/probe", "fds"])).done().exits(0);
        audit(&done.stdout);
    }

    fn cve_2016_8649_no_descriptor_reaches_an_attached_command() {
        let guest = Guest::build("fdattach").make();
        probe::plant(&guest);
        guest.start();
        let done = careless(guest.tool("lxc-attach").args(["--", "/probe", "fds"])).done().exits(0);
        audit(&done.stdout);
        // Through a terminal it is another way.
        let mut terminal = guest.terminal(careless(guest.tool("lxc-attach").args(["--", "/probe", "fds"])));
        assert_eq!(terminal.exit_within(std::time::Duration::from_secs(10)), 0);
        audit(&terminal.all().replace('\r', ""));
        guest.kill();
    }

    fn cve_2024_21626_no_hook_has_a_descriptor_of_the_tool() {
        // Hooks of the host may have files of the host, but none that the caller or the tool forgot about.
        let guest = Guest::build("fdhook").make();
        probe::plant(&guest);
        let report = guest.dir().join("report");
        let program = probe::program();
        for hook in ["pre-start", "pre-mount", "mount", "autodev", "start-host", "stop", "post-stop"] {
            guest.append(&format!("lxc.hook.{hook} = {} fds-to {} {hook}", program.display(), report.display()));
        }
        // COMPAT: the original looks for the whole line as a file.
        testkit::rootfs::write_script(&guest.rootfs().join("hook"), "#!/bin/sh\nexec /probe fds-to /report start\n");
        guest.append("lxc.hook.start = /hook");
        careless(guest.tool("lxc-start").arg("-d")).done().exits(0).ok();
        // Runs inside, after the root is the container's.
        audit(&wait_for(&guest.rootfs().join("report")));
        guest.kill();
        let text = wait_for(&report);
        for hook in text.split("of ").skip(1) {
            let (name, rest) = hook.split_once('\n').unwrap();
            let held: Vec<&str> = rest.lines().filter(|line| line.starts_with("fd ")).collect();
            // Hooks after the end are given the namespaces of the container by descriptor, as documented.
            let held: Vec<_> = held.iter().filter(|line| !line.contains(":[")).collect();
            assert!(held.is_empty(), "hook {name}: {held:?}");
        }
        assert_eq!(text.matches("of ").count(), 7, "{text}");
    }
}
