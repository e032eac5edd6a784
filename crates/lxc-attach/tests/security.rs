//! What a hostile container may not get out of an attach: the host's program file, descriptors, terminal, procfs.
//!
//! Needs root, the distribution's lxc, strace, and a C compiler for the thief.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test: what cannot go on shall fail"
)]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use testkit::{Guest, Run, Subject, eventually};

fn start(label: &str, conf: &str) -> Guest {
    Guest::build(&format!("attachsec{label}")).subject(Subject::Theirs).conf(conf).start()
}

fn attach(guest: &Guest) -> Run {
    on(guest, Run::new(env!("CARGO_BIN_EXE_lxc-attach")))
}

fn on(guest: &Guest, run: Run) -> Run {
    run.arg("-P").arg(guest.lxcpath()).args(["-n", guest.name()])
}

/// Puts the thief where the loader of dynamically linked programs should be, and a script that starts it.
fn plant_thief(guest: &Guest) {
    let loader = guest.rootfs().join("lib64/ld-linux-x86-64.so.2");
    std::fs::create_dir_all(loader.parent().unwrap()).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/thief.c");
    let flags = ["-nostdlib", "-static", "-fno-stack-protector", "-fcf-protection=none", "-O1"];
    let place = "-Wl,-Ttext-segment=0x10000000";
    let done = Run::new("cc").args(flags).arg(place).arg("-o").arg(&loader).arg(&source).done();
    assert_eq!(done.code, 0, "{done}");
    testkit::rootfs::write_script(&guest.rootfs().join("evil"), "#!/proc/self/exe\n");
    // Goes on in the background, when the host's program has ended and its file is not busy any more.
    let stage2 = "#!/bin/sh\n(\n  for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do\n\
        sleep 0.1\n    if { echo stolen > /proc/self/fd/9; } 2> /error; then echo written > /result; exit; fi\n\
        cat /error\n  done\n  mv /error /result\n) > /dev/null 2>&1 < /dev/null &\n";
    testkit::rootfs::write_script(&guest.rootfs().join("stage2"), stage2);
}

/// What the thief could do in the end.
fn loot(guest: &Guest) -> String {
    let result = guest.rootfs().join("result");
    assert!(eventually(Duration::from_secs(10), || result.exists()), "the thief did not come to an end");
    std::thread::sleep(Duration::from_millis(100));
    std::fs::read_to_string(&result).unwrap()
}

fn dynamic_copy(guest: &Guest, program: impl AsRef<Path>) -> PathBuf {
    let copy = guest.dir().join("program");
    std::fs::copy(program, &copy).unwrap();
    copy
}

#[test]
#[cfg(target_arch = "x86_64")]
fn cve_2019_5736_the_program_file_cannot_be_written() {
    let guest = start("exe", "");
    plant_thief(&guest);
    let program = dynamic_copy(&guest, env!("CARGO_BIN_EXE_lxc-attach"));
    let before = std::fs::read(&program).unwrap();
    let done = on(&guest, Run::new(&program)).args(["--", "/evil"]).done().exits(0);
    let refused = |what: &str| {
        let line = done
            .stdout
            .lines()
            .find(|line| line.starts_with(what))
            .unwrap_or_else(|| panic!("{what}: {done}"));
        assert!(!line.ends_with(" 000"), "{what} must be refused: {done}");
    };
    ["setattr ", "remount ", "clone "].into_iter().for_each(refused);
    let loot = loot(&guest);
    assert!(loot.contains("Read-only file system"), "{loot}");
    assert!(std::fs::read(&program).unwrap() == before, "the program was changed");
}

#[test]
#[cfg(target_arch = "x86_64")]
fn cve_2019_5736_the_thief_succeeds_against_a_program_without_protection() {
    let guest = start("control", "");
    plant_thief(&guest);
    let program = dynamic_copy(&guest, "/usr/bin/nsenter");
    let pid = guest.pid().to_string();
    let done = Run::new(&program).args(["-t", &pid, "-m", "-p", "--", "/evil"]).done().exits(0);
    assert!(done.stdout.contains("setattr "), "{done}");
    assert_eq!(loot(&guest), "written\n");
    assert_eq!(std::fs::read(&program).unwrap(), b"stolen\n");
}

/// A container whose root is uid 100000.
fn start_user_namespace(label: &str) -> Guest {
    let conf = "lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536\nlxc.mount.auto =\nlxc.mount.auto = proc:rw";
    // Without newuidmap in reach root writes the map itself; the machine's /etc/subuid need not allow it.
    let prefix = ["/usr/bin/env", "PATH=/nonexistent"].map(Into::into).to_vec();
    let guest =
        Guest::build(&format!("attachsec{label}")).subject(Subject::Theirs).conf(conf).under(prefix).make();
    plant_thief(&guest);
    assert_eq!(Run::new("/bin/chown").args(["-R", "100000:100000"]).arg(guest.rootfs()).done().code, 0);
    guest.start();
    guest
}

