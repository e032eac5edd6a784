//! lxc-mount on containers that the original runs: mounting, options, lists, unmounting, and what must not work.
//!
//! Needs root and the distribution's lxc.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test: what cannot go on shall fail"
)]

use std::path::PathBuf;

use testkit::{Done, Guest, Run, Subject};

fn build(label: &str, conf: &str) -> Guest {
    Guest::build(&format!("attachmnt{label}")).subject(Subject::Theirs).conf(conf).start()
}

fn mount(guest: &Guest, words: &[&str]) -> Done {
    Run::new(env!("CARGO_BIN_EXE_lxc-mount"))
        .arg("-P")
        .arg(guest.lxcpath())
        .args(["-n", guest.name()])
        .args(words)
        .done()
}

/// A directory of the host with a file and a directory below.
fn source(guest: &Guest) -> PathBuf {
    let dir = guest.dir().join("source");
    std::fs::create_dir_all(dir.join("sub")).unwrap();
    std::fs::write(dir.join("file"), "hello\n").unwrap();
    dir
}

fn text(path: &std::path::Path) -> &str {
    path.to_str().unwrap()
}

fn host_mounts() -> String {
    std::fs::read_to_string("/proc/self/mountinfo").unwrap()
}

#[test]
fn a_directory_is_bound_read_only_and_taken_away_again() {
    let guest = build("bind", "");
    let dir = source(&guest);
    let before = host_mounts();
    let _ = mount(&guest, &["-o", "ro,nosuid,nodev,create=dir", text(&dir), "/data/deep"])
        .silent()
        .exits(0)
        .prints("");
    assert_eq!(guest.sh("cat /data/deep/file"), "hello\n");
    let options =
        guest.mountinfo().into_iter().find(|mount| mount.target == "/data/deep").expect("mounted").options;
    for option in ["ro", "nosuid", "nodev"] {
        assert!(options.split(',').any(|have| have == option), "{options}");
    }
    let _ = guest.attach(["/bin/sh", "-c", "echo x > /data/deep/file"]).exits(1).says("Read-only");
    assert_eq!(host_mounts(), before, "the host has the same mounts");
    let _ = mount(&guest, &["--umount", "/data/deep"]).silent().exits(0);
    assert_eq!(guest.sh("ls /data/deep"), "");
    let _ = mount(&guest, &["--umount", "/data/deep"]).exits(1).says("nothing is mounted on /data/deep");
    assert!(dir.join("file").exists());
}

#[test]
fn what_is_written_arrives_on_the_host() {
    let guest = build("rw", "");
    let dir = source(&guest);
    let _ = mount(&guest, &[text(&dir), "/mnt"]).exits(0);
    guest.sh("echo new > /mnt/written");
    assert_eq!(std::fs::read_to_string(dir.join("written")).unwrap(), "new\n");
}

#[test]
fn a_file_goes_onto_a_file_and_kinds_must_fit() {
    let guest = build("file", "");
    let dir = source(&guest);
    let file = dir.join("file");
    let _ = mount(&guest, &["-o", "create=file", text(&file), "/etc/injected"]).exits(0);
    assert_eq!(guest.sh("cat /etc/injected"), "hello\n");
    let _ = mount(&guest, &[text(&file), "/mnt"]).exits(1).says("choose a file as target");
    let _ = mount(&guest, &[text(&dir), "/etc/injected"]).exits(1).says("choose a directory as target");
    let _ = mount(&guest, &["--umount", "/etc/injected"]).exits(0);
    assert_eq!(guest.sh("cat /etc/injected"), "");
}

