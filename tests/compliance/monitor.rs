//! lxc-monitor: which lines, in which order.

use std::fs::File;
use std::time::Duration;

use testkit::{Guest, cases, eventually};

/// Runs `events` while lxc-monitor watches; gives its lines.
fn watch(guest: &Guest, last: &str, events: impl FnOnce()) -> Vec<String> {
    let path = guest.lxcpath().join("monitor.out");
    let out = File::create(&path).unwrap();
    let mut watcher = guest.tool("lxc-monitor").spawn(out, std::process::Stdio::null());
    guest.await_watcher();
    events();
    let read = || std::fs::read_to_string(&path).unwrap();
    eventually(Duration::from_secs(10), || read().contains(last));
    drop(watcher.kill());
    drop(watcher.wait());
    guest.bare_tool("lxc-monitor").arg("-P").arg(guest.lxcpath()).arg("-Q").done();
    // The daemon ends by itself once told.
    let title = guest.lxcpath().to_str().unwrap().to_owned();
    eventually(Duration::from_secs(40), || {
        !testkit::leftovers::processes()
            .iter()
            .any(|(_, command)| command.contains("lxc-monitord") && command.contains(&title))
    });
    read().lines().map(|line| line.replace(guest.name(), "C")).collect()
}

cases! {
    fn a_start_and_a_kill() {
        let guest = Guest::build("monitor").make();
        let lines = watch(&guest, "[STOPPED]", || {
            guest.start();
            guest.kill();
        });
        let expected = [
            "'C' changed state to [STARTING]",
            "'C' changed state to [RUNNING]",
            "'C' exited with status [0]",
            "'C' changed state to [STOPPING]",
            "'C' changed state to [STOPPED]",
        ];
        assert_eq!(lines, expected);
    }

    fn the_status_is_what_init_returned() {
        let guest = Guest::build("monitor").make();
        let lines = watch(&guest, "[STOPPED]", || {
            guest.tool("lxc-start").args(["--", "/bin/sh", "-c", "sleep 0.3; exit 7"]).done().exits(0).ok();
            guest.await_gone();
        });
        assert_eq!(lines[2], "'C' exited with status [7]", "{lines:?}");
    }

    fn a_freeze_and_a_thaw() {
        let guest = Guest::build("monitor").start();
        let lines = watch(&guest, "[THAWED]", || {
            guest.tool("lxc-freeze").done().exits(0).ok();
            guest.tool("lxc-unfreeze").done().exits(0).ok();
            std::thread::sleep(Duration::from_millis(200));
        });
        let mut seen = lines.clone();
        seen.dedup();
        assert!(seen.iter().any(|line| line.ends_with("[FROZEN]")), "{lines:?}");
        let place = |word: &str| seen.iter().position(|line| line.ends_with(word)).unwrap_or(usize::MAX);
        assert!(place("[FREEZING]") < place("[FROZEN]") || place("[FREEZING]") == usize::MAX, "{lines:?}");
        assert!(place("[FROZEN]") < place("[THAWED]"), "{lines:?}");
    }

    fn a_bad_pattern_fails() {
        let guest = Guest::build("monitor").make();
        let run = guest.bare_tool("lxc-monitor").arg("-P").arg(guest.lxcpath()).args(["-n", "["]);
        run.done().exits(1).prints("").ok_on_stdout();
    }
}
