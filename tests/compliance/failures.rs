//! Starts that must fail: what they say, the exit status, and that nothing is left.

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use testkit::guest::GuestBuilder;
use testkit::netns::Netns;
use testkit::rootfs::write_script;
use testkit::{Guest, cases};

/// Starts it daemonised; it must fail with status 1 and leave nothing. Gives what it said, and its log.
fn refused(guest: &Guest) -> String {
    let done = guest.try_start().exits(1).prints("");
    assert!(done.stderr.contains("The container failed to start"), "{done}");
    assert_eq!(guest.state(), "STOPPED");
    guest.assert_nothing_left();
    format!("{}\n{}", done.stderr, guest.why())
}

fn built(builder: GuestBuilder) -> String {
    refused(&builder.make())
}

cases! {
    fn the_four_lines_of_a_failed_start() {
        let guest = Guest::build("fail").conf("lxc.hook.pre-start = /bin/false").make();
        let done = guest.tool("lxc-start").done().exits(1).prints("");
        let first = ["Received container state \"ABORTING\" instead of \"RUNNING\"", "Failed to receive the container state"];
        assert!(first.iter().any(|text| done.stderr.contains(text)), "{done}");
        let done = done.says("The container failed to start");
        let done = done.says("To get more details, run the container in foreground mode");
        done.says("Additional information can be obtained by setting the --logfile and --logpriority options").ok_on_stdout();
    }

    fn a_bridge_that_is_missing() {
        let netns = Netns::new();
        let lines = "lxc.net.0.type = veth\nlxc.net.0.link = nobridge0\nlxc.net.0.flags = up";
        let text = built(Guest::build("fail").conf(lines).under(netns.prefix()));
        assert!(text.contains("nobridge0"), "{text}");
        assert_eq!(netns.links(), Vec::<String>::new());
    }

    fn a_rootfs_that_is_missing() {
        let guest = Guest::build("fail").make();
        fs::remove_dir_all(guest.rootfs()).unwrap();
        let text = refused(&guest);
        assert!(text.contains("rootfs"), "{text}");
    }

    fn an_init_that_is_missing() {
        let guest = Guest::build("fail").conf("lxc.init.cmd = /no/such/init").make();
        let text = refused(&guest);
        assert!(text.contains("/no/such/init"), "{text}");
    }

    fn an_init_that_is_not_executable() {
        let guest = Guest::build("fail").conf("lxc.init.cmd = /etc/passwd").make();
        let text = refused(&guest);
        assert!(text.contains("/etc/passwd"), "{text}");
    }

    fn a_key_that_does_not_exist() {
        let guest = Guest::build("fail").conf("lxc.uts.nam = x").make();
        let done = guest.tool("lxc-start").done().exits(1).says("lxc.uts.nam");
        done.says("Failed to load config").ok_on_stdout();
        guest.assert_nothing_left();
    }

    fn a_name_in_use_by_a_socket() {
        let guest = Guest::build("fail").make();
        let name = format!("{}/{}/command", guest.lxcpath().display(), guest.name());
        let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(name).unwrap()).unwrap();
        listener.set_nonblocking(true).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            // Closes every connection at once, so that nobody waits for an answer.
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    drop(listener.accept());
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
            let start = guest.tool("lxc-start").done();
            done.store(true, Ordering::Relaxed);
            assert_eq!(start.code, 1, "{start}");
        });
        assert!(testkit::leftovers::monitor_pid(guest.lxcpath(), guest.name()).is_none());
    }

    fn a_hostname_is_not_set_on_the_host_by_a_failure() {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        built(Guest::build("fail").conf("lxc.hook.mount = /bin/false"));
        assert_eq!(fs::read_to_string("/proc/sys/kernel/hostname").unwrap(), host);
    }

    fn a_seccomp_profile_that_is_missing() {
        built(Guest::build("fail").conf("lxc.seccomp.profile = /no/such/profile"));
    }

    fn a_start_hook_that_is_missing_inside() {
        built(Guest::build("fail").conf("lxc.hook.start = /no/such/hook"));
    }

    fn an_init_that_dies_at_once_is_a_start_that_stops() {
        let guest = Guest::build("fail").make();
        write_script(&guest.rootfs().join("sbin/init"), "#!/bin/sh\nexit 1\n");
        let done = guest.try_start();
        assert!([0, 1].contains(&done.code), "{done}");
        guest.await_gone();
        guest.assert_nothing_left();
    }

    fn a_failure_in_the_foreground_exits_with_1() {
        let guest = Guest::build("fail").conf("lxc.hook.pre-start = /bin/false").make();
        guest.tool("lxc-start").arg("-F").done().exits(1).says("The container failed to start").ok_on_stdout();
        guest.assert_nothing_left();
    }

    fn execute_reports_a_failed_start_with_1() {
        let guest = Guest::build("fail").conf("lxc.hook.pre-start = /bin/false").make();
        guest.tool("lxc-execute").args(["--", "true"]).done().exits(1).ok_on_stdout();
        guest.assert_nothing_left();
    }
}
