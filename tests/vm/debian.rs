//! A Debian with systemd as guest: reaches `running`, privileged and with mapped ids, and says how long it took.

use std::io::Write;
use std::time::{Duration, Instant};

use testkit::guest::GuestBuilder;
use testkit::{Guest, cases, eventually, system};

use super::cgroup;

/// Over the tree without changing it.
fn debian(conf: &str) -> Guest {
    let tree = system::debian().expect("the machine has a Debian tree");
    let data = testkit::Subject::current().data_dir().join("config");
    let builder: GuestBuilder = Guest::build("debian").without_rootfs().conf(&format!(
        "lxc.include = {}/common.conf\nlxc.uts.name = @NAME@\nlxc.net.0.type = empty\nlxc.net.0.flags = up\n\
         lxc.apparmor.profile = generated\nlxc.console.logfile = @DIR@/console.log\n\
         lxc.rootfs.path = overlay:{}:@DIR@/delta/upper\n{}",
        data.display(),
        tree.display(),
        conf.replace("@DATA@", &data.display().to_string())
    ));
    let guest = builder.make();
    std::fs::create_dir_all(guest.dir().join("delta/upper")).unwrap();
    guest
}

/// Waits until systemd inside has nothing to do any more; it must not have failed at anything.
fn running(guest: &Guest, started: Instant) {
    let mut state = String::new();
    eventually(Duration::from_secs(150), || {
        std::thread::sleep(Duration::from_millis(300));
        state = guest.attach(["systemctl", "is-system-running"]).stdout.trim().to_owned();
        ["running", "degraded"].contains(&state.as_str())
    });
    let failed = || {
        guest.attach(["sh", "-c", "systemctl --failed --no-legend; systemctl list-jobs --no-legend"]).stdout
    };
    assert_eq!(state, "running", "{}\n{}", failed(), guest.why());
    let time = started.elapsed().as_secs_f64();
    let _ = writeln!(std::io::stderr(), "FIGURE {} is running after {time:.1} s", guest.name());
}

/// What a distribution's life has: units in groups of their own, a login, a clean end.
fn lives(guest: &Guest) {
    assert_eq!(guest.sh("cat /proc/1/comm"), "systemd\n");
    assert_eq!(guest.attach(["systemd-detect-virt"]).stdout, "lxc\n");
    assert!(
        cgroup(guest).join("system.slice").is_dir(),
        "systemd has no groups: {}",
        cgroup(guest).display()
    );
    guest.sh("systemd-run --wait -q -p MemoryMax=64M -p TasksMax=50 true");
    guest.tool("lxc-stop").args(["-t", "60"]).limit(Duration::from_secs(90)).done().exits(0).ok();
    guest.await_gone();
    guest.assert_nothing_left();
}

/// systemd's sandboxes for services work in the container, and are in force (lxc#3371).
fn sandboxes(guest: &Guest) {
    let label = std::fs::read_to_string(format!("/proc/{}/attr/apparmor/current", guest.pid())).unwrap();
    assert!(label.starts_with(&format!("lxc-{}_<", guest.name())), "{label}");
    for options in [
        "-p PrivateTmp=yes -p ProtectSystem=strict -p PrivateDevices=yes -p ProtectHome=yes",
        "-p ProtectKernelTunables=yes -p ProtectControlGroups=yes -p ReadOnlyPaths=/etc -p TemporaryFileSystem=/opt",
    ] {
        guest.sh(&format!("systemd-run --wait -q {options} true"));
    }
    let done =
        guest.attach(["systemd-run", "--wait", "-q", "-p", "ProtectSystem=strict", "touch", "/etc/file"]);
    assert!(done.code != 0, "{done}");
    let core = guest.attach(["sh", "-c", "echo core > /proc/sys/kernel/core_pattern"]);
    assert!(core.code != 0, "{core}");
}

cases! {
    fn privileged() {
        super::inside();
        let guest = debian("lxc.apparmor.allow_nesting = 1");
        let started = Instant::now();
        guest.start();
        running(&guest, started);
        sandboxes(&guest);
        lives(&guest);
    }

    fn with_mapped_ids() {
        super::inside();
        // systemd tries to mount these two, which no user namespace may; it sees that they are there.
        let guest = debian(
            "lxc.include = @DATA@/userns.conf\nlxc.idmap = u 0 200000 65536\nlxc.idmap = g 0 200000 65536\n\
             lxc.rootfs.options = idmap=container\n\
             lxc.mount.entry = /sys/kernel/debug sys/kernel/debug none rbind,optional 0 0\n\
             lxc.mount.entry = /sys/kernel/config sys/kernel/config none rbind,optional 0 0",
        );
        let started = Instant::now();
        guest.start();
        running(&guest, started);
        let status = std::fs::read_to_string(format!("/proc/{}/status", guest.pid())).unwrap();
        assert!(status.contains("Uid:\t200000\t"), "{status}");
        assert_eq!(guest.sh("stat -c %u /etc/passwd"), "0\n");
        // The kernel limits what a mapped root mounts; its profile needs no allow_nesting for this.
        sandboxes(&guest);
        lives(&guest);
    }
}
