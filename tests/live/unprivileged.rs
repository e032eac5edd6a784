//! Starts by an ordinary user: what he has not set is derived, and what he may not have is named before anything starts.

use std::fs;
use std::path::Path;

use testkit::ordinary::{COUNT, Cgroups, FIRST, NAME, Ordinary, UID, unified_mount};
use testkit::user_manager::Manner;
use testkit::{Done, Guest, cases};

/// Starts it; it must fail, and the lines up to the usual four must contain every one of `words`.
fn explained(guest: &Guest, words: &[&str]) -> Done {
    let done = guest.try_start().exits(1);
    for word in words {
        assert!(done.stderr.contains(word), "{word:?} is not said: {done}");
    }
    assert_eq!(guest.state(), "STOPPED");
    guest.assert_nothing_left();
    done
}

fn line_of(guest: &Guest, text: &str) -> String {
    let config = fs::read_to_string(guest.config()).unwrap();
    let line = config.lines().position(|line| line.starts_with(text)).unwrap() + 1;
    format!("{}:{line}", guest.config().display())
}

fn map_of(guest: &Guest, file: &str) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{}/{file}", guest.pid())).unwrap();
    text.split_whitespace().map(str::to_owned).collect()
}

cases! {
    fn ids_that_are_not_his_are_named_with_file_line_and_cure() {
        let user = Ordinary::new(Cgroups::Machine);
        user.etc("subuid", &format!("somebody:1:1\n{NAME}:{FIRST}:1000\n"));
        let guest = user.guest("unpriv").make();
        user.give(&guest);
        let words = [
            &format!("{NAME} (uid {UID})"),
            "host uids 3000000-3065535",
            "/etc/subuid line 2 gives him 3000000-3000999",
            &line_of(&guest, "lxc.idmap = g"),
            "usermod --add-subuids 3000000-3065535",
        ];
        let done = explained(&guest, &words);
        assert!(!done.stderr.contains("subgid"), "the gids are his: {done}");
    }

    fn both_files_that_have_no_line_are_in_one_message() {
        let user = Ordinary::new(Cgroups::Machine);
        user.etc("subuid", "");
        user.etc("subgid", "");
        let guest = user.guest("unpriv").make();
        user.give(&guest);
        explained(&guest, &["/etc/subuid has no line for", "/etc/subgid has no line for", "--add-subgids"]);
    }

    fn without_a_map_his_own_ids_are_used() {
        let user = Ordinary::new(Cgroups::Machine);
        let guest = user.bare_guest("unpriv").make();
        user.give(&guest);
        guest.start();
        assert_eq!(map_of(&guest, "uid_map"), ["0", &FIRST.to_string(), &COUNT.to_string()]);
        assert_eq!(map_of(&guest, "gid_map"), ["0", &FIRST.to_string(), &COUNT.to_string()]);
        guest.kill();
    }

    fn device_rules_are_a_remark_and_no_error() {
        for (lines, remarks) in [
            ("lxc.cgroup2.devices.deny =\nlxc.cgroup2.devices.allow =", 0),
            ("lxc.cgroup2.devices.deny = a\nlxc.cgroup2.devices.allow = c 1:3 rwm", 1),
        ] {
            let user = Ordinary::new(Cgroups::Pure);
            let guest = user.guest("unpriv").conf(lines).make();
            user.give(&guest);
            guest.start();
            let log = fs::read_to_string(guest.dir().join("log")).unwrap();
            let about: Vec<_> = log.lines().filter(|line| line.contains("evice rules")).collect();
            assert_eq!(about.len(), remarks, "{about:?}");
            assert!(about.iter().all(|line| line.contains(" INFO ")), "{about:?}");
            assert!(!log.contains(" ERROR "), "{log}");
            guest.kill();
        }
    }

    fn lines_by_uid_count_as_well() {
        let user = Ordinary::new(Cgroups::Machine);
        user.etc("subuid", &format!("{UID}:{FIRST}:2000\n"));
        let guest = user.bare_guest("unpriv").make();
        user.give(&guest);
        guest.start();
        assert_eq!(map_of(&guest, "uid_map"), ["0", &FIRST.to_string(), "2000"]);
        guest.kill();
    }

    fn without_a_map_and_without_ids_it_says_how_to_get_some() {
        let user = Ordinary::new(Cgroups::Machine);
        user.etc("subgid", "somebody:1:1\n");
        let guest = user.bare_guest("unpriv").make();
        user.give(&guest);
        let done = explained(&guest, &["no lxc.idmap is set", "/etc/subgid has no line for", "usermod --add-subuids"]);
        assert!(!done.stderr.contains("/etc/subuid has"), "{done}");
    }

    fn a_new_container_gets_his_map_into_its_configuration() {
        let user = Ordinary::new(Cgroups::Machine);
        let dir = user.home().join("lxc");
        let guest = user.bare_guest("unpriv").without_rootfs().make();
        let create = guest.bare_tool("lxc-create").args(["-n", "fresh", "-t", "busybox", "-P"]).arg(&dir);
        create.done().exits(0).ok();
        let config = fs::read_to_string(dir.join("fresh/config")).unwrap();
        assert!(config.contains(&format!("lxc.idmap = u 0 {FIRST} {COUNT}\n")), "{config}");
        assert!(config.contains(&format!("lxc.idmap = g 0 {FIRST} {COUNT}\n")), "{config}");
        guest.bare_tool("lxc-destroy").args(["-n", "fresh", "-P"]).arg(&dir).done().exits(0).ok();
    }

    fn a_newuidmap_without_privilege_is_named() {
        let user = Ordinary::new(Cgroups::Machine);
        let copy = user.scratch().join("newuidmap");
        let path = copy.display();
        user.root_sh(&format!("cp /usr/bin/newuidmap {path}; chmod 755 {path}; mount --bind {path} /usr/bin/newuidmap"));
        let guest = user.guest("unpriv").make();
        user.give(&guest);
        explained(&guest, &["/usr/bin/newuidmap is neither set-uid root nor has it", "cap_setuid", "chmod u+s"]);
        // With the capability it works, which an old check of the set-uid bit alone would refuse.
        user.root_sh(&format!("setcap cap_setuid=ep {path}"));
        guest.start();
        guest.kill();
    }

    fn a_newgidmap_that_is_missing_is_named() {
        let user = Ordinary::new(Cgroups::Machine);
        user.root_sh("mount --bind /dev/null /usr/bin/newgidmap");
        let guest = user.guest("unpriv").make();
        user.give(&guest);
        explained(&guest, &["newgidmap: not found along PATH", "uidmap"]);
    }

    fn no_new_privs_is_seen_before_newuidmap_fails() {
        let user = Ordinary::new(Cgroups::Machine);
        let guest = user.guest("unpriv").make();
        user.give(&guest);
        let start = user.run("setpriv").args(["--no-new-privs".as_ref(), guest.subject().tool("lxc-start").as_os_str()]);
        let done = start.arg("-P").arg(guest.lxcpath()).args(["-n", guest.name(), "-d"]).done().exits(1);
        assert!(done.stderr.contains("no_new_privs is set"), "{done}");
    }
}