#[test]
fn file_systems_are_made_with_their_own_options() {
    let guest = build("tmpfs", "");
    let _ = mount(&guest, &["-t", "tmpfs", "-o", "size=1m,mode=0711,noexec", "scratch", "/mnt"])
        .silent()
        .exits(0);
    assert_eq!(
        guest.sh("stat -c %a /mnt; df -k /mnt | tail -1 | tr -s ' ' | cut -d' ' -f1,2"),
        "711\nscratch 1024\n"
    );
    let found = guest.mountinfo().into_iter().find(|mount| mount.target == "/mnt").expect("mounted");
    assert!(found.options.contains("noexec") && found.fstype == "tmpfs", "{found:?}");
    let _ = mount(&guest, &["-t", "tmpfs", "-o", "bogus=1", "x", "/mnt"])
        .exits(1)
        .says("the kernel says")
        .says("bogus");
    let _ = mount(&guest, &["-t", "nosuchfs", "x", "/mnt"]).exits(1).says("/proc/filesystems");
}

#[test]
fn recursive_binds_bring_the_mounts_below_along() {
    let guest = build("rbind", "");
    let dir = source(&guest);
    // In a mount namespace of its own, so that the machine's mounts stay as they are.
    let line = format!(
        "mount -t tmpfs inner {0}/sub && echo inside > {0}/sub/inner && \
         {1} -P {2} -n {3} -o rbind,ro {0} /mnt && {1} -P {2} -n {3} -o bind,create=dir {0} /plain",
        dir.display(),
        env!("CARGO_BIN_EXE_lxc-mount"),
        guest.lxcpath().display(),
        guest.name()
    );
    let words = ["-m", "--propagation", "private", "/bin/sh", "-c", &line];
    let _ = Run::new("unshare").args(words).done().silent().exits(0);
    assert_eq!(guest.sh("cat /mnt/sub/inner"), "inside\n");
    let _ = guest.attach(["/bin/sh", "-c", "echo x > /mnt/sub/inner"]).exits(1).says("Read-only");
    assert_eq!(guest.sh("ls /plain/sub"), "");
}

#[test]
fn the_list_shows_what_is_there_and_forgets_at_a_restart() {
    let guest = build("list", "");
    let dir = source(&guest);
    let _ = mount(&guest, &[]).exits(0).prints("");
    let _ = mount(&guest, &["-o", "ro", text(&dir), "/mnt"]).exits(0);
    let _ = mount(&guest, &["-t", "tmpfs", "none", "/home"]).exits(0);
    let listed = mount(&guest, &[]).exits(0).stdout;
    let rows: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["TARGET", "SOURCE", "TYPE", "OPTIONS"]);
    assert_eq!(rows[1], ["/mnt", text(&dir), "bind", "ro"]);
    assert_eq!(rows[2], ["/home", "none", "tmpfs", "-"]);
    let json = mount(&guest, &["--format", "json"]).exits(0).stdout;
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["mounts"][0]["mount_point"], "/mnt");
    assert_eq!(value["mounts"][0]["options"], serde_json::json!(["ro"]));
    assert_eq!(value["mounts"][1]["type"], "tmpfs");
    // The container may take a mount away or move it itself.
    guest.sh("umount /home; mkdir -p /elsewhere && mount --move /mnt /elsewhere || true");
    let listed = mount(&guest, &[]).exits(0).stdout;
    assert!(!listed.contains("/home"), "{listed}");
    assert_eq!(listed.lines().count(), 2, "{listed}");
    guest.kill();
    guest.start();
    let _ = mount(&guest, &[]).exits(0).prints("");
    let _ = mount(&guest, &[text(&dir), "/mnt"]).exits(0);
    assert_eq!(mount(&guest, &[]).exits(0).stdout.lines().count(), 2);
}

