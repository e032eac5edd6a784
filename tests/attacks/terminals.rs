//! The terminal of whoever runs a tool: nothing in a container may type on it.

use std::time::Duration;

use testkit::{Guest, Run, cases};

use crate::probe;

/// Runs `line`, in which a tool runs the typist, in a shell on a terminal; then lets the shell read what was typed.
fn typed(guest: &Guest, line: &str) -> String {
    let line = format!("{line}; echo; read -t 1 answer; echo \"answer=[$answer]\"; echo over");
    let mut terminal = guest.terminal(Run::new("/bin/bash").args(["-c", &line]));
    terminal.expect_within("answer=[", Duration::from_secs(20));
    let answer = terminal.expect("]");
    terminal.expect("over");
    answer
}

fn line(guest: &Guest, tool: &str, words: &str) -> String {
    let words = format!("-P {} -n {} {words}", guest.lxcpath().display(), guest.name());
    format!("{} {words}", guest.subject().tool(tool).display())
}

const TYPIST: &str = "/probe type INJECTED";

cases! {
    fn cve_2016_10124_the_typist_reaches_a_terminal_that_is_not_protected() {
        // What the other tests rely on: where nothing is in between, the shell reads what was typed.
        let guest = Guest::build("sticon").make();
        let answer = typed(&guest, &format!("{} type $'INJECTED\\n' > /dev/null", probe::program().display()));
        assert_eq!(answer, "INJECTED");
    }

    fn cve_2016_10124_attach_on_a_terminal() {
        let guest = Guest::build("sti").make();
        probe::plant(&guest);
        guest.start();
        let answer = typed(&guest, &line(&guest, "lxc-attach", &format!("-- {}", TYPIST.replace("INJECTED", "$'INJECTED\\n'"))));
        assert_eq!(answer, "");
        guest.kill();
    }

    fn cve_2016_10124_attach_with_some_of_its_descriptors_on_a_terminal() {
        let guest = Guest::build("sti").make();
        probe::plant(&guest);
        guest.start();
        for redirected in ["< /dev/null", "> /dev/null", "2> /dev/null", "< /dev/null > /dev/null 2>&1", "< /dev/null | cat"] {
            let line = line(&guest, "lxc-attach", &format!("-- /probe type $'INJECTED\\n' {redirected}"));
            assert_eq!(typed(&guest, &line), "", "{redirected}");
        }
        guest.kill();
    }

    fn cve_2016_10124_execute_on_a_terminal() {
        let guest = Guest::build("sti").make();
        probe::plant(&guest);
        for redirected in ["", "< /dev/null", "> /dev/null", "< /dev/null > /dev/null 2>&1"] {
            let line = line(&guest, "lxc-execute", &format!("-- /probe type $'INJECTED\\n' {redirected}"));
            assert_eq!(typed(&guest, &line), "", "{redirected}");
        }
    }

    fn cve_2016_10124_a_start_in_the_foreground() {
        let guest = Guest::build("sti").conf("lxc.init.cmd = /run-typist").make();
        probe::plant(&guest);
        testkit::rootfs::write_script(&guest.rootfs().join("run-typist"), "#!/bin/sh\n/probe type 'INJECTED\n'\n");
        for redirected in ["", "< /dev/null", "> /dev/null"] {
            let line = line(&guest, "lxc-start", &format!("-F {redirected}"));
            assert_eq!(typed(&guest, &line), "", "{redirected}");
        }
        guest.await_gone();
    }

    fn lxc_67e5a20_devpts_and_console_belong_to_the_container_alone() {
        let guest = Guest::build("pts").conf("lxc.tty.max = 2").start();
        let devpts: Vec<_> = guest.mountinfo().into_iter().filter(|mount| mount.target == "/dev/pts").collect();
        assert_eq!(devpts.len(), 1, "{devpts:?}");
        let options = &devpts[0].super_options;
        assert!(options.contains("gid=5") && options.contains("mode=620") && options.contains("ptmxmode=666"), "{options}");
        for place in ["console", "tty1", "tty2"] {
            let said = guest.sh(&format!("stat -c '%a %u' /dev/{place}"));
            // Nothing for others, and the group may write at most.
            assert!(["620 0\n", "600 0\n", "700 0\n"].contains(&&*said), "{place}: {said}");
        }
        // Its terminals are not the host's: a number is another terminal there.
        let of = |path: &str| guest.sh(&format!("stat -c '%d' {path}"));
        let host = Run::new("/bin/sh").args(["-c", "stat -c %d /dev/pts"]).done().ok();
        assert_ne!(of("/dev/pts"), host);
        guest.kill();
    }
}