cases! {
    fn what_lxc_user_nic_says_is_in_the_error() {
        let user = Ordinary::with_network(Cgroups::Machine);
        user.root_sh("ip link add lxcbr7 type bridge; ip link set lxcbr7 up");
        user.etc("lxc/lxc-usernet", &format!("{NAME} veth lxcbr7 0\n"));
        let guest = user.guest("unpriv").conf("lxc.net.0.type = veth\nlxc.net.0.link = lxcbr7").make();
        user.give(&guest);
        let words = ["lxc-user-nic create: ", "uota", "/etc/lxc/lxc-usernet", &line_of(&guest, "lxc.net.0.type = veth")];
        let done = explained(&guest, &words);
        assert!(done.stderr.contains("veth lxcbr7"), "the line to add is not said: {done}");
    }

    fn networks_that_need_root_are_refused_by_name() {
        let user = Ordinary::with_network(Cgroups::Machine);
        user.root_sh("ip link add lxcbr7 type bridge");
        let guest = user.guest("unpriv").conf("lxc.net.0.type = macvlan\nlxc.net.0.link = lxcbr7").make();
        user.give(&guest);
        explained(&guest, &["macvlan", &line_of(&guest, "lxc.net.0.type = macvlan")]);
    }
}

/// The unified cgroup of a process, as in /proc/PID/cgroup.
fn unified(pid: u32) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    text.lines().find_map(|line| line.strip_prefix("0::")).unwrap().to_owned()
}

