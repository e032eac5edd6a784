//! A Debian with systemd: boots, takes a shell and a login, powers off, reboots, halts. One at a time.

use std::fs;
use std::time::Duration;

use testkit::guest::GuestBuilder;
use testkit::{Guest, cases, eventually, system};

const MINUTE: Duration = Duration::from_secs(60);

/// A guest with the distribution as its root, and the shared configuration a template would include.
fn debian() -> Guest {
    let tree = system::debian().expect("a Debian tree: debootstrap needs the mirror once");
    let common = testkit::Subject::current().data_dir().join("config/common.conf");
    let builder: GuestBuilder = Guest::build("sys").without_rootfs().conf(&format!(
        "lxc.include = {}\nlxc.rootfs.path = dir:@DIR@/rootfs\nlxc.uts.name = @NAME@\nlxc.net.0.type = empty\n\
         lxc.net.0.flags = up\nlxc.apparmor.profile = unconfined\nlxc.console.logfile = @DIR@/console.log",
        common.display()
    ));
    let guest = builder.make();
    system::copy(&tree, &guest.rootfs());
    guest
}

fn booted(guest: &Guest) -> String {
    let mut state = String::new();
    let good = eventually(MINUTE * 2, || {
        std::thread::sleep(Duration::from_millis(300));
        state = guest.attach(["systemctl", "is-system-running"]).stdout.trim().to_owned();
        ["running", "degraded"].contains(&state.as_str())
    });
    assert!(good, "systemd is {state:?}: {}", guest.attach(["systemctl", "list-jobs"]).stdout);
    state
}

cases! {
    fn the_life_of_a_debian() {
        let guest = debian();
        guest.start();
        booted(&guest);
        assert_eq!(guest.sh("cat /proc/1/comm"), "systemd\n");
        assert_eq!(guest.attach(["systemd-detect-virt"]).stdout, "lxc\n");

        // A shell on a terminal of the container.
        let mut shell = guest.terminal(guest.tool("lxc-attach").args(["--", "/bin/bash", "--norc"]));
        shell.expect("# ");
        shell.send("tty; echo do''ne\r");
        let text = shell.expect("done");
        assert!(text.contains("/dev/pts/"), "{text}");
        shell.send("exit 3\r");
        assert_eq!(shell.exit_within(Duration::from_secs(5)), 3);

        // A login on the console.
        let mut console = guest.terminal(guest.tool("lxc-console").args(["-t", "0"]));
        console.expect("Connected to tty 0");
        std::thread::sleep(Duration::from_millis(300));
        console.send("\r");
        console.expect_within("login: ", MINUTE);
        console.send("root\r");
        console.expect_within("# ", MINUTE);
        // Not left by `exit`: the original's monitor may take the hangup of its console for the end of the container.
        console.send("\u{1}q");
        assert_eq!(console.exit_within(Duration::from_secs(5)), 0);

        // A reboot from inside: another init under the same monitor.
        let (init, monitor) = (guest.pid(), guest.monitor());
        guest.attach(["systemctl", "reboot"]);
        assert!(eventually(MINUTE, || guest.has_new_init(init)), "{}", guest.why());
        assert_eq!(guest.monitor(), monitor);
        booted(&guest);

        // A power-off from inside.
        guest.attach(["systemctl", "poweroff"]);
        assert!(eventually(MINUTE, || guest.state() == "STOPPED"));
        guest.await_gone();
        guest.assert_nothing_left();

        // A clean stop from outside.
        guest.start();
        booted(&guest);
        let done = guest.tool("lxc-stop").args(["-t", "60"]).limit(MINUTE * 2).done().exits(0);
        assert!(done.elapsed < MINUTE, "it was killed: {done}");
        guest.await_gone();
        guest.assert_nothing_left();
        let journal = fs::read_dir(guest.rootfs().join("var/log")).unwrap().count();
        assert!(journal > 0);
    }
}
