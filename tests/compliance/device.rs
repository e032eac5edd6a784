//! lxc-device: nodes and interfaces given to a running container and taken back.

use testkit::cgroup2::Pure;
use testkit::netns::Netns;
use testkit::{Done, Guest, cases};

fn device(guest: &Guest, words: &[&str]) -> Done {
    guest.tool("lxc-device").args(words).done()
}

/// What `stat` says of a node inside; empty when there is nothing.
fn node(guest: &Guest, path: &str) -> String {
    guest.sh(&format!("stat -c '%F %t:%T' {path} 2>/dev/null; true"))
}

fn opens(guest: &Guest, path: &str) -> bool {
    guest.attach(["sh", "-c", &format!("head -c 1 {path}")]).code == 0
}

/// Everything a shell needs, but neither /dev/zero nor /dev/fuse.
const LIST: [&str; 7] = [
    "devices.deny = a",
    "devices.allow = c *:* m",
    "devices.allow = b *:* m",
    "devices.allow = c 1:3 rwm",
    "devices.allow = c 1:9 rwm",
    "devices.allow = c 5:* rwm",
    "devices.allow = c 136:* rwm",
];

fn list(prefix: &str) -> String {
    LIST.iter().map(|line| format!("{prefix}{line}\n")).collect()
}

cases! {
    fn what_it_says_when_it_cannot() {
        let guest = Guest::build("device").make();
        let not_running = format!("Container {} is not running", guest.name());
        device(&guest, &["add", "/dev/zero"]).exits(1).prints("").says(&not_running).ok_on_stdout();
        device(&guest, &[]).exits(1).says(&not_running).ok_on_stdout();
        guest.start();
        for words in [&[][..], &["add"]] {
            device(&guest, words).exits(1).prints("").says("Error: no command given (Please see --help output)").ok_on_stdout();
        }
        device(&guest, &["move", "/dev/zero"]).exits(1).says("Error: Please use add or del (Please see --help output)").ok_on_stdout();
        for name in ["/dev/nothing", "/etc/passwd", "nothing0"] {
            device(&guest, &["add", name]).exits(1).prints("").says(&format!("Failed to add {name} to {}", guest.name())).ok_on_stdout();
        }
        device(&guest, &["del", "/dev/nothing"]).exits(1).says(&format!("Failed to del /dev/nothing from {}", guest.name())).ok_on_stdout();
    }

    fn a_broken_configuration() {
        let guest = Guest::build("device").conf("lxc.nonsense = 1").make();
        device(&guest, &["add", "/dev/zero"]).exits(1).says(&format!("{} doesn't exist", guest.name())).ok_on_stdout();
    }

    fn a_node_comes_and_goes() {
        let guest = Guest::build("device").start();
        device(&guest, &["add", "/dev/fuse"]).exits(0).prints("").ok();
        assert_eq!(node(&guest, "/dev/fuse"), "character special file a:e5\n");
        device(&guest, &["del", "/dev/fuse"]).exits(0).prints("").ok();
        assert_eq!(node(&guest, "/dev/fuse"), "");
        device(&guest, &["a", "/dev/net/tun"]).exits(0).ok();
        assert_eq!(node(&guest, "/dev/net/tun"), "character special file a:c8\n");
    }

    fn the_name_may_come_first() {
        let guest = Guest::build("device").start();
        guest.bare_tool("lxc-device").arg("-P").arg(guest.lxcpath()).args([guest.name(), "add", "/dev/fuse"]).done().exits(0).ok();
        assert_eq!(node(&guest, "/dev/fuse"), "character special file a:e5\n");
    }

    fn what_is_in_the_way_is_replaced() {
        let guest = Guest::build("device").start();
        guest.sh("rm /dev/zero; echo file > /dev/zero; ln -s /etc/passwd /dev/fuse");
        device(&guest, &["add", "/dev/zero"]).exits(0).ok();
        device(&guest, &["add", "/dev/fuse"]).exits(0).ok();
        assert_eq!(node(&guest, "/dev/zero"), "character special file 1:5\n");
        assert_eq!(node(&guest, "/dev/fuse"), "character special file a:e5\n");
        assert!(guest.sh("cat /etc/passwd").starts_with("root:"));
    }

    fn a_link_leads_nowhere_outside() {
        let guest = Guest::build("device").start();
        guest.sh("ln -s /../../../../tmp/device-outside /dev/net");
        device(&guest, &["add", "/dev/net/tun"]);
        assert!(!std::path::Path::new("/tmp/device-outside").exists());
    }

    fn permission_comes_with_the_node_on_this_machine() {
        if !std::path::Path::new("/sys/fs/cgroup/devices/devices.list").exists() {
            return;
        }
        let guest = Guest::build("device").conf(&list("lxc.cgroup.")).start();
        assert!(!opens(&guest, "/dev/zero"));
        device(&guest, &["add", "/dev/zero"]).exits(0).ok();
        assert!(opens(&guest, "/dev/zero"));
        device(&guest, &["del", "/dev/zero"]).exits(0).ok();
        guest.sh("mknod /dev/zero c 1 5");
        assert!(!opens(&guest, "/dev/zero"));
    }

    fn permission_comes_with_the_node_on_pure_cgroup2() {
        let pure = Pure::new();
        let guest = Guest::build("device").under(pure.prefix()).conf(&list("lxc.cgroup2.")).start();
        assert!(!opens(&guest, "/dev/zero"));
        device(&guest, &["add", "/dev/zero"]).exits(0).ok();
        assert!(opens(&guest, "/dev/zero"));
        device(&guest, &["del", "/dev/zero"]).exits(0).ok();
        guest.sh("mknod /dev/zero c 1 5");
        assert!(!opens(&guest, "/dev/zero"));
        assert!(opens(&guest, "/dev/urandom"));
    }

    fn an_interface_comes_and_goes() {
        let netns = Netns::with_pids();
        netns.ip("link add dev0 type veth peer name dev1");
        let guest = Guest::build("device").under(netns.prefix()).start();
        device(&guest, &["add", "dev0"]).exits(0).prints("").ok();
        device(&guest, &["add", "dev1", "eth7"]).exits(0).ok();
        assert!(netns.links().is_empty(), "{:?}", netns.links());
        let inside = guest.sh("ip -o link");
        assert!(inside.contains("dev0") && inside.contains("eth7"), "{inside}");
        device(&guest, &["del", "dev0"]).exits(0).prints("").ok();
        device(&guest, &["del", "eth7", "back"]).exits(0).ok();
        let mut links = netns.links();
        links.sort();
        assert_eq!(links, ["back", "dev0"]);
        for words in [["add", "nothing0"], ["del", "nothing0"], ["del", "lo"]] {
            device(&guest, &words).exits(1).prints("").ok_on_stdout();
        }
        // Taken there, and no name at all.
        for name in ["lo", "waytoolonginterfacename"] {
            device(&guest, &["add", "dev0", name]).exits(1).says(&format!("Failed to add dev0 to {}", guest.name())).ok_on_stdout();
        }
    }
}