/// Start, attach and stop in a scope that a user manager on `socket` makes.
fn in_a_scope(cgroups: Cgroups, socket: &str, manner: Manner, scope: &str) {
    let user = Ordinary::new(cgroups);
    let manager = user.user_manager(socket, manner);
    let guest = user.guest("unpriv").make();
    user.give(&guest);
    guest.start();
    let scope = scope.replace("NAME", guest.name());
    assert_eq!(manager.units().last(), Some(&scope), "{:?}", manager.log());
    for property in ["Delegate=1", "PIDs=PID", "CollectMode=inactive-or-failed"] {
        assert!(manager.log().iter().any(|line| line == property), "{property}: {:?}", manager.log());
    }
    let base = format!("/{}/apps/{scope}", user.cgroup());
    assert_eq!(unified(guest.pid()), format!("{base}/lxc.payload.{}", guest.name()));
    assert_eq!(unified(guest.monitor()), format!("{base}/lxc.monitor.{}", guest.name()));
    // The starter has left the scope's own cgroup, or no controller could be handed on.
    let read =
        |file: &str| fs::read_to_string(format!("{}{base}/{file}", unified_mount().display())).unwrap();
    assert_eq!(read("cgroup.subtree_control"), read("cgroup.controllers"));
    // From a session nobody can get in without a scope of his own.
    assert_eq!(guest.sh("sed -n s/^0::.*lxc/lxc/p /proc/self/cgroup; echo in"), "lxc\nin\n");
    let attached = manager.units().last().unwrap().clone();
    assert!(attached.starts_with(&format!("lxc-attach-{}-", guest.name())), "{attached}");
    guest.tool("lxc-stop").args(["-t", "10"]).done().exits(0).ok();
    guest.await_gone();
    guest.assert_nothing_left();
}

cases! {
    fn a_scope_is_asked_for_on_the_session_bus() {
        in_a_scope(Cgroups::PureUndelegated, "bus", Manner::Obliging, "lxc-NAME-0.scope");
    }

    fn a_scope_of_a_hybrid_machine() {
        in_a_scope(Cgroups::Undelegated, "bus", Manner::Obliging, "lxc-NAME-0.scope");
    }

    fn the_user_manager_is_asked_directly_where_there_is_no_bus() {
        in_a_scope(Cgroups::PureUndelegated, "systemd/private", Manner::Obliging, "lxc-NAME-0.scope");
    }

    fn another_name_when_the_scope_is_there() {
        in_a_scope(Cgroups::PureUndelegated, "bus", Manner::NameTaken, "lxc-NAME-1.scope");
    }
}

/// Without a scope: `words` are said, nothing is left.
fn no_scope(manner: Option<Manner>, words: &[&str]) {
    let user = Ordinary::new(Cgroups::PureUndelegated);
    let _manager = manner.map(|manner| user.user_manager("bus", manner));
    let guest = user.guest("unpriv").make();
    user.give(&guest);
    let done = explained(&guest, words);
    assert!(done.stderr.contains("is not writable by uid 12345"), "{done}");
    assert_eq!(done.stderr.matches("cure: ").count(), 1, "one cure: {done}");
}

