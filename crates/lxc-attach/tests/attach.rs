//! lxc-attach on containers that the original runs: exit codes, environment, identity, terminals, namespaces.
//!
//! Needs root and the distribution's lxc. Where the original's behaviour is the measure, both are run and compared.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test: what cannot go on shall fail"
)]

use std::path::Path;
use std::time::Duration;

use testkit::{Guest, Run, Subject};

fn start(label: &str, conf: &str) -> Guest {
    Guest::build(&format!("attach{label}")).subject(Subject::Theirs).conf(conf).start()
}

fn with(guest: &Guest, program: impl AsRef<Path>) -> Run {
    Run::new(program.as_ref()).arg("-P").arg(guest.lxcpath()).args(["-n", guest.name()])
}

fn ours(guest: &Guest) -> Run {
    with(guest, env!("CARGO_BIN_EXE_lxc-attach"))
}

fn theirs(guest: &Guest) -> Run {
    with(guest, "/usr/bin/lxc-attach")
}

fn sh(guest: &Guest, options: &[&str], line: &str) -> String {
    ours(guest).args(options).args(["--", "/bin/sh", "-c", line]).done().silent().ok()
}

/// Both implementations with the same words: same exit code, same stdout.
fn same(guest: &Guest, words: &[&str]) {
    let (mine, reference) = (ours(guest).args(words).done(), theirs(guest).args(words).done());
    assert_eq!(
        (mine.code, &mine.stdout),
        (reference.code, &reference.stdout),
        "\nours: {mine}\ntheirs: {reference}"
    );
}

fn script(guest: &Guest, name: &str, text: &str) {
    testkit::rootfs::write_script(&guest.rootfs().join(name), text);
}

#[test]
fn exit_codes_are_those_of_the_original() {
    let guest = start("codes", "");
    script(&guest, "no-interpreter", "#!/nonexistent\n");
    script(&guest, "no-shebang", "exit 9\n");
    script(&guest, "no-elf", "\x7fELF");
    std::fs::write(guest.rootfs().join("no-mode"), "#!/bin/sh\n").unwrap();
    let cases: [(&[&str], i32); 14] = [
        (&["true"], 0),
        (&["false"], 1),
        (&["sh", "-c", "exit 42"], 42),
        (&["sh", "-c", "exit 255"], 255),
        (&["sh", "-c", "kill -KILL $$"], 137),
        (&["sh", "-c", "kill -TERM $$"], 143),
        (&["/nonexistent"], 127),
        (&["nonexistent"], 127),
        (&[""], 127),
        (&["/no-interpreter"], 127),
        (&["/no-mode"], 126),
        (&["/etc"], 126),
        (&["/etc/passwd/x"], 255),
        (&["/no-shebang"], 9),
    ];
    for (words, code) in cases {
        // `kill $$` needs the pid of the shell, which only a /proc of the container's own numbering gives.
        let done = ours(&guest).arg("--clear-env").arg("--").args(words).done().exits(code);
        if matches!(code, 126 | 127) {
            let _ = done.says(&format!("Failed to exec \"{}\"", words[0]));
        }
        let reference = theirs(&guest).arg("--clear-env").arg("--").args(words).done();
        assert_eq!(reference.code, code, "the original: {reference}");
    }
    same(&guest, &["--", "/no-elf"]);
}

#[test]
fn failures_of_the_tool_itself_are_exit_code_1() {
    let guest = Guest::build("attachstopped").subject(Subject::Theirs).make();
    let _ = ours(&guest)
        .args(["--", "true"])
        .done()
        .exits(1)
        .says("not running")
        .says("Failed to get attach context");
    for words in [
        &["-s", "bogus"][..],
        &["-eBOGUS"],
        &["-ecap"],
        &["-a", "vax"],
        &["-u", "-1"],
        &["-u", "0x0"],
        &["-u", "+0"],
        &["-u", " 0"],
        &["-g", "4294967295"],
        &["-u", "4294967296"],
        &["-eLSM", "-c", "label"],
    ] {
        let _ = ours(&guest)
            .args(words)
            .args(["--", "true"])
            .done()
            .exits(1)
            .says("could not parse command line");
    }
}

