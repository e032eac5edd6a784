//! An ordinary user with ids of his own and delegated cgroups: the whole life of his containers.

use std::fs;
use std::time::Duration;

use testkit::ordinary::{COUNT, Cgroups, FIRST, NAME, Ordinary, UID};
use testkit::{Guest, Terminal, cases, eventually};

fn life(user: &Ordinary) {
    let guest = user.guest("unpriv").make();
    user.give(&guest);
    guest.start();
    let pid = guest.pid();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains(&format!("Uid:\t{FIRST}\t{FIRST}\t")), "init is not the mapped root: {status}");
    let map = fs::read_to_string(format!("/proc/{pid}/uid_map")).unwrap();
    assert_eq!(map.split_whitespace().collect::<Vec<_>>(), ["0", &FIRST.to_string(), &COUNT.to_string()]);
    // The monitor is the user's, in a cgroup below the one delegated to him.
    let monitor = fs::metadata(format!("/proc/{}", guest.monitor())).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&monitor), UID);
    let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let unified = cgroups.lines().find(|line| line.starts_with("0::")).unwrap();
    assert_eq!(unified, format!("0::/{}/lxc.payload.{}", user.cgroup(), guest.name()));
    assert_eq!(guest.sh("id -u; echo $(cat /proc/self/uid_map)"), format!("0\n0 {FIRST} {COUNT}\n"));
    // The console is the container root's: a getty could take it.
    assert!(guest.sh("stat -c %u /dev/console").starts_with('0'), "the console is somebody else's");
    guest.tool("lxc-freeze").done().exits(0).prints("").silent().ok();
    assert_eq!(guest.state(), "FROZEN");
    guest.tool("lxc-unfreeze").done().exits(0).ok();
    let table = guest.bare_tool("lxc-ls").arg("-P").arg(guest.lxcpath()).args(["-f"]).done().ok();
    assert!(table.lines().any(|line| line.contains(guest.name()) && line.contains("true")), "{table}");
    guest.tool("lxc-stop").args(["-t", "10"]).done().exits(0).ok();
    guest.await_gone();
    guest.assert_nothing_left();
}

fn template(user: &Ordinary) {
    let home = user.home();
    fs::create_dir_all(home.join(".config/lxc")).unwrap();
    let lines =
        format!("lxc.idmap = u 0 {FIRST} {COUNT}\nlxc.idmap = g 0 {FIRST} {COUNT}\nlxc.net.0.type = empty\n");
    fs::write(home.join(".config/lxc/default.conf"), lines).unwrap();
    let guest = user.bare_guest("unpriv").without_rootfs().make();
    // Only the name is wanted: the user makes it in his own place.
    fs::remove_dir_all(guest.lxcpath()).unwrap();
    let run = |tool: &str| guest.bare_tool(tool).args(["-n", guest.name()]).limit(Duration::from_secs(60));
    run("lxc-create").args(["-t", "busybox"]).done().exits(0).ok();
    let dir = home.join(".local/share/lxc").join(guest.name());
    let root = fs::metadata(dir.join("rootfs")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&root), FIRST);
    run("lxc-start").arg("-d").done().exits(0).ok();
    run("lxc-info").args(["-s", "-H"]).done().prints("RUNNING\n").ok();
    run("lxc-stop").arg("-k").done().exits(0).ok();
    run("lxc-wait").args(["-s", "STOPPED", "-t", "10"]).done().exits(0).ok();
    run("lxc-execute").args(["--", "/bin/busybox", "id", "-u"]).done().exits(0).prints("0\n").ok();
    run("lxc-destroy").done().exits(0).ok();
    assert!(!dir.exists(), "{} is still there", dir.display());
}

cases! {
    fn the_life_of_a_container() {
        life(&Ordinary::new(Cgroups::Machine));
    }

    fn the_life_of_a_container_on_pure_cgroup2() {
        life(&Ordinary::new(Cgroups::Pure));
    }

    fn created_executed_and_destroyed() {
        template(&Ordinary::new(Cgroups::Machine));
    }

    fn a_console_of_his_own() {
        let user = Ordinary::new(Cgroups::Machine);
        let guest = user.guest("unpriv").init(testkit::rootfs::Init::Busybox).conf("lxc.tty.max = 1").make();
        user.give(&guest);
        guest.start();
        let mut terminal = Terminal::spawn(guest.tool("lxc-console").args(["-t", "1"]));
        terminal.expect("Type <Ctrl+a q>");
        terminal.send("\r");
        terminal.expect("login:");
        terminal.send("root\r");
        terminal.expect("# ");
        terminal.send("echo tty-$((6*7))\r");
        terminal.expect("tty-42");
        terminal.send("\u{1}q");
        assert_eq!(terminal.exit_within(Duration::from_secs(5)), 0);
        guest.kill();
    }
}