#[test]
#[cfg(target_arch = "x86_64")]
fn cve_2019_5736_a_user_namespace_has_no_right_to_the_program_file() {
    let guest = start_user_namespace("exeuser");
    let program = dynamic_copy(&guest, env!("CARGO_BIN_EXE_lxc-attach"));
    let before = std::fs::read(&program).unwrap();
    let _ = on(&guest, Run::new(&program)).args(["--", "/evil"]).done().exits(0);
    let text = loot(&guest);
    assert!(text.contains("Permission denied"), "{text}");
    assert!(std::fs::read(&program).unwrap() == before, "the program was changed");
}

#[test]
#[cfg(target_arch = "x86_64")]
fn cve_2019_5736_a_program_that_belongs_to_the_container_s_root_is_protected() {
    let guest = start_user_namespace("exeown");
    let program = dynamic_copy(&guest, env!("CARGO_BIN_EXE_lxc-attach"));
    assert_eq!(Run::new("/bin/chown").arg("100000:100000").arg(&program).done().code, 0);
    let before = std::fs::read(&program).unwrap();
    let _ = on(&guest, Run::new(&program)).args(["--", "/evil"]).done().exits(0);
    let text = loot(&guest);
    assert!(text.contains("Read-only file system"), "{text}");
    assert!(std::fs::read(&program).unwrap() == before, "the program was changed");
    let blocked = on(&guest, Run::new(&program)).args(["--", "/bin/grep", "SigBlk", "/proc/self/status"]);
    assert_eq!(blocked.done().ok(), "SigBlk:\t0000000000000000\n");
    // The configuration on disk is only a hint: what the container really is decides.
    let config = std::fs::read_to_string(guest.config()).unwrap();
    std::fs::write(guest.config(), config.replace("lxc.idmap", "#lxc.idmap")).unwrap();
    assert_eq!(on(&guest, Run::new(&program)).args(["--", "/bin/true"]).done().code, 0);
    std::fs::write(guest.config(), config).unwrap();
}

#[test]
fn cve_2016_8649_no_descriptor_reaches_the_command() {
    let guest = start("fds", "");
    // The shell opens what a careless caller might: directories and files of the host.
    let line = format!(
        "exec 5</ 7</etc/passwd 9>/dev/null; exec {} -P {} -n {} -- /bin/sh -c 'n=0; while [ $n -lt 64 ]; do [ -e /proc/self/fd/$n ] && echo $n; n=$((n+1)); done; :'",
        env!("CARGO_BIN_EXE_lxc-attach"),
        guest.lxcpath().display(),
        guest.name()
    );
    let done = Run::new("/bin/sh").args(["-c", &line]).done();
    let fds: Vec<&str> = done.stdout.split_whitespace().collect();
    assert_eq!(fds, ["0", "1", "2"], "{done}");
}

/// The system calls of one attach, by process.
fn trace(guest: &Guest, options: &[&str], words: &[&str]) -> Vec<(String, String)> {
    let file = guest.dir().join("trace");
    let run = Run::new("strace").args(["-f", "-o"]).arg(&file).arg(env!("CARGO_BIN_EXE_lxc-attach"));
    let done = on(guest, run).args(options).arg("--").args(words).done();
    assert_eq!(done.code, 0, "{done}");
    let text = std::fs::read_to_string(&file).unwrap();
    let split = |line: &str| {
        let (pid, call) = line.split_once(' ')?;
        Some((pid.to_owned(), call.trim_start().to_owned()))
    };
    text.lines().filter_map(split).collect()
}

#[test]
fn cve_2015_1334_nothing_is_opened_in_the_container_before_the_command() {
    let guest = start("shape", "");
    let calls = trace(&guest, &[], &["/bin/true"]);
    let joined =
        calls.iter().position(|(_, call)| call.starts_with("setns(") && call.contains("CLONE_NEWNS"));
    let joined = joined.expect("the mount namespace is joined");
    let child = calls[joined].0.clone();
    let after: Vec<&str> = calls[joined + 1..]
        .iter()
        .filter(|(pid, _)| *pid == child)
        .map(|(_, call)| call.as_str())
        .take_while(|call| !call.starts_with("execve("))
        .collect();
    assert!(!after.is_empty());
    for call in &after {
        let looks_up = ["open", "stat", "mount(", "read", "link", "access", "faccess", "getdents"];
        assert!(!looks_up.iter().any(|name| call.starts_with(name)), "{call} follows the joining");
    }
    assert!(after.iter().any(|call| call.starts_with("close_range(")), "{after:?}");
    let dumpable = calls.iter().position(|(pid, call)| *pid == child && call.contains("PR_SET_DUMPABLE"));
    assert!(dumpable.is_some_and(|at| at < joined), "not dumpable before it can be seen");
}