#[test]
fn the_environment_is_the_original_s() {
    let guest = start("env", "lxc.environment = FROM_CONFIG=1\nlxc.environment = SHARED=config");
    let cases: [&[&str]; 6] = [
        &["--clear-env"],
        &["--clear-env", "--keep-var", "HOME", "--keep-var", "NOPE", "-v", "HOME=/x", "-v", "A=b=c"],
        &["--clear-env", "--keep-var=SHARED"],
        &["--keep-env", "-v", "SHARED=option", "-v", "HOME"],
        &["--keep-env", "--clear-env"],
        &["--clear-env", "--keep-env"],
    ];
    for options in cases {
        let run = |run: Run| {
            let run = run.env("SHARED", "caller").env("HOME", "/home/caller").env("FROM_CONFIG", "0");
            run.args(options).args(["--", "/bin/env"]).done()
        };
        let sorted = |text: String| {
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(run(ours(&guest)).ok()), sorted(run(theirs(&guest)).ok()), "{options:?}");
    }
    let clear = ours(&guest).args(["--clear-env", "--", "/bin/env"]).done().ok();
    assert_eq!(
        clear,
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\ncontainer=lxc\nFROM_CONFIG=1\nSHARED=config\n"
    );
}

#[test]
fn lxc_environment_runtime_reaches_attached_processes() {
    let guest = start("runtime", "");
    // The original's monitor does not know the key; the client alone reads it.
    guest.append("lxc.environment.runtime = AT_RUN=1");
    assert_eq!(sh(&guest, &["--clear-env"], "echo $AT_RUN"), "1\n");
}

#[test]
fn the_directory_is_the_caller_s_if_the_container_has_it() {
    let guest = start("cwd", "");
    let pwd = |dir: &str| ours(&guest).dir(dir).args(["--", "/bin/pwd"]).done().ok();
    assert_eq!(pwd("/tmp"), "/tmp\n");
    assert_eq!(pwd("/var/lib"), "/\n");
    assert_eq!(pwd("/proc/self/fd"), "/\n", "a magic link of the host leads nowhere in the container");
}

#[test]
fn the_identity_is_root_s_or_the_one_asked_for() {
    let guest = start("ids", "");
    let ids = "grep -E '^(Uid|Gid|Groups):' /proc/self/status | tr -s '\\t ' ' '";
    assert_eq!(sh(&guest, &[], ids), "Uid: 0 0 0 0\nGid: 0 0 0 0\nGroups: \n");
    assert_eq!(
        sh(&guest, &["-u", "1000", "-g", "7"], ids),
        "Uid: 1000 1000 1000 1000\nGid: 7 7 7 7\nGroups: \n"
    );
    assert_eq!(sh(&guest, &["-u", "1000"], "grep CapEff /proc/self/status"), "CapEff:\t0000000000000000\n");
}

#[test]
fn without_a_command_the_user_s_shell_runs() {
    let guest = start("shell", "");
    script(&guest, "bin/own-shell", "#!/bin/sh\necho own $#\n");
    let passwd = "root:x:0:0:root:/root:/bin/sh\n\
        own:x:5:5::/:/bin/own-shell\ngone:x:6:6::/:/bin/gone\nbare:x:7:7::/:own-shell\n";
    std::fs::write(guest.rootfs().join("etc/passwd"), passwd).unwrap();
    let shell = |options: &[&str]| ours(&guest).args(options).stdin("echo $0 $(id -u)\n").done().ok();
    assert_eq!(shell(&[]), "/bin/sh 0\n");
    assert_eq!(shell(&["-u", "5"]), "own 0\n");
    assert_eq!(shell(&["-u", "6"]), "/bin/sh 6\n", "a shell that does not exist");
    assert_eq!(shell(&["-u", "7"]), "/bin/sh 7\n", "a shell that is no path");
    // A user the password file does not have: the container's own name service is asked.
    script(&guest, "bin/getent", "#!/bin/sh\n[ $1 = passwd ] && echo \"x:x:$2:0::/:/bin/own-shell\"\n");
    assert_eq!(shell(&["-u", "8", "-v", "PATH=/bin"]), "own 0\n");
    // A fifo in the place of the file must not stop the caller, and a link must not make it read the host's file.
    let passwd = guest.rootfs().join("etc/passwd");
    std::fs::remove_file(&passwd).unwrap();
    std::fs::remove_file(guest.rootfs().join("bin/getent")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &passwd, rustix::fs::FileType::Fifo, 0o644.into(), 0).unwrap();
    let shell = || ours(&guest).stdin("echo $0\n").limit(Duration::from_secs(10)).done().ok();
    assert_eq!(shell(), "/bin/sh\n");
    std::fs::remove_file(&passwd).unwrap();
    let secret = guest.dir().join("passwd");
    std::fs::write(&secret, "root:x:0:0::/:/bin/own-shell\n").unwrap();
    std::os::unix::fs::symlink(&secret, &passwd).unwrap();
    assert_eq!(shell(), "/bin/sh\n", "the host's {} was read", secret.display());
}