#[test]
fn links_of_the_container_lead_nowhere_outside() {
    let guest = build("links", "");
    let dir = source(&guest);
    let trap = guest.dir().join("trap");
    std::fs::create_dir(&trap).unwrap();
    guest.sh(&format!(
        "ln -s {0} /abs; ln -s ../../../../../../..{0} /rel; ln -s /proc/1/root /magic; ln -s /loop /loop; mkdir /inside; ln -s /inside /good",
        trap.display()
    ));
    let before = host_mounts();
    for target in ["/abs/new", "/rel/new", "/loop", "/loop/x"] {
        let done = mount(&guest, &["-o", "create=dir", text(&dir), target]);
        // An absolute link is looked up from the container's root: it may be made there, never on the host.
        assert!(done.code == 0 || done.code == 1, "{done}");
    }
    let _ = mount(&guest, &["-o", "create=dir", text(&dir), "/magic/x"]).exits(1);
    assert_eq!(std::fs::read_dir(&trap).unwrap().count(), 0, "something was made on the host");
    assert_eq!(host_mounts(), before);
    let _ = mount(&guest, &[text(&dir), "/good"]).exits(0);
    assert_eq!(guest.sh("cat /inside/file"), "hello\n");
    let _ = mount(&guest, &["--umount", "/good"]).exits(0);
    assert_eq!(guest.sh("ls /inside"), "");
}

#[test]
fn a_target_that_is_swapped_all_the_time_never_leads_out() {
    let guest = build("race", "");
    let dir = source(&guest);
    let trap = guest.dir().join("trap");
    std::fs::create_dir(&trap).unwrap();
    let up = format!("../../../../../../../../{}", trap.display());
    let swap = format!(
        "mkdir -p /a/real; (while :; do mv /a/real /a/spare 2>/dev/null; ln -s {up} /a/real 2>/dev/null; \
         rm -f /a/real; mv /a/spare /a/real 2>/dev/null; done) >/dev/null 2>&1 </dev/null &"
    );
    guest.sh(&swap);
    let before = host_mounts();
    for number in 0..40 {
        let target = format!("/a/real/n{number}");
        let done = mount(&guest, &["-o", "create=dir", text(&dir), &target]);
        assert!(done.code == 0 || done.code == 1, "{done}");
        assert_eq!(std::fs::read_dir(&trap).unwrap().count(), 0, "made on the host: {done}");
    }
    assert_eq!(host_mounts(), before);
}

#[test]
fn mistakes_are_explained() {
    let guest = build("wrong", "");
    let dir = source(&guest);
    let dir = text(&dir);
    let _ = mount(&guest, &[dir, "/missing"]).exits(1).says("-o create=dir");
    let _ = mount(&guest, &["/nonexistent", "/mnt"]).exits(1).says("path of the host");
    let _ = mount(&guest, &["-o", "size=1m", dir, "/mnt"]).exits(1).says("-t TYPE");
    let _ = mount(&guest, &["-o", "remount", dir, "/mnt"]).exits(1).says("remount");
    let _ = mount(&guest, &["-o", "idmap=container", dir, "/mnt"]).exits(1).says("no user namespace");
    for target in ["mnt", "/", "/mnt/../etc"] {
        let _ = mount(&guest, &[dir, target]).exits(1).says(&format!("target {target}"));
    }
    for words in
        [&[dir][..], &[dir, "/mnt", "more"], &["--umount"], &["-o", "ro"], &["--umount", "-t", "tmpfs", "/x"]]
    {
        let _ = mount(&guest, words).exits(1).says("could not parse command line");
    }
    assert!(!guest.mountinfo().iter().any(|mount| mount.target == "/mnt"));
    guest.kill();
    let _ = mount(&guest, &[dir, "/mnt"]).exits(1).says("not running");
}

#[test]
fn a_mount_in_use_is_only_taken_away_lazily() {
    let guest = build("busy", "");
    let dir = source(&guest);
    let _ = mount(&guest, &[text(&dir), "/mnt"]).exits(0);
    guest.sh("cd /mnt; sleep 1000 > /dev/null 2>&1 < /dev/null &");
    let _ = mount(&guest, &["--umount", "/mnt"]).exits(1).says("-o lazy");
    let _ = mount(&guest, &["--umount", "-o", "lazy", "/mnt"]).silent().exits(0);
    assert_eq!(guest.sh("ls /mnt"), "");
}