cases! {
    fn a_refusal_is_carried_on() {
        no_scope(Some(Manner::Refusing), &["systemd makes no scope", "not today", "systemd-run --user --scope -p Delegate=yes"]);
    }

    fn a_failed_job_is_told() {
        no_scope(Some(Manner::Failing), &["the job that starts lxc-unpriv", "ended as failed"]);
    }

    fn without_systemd_root_has_to_delegate() {
        match Path::new("/run/systemd/system").exists() {
            true => no_scope(None, &["no user manager runs for", "loginctl enable-linger"]),
            false => no_scope(None, &["systemd does not run this machine", "as root: make a cgroup, chown it"]),
        }
    }

    fn a_failed_start_leaves_no_scope() {
        let user = Ordinary::new(Cgroups::PureUndelegated);
        let manager = user.user_manager("bus", Manner::Obliging);
        let guest = user.guest("unpriv").conf("lxc.init.cwd = /proc/nowhere").make();
        user.give(&guest);
        explained(&guest, &["/proc/nowhere"]);
        assert_eq!(manager.units().len(), 1, "the start got as far as a scope: {:?}", manager.log());
    }

    fn a_bus_without_systemd_is_passed_over() {
        let user = Ordinary::new(Cgroups::PureUndelegated);
        let bus = user.user_manager("bus", Manner::Absent);
        let manager = user.user_manager("systemd/private", Manner::Obliging);
        let guest = user.guest("unpriv").make();
        user.give(&guest);
        guest.start();
        assert_eq!((bus.units().len(), manager.units().len()), (0, 1), "{:?}", bus.log());
        guest.kill();
    }

    fn the_monitor_tells_its_scope() {
        let user = Ordinary::new(Cgroups::PureUndelegated);
        let manager = user.user_manager("bus", Manner::Obliging);
        let guest = user.guest("unpriv").make();
        user.give(&guest);
        // Nothing of ours prints it, but the answer is on the wire: command 26, no data.
        guest.start();
        assert_eq!(systemd_scope(&guest), manager.units()[0]);
        guest.kill();
    }
}

/// Asks a monitor for command 26 as a C client of the same machine would; the socket is abstract.
fn systemd_scope(guest: &Guest) -> String {
    use std::io::{Read, Write};
    use std::os::linux::net::SocketAddrExt;
    let name = format!("{}/{}/command", guest.lxcpath().display(), guest.name());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap();
    let mut stream = std::os::unix::net::UnixStream::connect_addr(&address).unwrap();
    // cmd, datalen, data pointer.
    let mut request = Vec::new();
    request.extend(26i32.to_ne_bytes());
    request.extend(0i32.to_ne_bytes());
    request.extend(0u64.to_ne_bytes());
    stream.write_all(&request).unwrap();
    // ret, datalen, data pointer; then the data.
    let mut head = [0; 16];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(i32::from_ne_bytes(head[..4].try_into().unwrap()), 0);
    let mut data = vec![0; i32::from_ne_bytes(head[4..8].try_into().unwrap()) as usize];
    stream.read_exact(&mut data).unwrap();
    assert_eq!(data.pop(), Some(0), "it ends in a NUL");
    String::from_utf8(data).unwrap()
}

/// Moves what a container's configuration calls its root file system to `place`, a directory of the user nobody else may
/// enter.
fn hide_rootfs(user: &Ordinary, guest: &Guest) {
    let place = user.home().join("private/deep");
    fs::create_dir_all(&place).unwrap();
    user.root_sh(&format!("mv {} {}/rootfs", guest.rootfs().display(), place.display()));
    for dir in [user.home().join("private"), place.clone()] {
        user.root_sh(&format!("chown {UID}:{UID} {0}; chmod 700 {0}", dir.display()));
    }
    let text = fs::read_to_string(guest.config()).unwrap();
    let text = text.replace(guest.rootfs().to_str().unwrap(), place.join("rootfs").to_str().unwrap());
    fs::write(guest.config(), text).unwrap();
}

