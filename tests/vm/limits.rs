//! Limits that bite: what is over them is killed, refused or held back, and what is below them is not.

use std::time::{Duration, Instant};

use testkit::{Guest, cases, eventually};

use super::{number, read};

/// Touches 64 MiB.
const GREEDY: [&str; 5] = ["dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"];

cases! {
    fn memory_over_the_limit_is_killed() {
        super::inside();
        let guest = Guest::build("limits")
            .conf("lxc.cgroup2.memory.max = 24M\nlxc.cgroup2.memory.swap.max = 0")
            .start();
        assert_eq!(read(&guest, "memory.max"), "25165824\n");
        assert_eq!(number(&guest, "memory.events", "oom_kill"), 0);
        assert_eq!(guest.attach(GREEDY).code, 137, "it was not killed");
        assert!(number(&guest, "memory.events", "oom_kill") >= 1);
        assert_eq!(guest.state(), "RUNNING");
        // The same with more room: it was the limit that killed it.
        guest.tool("lxc-cgroup").args(["memory.max", "160M"]).done().exits(0).silent().ok();
        guest.attach(GREEDY).exits(0).ok_on_stdout();
    }

    fn processes_over_the_limit_are_refused() {
        super::inside();
        let guest = Guest::build("limits").conf("lxc.cgroup2.pids.max = 12").start();
        let many = ["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do sleep 3 >/dev/null & done; wait"];
        let done = guest.attach(many);
        assert!(done.code != 0 && done.stderr.contains("fork"), "{done}");
        assert!(number(&guest, "pids.events", "max") >= 1);
        guest.tool("lxc-cgroup").args(["pids.max", "100"]).done().exits(0).silent().ok();
        guest.attach(many).exits(0).silent().ok();
    }

    fn a_busy_loop_is_held_back() {
        super::inside();
        let guest = Guest::build("limits").conf("lxc.cgroup2.cpu.max = 20000 100000").start();
        guest.attach(["sh", "-c", "(while :; do :; done) > /dev/null 2>&1 &"]).exits(0).ok();
        let throttled = || number(&guest, "cpu.stat", "nr_throttled");
        let used = || number(&guest, "cpu.stat", "usage_usec");
        let (before, used_before, started) = (throttled(), used(), Instant::now());
        assert!(eventually(Duration::from_secs(60), || throttled() > before + 8), "{}", read(&guest, "cpu.stat"));
        // A fifth of one processor; a loop that is not held back would use all of it.
        let (used, elapsed) = (used() - used_before, started.elapsed().as_micros() as u64);
        assert!(used * 3 < elapsed, "{used} of {elapsed} microseconds");
        // Without the limit the same loop is left alone.
        guest.tool("lxc-cgroup").args(["cpu.max", "max"]).done().exits(0).silent().ok();
        let before = throttled();
        std::thread::sleep(Duration::from_millis(700));
        assert_eq!(throttled(), before, "{}", read(&guest, "cpu.stat"));
    }

    fn processors_are_the_ones_given() {
        super::inside();
        let guest = Guest::build("limits").conf("lxc.cgroup2.cpuset.cpus = 1").start();
        assert_eq!(guest.sh("nproc"), "1\n");
        assert_eq!(guest.sh("grep Cpus_allowed_list /proc/self/status"), "Cpus_allowed_list:\t1\n");
    }

    fn keys_of_the_old_kind_are_put_into_new_words() {
        super::inside();
        let guest = Guest::build("limits")
            .conf("lxc.cgroup.memory.limit_in_bytes = 48M\nlxc.cgroup.cpu.shares = 512\nlxc.cgroup.pids.max = 40\n\
                   lxc.cgroup.cpu.cfs_quota_us = 50000")
            .start();
        assert_eq!(read(&guest, "memory.max"), "50331648\n");
        assert_eq!(read(&guest, "cpu.weight"), "20\n");
        assert_eq!(read(&guest, "pids.max"), "40\n");
        assert_eq!(read(&guest, "cpu.max"), "50000 100000\n");
        // Reading and writing, too.
        let tool = |words: &[&str]| guest.tool("lxc-cgroup").args(words).done();
        tool(&["memory.max", "64M"]).exits(0).silent().ok();
        tool(&["memory.max"]).exits(0).prints("67108864\n\n").ok();
        assert_eq!(guest.attach(["sh", "-c", "dd if=/dev/zero of=/dev/null bs=128M count=1"]).code, 137);
    }

    fn a_limit_the_kernel_refuses_fails_the_start() {
        super::inside();
        let guest = Guest::build("limits").conf("lxc.cgroup2.memory.max = nonsense").make();
        guest.try_start().exits(1).says("memory.max").ok_on_stdout();
        guest.assert_nothing_left();
    }
}
