//! The shape of a start, by its system calls: once a container's tree is in play, no path in it is looked up by name.

use testkit::{Guest, Run, cases};

/// The calls of the process that becomes init, from its first to its exec.
fn calls(guest: &Guest) -> Vec<String> {
    let file = guest.dir().join("trace");
    let run = guest.tool("lxc-execute").args(["--", "/bin/true"]).into_command();
    let strace = Run::new("timeout").args(["-s", "KILL", "30", "strace", "-f", "-o"]).arg(&file);
    let done = strace.arg(run.get_program()).args(run.get_args()).done();
    assert_eq!(done.code, 0, "{done}");
    let text = std::fs::read_to_string(&file).unwrap();
    let split =
        |line: &str| line.split_once(' ').map(|(pid, call)| (pid.to_owned(), call.trim_start().to_owned()));
    let all: Vec<(String, String)> = text.lines().filter_map(split).collect();
    let pivot = all.iter().find(|(_, call)| call.starts_with("pivot_root(")).expect("a pivot_root");
    all.iter().filter(|(pid, _)| *pid == pivot.0).map(|(_, call)| call.clone()).collect()
}

/// Calls that take a path, and the word that makes one harmless.
fn looks_up(call: &str) -> bool {
    const NAMES: [&str; 26] = [
        "open(",
        "openat(",
        "creat(",
        "stat(",
        "lstat(",
        "newfstatat(",
        "statx(",
        "access(",
        "faccessat(",
        "faccessat2(",
        "mkdir(",
        "mkdirat(",
        "mknod(",
        "mknodat(",
        "symlink(",
        "symlinkat(",
        "link(",
        "linkat(",
        "rename(",
        "unlink(",
        "mount(",
        "umount2(",
        "chmod(",
        "fchmodat(",
        "chown(",
        "readlink(",
    ];
    NAMES.iter().any(|name| call.starts_with(name))
}

/// The quoted words of a call.
fn paths(call: &str) -> Vec<&str> {
    call.split('"').skip(1).step_by(2).collect()
}

cases! {
    fn cve_2021_30465_no_path_of_the_container_is_looked_up_by_name() {
        let conf = "lxc.mount.entry = tmpfs a/b/c tmpfs create=dir 0 0\nlxc.mount.entry = /etc/hostname x/y none bind,create=file 0 0\n\
                    lxc.mount.auto = cgroup:mixed:force\nlxc.tty.max = 2\nlxc.autodev = 1\nlxc.init.cwd = /made/here";
        let guest = Guest::build("shape").conf(conf).make();
        std::fs::create_dir_all(guest.rootfs().join("made/here")).unwrap();
        let calls = calls(&guest);
        let pivot = calls.iter().position(|call| call.starts_with("pivot_root(")).unwrap();
        let root = guest.rootfs();
        let mut by_descriptor = 0;
        for (index, call) in calls.iter().enumerate().filter(|(_, call)| looks_up(call)) {
            for path in paths(call) {
                // One component below a descriptor, and never through a link that is there.
                let own = call.contains("AT_FDCWD") || call.find('(').and_then(|at| call.chars().nth(at + 1)) == Some('"');
                if !own {
                    by_descriptor += 1;
                    assert!(!path.contains('/'), "several components by name: {call}");
                    let makes = ["mkdirat(", "mknodat(", "symlinkat("].iter().any(|name| call.starts_with(name));
                    let careful = makes || call.contains("O_NOFOLLOW") || call.contains("AT_SYMLINK_NOFOLLOW") || path.is_empty() || path == "ptmx";
                    assert!(careful, "a link would be followed: {call}");
                    continue;
                }
                // By name: the host's own paths before the root changes, and afterwards only the root itself.
                let harmless = ["/", ".", "/proc/self/fd/"].iter().any(|good| path == *good || path.starts_with("/proc/self/fd/"));
                if index > pivot {
                    assert!(harmless, "after pivot_root: {call}");
                } else {
                    assert!(!path.starts_with(&format!("{}/", root.display())), "a path of the container by name: {call}");
                }
            }
        }
        assert!(by_descriptor > 5, "this looked at nothing: {calls:?}");
        let found = calls.iter().filter(|call| call.starts_with("openat2(")).count();
        assert!(found > 5, "{found} lookups by openat2");
    }

    fn cve_2024_21626_descriptors_are_closed_before_the_payload_runs() {
        let guest = Guest::build("shape").make();
        let calls = calls(&guest);
        let pivot = calls.iter().position(|call| call.starts_with("pivot_root(")).unwrap();
        assert!(calls[pivot..].iter().any(|call| call.starts_with("close_range(3, ")), "{:?}", &calls[pivot..]);
        // Nothing is opened that would survive an exec.
        for call in calls.iter().filter(|call| ["openat(", "openat2(", "open("].iter().any(|name| call.starts_with(name))) {
            assert!(call.contains("O_CLOEXEC") || call.contains(" = -1 "), "{call}");
        }
    }
}
