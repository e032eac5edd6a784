//! lxc-usernsexec: a command in a user namespace, as an ordinary user and as root.

use testkit::cases;
use testkit::ordinary::{COUNT, Cgroups, FIRST, NAME, Ordinary, UID};
use testkit::run::{Done, Run};
use testkit::subject::Subject;

fn world() -> Ordinary {
    Ordinary::new(Cgroups::Undelegated)
}

fn run(user: &Ordinary, words: &[&str]) -> Done {
    user.run(Subject::current().tool("lxc-usernsexec")).args(words).done()
}

/// Lines of an id map with single blanks.
fn map(text: &str) -> Vec<String> {
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

cases! {
    fn the_own_ranges_are_the_default() {
        let user = world();
        let maps = run(&user, &["--", "cat", "/proc/self/uid_map", "/proc/self/gid_map"]).ok();
        let line = format!("0 {FIRST} {COUNT}");
        assert_eq!(map(&maps), [line.clone(), line]);
        // Of several lines the first.
        user.etc("subuid", &format!("other:1:1\n{NAME}:{FIRST}:10\n{NAME}:500:5\n"));
        assert_eq!(map(&run(&user, &["cat", "/proc/self/uid_map"]).ok()), [format!("0 {FIRST} 10")]);
    }

    fn the_command_is_root_without_groups() {
        let user = world();
        let line = "id -u; id -g; grep -E '^(Groups|CapEff|Uid)' /proc/self/status";
        let said = run(&user, &["--", "sh", "-c", line]).ok();
        let words: Vec<&str> = said.split_whitespace().collect();
        assert_eq!(words[..8], ["0", "0", "Uid:", "0", "0", "0", "0", "Groups:"], "{said}");
        assert!(said.contains("CapEff:\t000001ff"), "{said}");
    }

    fn maps_of_the_command_line() {
        let user = world();
        let words = ["-m", &format!("b:0:{FIRST}:1000"), "-m", &format!("b:1000:{UID}:1"), "--", "cat", "/proc/self/uid_map",
            "/proc/self/gid_map"];
        let lines = [format!("0 {FIRST} 1000"), format!("1000 {UID} 1")];
        assert_eq!(map(&run(&user, &words).ok()), [lines.clone(), lines].concat());
        let words = ["-m", &format!("u:0:{FIRST}:10"), "-m", &format!("g:0:{FIRST}:20"), "cat", "/proc/self/gid_map"];
        assert_eq!(map(&run(&user, &words).ok()), [format!("0 {FIRST} 20")]);
    }

    fn the_own_id_is_mapped_behind_the_others() {
        let user = world();
        let said = run(&user, &["-s", "-m", &format!("b:0:{FIRST}:10"), "--", "cat", "/proc/self/uid_map"]).ok();
        assert_eq!(map(&said), [format!("0 {FIRST} 10"), format!("10 {UID} 1")]);
        let said = run(&user, &["-s", "--", "cat", "/proc/self/gid_map"]).ok();
        assert_eq!(map(&said), [format!("0 {FIRST} {COUNT}"), format!("{COUNT} {UID} 1")]);
    }

    /// The example of the manual page: giving a file to an id of the container.
    fn files_are_given_away() {
        let user = world();
        let words = ["-m", &format!("b:0:{UID}:1"), "-m", &format!("b:1:{FIRST}:1"), "--", "sh", "-c",
            "echo hello > given && chown 1:1 given"];
        run(&user, &words).ok();
        let owner = user.root_sh(&format!("stat -c %u:%g {}/given", user.home().display()));
        assert_eq!(owner.trim(), format!("{FIRST}:{FIRST}"));
    }

    fn exit_codes() {
        let user = world();
        let code = |line: &str| run(&user, &["--", "sh", "-c", line]).code;
        assert_eq!((code("exit 0"), code("exit 7"), code("exit 255")), (0, 7, 255));
        let missing = run(&user, &["--", "/nonexistent"]).exits(1);
        assert!(missing.stderr.contains("/nonexistent"), "{missing}");
        let _ = run(&user, &["--", "/etc/passwd"]).exits(1).says("/etc/passwd");
        let _ = run(&user, &[]).exits(0);
    }

    fn what_is_not_allowed() {
        let user = world();
        for (maps, why) in [
            (vec!["-m", "b:0:1:10"], "not his"),
            (vec!["-m", "b:5:3000000:10"], "no id 0"),
            (vec!["-m", "u:0:3000000:10"], "no gids"),
            (vec!["-m", "x:0:3000000:10"], "kind"),
            (vec!["-m", "b:0:3000000"], "three"),
            (vec!["-m", "b:0x0:3000000:10"], "hexadecimal"),
            (vec!["-m", "b:0:3000000:0"], "empty"),
            (vec!["-m"], "no value"),
            (vec!["-z"], "option"),
            (vec!["--help"], "long option"),
        ] {
            let done = run(&user, &[maps, vec!["--", "echo", "ran"]].concat());
            assert!(done.code == 1 && done.stdout.is_empty(), "{why}: {done}");
        }
    }

    fn without_an_allocation_there_is_no_default() {
        let user = world();
        for (file, other) in [("subuid", "subgid"), ("subgid", "subuid")] {
            user.etc(file, "other:1:1\n");
            user.etc(other, &format!("{NAME}:{FIRST}:{COUNT}\n"));
            let done = run(&user, &["--", "echo", "ran"]).exits(1).says("Failed to find subuid or subgid allocation");
            assert!(done.stdout.is_empty());
        }
    }

    fn mounts_stay_inside_and_the_environment_comes_along() {
        let user = world();
        let line = "mount -t tmpfs none /mnt && grep -c ' /mnt tmpfs ' /proc/mounts; echo $PROBE";
        let done = user
            .run(Subject::current().tool("lxc-usernsexec"))
            .args(["--", "sh", "-c", line])
            .env("PROBE", "kept")
            .done();
        assert_eq!(done.ok(), "1\nkept\n");
        assert!(!user.root_sh("cat /proc/mounts").contains(" /mnt tmpfs "));
    }

    /// Pain 3 of the original's users: "Failed to open tty".
    fn on_a_terminal_the_command_has_it() {
        let user = world();
        let tool = Subject::current().tool("lxc-usernsexec");
        let mut terminal =
            testkit::pty::Terminal::spawn(user.run(tool).args(["--", "sh", "-c", "test -t 0 && test -t 1 && echo 'a t''ty'"]));
        terminal.expect("a tty");
        assert_eq!(terminal.exit_within(std::time::Duration::from_secs(10)), 0);
        assert!(!terminal.all().contains("Failed"), "{}", terminal.all());
    }
}

#[test]
fn what_only_ours_does() {
    if !Subject::current().is_ours() {
        return;
    }
    let user = world();
    assert_eq!(run(&user, &["-u", "5", "-g", "6", "--", "id", "-u"]).ok(), "5\n");
    assert_eq!(run(&user, &["-u", "5", "-g", "6", "--", "id", "-g"]).ok(), "6\n");
    // The original's exit code is 0.
    let _ = run(&user, &["--", "sh", "-c", "kill -9 $$"]).exits(137);
    let _ =
        run(&user, &["-m", "b:0:1:10", "--", "id"]).exits(1).says("/etc/subuid line").says("-m asks for ids");
    let _ = run(&user, &["-m", "b:5:3000000:10", "--", "id"]).exits(1).says("uid 0 is not mapped by -m");
    let _ = run(&user, &["-m", "b:0:3000000:10:9", "--", "id"]).exits(1).says("b:0:3000000:10:9");
    // Root needs no allocation for maps of his own.
    let root = Run::new(Subject::Ours.tool("lxc-usernsexec")).args([
        "-m",
        "b:0:500000:10",
        "--",
        "cat",
        "/proc/self/uid_map",
    ]);
    assert_eq!(map(&root.done().ok()), ["0 500000 10"]);
}
