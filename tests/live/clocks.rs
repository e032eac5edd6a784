//! Time namespaces and core scheduling, where Debian's original fails or does not say why.

use std::fs;

use testkit::{Guest, Run, cases};

fn python(prefix: &[&str], code: &str) -> String {
    let words = [prefix, &["python3", "-c", code]].concat();
    Run::new(words[0]).args(&words[1..]).done().exits(0).ok().trim().to_owned()
}

fn monotonic(prefix: &[&str]) -> f64 {
    python(prefix, "import time; print(time.clock_gettime(time.CLOCK_MONOTONIC))").parse().unwrap()
}

/// What prctl(2) says of a process's core-scheduling cookie: the cookie, or the errno negated.
fn cookie(pid: u32) -> i64 {
    let code = format!(
        "import ctypes; c = ctypes.c_ulong(0); l = ctypes.CDLL(None, use_errno=True)\n\
         r = l.prctl(62, 0, {pid}, 0, ctypes.byref(c))\nprint(-ctypes.get_errno() if r else c.value & 0x7fffffffffffffff)"
    );
    python(&[], &code).parse().unwrap()
}

cases! {
    fn the_monotonic_clock_is_shifted_both_ways() {
        for (offset, expected) in [("7000000s", 7_000_000.0), ("-1s", -1.0), ("90000000001us", 90_000.0)] {
            let guest = Guest::build("clocks").conf(&format!("lxc.time.offset.monotonic = {offset}")).start();
            let pid = guest.pid().to_string();
            let shift = monotonic(&["nsenter", "--time", "--target", &pid]) - monotonic(&["env"]);
            assert!((shift - expected).abs() < 20.0, "{offset}: {shift}");
            let text = fs::read_to_string(format!("/proc/{pid}/timens_offsets")).unwrap();
            let line = text.lines().find(|line| line.starts_with("monotonic")).unwrap();
            let written: i64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
            assert!((written as f64 - expected).abs() < 2.0, "{line}");
        }
    }

    fn a_core_scheduling_domain() {
        let guest = Guest::build("clocks").conf("lxc.sched.core = 1").make();
        match cookie(std::process::id()) {
            // EINVAL: a kernel without; ENODEV: a machine whose cores have one thread each.
            refused @ (-22 | -19) => {
                let done = guest.try_start().exits(1);
                let missing = if refused == -22 { "CONFIG_SCHED_CORE" } else { "SMT" };
                for word in ["lxc.sched.core", "config:", missing] {
                    assert!(done.stderr.contains(word), "{word}: {done}");
                }
                guest.assert_nothing_left();
            }
            _ => {
                guest.start();
                let of_init = cookie(guest.pid());
                assert!(of_init > 0 && of_init != cookie(std::process::id()), "{of_init}");
                let mut attached = guest.tool("lxc-attach").args(["--", "sleep", "1000"]).into_command().spawn().unwrap();
                std::thread::sleep(std::time::Duration::from_secs(1));
                let same = cookie(attached.id()) == of_init;
                attached.kill().unwrap();
                attached.wait().unwrap();
                assert!(same);
            }
        }
    }
}
