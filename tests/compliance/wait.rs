//! lxc-wait: states, timeouts, and what happens when the container changes meanwhile.

use std::process::Stdio;
use std::time::Duration;

use testkit::{Guest, cases, eventually};

cases! {
    fn a_state_that_is_there() {
        let guest = Guest::build("wait").start();
        guest.tool("lxc-wait").args(["-s", "RUNNING"]).done().exits(0).prints("").silent().ok();
        guest.tool("lxc-wait").args(["-s", "STOPPED|RUNNING", "-t", "5"]).done().exits(0).ok();
        guest.tool("lxc-wait").args(["--state=RUNNING", "--timeout=5"]).done().exits(0).ok();
    }

    fn a_timeout_fails() {
        let guest = Guest::build("wait").start();
        let done = guest.tool("lxc-wait").args(["-s", "STOPPED", "-t", "1"]).done().exits(1);
        assert!(done.elapsed > Duration::from_millis(900), "{done}");
    }

    fn words_it_does_not_know() {
        let guest = Guest::build("wait").make();
        guest.tool("lxc-wait").args(["-s", "running"]).done().exits(1).says("invalid state 'running'").ok_on_stdout();
        guest.tool("lxc-wait").done().exits(1).ok_on_stdout();
    }

    fn it_sees_the_stop() {
        let guest = Guest::build("wait").start();
        let mut waiter = guest.tool("lxc-wait").args(["-s", "STOPPED", "-t", "30"]).spawn(Stdio::null(), Stdio::null());
        std::thread::sleep(Duration::from_millis(200));
        assert!(waiter.try_wait().unwrap().is_none(), "it does not wait");
        guest.kill();
        let mut status = None;
        eventually(Duration::from_secs(5), || { status = waiter.try_wait().unwrap(); status.is_some() });
        assert_eq!(status.and_then(|status| status.code()), Some(0));
    }

    fn it_sees_a_freeze() {
        let guest = Guest::build("wait").start();
        let mut waiter = guest.tool("lxc-wait").args(["-s", "FROZEN", "-t", "30"]).spawn(Stdio::null(), Stdio::null());
        std::thread::sleep(Duration::from_millis(200));
        guest.tool("lxc-freeze").done().exits(0).ok();
        let mut status = None;
        eventually(Duration::from_secs(5), || { status = waiter.try_wait().unwrap(); status.is_some() });
        assert_eq!(status.and_then(|status| status.code()), Some(0));
    }

    fn a_stopped_one_that_should_run_times_out() {
        let guest = Guest::build("wait").make();
        guest.tool("lxc-wait").args(["-s", "RUNNING", "-t", "1"]).done().exits(1).ok_on_stdout();
        guest.tool("lxc-wait").args(["-s", "RUNNING", "-t", "0"]).done().exits(1).ok_on_stdout();
    }
}
