//! The daemon as a process: what is published reaches every listener, one daemon per lxcpath, and how it ends.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lxc_core::paths;
use lxc_core::state::announce::publish;
use lxc_core::state::{LxcMsg, State};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use rustix::thread::set_thread_res_uid;

struct Running {
    child: Child,
    lxcpath: PathBuf,
}

impl Running {
    fn start(label: &str) -> Running {
        let lxcpath = std::env::temp_dir().join(format!("monitord-{label}-{}", std::process::id()));
        Running::started(daemon(&lxcpath).spawn().unwrap(), lxcpath)
    }

    fn started(child: Child, lxcpath: PathBuf) -> Running {
        let running = Running { child, lxcpath };
        let end = Instant::now() + Duration::from_secs(10);
        while running.listen().is_err() {
            assert!(Instant::now() < end, "the daemon does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        running
    }

    fn listen(&self) -> std::io::Result<UnixStream> {
        let address = paths::monitor_socket(&self.lxcpath).unwrap();
        let socket = UnixStream::connect_addr(&SocketAddr::from_abstract_name(address)?)?;
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(socket)
    }

    fn fifo(&self) -> PathBuf {
        paths::monitor_fifo(&paths::runtime_dir().unwrap(), &self.lxcpath)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(self.fifo().parent().unwrap());
    }
}

fn daemon(lxcpath: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lxc-monitord"));
    command.arg("--daemon").arg(lxcpath);
    command
}

fn message(socket: &mut UnixStream) -> LxcMsg {
    let mut bytes = [0; LxcMsg::SIZE];
    socket.read_exact(&mut bytes).unwrap();
    LxcMsg::decode(&bytes)
}

#[test]
fn every_listener_hears_every_event() {
    let running = Running::start("hear");
    let mut first = running.listen().unwrap();
    let mut second = running.listen().unwrap();
    // Admission happens in the order of the connections: whoever answers to the second knows the first.
    std::thread::sleep(Duration::from_millis(100));
    let events = [LxcMsg::state("c1", State::Starting), LxcMsg::exit_code("c1", 0x0100)];
    events.iter().for_each(|event| publish(&running.lxcpath, event));
    for listener in [&mut first, &mut second] {
        assert_eq!([message(listener), message(listener)], events);
    }
    drop(first);
    publish(&running.lxcpath, &events[0]);
    assert_eq!(message(&mut second), events[0]);
}

#[test]
fn a_second_daemon_gives_way() {
    let running = Running::start("second");
    let output = daemon(&running.lxcpath).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("another lxc-monitord"));
    assert!(running.listen().is_ok(), "the first one still serves");
}

#[test]
fn quit_ends_it_and_removes_the_fifo() {
    let mut running = Running::start("quit");
    assert!(running.fifo().exists());
    running.listen().unwrap().write_all(b"quit").unwrap();
    assert!(running.child.wait().unwrap().success());
    assert!(!running.fifo().exists());
    assert!(running.listen().is_err());
}

#[test]
fn a_listener_that_does_not_read_is_cut_off_and_holds_nobody_up() {
    let running = Running::start("slow");
    let mut slow = running.listen().unwrap();
    let mut quick = running.listen().unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let event = LxcMsg::state("c1", State::Running);
    for _ in 0..4000 {
        publish(&running.lxcpath, &event);
        assert_eq!(message(&mut quick), event);
    }
    let mut rest = Vec::new();
    slow.read_to_end(&mut rest).unwrap();
    assert!(rest.len() < 4000 * LxcMsg::SIZE);
}

#[test]
fn the_signals_of_the_original_end_it_in_good_order() {
    for signal in [Signal::TERM, Signal::SEGV, Signal::BUS, Signal::ILL] {
        let mut running = Running::start(&format!("signal{}", signal.as_raw()));
        let pid = Pid::from_child(&running.child);
        // Not this one.
        kill_process(pid, Signal::HUP).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        assert!(running.listen().is_ok(), "a hang-up ends nothing");
        kill_process(pid, signal).unwrap();
        assert_eq!(running.child.wait().unwrap().code(), Some(0), "{signal:?}");
        assert!(!running.fifo().exists(), "{signal:?}");
    }
}

#[test]
fn only_its_owner_may_use_the_fifo() {
    let running = Running::start("mode");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&running.fifo()), 0o600);
    assert_eq!(mode(running.fifo().parent().unwrap()) & 0o022, 0);
}

