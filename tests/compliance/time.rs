//! The time namespace: clocks inside are shifted, for init and for what is attached.

use std::fs;

use testkit::{Guest, Run, cases};

/// Seconds of a clock of Python's `time`, as a process in the guest's time namespace (or, without one, here) reads it.
fn clock(name: &str, pid: Option<u32>) -> f64 {
    let code = format!("import time; print(time.clock_gettime(time.CLOCK_{name}))");
    let run = match pid {
        Some(pid) => {
            Run::new("nsenter").args(["--time", "--target", &pid.to_string(), "python3", "-c", &code])
        }
        None => Run::new("python3").args(["-c", &code]),
    };
    run.done().exits(0).ok().trim().parse().unwrap()
}

fn near(left: f64, right: f64) -> bool {
    (left - right).abs() < 20.0
}

cases! {
    fn offsets_shift_the_clocks() {
        let guest = Guest::build("time").conf("lxc.time.offset.boot = 100h").start();
        assert!(near(clock("BOOTTIME", Some(guest.pid())) - clock("BOOTTIME", None), 360_000.0));
        assert!(near(clock("MONOTONIC", Some(guest.pid())), clock("MONOTONIC", None)));
        assert!(near(clock("REALTIME", Some(guest.pid())), clock("REALTIME", None)));
    }

    fn an_attached_process_has_the_same_clocks() {
        let guest = Guest::build("time").conf("lxc.time.offset.boot = 100h").start();
        let uptime: f64 = guest.sh("cut -d' ' -f1 /proc/uptime").trim().parse().unwrap();
        assert!(near(uptime, clock("BOOTTIME", None) + 360_000.0), "{uptime}");
        let link = fs::read_link(format!("/proc/{}/ns/time", guest.pid())).unwrap();
        assert_eq!(guest.sh("readlink /proc/self/ns/time").trim(), link.to_str().unwrap());
        assert_ne!(link, fs::read_link("/proc/self/ns/time").unwrap());
    }

    fn init_itself_is_in_it() {
        let guest = Guest::build("time").conf("lxc.time.offset.boot = 100h").make();
        let done = guest.tool("lxc-execute").args(["--", "cut", "-d.", "-f1", "/proc/uptime"]).done().exits(0);
        let uptime: f64 = done.stdout.trim().parse().unwrap();
        assert!(near(uptime, clock("BOOTTIME", None) + 360_000.0), "{uptime}");
    }

    fn clocks_that_would_be_negative() {
        let guest = Guest::build("time").conf("lxc.time.offset.boot = -100000000h").make();
        guest.try_start().exits(1).ok_on_stdout();
        guest.assert_nothing_left();
    }

    fn without_offsets_the_namespace_is_the_hosts() {
        let guest = Guest::build("time").start();
        let link = fs::read_link(format!("/proc/{}/ns/time", guest.pid())).unwrap();
        assert_eq!(link, fs::read_link("/proc/self/ns/time").unwrap());
    }
}
