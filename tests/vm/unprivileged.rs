//! An ordinary user with systemd, and without anything prepared: no scope, no delegated cgroup, as he logs in.

use std::ffi::OsString;

use testkit::{Guest, Run, cases};

use super::cgroup;
use super::login::{LIMIT, give, guest, plain, session, sound};

/// Its payload is in a scope that was made for it.
fn has_scope(guest: &Guest) {
    let dir = cgroup(guest);
    let scope = format!("user@1000.service/app.slice/lxc-{}-0.scope/", guest.name());
    assert!(dir.to_string_lossy().contains(&scope), "{}", dir.display());
}

/// Whether systemd still knows the scope; it goes with the last process.
fn scope_is_gone(guest: &Guest) -> bool {
    let unit = format!("lxc-{}-0.scope", guest.name());
    let done = Run::under(&plain(), "systemctl").args(["--user", "is-active", &unit]).done();
    done.code != 0
}

cases! {
    fn from_a_plain_session() {
        super::inside();
        let guest = guest(plain(), LIMIT);
        guest.start();
        has_scope(&guest);
        sound(&guest);
        guest.tool("lxc-stop").args(["-t", "20"]).done().exits(0).ok();
        guest.await_gone();
        guest.assert_nothing_left();
        assert!(testkit::eventually(std::time::Duration::from_secs(5), || scope_is_gone(&guest)));
    }

    fn with_a_wrong_bus_and_without_variables() {
        super::inside();
        for how in ["DBUS_SESSION_BUS_ADDRESS=unix:path=/nowhere exec \"$@\"", "unset XDG_RUNTIME_DIR DBUS_SESSION_BUS_ADDRESS; exec \"$@\""] {
            let guest = guest(session(how), "");
            guest.start();
            has_scope(&guest);
            assert_eq!(guest.sh("echo in"), "in\n");
            guest.kill();
        }
    }

    fn executed_in_a_scope() {
        super::inside();
        let guest = guest(plain(), "");
        let run = guest.tool("lxc-execute").args(["--", "/bin/sh", "-c", "cat /proc/self/cgroup; exit 7"]);
        run.done().exits(7).ok_on_stdout();
        guest.assert_nothing_left();
    }

    fn a_user_without_a_manager_is_told_to_linger() {
        super::inside();
        // No session and no lingering: su without pam would do the same.
        let words = ["setpriv", "--reuid", "other", "--regid", "other", "--clear-groups", "env", "-i", "USER=other", "HOME=/tmp", "PATH=/usr/bin:/bin"];
        let prefix: Vec<OsString> = words.map(OsString::from).to_vec();
        let guest = guest(prefix, "");
        for dir in [guest.lxcpath(), &guest.dir(), &guest.config()] {
            Run::new("chown").arg("other").arg(dir).done().ok();
        }
        let map = std::fs::read_to_string("/etc/subuid").unwrap();
        let first = map.lines().find_map(|line| line.strip_prefix("other:")?.split(':').next().map(str::to_owned));
        if let Some(first) = first {
            let text = std::fs::read_to_string(guest.config()).unwrap();
            let text = text.replace("u 0 100000", &format!("u 0 {first}")).replace("g 0 100000", &format!("g 0 {first}"));
            std::fs::write(guest.config(), text).unwrap();
        }
        let done = guest.try_start().exits(1);
        assert!(done.stderr.contains("loginctl enable-linger other"), "{done}");
        assert!(done.stderr.contains("no user manager runs for other"), "{done}");
        give(&guest);
    }
}
