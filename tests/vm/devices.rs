//! Device rules by BPF, and the freezer, where a container has a real control group of its own.

use std::time::Duration;

use testkit::{Guest, cases, eventually};

use super::{number, read};

/// Runs it inside; true when the kernel refused it.
fn refused(guest: &Guest, command: &str) -> bool {
    let done = guest.attach(["sh", "-c", command]);
    assert!(done.code == 0 || done.stderr.contains("Operation not permitted"), "{done}");
    done.code != 0
}

cases! {
    fn rules_are_in_force_and_change_while_it_runs() {
        super::inside();
        let rules = "a|c *:* m|b *:* m|c 1:3 rwm|c 1:9 rwm|c 5:* rwm|c 136:* rwm";
        let mut lines = String::new();
        for (index, rule) in rules.split('|').enumerate() {
            let list = if index == 0 { "deny" } else { "allow" };
            lines.push_str(&format!("lxc.cgroup2.devices.{list} = {rule}\n"));
        }
        let guest = Guest::build("devices").conf(&lines).start();
        let zero = "head -c 1 /dev/zero > /dev/null";
        assert!(refused(&guest, zero), "the list is not in force");
        assert!(!refused(&guest, "head -c 1 /dev/urandom > /dev/null"));
        // The disk of the machine: making the node is allowed, using it is not.
        guest.sh("mknod /tmp/disk b 254 0");
        assert!(refused(&guest, "head -c 1 /tmp/disk > /dev/null"));
        guest.tool("lxc-cgroup").args(["devices.allow", "c 1:5 rwm"]).done().exits(0).silent().ok();
        assert!(!refused(&guest, zero), "allowed, but refused");
        guest.tool("lxc-cgroup").args(["devices.deny", "c 1:5 r"]).done().exits(0).silent().ok();
        assert!(refused(&guest, zero), "denied, but possible");
        assert!(!refused(&guest, "echo > /dev/zero"), "only reading was denied");
    }

    fn keys_of_the_old_kind_make_rules() {
        super::inside();
        let guest = Guest::build("devices").conf("lxc.cgroup.devices.deny = c 1:5 rwm").start();
        assert!(refused(&guest, "head -c 1 /dev/zero > /dev/null"));
        assert!(!refused(&guest, "head -c 1 /dev/urandom > /dev/null"));
    }

    fn without_rules_nothing_is_refused() {
        super::inside();
        let guest = Guest::build("devices").start();
        assert!(!refused(&guest, "head -c 1 /dev/zero > /dev/null; mknod /tmp/disk b 254 0; head -c 1 /tmp/disk > /dev/null"));
    }

    fn a_frozen_container_makes_no_progress() {
        super::inside();
        let guest = Guest::build("devices").start();
        guest.attach(["sh", "-c", "(while :; do echo >> /tmp/ticks; sleep 0.1; done) > /dev/null 2>&1 &"]).exits(0).ok();
        let ticks = || std::fs::metadata(guest.rootfs().join("tmp/ticks")).map_or(0, |file| file.len());
        assert!(eventually(Duration::from_secs(20), || ticks() > 2));
        guest.tool("lxc-freeze").done().exits(0).silent().ok();
        assert_eq!(guest.state(), "FROZEN");
        assert_eq!(read(&guest, "cgroup.freeze"), "1\n");
        assert_eq!(number(&guest, "cgroup.events", "frozen"), 1);
        let before = ticks();
        std::thread::sleep(Duration::from_millis(800));
        assert_eq!(ticks(), before, "it went on");
        guest.tool("lxc-unfreeze").done().exits(0).silent().ok();
        assert!(eventually(Duration::from_secs(20), || ticks() > before), "it did not go on");
        assert_eq!(guest.state(), "RUNNING");
    }
}
