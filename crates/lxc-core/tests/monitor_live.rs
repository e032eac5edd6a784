//! The command server and event loop for real, around a shell that plays init, and everything a client can do to them.
//!
//! Every monitor is a process of its own: this program again, running `as_monitor`. Clients of other users are, too
//! (`as_client`); those parts need root, say so and pass otherwise.
#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::zombie_processes,
    reason = "a test"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use lxc_core::command::wire::{ConsoleLogRequest, DATA_MAX, RequestHeader, ResponseHeader, StateInterest};
use lxc_core::command::{Client, StateWait, bind_listener};
use lxc_core::console::{Console, Pty, Ttys};
use lxc_core::monitor::{Outcome, Running, run};
use lxc_core::state::{Announcer, Ending, State, StateSet};
use lxc_core::{ErrorKind, paths};
use lxc_sys::signal::{Mask, set_mask, signalfd};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, set_parent_process_death_signal};

/// A monitor in a process of its own.
struct Monitor {
    process: Child,
    output: BufReader<std::process::ChildStdout>,
    lxcpath: PathBuf,
    init: i32,
    console: PathBuf,
}

/// What the monitor's init does: ignores USR1 (the stop signal here), reports TERM, never ends by itself.
const INIT: &str = "read go; trap '' USR1; trap 'echo init: TERM' TERM; echo init: ready; while kill -0 $PPID 2>/dev/null; do sleep 2 & wait $!; done";

impl Monitor {
    fn start() -> Monitor {
        Monitor::start_as(0, 0)
    }

    fn start_as(uid: u32, gid: u32) -> Monitor {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let lxcpath = PathBuf::from(format!("/tmp/cmd-live-{}-{number}", std::process::id()));
        // The test runner's own thread must not take the signals that are for the loop.
        let mut command = Command::new("env");
        command.arg("--block-signal").arg(std::env::current_exe().unwrap());
        command.args(["--exact", "as_monitor", "--nocapture", "--test-threads=1"]);
        command.env("CMD_MONITOR", &lxcpath).env("CMD_USER", format!("{uid} {gid}"));
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let mut monitor = Monitor { process, output, lxcpath, init: 0, console: PathBuf::new() };
        monitor.console = PathBuf::from(monitor.line("console "));
        monitor.init = monitor.line("init ").parse().unwrap();
        monitor.line("init: ready");
        // From the first answer on, the loop has all its descriptors.
        assert_eq!(monitor.client().init_pid().unwrap(), monitor.init);
        monitor
    }