#[test]
fn a_pipe_on_stdin_arrives_whole() {
    let guest = start("pipe", "");
    let text: String = (0..100_000).map(|number| format!("{number}\n")).collect();
    let done = ours(&guest).args(["--", "/bin/cat"]).stdin(text.clone()).done();
    assert!(done.stdout == text, "got {} of {} bytes", done.stdout.len(), text.len());
    let done = ours(&guest).args(["env", "A=B", "sh"]).stdin("echo $A; exit 3\n").done().exits(3);
    assert_eq!(done.stdout, "B\n");
}

#[test]
fn a_terminal_is_the_container_s_own() {
    let guest = start("tty", "");
    let mut terminal =
        guest.terminal(ours(&guest).args(["--", "/bin/sh", "-c", "tty; stty size <&1; sleep 1; exit 7"]));
    terminal.expect("/dev/pts/");
    terminal.expect("24 80");
    assert_eq!(terminal.exit_within(Duration::from_secs(10)), 7);
    let mut terminal = guest.terminal(ours(&guest).args(["--", "/bin/sh"]));
    terminal.send("echo $((1200+34))\n");
    terminal.expect("1234");
    terminal.send("sleep 1000\n");
    std::thread::sleep(Duration::from_millis(300));
    terminal.send("\x03");
    terminal.send("echo again $((1+1))\n");
    terminal.expect("again 2");
    terminal.resize(132, 50);
    std::thread::sleep(Duration::from_millis(200));
    terminal.send("stty size\n");
    terminal.expect("50 132");
    terminal.send("exit 5\n");
    assert_eq!(terminal.exit_within(Duration::from_secs(10)), 5);
}

#[test]
fn the_last_words_on_a_terminal_are_not_lost() {
    let guest = start("tail", "");
    for _ in 0..10 {
        let mut terminal = guest.terminal(ours(&guest).args([
            "--",
            "/bin/sh",
            "-c",
            "yes 0123456789 | head -n 5000; echo the-end",
        ]));
        terminal.expect("the-end");
        assert_eq!(terminal.exit_within(Duration::from_secs(10)), 0);
    }
}

#[test]
fn a_terminal_belongs_to_the_user_and_only_replaces_terminals() {
    let guest = start("ttyuser", "");
    let words =
        ["-u", "1000", "--", "/bin/sh", "-c", "stat -c 'owner %u' $(tty); readlink /proc/self/fd/1; tty >&2"];
    let shell = format!(
        "{} -P {} -n {} -u 1000 -- /bin/sh -c 'echo to-file; tty >&2' > {}/out",
        env!("CARGO_BIN_EXE_lxc-attach"),
        guest.lxcpath().display(),
        guest.name(),
        guest.dir().display()
    );
    let mut terminal = guest.terminal(ours(&guest).args(words));
    terminal.expect("owner 1000");
    terminal.expect("/dev/pts/");
    assert_eq!(terminal.exit_within(Duration::from_secs(10)), 0);
    let mut terminal = guest.terminal(Run::new("/bin/sh").args(["-c", &shell]));
    terminal.expect("/dev/pts/");
    assert_eq!(terminal.exit_within(Duration::from_secs(10)), 0);
    let file = guest.dir().join("out");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "to-file\n");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o644, "the caller's files keep their mode");
}

#[test]
fn the_pty_log_gets_what_the_terminal_shows() {
    let guest = start("log", "");
    let log = guest.dir().join("pty-log");
    for text in ["first", "second"] {
        let line = format!("echo {text}");
        let run = ours(&guest).arg("-L").arg(&log).args(["--", "/bin/sh", "-c", &line]);
        assert_eq!(guest.terminal(run).exit_within(Duration::from_secs(10)), 0);
    }
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "first\r\nsecond\r\n");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&log).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o640);
}