#[test]
fn one_clone_and_no_helper_programs() {
    let guest = start("cost", "");
    let calls = trace(&guest, &["--clear-env", "-v", "PATH=/bin"], &["true"]);
    let count = |name: &str| calls.iter().filter(|(_, call)| call.starts_with(name)).count();
    assert_eq!(count("clone3(") + count("clone(") + count("fork(") + count("vfork("), 1);
    assert_eq!(count("setns("), 3, "into the pid namespace and back, and the child's own");
    // The program, itself again sealed, and the command.
    assert_eq!(count("execve(") + count("execveat("), 3);
}

#[test]
fn a_fake_proc_of_the_guest_is_not_used() {
    let guest = start("fakeproc", "");
    guest.sh("mkdir -p /fake/self/attr /fake/thread-self/attr /fake/1 && echo 0 > /fake/self/attr/exec && \
              echo 0 > /fake/thread-self/attr/exec && mount -o bind /fake /proc");
    let done =
        attach(&guest).args(["--", "/bin/sh", "-c", "cat /proc/self/attr/exec; id -u"]).done().exits(0);
    assert_eq!(done.stdout, "0\n0\n");
    let _ = attach(&guest).args(["--", "/bin/cat", "/proc/thread-self/attr/exec"]).done().prints("0\n");
}

#[test]
fn cve_2016_10124_the_caller_s_terminal_is_out_of_reach() {
    let guest = start("tiocsti", "");
    // No descriptor of the command is a terminal, but the session has one.
    let line = format!(
        "{} -P {} -n {} -- /bin/sh -c 'exec 3</dev/tty && echo reached' < /dev/null > {}/out 2>&1; echo done",
        env!("CARGO_BIN_EXE_lxc-attach"),
        guest.lxcpath().display(),
        guest.name(),
        guest.dir().display()
    );
    let mut terminal = guest.terminal(Run::new("/bin/sh").args(["-c", &line]));
    terminal.expect("done");
    let out = std::fs::read_to_string(guest.dir().join("out")).unwrap();
    assert!(out.contains("/dev/tty") && !out.contains("reached"), "{out}");
    // With terminals there is a pty in between: its session is the command's own.
    let run = attach(&guest).args([
        "--",
        "/bin/sh",
        "-c",
        "tty < /dev/tty; ps -o sid= -p $$ 2>/dev/null; echo end",
    ]);
    let mut terminal = guest.terminal(run);
    let before = terminal.expect("end");
    assert!(before.contains("/dev/tty") || before.contains("/dev/pts/"), "{before}");
}

#[test]
fn inheritable_capabilities_are_dropped() {
    let guest = start("inh", "");
    let text = attach(&guest).args(["--", "/bin/grep", "-E", "CapInh|CapAmb", "/proc/self/status"]);
    let words = text.into_command();
    // setpriv gives the caller inheritable and ambient capabilities.
    let mut run =
        Run::new("setpriv").args(["--inh-caps", "+net_raw,+chown", "--ambient-caps", "+net_raw", "--"]);
    run = run.arg(words.get_program()).args(words.get_args());
    assert_eq!(run.done().ok(), "CapInh:\t0000000000000000\nCapAmb:\t0000000000000000\n");
}

#[test]
fn ignored_signals_stay_ignored_and_sigpipe_is_not() {
    let guest = start("sig", "");
    let command = format!(
        "{} -P {} -n {} -- /bin/grep -E 'SigIgn|SigBlk' /proc/self/status",
        env!("CARGO_BIN_EXE_lxc-attach"),
        guest.lxcpath().display(),
        guest.name()
    );
    // What the test itself was started with may ignore something, too.
    let caller = "grep -E 'SigIgn|SigBlk' /proc/self/status; ";
    for before in ["", "trap '' HUP USR1; "] {
        let line = format!("{before}{caller}{command}");
        let text = Run::new("/bin/sh").args(["-c", &line]).done().ok();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..2], lines[2..], "{before}");
        let ignored = u64::from_str_radix(lines[3].trim_start_matches("SigIgn:").trim(), 16).unwrap();
        assert_eq!(ignored & 0x1201, if before.is_empty() { 0 } else { 0x201 }, "HUP, USR1, and never PIPE");
    }
}

#[test]
fn a_caller_in_the_background_does_not_hang_on_a_stopped_guest() {
    let guest = start("race", "");
    // The container is killed while commands are attached and being attached; every one must end.
    let mut commands: Vec<_> = (0..8)
        .map(|_| attach(&guest).args(["--", "/bin/sleep", "1000"]).spawn(Stdio::null(), Stdio::null()))
        .collect();
    std::thread::sleep(Duration::from_millis(50));
    guest.kill();
    let ended = |child: &mut std::process::Child| {
        eventually(Duration::from_secs(10), || child.try_wait().is_ok_and(|status| status.is_some()))
    };
    let all = commands.iter_mut().map(ended).filter(|ended| !ended).count();
    commands.iter_mut().for_each(|child| drop(child.kill()));
    assert_eq!(all, 0, "commands that did not end");
}