    /// The rest of the next line of the monitor that starts with `prefix`.
    fn line(&mut self, prefix: &str) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "monitor ended before {prefix:?}");
            assert!(
                !(prefix.starts_with("init") && line.contains("outcome")),
                "ended before {prefix:?}: {line}"
            );
            if let Some(at) = line.find(prefix) {
                return line[at + prefix.len()..].trim().to_owned();
            }
        }
    }

    fn client(&self) -> Client {
        Client::new(&self.lxcpath, "c1")
    }

    fn connect(&self) -> UnixStream {
        let name = paths::command_socket(&self.lxcpath, "c1");
        let stream = UnixStream::connect_addr(&SocketAddr::from_abstract_name(name).unwrap()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.process)
    }

    fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.process.id())).unwrap().count()
    }

    /// It still answers, at once.
    fn assert_well(&self) {
        let before = Instant::now();
        assert_eq!(self.client().state().unwrap(), State::Running);
        assert!(before.elapsed() < Duration::from_secs(1), "took {:?}", before.elapsed());
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    fn kill_init(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.init).unwrap(), signal).unwrap();
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        if let Some(init) = Pid::from_raw(self.init) {
            let _ = kill_process(init, Signal::KILL);
        }
        drop(self.process.stdin.take());
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Not a test of its own: the body of the processes that `Monitor` starts.
#[test]
fn as_monitor() {
    let Some(lxcpath) = std::env::var_os("CMD_MONITOR") else { return };
    let lxcpath = PathBuf::from(lxcpath);
    let user = std::env::var("CMD_USER").unwrap();
    let (uid, gid) = user.split_once(' ').unwrap();
    if uid != "0" {
        let (uid, gid) = (uid.parse::<u32>().unwrap(), gid.parse::<u32>().unwrap());
        nix::unistd::setgroups(&[]).unwrap();
        nix::unistd::setresgid(gid.into(), gid.into(), gid.into()).unwrap();
        nix::unistd::setresuid(uid.into(), uid.into(), uid.into()).unwrap();
    }
    set_parent_process_death_signal(Some(Signal::KILL)).unwrap();
    let all = Mask::all_but(&[7, 4, 11, 28]);
    let signals = signalfd(all).unwrap();
    let listener = bind_listener(&lxcpath, "c1").unwrap();
    assert_eq!(bind_listener(&lxcpath, "c1").unwrap_err().kind(), ErrorKind::AlreadyRunning);
    set_mask(Mask::EMPTY).unwrap();
    let mut init =
        Command::new("sh").args(["-c", INIT]).process_group(0).stdin(Stdio::piped()).spawn().unwrap();
    set_mask(all).unwrap();
    let pid = Pid::from_child(&init);
    let mut config = lxc_conf::Config::new();
    for (key, value) in [
        ("lxc.uts.name", "c1"),
        ("lxc.signal.stop", "SIGUSR1"),
        ("lxc.net.0.type", "veth"),
        ("lxc.environment", "A=1"),
    ] {
        config.set(key, value).unwrap();
    }
    let conf = lxc_conf::model::Console { buffer_size: 4096, ..Default::default() };
    let console = Pty::on_host().unwrap();
    println!("console {}", console.name.display());
    let mut announcer = Announcer::new(&lxcpath, "c1");
    announcer.announce(State::Running);
    let mut running = Running {
        name: "c1".into(),
        lxcpath,
        config,
        init_pid: pid.as_raw_nonzero().get(),
        init_pidfd: pidfd_open(pid, PidfdFlags::empty()).unwrap(),
        namespaces: 0x6e02_0000,
        cgroups: None,
        devpts: None,
        console: Console::new(console, &conf).unwrap(),
        ttys: Ttys::new((1..3).map(|_| Pty::on_host().unwrap()).collect()),
        seccomp_notify: None,
        seccomp_proxy: None,
        listener,
        signals,
        veth_pairs: vec![(0, "vethABC".into())],
        announcer,
    };
    println!("init {}", init.id());
    init.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let before = threads();
    let outcome = run(&mut running).unwrap();
    assert_eq!(threads(), before, "the loop left a thread behind");
    let Running { mut announcer, listener, .. } = running;
    println!("outcome {outcome:?}");
    let ending = if outcome == Outcome::Reboot { Ending::Reboot } else { Ending::Stop };
    announcer.announce(State::Stopping);
    drop(listener);
    announcer.stopped(ending);
    println!("stopped");
    // The test decides when the clean-up ends.
    let _ = std::io::stdin().read(&mut [0]);
    announcer.close_clients(ending);
    println!("closed");
    let _ = std::io::stdin().read(&mut [0]);
}

/// Not a test of its own: sends every command as another user and prints the replies.
#[test]
fn as_client() {
    let Ok(user) = std::env::var("CMD_CLIENT") else { return };
    let mut words = user.split(' ');
    let mut number = || words.next().unwrap().parse::<u32>().unwrap();
    let (uid, gid) = (number(), number());
    let lxcpath = PathBuf::from(words.next().unwrap());
    nix::unistd::setgroups(&[]).unwrap();
    nix::unistd::setresgid(gid.into(), gid.into(), gid.into()).unwrap();
    nix::unistd::setresuid(uid.into(), uid.into(), uid.into()).unwrap();
    let name = paths::command_socket(&lxcpath, "c1");
    let address = SocketAddr::from_abstract_name(name).unwrap();
    if words.next() == Some("hold") {
        let held: Vec<_> = (0..900).map(|_| UnixStream::connect_addr(&address).unwrap()).collect();
        println!("held {}", held.len());
        let _ = std::io::stdin().read(&mut [0]);
        return;
    }
    // STOP has no reply, SECCOMP_NOTIFY_ADD_LISTENER a second message.
    for command in (0..30).filter(|command| ![2, 13].contains(command)) {
        let mut stream = UnixStream::connect_addr(&address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.write_all(&RequestHeader { command, datalen: 0, data: 0 }.encode()).unwrap();
        println!("reply {command} {:?}", read_reply(&mut stream));
    }
}

/// The header of a reply; `None` when the connection ended instead.
fn read_reply(stream: &mut UnixStream) -> Option<ResponseHeader> {
    let mut head = [0; 16];
    match stream.read_exact(&mut head) {
        Ok(()) => Some(ResponseHeader::decode(head)),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => None,
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
        Err(error) => panic!("{error}"),
    }
}

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("needs root: not tested");
    }
    root
}