#[test]
fn a_user_namespace_owns_what_is_made_for_it() {
    let conf = "lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536\nlxc.mount.auto =\nlxc.mount.auto = proc:rw";
    // Without newuidmap in reach root writes the map itself; the machine's /etc/subuid need not allow it.
    let prefix = ["/usr/bin/env", "PATH=/nonexistent"].map(Into::into).to_vec();
    let guest = Guest::build("attachmntuser").subject(Subject::Theirs).conf(conf).under(prefix).make();
    assert_eq!(Run::new("/bin/chown").args(["-R", "100000:100000"]).arg(guest.rootfs()).done().code, 0);
    guest.start();
    let dir = source(&guest);
    let _ = mount(&guest, &["-t", "tmpfs", "-o", "create=dir", "none", "/made/tmp"]).silent().exits(0);
    assert_eq!(
        guest.sh("stat -c %u:%g /made /made/tmp; echo x > /made/tmp/file; stat -c %u /made/tmp/file"),
        "0:0\n0:0\n0\n"
    );
    let _ = mount(&guest, &["-o", "create=dir", text(&dir), "/foreign"]).exits(0);
    assert_eq!(guest.sh("stat -c %u /foreign/file"), "65534\n", "root of the host is nobody there");
    let mapped = mount(&guest, &["-o", "create=dir,idmap=container", text(&dir), "/mapped"]);
    // The file system of the test's directory decides whether that is possible.
    if mapped.code == 0 {
        assert_eq!(guest.sh("stat -c %u /mapped/file; echo y > /mapped/new"), "0\n");
        assert_eq!(std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(dir.join("new")).unwrap()), 0);
    } else {
        let _ = mapped.says("idmap=");
    }
}

#[test]
fn kernels_without_the_new_calls_go_through_the_shared_directory() {
    // The shared directory must be a shared mount, which it is in a mount namespace of the test's own; the container
    // is started, and mounted into, in there.
    let guest = Guest::build("attachmntshm").subject(Subject::Theirs).make();
    let dir = source(&guest);
    let shared = guest.dir().join("shared");
    std::fs::create_dir(&shared).unwrap();
    guest.append(&format!("lxc.mount.auto = shmounts:{}:/dev/.lxc-mounts", shared.display()));
    let tool = |words: &str| {
        format!(
            "strace -f -o {0}/trace -e trace=open_tree,move_mount -e inject=open_tree:error=ENOSYS \
             {1} -P {2} -n {3} {words}",
            guest.dir().display(),
            env!("CARGO_BIN_EXE_lxc-mount"),
            guest.lxcpath().display(),
            guest.name()
        )
    };
    let inside = |line: &str| {
        format!(
            "/usr/bin/lxc-attach -P {} -n {} -- /bin/sh -c '{line}'",
            guest.lxcpath().display(),
            guest.name()
        )
    };
    let script = [
        format!("mount --bind {0} {0}; mount --make-shared {0}", shared.display()),
        format!("/usr/bin/lxc-start -P {} -n {}", guest.lxcpath().display(), guest.name()),
        tool(&format!("-o ro,create=dir {} /data", dir.display())),
        inside("cat /data/file; echo x > /data/file || echo refused; ls -A /dev/.lxc-mounts | wc -l"),
        format!("ls -A {} | wc -l", shared.display()),
        format!(
            "{} -P {} -n {} --umount /data",
            env!("CARGO_BIN_EXE_lxc-mount"),
            guest.lxcpath().display(),
            guest.name()
        ),
        inside("ls /data"),
        tool(&format!("{} /missing && echo mounted", dir.display())),
        format!("/usr/bin/lxc-stop -k -P {} -n {}", guest.lxcpath().display(), guest.name()),
    ]
    .join("\n");
    let words = ["-m", "--propagation", "private", "/bin/sh", "-c", &script];
    let done = Run::new("unshare").args(words).done();
    let lines: Vec<&str> = done.stdout.lines().collect();
    assert_eq!(lines[..2], ["hello", "refused"], "{done}");
    // Nothing stays behind: the stage is empty on both sides.
    assert!(lines[3] == "0", "{done}");
    assert!(!done.stdout.contains("mounted"), "{done}");
    assert!(done.stderr.contains("/missing"), "{done}");
}
