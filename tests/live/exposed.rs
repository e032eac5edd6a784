//! The program that starts a container, seen from inside through /proc/1/exe (CVE-2019-5736).

use std::fs;

use testkit::rootfs::write_script;
use testkit::{Guest, cases};

/// What the shell says when it may not open /proc/1/exe for writing. A program that is merely in use is "Text file busy",
/// which ends with the last process that runs it.
const REFUSED: &str = "can't create /proc/1/exe: Read-only file system";

cases! {
    fn an_application_cannot_write_to_its_init() {
        let guest = Guest::build("exposed").make();
        let tool = guest.subject().tool("lxc-execute");
        let before = fs::metadata(&tool).unwrap().len();
        let done = guest.tool("lxc-execute").args(["--", "sh", "-c", ": > /proc/1/exe"]).done().exits(1);
        assert!(done.stderr.contains(REFUSED), "{done}");
        // Nor by a mount that is made writable, nor by the names of what init has open.
        let line = "mount -o remount,rw,bind /proc/1/exe; readlink /proc/1/exe; for fd in /proc/1/fd/*; do readlink $fd; done";
        let done = guest.tool("lxc-execute").args(["--", "sh", "-c", line]).done().exits(0);
        assert!(!done.stdout.contains(tool.parent().unwrap().to_str().unwrap()), "{done}");
        assert_eq!(fs::metadata(&tool).unwrap().len(), before);
    }

    fn in_the_background() {
        let guest = Guest::build("exposed").make();
        guest.tool("lxc-execute").args(["-d", "--", "sleep", "100"]).done().exits(0).ok();
        guest.await_state("RUNNING");
        let done = guest.attach(["sh", "-c", ": > /proc/1/exe"]);
        assert!(done.stderr.contains(REFUSED), "{done}");
        // The names of the processes are those of the tools, not of a descriptor.
        let name = fs::read_to_string(format!("/proc/{}/comm", guest.monitor())).unwrap();
        assert!(name.starts_with("lxc"), "{name}");
        guest.kill();
    }

    fn a_start_hook_cannot_write_to_its_init() {
        let guest = Guest::build("exposed").conf("lxc.hook.start = /bin/hook").make();
        write_script(&guest.rootfs().join("bin/hook"), "#!/bin/sh\n(: > /proc/1/exe) 2> /report\nexit 0\n");
        guest.start();
        let text = fs::read_to_string(guest.rootfs().join("report")).unwrap();
        assert!(text.contains(REFUSED), "{text}");
    }

    fn a_container_in_the_pid_namespace_of_another() {
        let first = Guest::build("exposed").start();
        let second = Guest::build("exposed").make();
        second.append(&format!("lxc.namespace.share.pid = {}", first.pid()));
        second.tool("lxc-execute").args(["-d", "--", "sleep", "100"]).done().exits(0).ok();
        second.await_state("RUNNING");
        let line = "for exe in /proc/[0-9]*/exe; do (: > $exe) 2>&1; done | grep -v busybox";
        let text = first.sh(line);
        let refused: Vec<_> = text.lines().collect();
        assert!(!refused.is_empty() && refused.iter().all(|line| line.contains("Read-only") || line.contains("Text file busy")), "{text}");
        assert!(refused.iter().any(|line| line.contains("Read-only")), "{text}");
    }

    fn a_root_file_system_of_one_program() {
        let guest = Guest::build("exposed").make();
        fs::remove_dir_all(guest.rootfs()).unwrap();
        fs::create_dir(guest.rootfs()).unwrap();
        fs::copy(testkit::rootfs::busybox(), guest.rootfs().join("echo")).unwrap();
        guest.append("lxc.autodev = 0\nlxc.mount.auto =\nlxc.pty.max = 0\nlxc.console.path = none");
        let done = guest.tool("lxc-execute").args(["--", "/echo", "only", "this"]).done().exits(0);
        assert_eq!(done.stdout, "only this\n", "{done}");
        let done = guest.tool("lxc-execute").args(["--", "/nothing"]).done().exits(255);
        assert_eq!(done.stdout, "", "{done}");
        let names: Vec<_> = fs::read_dir(guest.rootfs()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["echo"], "nothing was made there");
    }
}