fn interest(states: &[State]) -> StateInterest {
    StateSet::new(states).interest()
}

#[test]
fn plain_questions_have_plain_answers() {
    let monitor = Monitor::start();
    let client = monitor.client();
    assert_eq!(client.state().unwrap(), State::Running);
    assert_eq!(client.init_pid().unwrap(), monitor.init);
    assert_eq!(client.clone_flags().unwrap(), 0x6e02_0000);
    assert_eq!(client.name().unwrap(), "c1");
    assert_eq!(client.lxcpath().unwrap(), monitor.lxcpath);
    assert_eq!(client.config_item("lxc.uts.name").unwrap().as_deref(), Some("c1"));
    assert_eq!(client.config_item("lxc.environment").unwrap().as_deref(), Some("A=1\n"));
    assert_eq!(client.config_item("lxc.net.0.veth.pair").unwrap().as_deref(), Some("vethABC"));
    assert_eq!(client.config_item("lxc.rootfs.path").unwrap(), None);
    assert_eq!(client.config_item("lxc.nonsense").unwrap(), None);
    let pidfd = client.init_pidfd().unwrap();
    assert!(!lxc_sys::pidfd::ended(pidfd.as_fd(), 0).unwrap());
    assert_eq!(client.systemd_scope().unwrap(), None);
    assert_eq!(client.cgroup(Some("memory")).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(client.limit_cgroup(None).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(client.cgroup2_fd().unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(client.cgroup_ctx().unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(client.devpts_fd().unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(client.seccomp_notify_fd().unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(client.freeze(Some(Duration::from_secs(1))).unwrap_err().kind(), ErrorKind::NotFound);
    let null: OwnedFd = std::fs::File::open("/dev/null").unwrap().into();
    assert!(client.add_seccomp_listener(null.as_fd()).is_err());
    monitor.assert_well();
}

#[test]
fn no_request_however_malformed_ends_the_monitor_or_the_container() {
    let monitor = Monitor::start();
    let max = i32::try_from(DATA_MAX).unwrap();
    let payload = vec![0x41u8; DATA_MAX + 1];
    let before = monitor.descriptors();
    for command in (-2..32).chain([255, i32::MAX, i32::MIN]) {
        for datalen in [-1, i32::MIN, 0, 1, 3, 16, 24, 32, 40, 80, 96, max, max + 1, i32::MAX] {
            for fill in [0u8, 0x41, 0xff] {
                let mut stream = monitor.connect();
                let header = RequestHeader { command, datalen, data: u64::MAX };
                stream.write_all(&header.encode()).unwrap();
                let len = usize::try_from(datalen).unwrap_or(0).min(payload.len());
                // The monitor may hang up at any point.
                let _ = stream.write_all(&vec![fill; len]);
                if datalen > max {
                    assert_eq!(read_reply(&mut stream), None, "{command} with {datalen} bytes");
                }
            }
        }
        // Announces more than it sends, then goes.
        let mut stream = monitor.connect();
        stream.write_all(&RequestHeader { command, datalen: 100, data: 0 }.encode()).unwrap();
        let _ = stream.write_all(b"short");
        drop(stream);
        // Sends more than it announced.
        let mut stream = monitor.connect();
        stream.write_all(&RequestHeader { command, datalen: 4, data: 0 }.encode()).unwrap();
        let _ = stream.write_all(&payload);
        drop(stream);
        // Half a header.
        let mut stream = monitor.connect();
        stream.write_all(&command.to_ne_bytes()).unwrap();
        drop(stream);
    }
    // SERVE_STATE_CLIENTS above set many states; only known ones were accepted.
    monitor.client().serve_state_clients(State::Running).unwrap();
    monitor.assert_well();
    assert_eq!(monitor.client().init_pid().unwrap(), monitor.init);
    // Kept connections may still be closing.
    let end = Instant::now() + Duration::from_secs(5);
    while monitor.descriptors() > before && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(monitor.descriptors() <= before, "{} descriptors, {before} before", monitor.descriptors());
}

#[test]
fn refusals_are_those_of_the_original() {
    let monitor = Monitor::start();
    let ask = |command, payload: &[u8]| {
        let mut stream = monitor.connect();
        let datalen = i32::try_from(payload.len()).unwrap();
        stream.write_all(&RequestHeader { command, datalen, data: 99 }.encode()).unwrap();
        stream.write_all(payload).unwrap();
        read_reply(&mut stream).map(|reply| reply.ret)
    };
    for (command, payload, expected) in [
        (27, &b""[..], Some(-38)),
        (-1, b"", Some(-38)),
        (1, b"", None),
        (7, b"", Some(-22)),
        (7, b"lxc.uts.name", Some(-22)),
        (7, b"lxc.nonsense\0", Some(-1)),
        (6, b"memory", Some(-22)),
        (6, b"memory\0", None),
        (6, b"", None),
        (10, &[0; 31], Some(-22)),
        (11, &[0; 16], Some(-22)),
        // The immediate is 99 here: no such state, no such tty.
        (12, b"", Some(-22)),
        (0, b"", Some(-9)),
        (14, &[0; 20], Some(-22)),
        (17, b"", Some(-22)),
        (22, b"", Some(-9)),
        (23, &[0; 96], Some(-2)),
        (24, &[0; 80], Some(-22)),
        (26, b"", Some(-22)),
    ] {
        assert_eq!(ask(command, payload), expected, "{command} {payload:?}");
    }
}

#[test]
fn one_request_per_connection_and_pieces_of_one_are_put_together() {
    let monitor = Monitor::start();
    let key = b"lxc.uts.name\0";
    let header = RequestHeader { command: 7, datalen: 13, data: 0 }.encode();
    let mut stream = monitor.connect();
    for byte in header.iter().chain(key) {
        stream.write_all(&[*byte]).unwrap();
        std::thread::sleep(Duration::from_millis(3));
        if *byte == b'.' {
            monitor.assert_well();
        }
    }
    assert_eq!(read_reply(&mut stream).unwrap().datalen, 3);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"c1\0");
    // Header and payload in one piece, and a second request that is not looked at.
    let mut stream = monitor.connect();
    stream.write_all(&[&header[..], key, &header, key].concat()).unwrap();
    assert_eq!(read_reply(&mut stream).unwrap().datalen, 3);
    let mut name = [0; 3];
    stream.read_exact(&mut name).unwrap();
    assert_eq!((&name, read_reply(&mut stream)), (b"c1\0", None));
}

#[test]
fn a_thousand_idle_connections_do_not_keep_anybody_out() {
    let monitor = Monitor::start();
    let before = monitor.descriptors();
    let idle: Vec<UnixStream> = (0..1000).map(|_| monitor.connect()).collect();
    monitor.assert_well();
    let held = monitor.descriptors() - before;
    assert!(held <= 1010, "{held} descriptors for {} connections", idle.len());
    drop(idle);
    let end = Instant::now() + Duration::from_secs(5);
    while monitor.descriptors() > before && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(monitor.descriptors() <= before);
    monitor.assert_well();
}

#[test]
fn only_root_and_the_monitor_s_own_user_and_group_may_ask() {
    if !is_root() {
        return;
    }
    for (monitor_user, client_user, allowed) in [
        ((0, 0), (0, 0), true),
        ((0, 0), (65534, 65534), false),
        ((0, 0), (1000, 0), false),
        ((1000, 1000), (0, 0), true),
        ((1000, 1000), (1000, 1000), true),
        ((1000, 1000), (1000, 1001), false),
        ((1000, 1000), (1001, 1000), false),
    ] {
        let monitor = Monitor::start_as(monitor_user.0, monitor_user.1);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "as_client", "--nocapture", "--test-threads=1"]);
        let (uid, gid) = client_user;
        command.env("CMD_CLIENT", format!("{uid} {gid} {}", monitor.lxcpath.display()));
        let output = String::from_utf8(command.output().unwrap().stdout).unwrap();
        let replies: Vec<&str> = output.lines().filter(|line| line.contains("reply ")).collect();
        assert_eq!(replies.len(), 28, "{output}");
        let denied = format!("{:?}", Some(ResponseHeader { ret: -1, datalen: 0, data: 0 }));
        let denials = replies.iter().filter(|reply| reply.ends_with(&denied)).count();
        match allowed {
            true => assert_eq!(denials, 0, "{output}"),
            // Also for numbers that do not exist: a stranger learns nothing.
            false => assert_eq!(denials, 28, "{monitor_user:?} {client_user:?}\n{output}"),
        }
        // The state is what an allowed client has just made it.
        assert_eq!(monitor.client().init_pid().unwrap(), monitor.init);
    }
}

#[test]
fn strangers_cannot_use_up_the_connections() {
    if !is_root() {
        return;
    }
    let monitor = Monitor::start();
    let ours = monitor.connect();
    let mut stranger = Command::new(std::env::current_exe().unwrap());
    stranger.args(["--exact", "as_client", "--nocapture", "--test-threads=1"]);
    stranger.env("CMD_CLIENT", format!("65534 65534 {} hold", monitor.lxcpath.display()));
    let mut stranger = stranger.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(stranger.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.contains("held")));
    monitor.assert_well();
    assert!(monitor.descriptors() < 100, "{} descriptors", monitor.descriptors());
    let mut ours = ours;
    ours.write_all(&RequestHeader { command: 3, datalen: 0, data: 0 }.encode()).unwrap();
    assert!(read_reply(&mut ours).is_some(), "a stranger pushed root's idle connection out");
    drop(stranger.stdin.take());
    stranger.wait().unwrap();
}

#[test]
fn clients_that_wait_are_told_and_those_that_leave_are_forgotten() {
    let monitor = Monitor::start();
    let client = monitor.client();
    let StateWait::Now(state) = client.add_state_client(interest(&[State::Running])).unwrap() else {
        panic!("runs already")
    };
    assert_eq!(state, State::Running);
    let StateWait::Later(frozen) = client.add_state_client(interest(&[State::Frozen])).unwrap() else {
        panic!("is not frozen")
    };
    assert_eq!(frozen.wait(Some(Duration::from_millis(50))).unwrap_err().kind(), ErrorKind::TimedOut);
    client.serve_state_clients(State::Frozen).unwrap();
    assert_eq!(frozen.wait(Some(Duration::from_secs(5))).unwrap().unwrap().as_state(), Some(State::Frozen));
    assert_eq!(frozen.wait(Some(Duration::from_secs(5))).unwrap(), None);
    assert_eq!(client.state().unwrap(), State::Frozen);
    client.serve_state_clients(State::Thawed).unwrap();
    monitor.assert_well();

    let before = monitor.descriptors();
    for _ in 0..2000 {
        let StateWait::Later(stream) = client.add_state_client(interest(&[State::Stopped])).unwrap() else {
            panic!("runs")
        };
        drop(stream);
    }
    let end = Instant::now() + Duration::from_secs(5);
    while monitor.descriptors() > before && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(monitor.descriptors() <= before);
}

#[test]
fn terminals_are_lent_until_the_socket_closes() {
    let monitor = Monitor::start();
    let client = monitor.client();
    let first = client.tty(-1).unwrap();
    let second = client.tty(-1).unwrap();
    assert_eq!((first.number, second.number), (1, 2));
    assert_eq!(client.tty(-1).unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(client.tty(1).unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(client.tty(3).unwrap_err().kind(), ErrorKind::Busy);
    // The terminal itself does not hold the loan, the socket does.
    let kept = first.ptx.try_clone().unwrap();
    drop(first);
    let end = Instant::now() + Duration::from_secs(5);
    let again = loop {
        match client.tty(1) {
            Ok(lease) => break lease,
            Err(error) => assert!(Instant::now() < end, "{error}"),
        }
    };
    assert_eq!(again.number, 1);
    drop(kept);
}

#[test]
fn the_console_is_relayed_buffered_and_lent() {
    let monitor = Monitor::start();
    let client = monitor.client();
    let nothing = client.console_log(ConsoleLogRequest { read: true, ..Default::default() }).unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::NotFound);
    let lease = client.tty(0).unwrap();
    assert_eq!(client.tty(0).unwrap_err().kind(), ErrorKind::Busy);
    let mut borrower = std::fs::File::from(lease.ptx.try_clone().unwrap());
    borrower.write_all(b"hello\r").unwrap();
    // The console's pts echoes what is typed, through monitor and ring back to the borrower.
    let mut echoed = [0; 7];
    borrower.read_exact(&mut echoed).unwrap();
    assert_eq!(&echoed, b"hello\r\n");
    let log = client.console_log(ConsoleLogRequest { read: true, ..Default::default() }).unwrap();
    assert_eq!(log, b"hello\r\n");
    // A container that floods its console while the borrower sleeps: nobody is held up, the newest is kept.
    let console = std::fs::OpenOptions::new().write(true).open(&monitor.console).unwrap();
    let started = Instant::now();
    for number in 0..2000 {
        (&console).write_all(format!("line {number} {}\n", "x".repeat(80)).as_bytes()).unwrap();
    }
    assert!(started.elapsed() < Duration::from_secs(10));
    monitor.assert_well();
    let end = Instant::now() + Duration::from_secs(5);
    let mut log = Vec::new();
    while !String::from_utf8_lossy(&log).contains("line 1999 ") && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
        log = client.console_log(ConsoleLogRequest { read: true, ..Default::default() }).unwrap_or_default();
    }
    assert!(String::from_utf8_lossy(&log).contains("line 1999 "));
    assert!(log.len() <= 4096);
    // Given back, it can be lent again.
    drop(lease);
    drop(borrower);
    let end = Instant::now() + Duration::from_secs(5);
    while client.tty(0).is_err() {
        assert!(Instant::now() < end);
    }
}

#[test]
fn signals_reach_init() {
    let mut monitor = Monitor::start();
    monitor.signal(Signal::TERM);
    monitor.line("init: TERM");
    // A hang-up asks it to terminate.
    monitor.signal(Signal::HUP);
    monitor.line("init: TERM");
    monitor.assert_well();
    monitor.signal(Signal::KILL);
    let end = Instant::now() + Duration::from_secs(5);
    while monitor.client().state().unwrap() != State::Stopped {
        assert!(Instant::now() < end);
    }
}

#[test]
fn death_by_hang_up_is_a_reboot_and_anything_else_a_stop() {
    for (signal, expected) in [
        (Signal::HUP, "Reboot"),
        (Signal::INT, "Stopped { wait_status: 2 }"),
        (Signal::KILL, "Stopped { wait_status: 9 }"),
    ] {
        let mut monitor = Monitor::start();
        monitor.kill_init(signal);
        assert_eq!(monitor.line("outcome "), expected);
        monitor.init = 0;
    }
}

#[test]
fn the_end_is_told_in_the_order_of_the_original() {
    let mut monitor = Monitor::start();
    let client = monitor.client();
    let wait = |states: &[State]| match client.add_state_client(interest(states)).unwrap() {
        StateWait::Later(stream) => stream,
        StateWait::Now(state) => panic!("{state} already"),
    };
    let (stopping, stopped) = (wait(&[State::Stopping]), wait(&[State::Stopped]));
    let mut idle = monitor.connect();
    let mut stop = monitor.connect();
    stop.write_all(&RequestHeader { command: 2, datalen: 0, data: 0 }.encode()).unwrap();
    stop.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(stop.read(&mut [0; 1]).is_err(), "STOP has no reply while the container lives");
    monitor.kill_init(Signal::KILL);
    monitor.init = 0;
    monitor.line("stopped");
    assert_eq!(
        stopping.wait(Some(Duration::from_secs(5))).unwrap().unwrap().as_state(),
        Some(State::Stopping)
    );
    // The name is free although the clean-up goes on; everybody who waits for its end still waits.
    assert_eq!(client.state().unwrap(), State::Stopped);
    assert_eq!(stopped.wait(Some(Duration::from_millis(200))).unwrap_err().kind(), ErrorKind::TimedOut);
    idle.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    assert!(idle.read(&mut [0; 1]).is_err(), "an idle connection ends last");
    assert!(stop.read(&mut [0; 1]).is_err());
    monitor.process.stdin.as_mut().unwrap().write_all(b"x").unwrap();
    monitor.line("closed");
    assert_eq!(stopped.wait(Some(Duration::from_secs(5))).unwrap(), None);
    assert_eq!(idle.read(&mut [0; 1]).unwrap(), 0);
    assert_eq!(stop.read(&mut [0; 1]).unwrap(), 0);
}

#[test]
fn a_stopped_monitor_does_not_hang_its_readers() {
    let monitor = Monitor::start();
    monitor.signal(Signal::STOP);
    let stat = || std::fs::read_to_string(format!("/proc/{}/stat", monitor.process.id())).unwrap();
    while !stat().contains(") T ") {
        std::thread::sleep(Duration::from_millis(1));
    }
    let started = Instant::now();
    let client = monitor.client().with_patience(Duration::from_millis(300));
    assert_eq!(client.state().unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(client.init_pid().unwrap_err().kind(), ErrorKind::TimedOut);
    // Not even when its backlog is full.
    let waiting: Vec<_> = (0..150)
        .filter_map(|_| {
            let name = paths::command_socket(&monitor.lxcpath, "c1");
            lxc_sys::socket::connect_abstract(&name, Some(Duration::from_millis(5))).ok()
        })
        .collect();
    assert!(waiting.len() < 150);
    assert_eq!(client.state().unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    monitor.signal(Signal::CONT);
    monitor.assert_well();
}

#[test]
fn waiting_ends_with_the_state_the_time_or_the_container() {
    let monitor = Monitor::start();
    let set = |text: &str| text.parse::<StateSet>().unwrap();
    let wait = |text, timeout| lxc_core::state::wait(&monitor.client(), set(text), timeout);
    let second = Some(Duration::from_secs(1));
    assert_eq!(wait("RUNNING|STOPPED", second).unwrap(), State::Running);
    assert_eq!(wait("STOPPED", Some(Duration::ZERO)).unwrap_err().kind(), ErrorKind::TimedOut);
    let started = Instant::now();
    assert_eq!(wait("STOPPED", second).unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(started.elapsed() >= Duration::from_secs(1));
    let absent = Client::new(Path::new("/tmp/cmd-live-nowhere"), "c1");
    assert_eq!(lxc_core::state::wait(&absent, set("STOPPED"), second).unwrap(), State::Stopped);
    let started = Instant::now();
    let error = lxc_core::state::wait(&absent, set("RUNNING"), second).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(started.elapsed() >= Duration::from_secs(1) && started.elapsed() < Duration::from_secs(2));
}

#[test]
fn tools_of_the_original_understand_us() {
    if !Path::new("/usr/bin/lxc-info").exists() || !is_root() {
        println!("needs root and the original's tools: not tested");
        return;
    }
    let mut monitor = Monitor::start();
    let dir = monitor.lxcpath.join("c1");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("config"), "lxc.rootfs.path = dir:/\n").unwrap();
    let tool = |name: &str, words: &[&str]| {
        let mut command = Command::new(format!("/usr/bin/{name}"));
        command.arg("-P").arg(&monitor.lxcpath).args(["-n", "c1"]).args(words).output().unwrap()
    };
    let said = |name: &str, words: &[&str]| String::from_utf8(tool(name, words).stdout).unwrap();
    assert_eq!(said("lxc-info", &["-s", "-H"]), "RUNNING\n");
    assert_eq!(said("lxc-info", &["-p", "-H"]), format!("{}\n", monitor.init));
    assert!(tool("lxc-wait", &["-s", "RUNNING", "-t", "5"]).status.success());
    assert!(!tool("lxc-wait", &["-s", "FROZEN", "-t", "1"]).status.success());
    let mut active = Command::new("/usr/bin/lxc-ls");
    let active = active.arg("-P").arg(&monitor.lxcpath).args(["--active", "-1"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&active.stdout), "c1\n");
    // Signalled by the pidfd we gave it, then told of the end by the end of its connection.
    let mut wait = Command::new("/usr/bin/lxc-wait");
    let mut wait = wait.arg("-P").arg(&monitor.lxcpath).args(["-n", "c1", "-s", "STOPPED"]).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    monitor.kill_init(Signal::KILL);
    monitor.line("stopped");
    std::thread::sleep(Duration::from_millis(200));
    assert!(wait.try_wait().unwrap().is_none(), "told before the end");
    monitor.process.stdin.as_mut().unwrap().write_all(b"x").unwrap();
    assert!(wait.wait().unwrap().success());
    assert_eq!(said_by(&monitor.lxcpath), "STOPPED\n");
    monitor.init = 0;
    std::fs::remove_dir_all(&monitor.lxcpath).unwrap();
}

fn said_by(lxcpath: &Path) -> String {
    let mut info = Command::new("/usr/bin/lxc-info");
    let output = info.arg("-P").arg(lxcpath).args(["-n", "c1", "-s", "-H"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}
