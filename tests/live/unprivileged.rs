//! Starts by an ordinary user: what he has not set is derived, and what he may not have is named before anything starts.

use std::fs;

use testkit::ordinary::{COUNT, Cgroups, FIRST, NAME, Ordinary, UID};
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
