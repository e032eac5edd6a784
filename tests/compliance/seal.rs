//! The rest of the seal: keyrings, devices and pseudo terminals in user namespaces, /sys.

use std::ffi::OsString;
use std::fs;
use std::time::Duration;

use testkit::rootfs::write_script;
use testkit::{Guest, GuestBuilder, Run, cases, eventually};

/// Runs the words of its command line with a key in a session keyring of their own that only its possessors see.
const SECRET: &str = r#"syscall(250, 1, 0) >= 0 or die "join: $!";
    my ($type, $name, $data) = ("user\0", "lxc-secret\0", "x");
    my $id = syscall(248, $type, $name, $data, 1, -3);
    $id > 0 or die "add: $!";
    syscall(250, 5, $id, 0x3f000000) == 0 or die "permissions: $!";
    exec @ARGV or die"#;

fn behind_a_secret() -> Vec<OsString> {
    ["perl", "-e", SECRET, "--"].map(OsString::from).to_vec()
}

/// A container whose ids are mapped; /etc/subuid and /etc/subgid allow it where its tools look.
fn mapped(builder: GuestBuilder, map: &str) -> Guest {
    let line =
        "mount -t tmpfs none /mnt; echo root:100000:65536 > /mnt/ids; mount --bind /mnt/ids /etc/subuid
                mount --bind /mnt/ids /etc/subgid; exec \"$0\" \"$@\"";
    let prefix = ["unshare", "--mount", "--propagation", "private", "sh", "-c", line];
    let guest = builder.conf(map).under(prefix.iter().map(Into::into).collect()).make();
    Run::new("chown").args(["-R", "-h", "100000:100000"]).arg(guest.rootfs()).done().ok();
    for dir in [guest.lxcpath().to_owned(), guest.dir()] {
        Run::new("chmod").args(["755"]).arg(dir).done().ok();
    }
    guest.start();
    guest
}

const ALL: &str = "lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536";

/// How many keys of the starter init sees.
fn secrets_of_init(lines: &str) -> usize {
    if fs::read_to_string("/proc/keys").is_err() {
        // A kernel without keys, or without the list of them: nothing to see is right, if not much of a test.
        return usize::from(lines.contains("= 1"));
    }
    let guest = Guest::build("seal").conf(lines).under(behind_a_secret()).make();
    write_script(
        &guest.rootfs().join("sbin/init"),
        "#!/bin/sh\ncat /proc/keys > /tmp/k\nmv /tmp/k /keys\nwhile :; do sleep 1000 & wait $!; done\n",
    );
    guest.start();
    let path = guest.rootfs().join("keys");
    assert!(eventually(Duration::from_secs(10), || path.exists()), "{}", guest.why());
    fs::read_to_string(path).unwrap().matches("lxc-secret").count()
}

cases! {
    fn the_session_keyring_is_the_containers_own() {
        assert_eq!(secrets_of_init(""), 0);
        assert_eq!(secrets_of_init("lxc.keyring.session = 0"), 0);
    }

    fn the_session_keyring_is_the_starters_when_the_key_is_1() {
        // The inverse of what the manual page of the original says.
        assert_eq!(secrets_of_init("lxc.keyring.session = 1"), 1);
    }

    fn devices_of_a_user_namespace_are_bound_from_the_host() {
        let guest = mapped(Guest::build("seal"), ALL);
        let nodes = ["full", "null", "random", "tty", "urandom", "zero"];
        let mounts = guest.mountinfo();
        for node in nodes {
            let mount = mounts.iter().find(|mount| mount.target == format!("/dev/{node}"));
            assert!(mount.is_some_and(|mount| mount.root.ends_with(node)), "{node}: {mounts:?}");
        }
        assert_eq!(guest.sh("stat -c %t:%T /dev/null; head -c 3 /dev/zero | wc -c"), "1:3\n3\n");
        guest.sh("echo x > /dev/null; head -c 1 /dev/urandom > /dev/null");
        // What the kernel would not let anybody open.
        assert_ne!(guest.attach(["mknod", "/tmp/null", "c", "1", "3"]).code, 0);
    }

    fn pseudo_terminals_have_group_5_where_it_is_mapped() {
        let guest = mapped(Guest::build("seal"), ALL);
        let pts = guest.mountinfo().into_iter().find(|mount| mount.target == "/dev/pts").unwrap();
        assert!(pts.super_options.split(',').any(|word| word == "gid=5" || word == "gid=100005"), "{pts:?}");
    }

    fn pseudo_terminals_work_without_group_5() {
        let guest = mapped(Guest::build("seal").conf("lxc.tty.max = 1"), "lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 5");
        let pts = guest.mountinfo().into_iter().find(|mount| mount.target == "/dev/pts").unwrap();
        assert!(!pts.super_options.contains("gid="), "{pts:?}");
        for word in ["mode=620", "ptmxmode=666"] {
            assert!(pts.super_options.contains(word), "{word}: {pts:?}");
        }
        let mut terminal = guest.terminal(guest.tool("lxc-attach").args(["--", "tty"]));
        terminal.expect("/dev/pts/");
        assert_eq!(terminal.exit_within(Duration::from_secs(5)), 0);
    }

    fn sys_of_an_unprivileged_container_is_writable_when_asked() {
        let write = "echo 1400 > /sys/class/net/lo/mtu && cat /sys/class/net/lo/mtu";
        let guest = mapped(Guest::build("seal").conf("lxc.mount.auto =\nlxc.mount.auto = proc:mixed sys:rw"), ALL);
        assert_eq!(guest.sh(write), "1400\n");
        let sys = guest.mountinfo().into_iter().find(|mount| mount.target == "/sys").unwrap();
        assert!(!sys.is_read_only(), "{sys:?}");
        let guest = mapped(Guest::build("seal").conf("lxc.mount.auto =\nlxc.mount.auto = proc:mixed sys:ro"), ALL);
        guest.attach(["sh", "-c", write]).exits(1).says("Read-only file system").ok_on_stdout();
    }

    fn capabilities_of_an_attached_command_are_bounded_too() {
        for (lines, bounding) in [
            ("lxc.cap.keep = none", 0),
            ("lxc.cap.keep = chown kill", 1 | 1 << 5),
        ] {
            let guest = Guest::build("seal").conf(lines).start();
            let done = guest.attach(["grep", "-E", "CapBnd|CapEff|CapPrm|CapInh|CapAmb", "/proc/self/status"]).ok();
            for line in done.lines() {
                let (name, value) = line.split_once(':').unwrap();
                let value = u64::from_str_radix(value.trim(), 16).unwrap();
                let expected = if ["CapInh", "CapAmb"].contains(&name) { 0 } else { bounding };
                assert_eq!(value, expected, "{lines}: {line}");
            }
        }
    }

    fn an_attached_command_has_no_new_privileges_either() {
        let flag = |lines: &str| {
            let guest = Guest::build("seal").conf(lines).start();
            guest.sh("grep NoNewPrivs /proc/self/status").split_whitespace().nth(1).map(str::to_owned)
        };
        assert_eq!(flag("lxc.no_new_privs = 1").as_deref(), Some("1"));
        assert_eq!(flag("").as_deref(), Some("0"));
    }
}