#[test]
fn an_interrupt_ends_the_command_and_its_code_is_kept() {
    let guest = start("int", "");
    // The terminal is the session's, but no descriptor of lxc-attach: the command gets no pty.
    let line = format!(
        "trap : INT; {} -P {} -n {} -- /bin/sleep 1000 < /etc/hostname > /dev/null 2>&1; echo code $?",
        env!("CARGO_BIN_EXE_lxc-attach"),
        guest.lxcpath().display(),
        guest.name()
    );
    let mut terminal = guest.terminal(Run::new("/bin/sh").args(["-c", &line]));
    std::thread::sleep(Duration::from_millis(700));
    terminal.send("\x03");
    terminal.expect("code 130");
}

const NAMESPACES: &str = "for n in user mnt pid uts ipc net cgroup; do readlink /proc/self/ns/$n; done";

#[test]
fn namespaces_are_entered_as_the_original_does() {
    let guest = start("ns", "");
    same(&guest, &["--", "/bin/sh", "-c", NAMESPACES]);
    for list in
        ["MOUNT|PID", "NETWORK", "NETWORK|UTSNAME", "uts|ipc|net", "CGROUP", "mnt|pid|uts|ipc|net|cgroup"]
    {
        same(&guest, &["-s", list, "--", "/bin/sh", "-c", NAMESPACES]);
    }
    same(&guest, &["-s", "UTSNAME", "--", "hostname"]);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(ours(&guest).args(["-s", "NETWORK", "--", "hostname"]).done().ok(), host);
}

#[test]
fn proc_and_sys_are_remounted_to_fit_the_namespaces() {
    let guest = start("remount", "");
    let words =
        ["-s", "PID|NETWORK", "-R", "--", "/bin/sh", "-c", "ls -d /proc/[0-9]* | wc -l; ls /sys/class/net"];
    let before = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let done = ours(&guest).args(words).done().ok();
    let (processes, links) = done.split_once('\n').unwrap();
    assert!(processes.trim().parse::<u32>().unwrap() < 10, "{done}");
    assert_eq!(links, "lo\n");
    assert_eq!(
        std::fs::read_to_string("/proc/self/mountinfo").unwrap(),
        before,
        "the host's mounts are untouched"
    );
}

#[test]
fn privileges_are_the_container_s_unless_elevated() {
    let guest = start("priv", "lxc.cap.drop = sys_module mac_admin sys_time");
    let line = "grep -E '^(Cap(Prm|Eff|Bnd|Inh|Amb)|NoNewPrivs)' /proc/self/status; cat /proc/self/cgroup";
    for options in [&[][..], &["-e"], &["-eCAP"], &["-eCGROUP"], &["-eLSM"], &["-eCAP|CGROUP"]] {
        let words: Vec<&str> = options.iter().copied().chain(["--", "/bin/sh", "-c", line]).collect();
        same(&guest, &words);
    }
    let capped = sh(&guest, &[], "grep CapBnd /proc/self/status");
    assert_ne!(capped, sh(&guest, &["-eCAP"], "grep CapBnd /proc/self/status"));
}

#[test]
fn no_new_privs_and_the_architecture_come_from_the_running_container() {
    let guest = start("nnp", "lxc.no_new_privs = 1\nlxc.arch = i686");
    assert_eq!(sh(&guest, &[], "grep NoNewPrivs /proc/self/status; uname -m"), "NoNewPrivs:\t1\ni686\n");
    assert_eq!(sh(&guest, &["-eLSM"], "grep NoNewPrivs /proc/self/status"), "NoNewPrivs:\t0\n");
    assert_eq!(sh(&guest, &["-a", "x86_64"], "uname -m"), "x86_64\n");
    let plain = start("arch", "");
    assert_eq!(sh(&plain, &["-a", "i686"], "uname -m"), "i686\n");
}

#[test]
fn limits_and_procfs_settings_of_the_configuration_apply() {
    let guest = start("limit", "");
    guest.append("lxc.prlimit.nofile = 123:456\nlxc.proc.oom_score_adj = 17");
    assert_eq!(sh(&guest, &[], "ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj"), "123\n456\n17\n");
    guest.append("lxc.prlimit.bogus = 1");
    let _ = ours(&guest).args(["--", "true"]).done().exits(1).says("lxc.prlimit.bogus").says("config:");
}

#[test]
fn a_process_is_born_in_the_container_s_cgroups() {
    let guest = start("cgroup", "");
    let inside = sh(&guest, &[], "cat /proc/1/cgroup; echo; cat /proc/self/cgroup");
    let (init, own) = inside.split_once("\n\n").unwrap();
    for line in own.lines().filter(|line| !line.starts_with("0::")) {
        assert!(init.lines().any(|other| other == line), "{line} is not among\n{init}");
    }
    assert!(own.lines().all(|line| !line.contains("/..")), "inside of the cgroup namespace: {own}");
}

