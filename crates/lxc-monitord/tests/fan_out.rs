//! The daemon as a process: what is published reaches every listener, one daemon per lxcpath, and how it ends.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use lxc_core::paths;
use lxc_core::state::announce::publish;
use lxc_core::state::{LxcMsg, State};

struct Running {
    child: Child,
    lxcpath: PathBuf,
}

impl Running {
    fn start(label: &str) -> Running {
        let lxcpath = std::env::temp_dir().join(format!("monitord-{label}-{}", std::process::id()));
        let child = daemon(&lxcpath).spawn().unwrap();
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