cases! {
    fn a_rootfs_in_a_private_home_is_reached_with_the_users_own_rights() {
        let user = Ordinary::new(Cgroups::Machine);
        let guest = user.guest("unpriv").make();
        user.give(&guest);
        hide_rootfs(&user, &guest);
        guest.start();
        assert_eq!(guest.sh("ls -d /bin /sbin/init"), "/bin\n/sbin/init\n");
        guest.kill();
    }

    fn binds_from_a_private_home_as_well() {
        let user = Ordinary::new(Cgroups::Machine);
        let data = user.home().join("secret");
        let line = format!("lxc.mount.entry = {}/data mnt none bind 0 0", data.display());
        let guest = user.guest("unpriv").conf(&line).make();
        user.give(&guest);
        user.root_sh(&format!("mkdir -p {0}/data; echo here > {0}/data/file; chown -R {UID}:{UID} {0}; chmod 700 {0}", data.display()));
        guest.start();
        assert_eq!(guest.sh("cat /mnt/file"), "here\n");
        guest.kill();
    }
}

cases! {
    fn an_overlay_of_an_ordinary_user() {
        let user = Ordinary::new(Cgroups::Machine);
        let guest = user.guest("unpriv").make();
        user.give(&guest);
        let dir = guest.dir();
        let overlay = format!("overlay:{0}/rootfs:{0}/delta/upper", dir.display());
        // As lxc-create leaves them: the upper directory is the container root's, what it is in is the user's.
        let delta = format!("{0}/delta; chown {UID}:{UID} {0}/delta; chown {FIRST}:{UID} {0}/delta/upper", dir.display());
        user.root_sh(&format!("mkdir -p {0}/delta/upper {delta}", dir.display()));
        let text = fs::read_to_string(guest.config()).unwrap();
        fs::write(guest.config(), text.replace(&format!("dir:{}", guest.rootfs().display()), &overlay)).unwrap();
        guest.start();
        guest.sh("echo new > /etc/new; rm /etc/hosts; mkdir /mnt/d; rm -r /home; mkdir /home");
        assert!(!guest.rootfs().join("etc/new").exists());
        assert!(dir.join("delta/upper/etc/new").exists());
        guest.kill();
        guest.start();
        assert_eq!(guest.sh("cat /etc/new; ls /etc/hosts 2>&1; ls /home"), "new\nls: /etc/hosts: No such file or directory\n");
        guest.kill();
    }

    fn all_directories_in_the_way_of_an_overlay_are_named() {
        let user = Ordinary::new(Cgroups::Machine);
        let guest = user.guest("unpriv").make();
        user.give(&guest);
        let place = user.home().join("closed/off");
        let (dir, closed) = (place.display(), user.home().join("closed"));
        user.root_sh(&format!(
            "mkdir -p {dir}/upper; chown -R {UID}:{UID} {0}; chown {FIRST}:{UID} {dir}/upper; chmod 700 {0} {dir}",
            closed.display()
        ));
        let text = fs::read_to_string(guest.config()).unwrap();
        let overlay = format!("overlay:{}:{dir}/upper", guest.rootfs().display());
        fs::write(guest.config(), text.replace(&format!("dir:{}", guest.rootfs().display()), &overlay)).unwrap();
        let both = format!("{}, {dir}", closed.display());
        let cure = format!("setfacl -m u:{FIRST}:x {} {dir}", closed.display());
        let place = line_of(&guest, "lxc.rootfs.path");
        explained(&guest, &[&format!("(uid {FIRST} of the host) may not enter {both}"), &cure, &place]);
        // The cure cures; setfacl need not be installed, so its other half.
        user.root_sh(&format!("chmod o+x {} {dir}", closed.display()));
        guest.start();
        guest.sh("echo x > /etc/new");
        guest.kill();
    }

    fn a_container_is_created_in_a_private_home() {
        let user = Ordinary::new(Cgroups::Machine);
        user.root_sh(&format!("chmod 700 {}", user.home().display()));
        let guest = user.bare_guest("unpriv").without_rootfs().make();
        fs::remove_dir_all(guest.lxcpath()).unwrap();
        let run = |tool: &str| guest.bare_tool(tool).args(["-n", guest.name()]);
        run("lxc-create").args(["-t", "busybox"]).done().exits(0).ok();
        run("lxc-start").arg("-d").done().exits(0).ok();
        run("lxc-stop").arg("-k").done().exits(0).ok();
        run("lxc-wait").args(["-s", "STOPPED", "-t", "10"]).done().exits(0).ok();
        run("lxc-destroy").done().exits(0).ok();
    }
}