#[test]
fn a_container_with_a_user_namespace_is_entered_as_its_root() {
    let conf = "lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536\nlxc.mount.auto =\nlxc.mount.auto = proc:rw";
    // Without newuidmap in reach root writes the map itself; the machine's /etc/subuid need not allow it.
    let prefix = ["/usr/bin/env", "PATH=/nonexistent"].map(Into::into).to_vec();
    let guest = Guest::build("attachuserns").subject(Subject::Theirs).conf(conf).under(prefix).make();
    let done = Run::new("/bin/chown").args(["-R", "100000:100000"]).arg(guest.rootfs()).done();
    assert_eq!(done.code, 0);
    guest.start();
    let ids = "id -u; id -g; cat /proc/self/uid_map | tr -s ' '; grep -E 'Groups|CapEff' /proc/self/status";
    let mine = sh(&guest, &[], ids);
    assert!(mine.starts_with("0\n0\n 0 100000 65536\n"), "{mine}");
    same(&guest, &["--", "/bin/sh", "-c", ids]);
    assert_eq!(sh(&guest, &["-u", "1000", "-g", "1000"], "id -u; id -g"), "1000\n1000\n");
    let _ = ours(&guest)
        .args(["-u", "70000", "--", "true"])
        .done()
        .exits(1)
        .says("become uid 70000")
        .says("lxc.idmap");
    let run = ours(&guest).args([
        "-u",
        "1000",
        "--",
        "/bin/sh",
        "-c",
        "stat -c 'owner %u' $(tty); echo > $(tty); echo good",
    ]);
    let mut terminal = guest.terminal(run);
    terminal.expect("owner 1000");
    terminal.expect("good");
    assert_eq!(terminal.exit_within(Duration::from_secs(10)), 0);
}

#[test]
fn a_caller_without_cap_sys_admin_goes_through_the_user_namespace() {
    let conf = "lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536\nlxc.mount.auto =\nlxc.mount.auto = proc:rw";
    let prefix = ["/usr/bin/env", "PATH=/nonexistent"].map(Into::into).to_vec();
    let guest = Guest::build("attachtransient").subject(Subject::Theirs).conf(conf).under(prefix).make();
    assert_eq!(Run::new("/bin/chown").args(["-R", "100000:100000"]).arg(guest.rootfs()).done().code, 0);
    guest.start();
    let weak = |words: &[&str]| {
        let command = ours(&guest).args(words).into_command();
        let run = Run::new("setpriv").args(["--bounding-set", "-sys_admin", "--"]).arg(command.get_program());
        run.args(command.get_args())
    };
    let line = "id -u; cat /proc/self/uid_map | tr -s ' '; for n in user mnt pid uts ipc net; do readlink /proc/self/ns/$n; done";
    let through = weak(&["--", "/bin/sh", "-c", line]).done().silent().ok();
    assert_eq!(through, sh(&guest, &[], line));
    assert_eq!(
        weak(&["-u", "5", "-g", "6", "--", "/bin/sh", "-c", "id -u; id -g; exit 3"]).done().exits(3).stdout,
        "5\n6\n"
    );
    let _ = weak(&["--", "/nonexistent"]).done().exits(127).says("Failed to exec \"/nonexistent\"");
    let _ = weak(&["-u", "70000", "--", "true"]).done().exits(1).says("become uid 70000");
    let mut terminal = guest.terminal(weak(&["--", "/bin/sh", "-c", "tty; exit 4"]));
    terminal.expect("/dev/pts/");
    assert_eq!(terminal.exit_within(Duration::from_secs(10)), 4);
    // Without a user namespace of the container's there is no way in.
    let plain = start("noway", "");
    let command = ours(&plain).args(["--", "true"]).into_command();
    let run = Run::new("setpriv").args(["--bounding-set", "-sys_admin", "--"]).arg(command.get_program());
    let _ =
        run.args(command.get_args()).done().exits(1).says("enter the container's namespaces").says("cure:");
}

