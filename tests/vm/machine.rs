//! The machine is what the other tests take it for: systemd, one hierarchy of control groups, an enforcing AppArmor.

use std::fs;

use testkit::{Run, cases};

cases! {
    fn systemd_is_running() {
        super::inside();
        assert_eq!(fs::read_to_string("/proc/1/comm").unwrap(), "systemd\n");
        Run::new("systemctl").arg("is-system-running").done().prints("running\n").ok();
    }

    fn every_controller_is_on_cgroup2() {
        super::inside();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(" - cgroup "), "{mounts}");
        let controllers = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap();
        for wanted in ["cpuset", "cpu", "io", "memory", "pids"] {
            assert!(controllers.split_whitespace().any(|word| word == wanted), "{wanted}: {controllers}");
        }
    }

    fn apparmor_is_enforcing() {
        super::inside();
        assert_eq!(fs::read_to_string("/sys/module/apparmor/parameters/enabled").unwrap(), "Y\n");
        let profiles = fs::read_to_string("/sys/kernel/security/apparmor/profiles").unwrap();
        assert!(profiles.contains("(enforce)"), "{profiles}");
    }
}
