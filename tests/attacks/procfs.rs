//! A /proc of the container's own making: whoever writes settings or labels there must know it for what it is.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use testkit::{Guest, cases};

/// Files that somebody may want to write, below /proc.
const FILES: [&str; 22] = [
    "self/attr/current",
    "self/attr/exec",
    "self/attr/keycreate",
    "self/attr/apparmor/exec",
    "self/attr/apparmor/current",
    "self/uid_map",
    "self/gid_map",
    "self/setgroups",
    "self/oom_score_adj",
    "self/loginuid",
    "self/timens_offsets",
    "thread-self/attr/current",
    "thread-self/attr/exec",
    "1/attr/exec",
    "1/oom_score_adj",
    "self/cgroup",
    "sys/kernel/hostname",
    "sys/net/ipv4/ip_forward",
    "sys/kernel/random/boot_id",
    "sys/kernel/domainname",
    "sysrq-trigger",
    "self/coredump_filter",
];

/// A tree of files that look like /proc.
fn fake(dir: &Path) {
    for file in FILES {
        let path = dir.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "0\n").unwrap();
    }
}

fn assert_unwritten(dir: &Path) {
    for file in FILES {
        let text = fs::read_to_string(dir.join(file)).unwrap();
        assert_eq!(text, "0\n", "{file} of the fake was written");
    }
}

const SETTINGS: &str =
    "lxc.sysctl.net.ipv4.ip_forward = 1\nlxc.proc.oom_score_adj = 123\nlxc.uts.name = @NAME@";

cases! {
    fn cve_2015_1334_attach_writes_nothing_into_a_fake_proc() {
        let guest = Guest::build("fakeproc").start();
        fake(&guest.rootfs().join("fake"));
        guest.sh("mount -o bind /fake /proc");
        for options in [&[][..], &["-e"], &["--clear-env"], &["-s", "NETWORK"], &["-u", "1000", "-g", "1000"]] {
            let _ = guest.tool("lxc-attach").args(options).args(["--", "/bin/true"]).done();
        }
        let _ = guest.terminal(guest.tool("lxc-attach").args(["--", "/bin/true"])).exit_within(std::time::Duration::from_secs(10));
        assert_unwritten(&guest.rootfs().join("fake"));
        guest.kill();
    }

    fn cve_2015_1334_attach_fails_closed_where_a_label_cannot_be_written() {
        // No LSM here, or a fake one there: with a label asked for, a command without it must not run.
        let guest = Guest::build("fakelabel").start();
        fake(&guest.rootfs().join("fake"));
        guest.sh("mount -o bind /fake /proc");
        let run = guest.tool("lxc-attach").args(["-c", "unlikely_u:unlikely_r:unlikely_t:s0", "--", "/bin/echo", "ran"]);
        let done = run.done();
        assert!(done.code != 0 && !done.stdout.contains("ran"), "{done}");
        assert_unwritten(&guest.rootfs().join("fake"));
        guest.kill();
    }

    fn cve_2025_52881_settings_are_not_written_into_the_image() {
        // Without a mount on /proc there is what the image has there.
        for auto in ["lxc.mount.auto =", "lxc.mount.auto =\nlxc.mount.auto = sys:ro"] {
            let guest = Guest::build("fakesys").conf(auto).conf(SETTINGS).make();
            fake(&guest.rootfs().join("proc"));
            let done = guest.try_start();
            assert_unwritten(&guest.rootfs().join("proc"));
            if done.code == 0 {
                let pid = guest.pid();
                assert_eq!(fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap(), "123\n");
                // What was asked for happened where it should.
                let said = guest.sh("mkdir -p /real && mount -t proc proc /real && cat /real/sys/net/ipv4/ip_forward");
                guest.kill();
                assert_eq!(said, "1\n", "a setting that was dropped without a word");
            }
        }
    }

    fn cve_2025_52881_nor_through_a_link_in_the_image() {
        let guest = Guest::build("fakelink").conf("lxc.mount.auto =").conf(SETTINGS).make();
        fs::remove_dir_all(guest.rootfs().join("proc")).unwrap();
        fake(&guest.rootfs().join("evil"));
        symlink("/evil", guest.rootfs().join("proc")).unwrap();
        if guest.try_start().code == 0 {
            guest.kill();
        }
        assert_unwritten(&guest.rootfs().join("evil"));
    }

    fn cve_2025_52881_nor_into_what_a_mount_of_the_configuration_put_there() {
        let conf = "lxc.mount.auto =\nlxc.mount.auto = proc:mixed\nlxc.mount.entry = /evil proc none bind,relative 0 0";
        let guest = Guest::build("fakevol").conf(conf).conf(SETTINGS).make();
        fake(&guest.rootfs().join("evil"));
        if guest.try_start().code == 0 {
            guest.kill();
        }
        assert_unwritten(&guest.rootfs().join("evil"));
    }
}
