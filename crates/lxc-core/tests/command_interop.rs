//! Our client against the monitor of the original: every command, on a container that C lxc-start runs.
//!
//! Needs root and the original in /usr/bin; says so and passes otherwise.
#![allow(clippy::panic, clippy::print_stdout, clippy::unwrap_used, reason = "a test")]

use std::path::Path;
use std::time::Duration;

use lxc_core::ErrorKind;
use lxc_core::command::wire::{ConsoleLogRequest, DeviceItem};
use lxc_core::command::{Client, StateWait};
use lxc_core::state::{State, StateSet, wait};
use testkit::{Guest, Subject};

fn theirs(conf: &str) -> Option<Guest> {
    if !rustix::process::geteuid().is_root() || !Path::new("/usr/bin/lxc-start").exists() {
        println!("needs root and the original: not tested");
        return None;
    }
    Some(Guest::build("cmd").subject(Subject::Theirs).conf(conf).start())
}

fn client(guest: &Guest) -> Client {
    Client::new(guest.lxcpath(), guest.name())
}

const SECOND: Option<Duration> = Some(Duration::from_secs(1));

#[test]
fn every_question_has_the_answer_of_the_original() {
    let Some(guest) = theirs("lxc.console.buffer.size = 4096\nlxc.tty.max = 2\nlxc.environment = A=1") else {
        return;
    };
    let client = client(&guest);
    assert_eq!(client.state().unwrap(), State::Running);
    let pid = client.init_pid().unwrap();
    assert_eq!(pid.to_string(), guest.pid().to_string());
    assert_eq!(client.name().unwrap(), guest.name());
    assert_eq!(client.lxcpath().unwrap(), guest.lxcpath());
    assert_ne!(client.clone_flags().unwrap() & 0x2000_0000, 0, "a pid namespace");
    assert_eq!(client.config_item("lxc.uts.name").unwrap().as_deref(), Some(guest.name()));
    assert_eq!(client.config_item("lxc.environment").unwrap().as_deref(), Some("A=1\n"));
    assert_eq!(client.config_item("lxc.hook.mount").unwrap(), None);
    assert_eq!(client.config_item("lxc.nonsense").unwrap(), None);
    let fdinfo = |fd: &std::os::fd::OwnedFd| {
        use std::os::fd::AsRawFd;
        std::fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd())).unwrap()
    };
    assert!(fdinfo(&client.init_pidfd().unwrap()).contains(&format!("Pid:\t{pid}\n")));
    client.devpts_fd().unwrap();
    assert_eq!(client.seccomp_notify_fd().unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(client.systemd_scope().unwrap(), None);

    let cgroups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let dirs = client.cgroup_ctx().unwrap();
    assert_eq!(dirs.fds.len(), cgroups.lines().count());
    let unified_only = cgroups.lines().count() == 1;
    if unified_only {
        client.cgroup2_fd().unwrap();
        client.limit_cgroup2_fd().unwrap();
    } else {
        assert_eq!(client.cgroup2_fd().unwrap_err().kind(), ErrorKind::Unsupported);
        assert_eq!(client.limit_cgroup2_fd().unwrap_err().kind(), ErrorKind::Unsupported);
        assert_eq!(client.freeze(SECOND).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(client.unfreeze(SECOND).unwrap_err().kind(), ErrorKind::NotFound);
    }
    let memory = client.cgroup(Some("memory")).unwrap();
    assert!(cgroups.lines().any(|line| line.ends_with(&format!(":{memory}"))), "{memory} in {cgroups}");
    assert_eq!(client.limit_cgroup(Some("memory")).unwrap(), memory);
    assert_eq!(client.cgroup(Some("nonsense")).unwrap_err().kind(), ErrorKind::NotFound);
    for dir in [client.cgroup_fd("memory").unwrap(), client.limit_cgroup_fd("memory").unwrap()] {
        use std::os::fd::AsRawFd;
        let path = std::fs::read_link(format!("/proc/self/fd/{}", dir.fd.as_raw_fd())).unwrap();
        assert!(path.to_str().unwrap().ends_with(&memory), "{path:?} is not {memory}");
        assert_eq!(dir.unified, unified_only);
    }
    assert_eq!(client.cgroup_fd("nonsense").unwrap_err().kind(), ErrorKind::NotFound);

    let any = client.tty(-1).unwrap();
    assert_eq!(any.number, 1);
    assert_eq!(client.tty(1).unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(client.tty(7).unwrap_err().kind(), ErrorKind::Busy);
    let console = client.tty(0).unwrap();
    assert_eq!(console.number, 0);
    assert_eq!(client.tty(0).unwrap_err().kind(), ErrorKind::Busy);
    drop((any, console));

    guest.sh("echo marker > /dev/console; sleep 0.2");
    let read = ConsoleLogRequest { read: true, ..ConsoleLogRequest::default() };
    let log = client.console_log(read).unwrap();
    assert!(String::from_utf8_lossy(&log).contains("marker"), "{log:?}");
    assert_eq!(client.console_log(read).unwrap_err().kind(), ErrorKind::NotFound);
    client.console_log(ConsoleLogRequest { clear: true, ..ConsoleLogRequest::default() }).unwrap();

    // On a host with a devices hierarchy of version 1 there is no program to add to; the answer may be either.
    let rule = DeviceItem { kind: b'c', major: 1, minor: 3, access: *b"rwm\0", allow: true };
    let _ = client.bpf_device(&rule);
    assert_eq!(client.state().unwrap(), State::Running);
}

#[test]
fn a_console_that_is_not_buffered_says_so() {
    let Some(guest) = theirs("") else { return };
    let read = ConsoleLogRequest { read: true, ..ConsoleLogRequest::default() };
    assert_eq!(client(&guest).console_log(read).unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn states_are_told_and_a_stop_ends_with_the_monitor() {
    let Some(guest) = theirs("") else { return };
    let client = client(&guest);
    let set = |text: &str| text.parse::<StateSet>().unwrap();
    assert_eq!(wait(&client, set("RUNNING"), SECOND).unwrap(), State::Running);
    let StateWait::Later(frozen) = client.add_state_client(set("FROZEN").interest()).unwrap() else {
        panic!("is not frozen")
    };
    client.serve_state_clients(State::Frozen).unwrap();
    assert_eq!(frozen.wait(SECOND).unwrap().unwrap().as_state(), Some(State::Frozen));
    client.serve_state_clients(State::Thawed).unwrap();
    assert_eq!(client.state().unwrap(), State::Running);
    let StateWait::Later(stopped) = client.add_state_client(set("STOPPED").interest()).unwrap() else {
        panic!("is not stopped")
    };
    client.stop(Some(Duration::from_secs(20))).unwrap();
    assert_eq!(stopped.wait(Some(Duration::from_secs(5))).unwrap(), None);
    assert_eq!(client.state().unwrap(), State::Stopped);
    assert_eq!(client.init_pid().unwrap_err().kind(), ErrorKind::NotRunning);
    client.stop(SECOND).unwrap();
    assert_eq!(wait(&client, set("STOPPED"), SECOND).unwrap(), State::Stopped);
}
