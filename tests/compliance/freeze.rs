//! lxc-freeze and lxc-unfreeze, on the machine's hierarchies and on one pure cgroup2.

use std::fs;
use std::time::Duration;

use testkit::cgroup2::Pure;
use testkit::{Guest, cases};

/// Processor time init and its children have used, in ticks.
fn ticks(guest: &Guest) -> u64 {
    let pid = guest.sh_pid();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

trait Busy {
    fn sh_pid(&self) -> u32;
}

impl Busy for Guest {
    fn sh_pid(&self) -> u32 {
        self.pid()
    }
}

fn freezes(guest: &Guest) {
    guest.tool("lxc-start").args(["--", "/bin/sh", "-c", "while :; do :; done"]).done().exits(0).ok();
    guest.await_state("RUNNING");
    guest.tool("lxc-freeze").done().exits(0).prints("").silent().ok();
    assert_eq!(guest.state(), "FROZEN");
    let before = ticks(guest);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(ticks(guest), before, "a frozen process runs");
    guest.tool("lxc-freeze").done().exits(0).ok();
    guest.tool("lxc-unfreeze").done().exits(0).prints("").silent().ok();
    assert_eq!(guest.state(), "RUNNING");
    assert!(
        testkit::eventually(Duration::from_secs(2), || ticks(guest) > before),
        "a thawed process does not run"
    );
    guest.tool("lxc-unfreeze").done().exits(0).ok();
}

cases! {
    fn on_this_machine() {
        freezes(&Guest::build("freeze").make());
    }

    fn on_pure_cgroup2() {
        let pure = Pure::new();
        freezes(&Guest::build("freeze").under(pure.prefix()).make());
    }

    fn a_frozen_one_can_be_killed() {
        let guest = Guest::build("freeze").start();
        guest.tool("lxc-freeze").done().exits(0).ok();
        guest.kill();
        guest.assert_nothing_left();
    }

    fn the_whole_life_on_pure_cgroup2() {
        let pure = Pure::new();
        let guest = Guest::build("freeze").under(pure.prefix()).start();
        let cgroups = fs::read_to_string(format!("/proc/{}/cgroup", guest.pid())).unwrap();
        let unified = cgroups.lines().find(|line| line.starts_with("0::")).unwrap();
        assert_eq!(unified, format!("0::/lxc.payload.{}", guest.name()));
        assert_eq!(guest.sh("echo inside"), "inside\n");
        guest.tool("lxc-stop").args(["-t", "10"]).done().exits(0).ok();
        guest.await_gone();
        guest.assert_nothing_left();
    }
}