/// A network with a bridge the user may use twice.
fn bridged(user: &Ordinary) {
    user.root_sh(
        "ip link add lxcbr7 type bridge; ip addr add 10.77.0.1/24 dev lxcbr7; ip link set lxcbr7 up",
    );
    user.etc("lxc/lxc-usernet", &format!("{NAME} veth lxcbr7 2\n"));
}

const VETH: &str = "lxc.net.0.type = veth\nlxc.net.0.link = lxcbr7\nlxc.net.0.flags = up\nlxc.net.0.name = eth0\n\
                    lxc.net.0.hwaddr = 00:16:3e:00:00:77\nlxc.net.0.ipv4.address = 10.77.0.5/24\n\
                    lxc.net.0.ipv4.gateway = 10.77.0.1";

cases! {
    fn a_veth_through_lxc_user_nic() {
        let user = Ordinary::with_network(Cgroups::Machine);
        bridged(&user);
        let guest = user.guest("unpriv").conf(VETH).make();
        user.give(&guest);
        guest.start();
        let ports = || user.root_sh("ls /sys/class/net/lxcbr7/brif");
        assert_eq!(ports().lines().count(), 1, "{}", ports());
        let text = guest.sh("ip addr show eth0; ip route; ping -c 1 -W 5 10.77.0.1");
        for word in ["10.77.0.5/24", "00:16:3e:00:00:77", "default via 10.77.0.1", "1 packets received"] {
            assert!(text.contains(word), "{word}: {text}");
        }
        let info = guest.tool("lxc-info").args(["-i", "-H"]).done().prints("10.77.0.5\n").ok();
        assert!(!info.is_empty());
        guest.kill();
        let gone = eventually(Duration::from_secs(5), || ports().is_empty());
        assert!(gone, "a port stays: {}", ports());
        // The record of the name goes with the next use of the helper, or at once.
        guest.assert_nothing_left();
    }

    fn a_bridge_he_may_not_use() {
        let user = Ordinary::with_network(Cgroups::Machine);
        bridged(&user);
        user.etc("lxc/lxc-usernet", "somebody veth lxcbr7 2\n");
        let guest = user.guest("unpriv").conf(VETH).make();
        user.give(&guest);
        guest.try_start().exits(1).says("The container failed to start").ok_on_stdout();
        assert_eq!(user.root_sh("ls /sys/class/net/lxcbr7/brif"), "");
        guest.assert_nothing_left();
    }
}

/// The container made cgroups inside its own, as a guest with systemd does: they belong to ids the user may not touch.
fn nested_cgroups(user: &Ordinary, extra: &str) -> Guest {
    let guest = user.guest("unpriv").conf(extra).make();
    user.give(&guest);
    guest.start();
    guest
}

cases! {
    fn cgroups_the_container_made_go_with_it() {
        let user = Ordinary::new(Cgroups::Pure);
        let guest = nested_cgroups(&user, "lxc.mount.auto = cgroup:rw:force");
        guest.sh("mkdir -p /sys/fs/cgroup/inner/most && chown -R 1000:1000 /sys/fs/cgroup/inner");
        guest.kill();
        guest.assert_nothing_left();
    }
}

/// Root in a cgroup of its own, as under a unit with `Delegate=yes`: containers go below it only when told so.
fn relative(cgroups: Cgroups) {
    let place = Ordinary::new(cgroups);
    let guest =
        Guest::build("relative").under(place.service_prefix()).conf("lxc.cgroup.relative = 1").start();
    let text = fs::read_to_string(format!("/proc/{}/cgroup", guest.pid())).unwrap();
    let payload = format!("/{}/lxc.payload.{}", place.cgroup(), guest.name());
    let lines: Vec<&str> =
        text.lines().filter(|line| line.starts_with("0::") || cgroups == Cgroups::Machine).collect();
    for line in &lines {
        assert!(line.ends_with(&format!(":{payload}")), "{line} is not {payload}\n{text}");
    }
    assert!(!lines.is_empty());
    assert_eq!(guest.sh("echo in"), "in\n");
    guest.kill();
    guest.assert_nothing_left();
    // Without it the same starter's containers are beside the service, not in it.
    let config = fs::read_to_string(guest.config()).unwrap().replace("lxc.cgroup.relative = 1", "");
    fs::write(guest.config(), config).unwrap();
    guest.start();
    let text = fs::read_to_string(format!("/proc/{}/cgroup", guest.pid())).unwrap();
    assert!(!text.contains(&payload), "{text}");
    guest.kill();
}

cases! {
    fn cgroups_below_the_starters_own() {
        relative(Cgroups::Machine);
    }

    fn cgroups_below_the_starters_own_on_pure_cgroup2() {
        relative(Cgroups::Pure);
    }
}
