//! A failed start explains itself: the cause first, with object, errno, line of the configuration and cure.

use std::fs;

use testkit::netns::Netns;
use testkit::rootfs::write_script;
use testkit::{Guest, cases};

/// Starts it; gives what it said on stderr, of which the first line must contain every one of `words`.
fn explained(guest: &Guest, words: &[&str]) -> String {
    let done = guest.try_start().exits(1);
    let first = done.stderr.lines().next().unwrap_or_default().to_owned();
    for word in words {
        assert!(first.contains(word), "{word:?} is not in the first line: {done}");
    }
    assert!(done.stderr.contains("The container failed to start"), "{done}");
    assert_eq!(guest.state(), "STOPPED");
    guest.assert_nothing_left();
    done.stderr
}

/// `FILE:LINE` of the configuration line that starts with `text`.
fn place(guest: &Guest, text: &str) -> String {
    let config = fs::read_to_string(guest.config()).unwrap();
    let line = config.lines().position(|line| line.starts_with(text)).unwrap() + 1;
    format!("{}:{line}", guest.config().display())
}

cases! {
    fn a_bridge_that_is_missing() {
        let netns = Netns::new();
        let lines = "lxc.net.0.type = veth\nlxc.net.0.link = nobridge0\nlxc.net.0.flags = up";
        let guest = Guest::build("explain").conf(lines).under(netns.prefix()).make();
        let text = explained(&guest, &["lxc.net.0.link", "nobridge0"]);
        assert!(text.contains(&place(&guest, "lxc.net.0.type = veth")) && text.contains("cure: "), "{text}");
        assert_eq!(netns.links(), Vec::<String>::new());
    }

    fn a_rootfs_that_is_missing() {
        let guest = Guest::build("explain").make();
        fs::remove_dir_all(guest.rootfs()).unwrap();
        let path = guest.rootfs();
        let text = explained(&guest, &[path.to_str().unwrap(), "No such file or directory"]);
        assert!(text.contains(&place(&guest, "lxc.rootfs.path")), "{text}");
    }

    fn an_init_that_is_missing() {
        let guest = Guest::build("explain").conf("lxc.init.cmd = /no/such/init").make();
        let text = explained(&guest, &["/no/such/init", "No such file or directory"]);
        assert!(text.contains(&place(&guest, "lxc.init.cmd")), "{text}");
    }

    fn an_interpreter_that_is_missing() {
        let guest = Guest::build("explain").conf("lxc.init.cmd = /sbin/scripted").make();
        write_script(&guest.rootfs().join("sbin/scripted"), "#!/no/such/interpreter\n");
        explained(&guest, &["/sbin/scripted"]);
    }

    fn an_init_for_another_machine() {
        let guest = Guest::build("explain").make();
        // The header of a program for s390.
        let mut elf = fs::read(guest.rootfs().join("bin/busybox")).unwrap();
        elf[18] = 0x16;
        elf[19] = 0;
        write_script(&guest.rootfs().join("sbin/alien"), "");
        fs::write(guest.rootfs().join("sbin/alien"), elf).unwrap();
        guest.append("lxc.init.cmd = /sbin/alien");
        explained(&guest, &["/sbin/alien"]);
    }

    fn a_key_that_does_not_exist() {
        let guest = Guest::build("explain").conf("lxc.uts.nam = x").make();
        let done = guest.tool("lxc-start").done().exits(1);
        let done = done.says("lxc.uts.nam").says("lxc.uts.name").says(&place(&guest, "lxc.uts.nam "));
        assert_eq!(guest.tool("lxc-info").done().code, 1, "{done}");
        guest.assert_nothing_left();
    }

    fn a_hook_that_fails() {
        let guest = Guest::build("explain").conf("lxc.hook.pre-start = /bin/false").make();
        let text = explained(&guest, &["/bin/false"]);
        assert!(text.contains(&place(&guest, "lxc.hook.pre-start")), "{text}");
    }

    fn a_mount_source_that_is_missing() {
        let guest = Guest::build("explain").conf("lxc.mount.entry = /no/such/source mnt none bind 0 0").make();
        let text = explained(&guest, &["/no/such/source", "No such file or directory"]);
        assert!(text.contains(&place(&guest, "lxc.mount.entry")), "{text}");
    }

    fn a_limit_the_kernel_refuses() {
        if !std::path::Path::new("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists() {
            return;
        }
        let guest = Guest::build("explain").conf("lxc.cgroup.memory.limit_in_bytes = nonsense").make();
        let text = explained(&guest, &["memory.limit_in_bytes"]);
        assert!(text.contains(&place(&guest, "lxc.cgroup.memory")), "{text}");
    }

    fn a_port_of_another_container() {
        let netns = Netns::new();
        netns.bridge("br0", "10.97.0.1/24");
        let pair = testkit::names::TestNames::interface("vp");
        let lines = format!("lxc.net.0.type = veth\nlxc.net.0.link = br0\nlxc.net.0.veth.pair = {pair}");
        let first = Guest::build("explain").conf(&lines).under(netns.prefix()).start();
        let second = Guest::build("explain").conf(&lines).under(netns.prefix()).make();
        explained(&second, &[&pair]);
        assert_eq!(first.state(), "RUNNING");
        assert!(netns.links().contains(&pair), "the port of the other container is gone");
    }

    fn cgroups_that_cannot_be_written() {
        // Read-only hierarchies, in a mount namespace of the test's own. The original starts without any cgroup.
        let line = "for d in /sys/fs/cgroup /sys/fs/cgroup/*/; do ! mountpoint -q $d || mount -o remount,bind,ro $d; done; exec \"$@\"";
        let prefix = ["unshare", "--mount", "--propagation", "private", "sh", "-c", line, "sh"];
        let guest = Guest::build("explain").under(prefix.iter().map(Into::into).collect()).make();
        let done = guest.try_start();
        match done.code {
            0 => assert_eq!(guest.state(), "RUNNING", "{done}"),
            _ => assert!(done.stderr.lines().next().is_some_and(|line| line.contains("cgroup")), "{done}"),
        }
    }

    fn a_name_that_is_taken_by_a_foreign_socket() {
        use std::os::linux::net::SocketAddrExt;
        let guest = Guest::build("explain").make();
        let name = format!("{}/{}/command", guest.lxcpath().display(), guest.name());
        let address = std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap();
        let listener = std::os::unix::net::UnixListener::bind_addr(&address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    drop(listener.accept());
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
            });
            let done = guest.try_start();
            over.store(true, std::sync::atomic::Ordering::Relaxed);
            assert_eq!(done.code, 1, "{done}");
            assert!(done.stderr.contains("in use"), "{done}");
        });
    }
}