#[test]
fn a_stranger_is_turned_away() {
    if !geteuid().is_root() {
        // Only root can become a stranger.
        return;
    }
    let running = Running::start("stranger");
    let mut own = running.listen().unwrap();
    std::thread::scope(|scope| {
        // The kernel keeps user ids per thread, and the peer's are those of the thread that connected.
        let stranger = scope.spawn(|| {
            let nobody = rustix::fs::Uid::from_raw(65534);
            set_thread_res_uid(nobody, nobody, nobody).unwrap();
            let mut socket = running.listen().unwrap();
            let mut bytes = Vec::new();
            // Nothing must come of it, whether it was read before the hang-up or not.
            let _ = socket.write_all(b"quit");
            match socket.read_to_end(&mut bytes) {
                Ok(_) => {}
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
            }
            assert_eq!(bytes, []);
        });
        stranger.join().unwrap();
    });
    let event = LxcMsg::state("c1", State::Frozen);
    publish(&running.lxcpath, &event);
    assert_eq!(message(&mut own), event);
}

#[test]
fn stray_bytes_do_not_shift_the_messages_after_them() {
    let running = Running::start("stray");
    let mut listener = running.listen().unwrap();
    let mut fifo = std::fs::OpenOptions::new().write(true).open(running.fifo()).unwrap();
    fifo.write_all(b"no message").unwrap();
    let end = Instant::now() + Duration::from_secs(10);
    while rustix::io::ioctl_fionread(&fifo).unwrap() > 0 {
        assert!(Instant::now() < end, "the daemon does not read");
    }
    let event = LxcMsg::state("c1", State::Running);
    publish(&running.lxcpath, &event);
    assert_eq!(message(&mut listener), event);
}

/// The daemon as lxc-monitor starts it, its descriptor being our pipe.
fn on_demand(lxcpath: &Path) -> Child {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", r#"exec "$0" "$1" 5 5>&1 >/dev/null"#, env!("CARGO_BIN_EXE_lxc-monitord")]);
    shell.arg(lxcpath).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn it_says_when_it_listens_and_a_second_one_says_nothing() {
    let lxcpath = std::env::temp_dir().join(format!("monitord-sync-{}", std::process::id()));
    let mut running = Running { child: on_demand(&lxcpath), lxcpath };
    let said = |child: &mut Child| {
        let mut bytes = Vec::new();
        child.stdout.take().unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    };
    assert_eq!(said(&mut running.child), b"S", "and lets go of the pipe");
    let mut socket = running.listen().unwrap();
    let mut second = on_demand(&running.lxcpath);
    assert_eq!(said(&mut second), b"");
    assert_eq!(second.wait().unwrap().code(), Some(1));
    socket.write_all(b"quit").unwrap();
    assert!(running.child.wait().unwrap().success());
}

#[test]
fn a_successor_may_come_while_it_ends() {
    for round in 0..20 {
        let mut running = Running::start("successor");
        running.listen().unwrap().write_all(b"quit").unwrap();
        let end = Instant::now() + Duration::from_secs(5);
        while running.fifo().exists() {
            assert!(Instant::now() < end);
        }
        // It no longer has the fifo, but may have the socket.
        let mut successor = on_demand(&running.lxcpath);
        let mut byte = [0];
        let said = successor.stdout.take().unwrap().read(&mut byte).unwrap();
        assert!(running.child.wait().unwrap().success());
        let mut successor = Running { child: successor, lxcpath: running.lxcpath.clone() };
        assert_eq!((said, byte), (1, *b"S"), "round {round}");
        successor.listen().unwrap().write_all(b"quit").unwrap();
        assert!(successor.child.wait().unwrap().success());
    }
}

#[test]
fn with_all_its_descriptors_used_it_rests_and_goes_on_when_there_are_some() {
    let lxcpath = std::env::temp_dir().join(format!("monitord-full-{}", std::process::id()));
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", r#"ulimit -n 16; exec "$0" --daemon "$1""#, env!("CARGO_BIN_EXE_lxc-monitord")]);
    let running = Running::started(shell.arg(&lxcpath).spawn().unwrap(), lxcpath);
    let mut crowd: Vec<UnixStream> = (0..20).map(|_| running.listen().unwrap()).collect();
    std::thread::sleep(Duration::from_millis(1500));
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", running.child.id())).unwrap();
    // proc(5): utime and stime, in hundredths of a second.
    let ticks: u64 = stat.split(' ').skip(13).take(2).map(|word| word.parse::<u64>().unwrap()).sum();
    assert!(ticks < 50, "{ticks} ticks");
    let mut last = crowd.pop().unwrap();
    drop(crowd);
    std::thread::sleep(Duration::from_millis(1500));
    let event = LxcMsg::state("c1", State::Running);
    publish(&running.lxcpath, &event);
    assert_eq!(message(&mut last), event);
}

#[test]
fn wrong_words_get_the_usage() {
    for words in [&["/p"][..], &[], &["--daemon", "/p", "x"], &["/p", "x"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_lxc-monitord")).args(words).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(output.stderr.starts_with(b"Usage: lxc-monitord LXCPATH"), "{words:?}");
        assert_eq!(output.stdout, []);
    }
}