#[test]
fn the_container_s_seccomp_policy_applies() {
    let guest = Guest::build("attachseccomp").subject(Subject::Theirs).make();
    let policy = guest.dir().join("policy");
    std::fs::write(&policy, "2\ndenylist\n[all]\nmkdir errno 84\nmkdirat errno 84\n").unwrap();
    guest.append(&format!("lxc.seccomp.profile = {}", policy.display()));
    guest.start();
    // 84 is EILSEQ, which nothing else here gives.
    let line = "grep Seccomp: /proc/self/status; mkdir /new";
    let done = ours(&guest).args(["--", "/bin/sh", "-c", line]).done().exits(1).says("Invalid or incomplete");
    assert_eq!(done.stdout, "Seccomp:\t2\n");
    let done = ours(&guest)
        .args(["-u", "1000", "--", "/bin/sh", "-c", line])
        .done()
        .exits(1)
        .says("Invalid or incomplete");
    assert_eq!(done.stdout, "Seccomp:\t2\n");
    same(&guest, &["--", "/bin/sh", "-c", "grep -E 'Seccomp|NoNew' /proc/self/status; mkdir /x 2>&1"]);
    assert_eq!(sh(&guest, &["-eLSM"], line), "Seccomp:\t0\n");
    std::fs::remove_file(&policy).unwrap();
    let _ = ours(&guest).args(["--", "true"]).done().exits(1).says("seccomp policy").says("cure:");
}

#[test]
fn on_a_pure_cgroup2_host_the_process_is_born_in_the_leaf() {
    let pure = testkit::cgroup2::Pure::new();
    let guest = Guest::build("attachpure").subject(Subject::Theirs).under(pure.prefix()).start();
    let trace = guest.dir().join("trace");
    let words = ["--", "/bin/cat", "/proc/self/cgroup"];
    let on = |run: Run| run.arg("-P").arg(guest.lxcpath()).args(["-n", guest.name()]).args(words).done().ok();
    let traced = |options: &[&str]| {
        let run = Run::under(&pure.prefix(), "strace").args(["-f", "-e", "trace=clone3"]).args(options);
        on(run.arg("-o").arg(&trace).arg(env!("CARGO_BIN_EXE_lxc-attach")))
    };
    let reference = on(Run::under(&pure.prefix(), "/usr/bin/lxc-attach"));
    assert!(reference.contains("0::/.lxc\n"), "{reference}");
    assert_eq!(traced(&[]), reference);
    let text = std::fs::read_to_string(&trace).unwrap();
    assert!(text.contains("CLONE_INTO_CGROUP"), "{text}");
    // A kernel that cannot do that: the process moves itself before it is anything of the container's.
    assert_eq!(traced(&["-e", "inject=clone3:error=E2BIG:when=1"]), reference);
}

/// A supervisor that lets every call it is asked about seem to succeed; counts what it was asked.
fn supervisor(path: &Path) -> std::sync::Arc<std::sync::atomic::AtomicUsize> {
    use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketType};
    let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
    rustix::net::bind(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
    rustix::net::listen(&socket, 5).unwrap();
    let counter = count.clone();
    std::thread::spawn(move || {
        while let Ok(connection) = rustix::net::accept(&socket) {
            let counter = counter.clone();
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok((length @ 1.., _)) =
                    rustix::net::recv(&connection, &mut bytes, RecvFlags::empty())
                {
                    counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    // The request comes with an answer that says "0", and goes back as it is.
                    let _ = rustix::net::send(&connection, &bytes[..length], SendFlags::NOSIGNAL);
                }
            });
        }
    });
    count
}

#[test]
fn calls_of_an_attached_process_reach_the_container_s_supervisor() {
    let guest = Guest::build("attachnotify").subject(Subject::Theirs).make();
    // Not below the container's directory: the socket outlives the container.
    let socket = std::env::temp_dir().join(format!("attach-supervisor-{}", std::process::id()));
    let policy = guest.dir().join("policy");
    std::fs::write(&policy, "2\ndenylist\n[all]\nmkdir notify\n").unwrap();
    let asked = supervisor(&socket);
    guest.append(&format!(
        "lxc.seccomp.profile = {}\nlxc.seccomp.notify.proxy = unix:{}",
        policy.display(),
        socket.display()
    ));
    guest.start();
    let before = asked.load(std::sync::atomic::Ordering::SeqCst);
    // The supervisor says it was made, and it was not.
    let run = ours(&guest)
        .args(["--", "/bin/sh", "-c", "mkdir /made && ls -d /made"])
        .limit(Duration::from_secs(10));
    let _ = run.done().exits(1).says("No such file or directory");
    assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), before + 1);
    std::fs::remove_file(&socket).unwrap();
}
