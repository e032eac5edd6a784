//! Twenty containers at once.

use std::time::Duration;

use testkit::{Guest, cases, eventually, leftovers};

cases! {
    fn twenty_start_run_and_stop() {
        let guests: Vec<Guest> = (0..20).map(|_| Guest::build("many").make()).collect();
        std::thread::scope(|scope| {
            for guest in &guests {
                scope.spawn(|| guest.tool("lxc-start").arg("-d").done().exits(0).ok());
            }
        });
        for guest in &guests {
            assert_eq!(guest.state(), "RUNNING", "{}", guest.name());
        }
        std::thread::scope(|scope| {
            for guest in &guests {
                scope.spawn(|| guest.tool("lxc-stop").arg("-k").done().exits(0).ok());
            }
        });
        let gone = |guest: &Guest| leftovers::monitor_pid(guest.lxcpath(), guest.name()).is_none();
        assert!(eventually(Duration::from_secs(20), || guests.iter().all(gone)));
        for guest in &guests {
            guest.assert_nothing_left();
        }
    }

    fn two_starts_of_one_container_make_one() {
        let guest = Guest::build("race").make();
        let codes: Vec<i32> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..4).map(|_| scope.spawn(|| guest.tool("lxc-start").arg("-d").done().code)).collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        assert!(codes.contains(&0), "{codes:?}");
        assert_eq!(guest.state(), "RUNNING");
        let title = format!("[lxc monitor] {} {}", guest.lxcpath().display(), guest.name());
        let count = || leftovers::processes().into_iter().filter(|(_, command)| *command == title).count();
        assert!(eventually(Duration::from_secs(5), || count() == 1), "{}", count());
    }
}
