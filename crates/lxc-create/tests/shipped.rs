//! The data that is installed beside the programs: configurations parse and say what they should, the template makes
//! what it promises, and nothing in them opens the host (CVE-2013-6441, CVE-2017-18641).
#![allow(clippy::expect_used, clippy::panic)] // a test may: failing is how it reports

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lxc_conf::Config;
use lxc_conf::model::{AutoAccess, AutoProc, AutoSys, Capabilities};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository")
}

fn scratch(label: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("create-shipped-{label}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("mkdir");
    path
}

/// The shipped configurations as an installer with another prefix would write them.
fn installed(label: &str) -> PathBuf {
    let share = scratch(label);
    for dir in ["config", "config/common.conf.d", "config/userns.conf.d"] {
        fs::create_dir_all(share.join(dir)).expect("mkdir");
        for entry in fs::read_dir(repository().join(dir)).expect("list") {
            let path = entry.expect("entry").path();
            if let (true, Ok(text)) = (path.is_file(), fs::read_to_string(&path)) {
                let text = text.replace("/usr/share/lxc", &share.display().to_string());
                fs::write(share.join(dir).join(path.file_name().expect("name")), text).expect("write");
            }
        }
    }
    share
}

fn load(files: &[&Path]) -> Config {
    let mut config = Config::new();
    for file in files {
        config.load_file(file).unwrap_or_else(|mistakes| panic!("{}: {mistakes:?}", file.display()));
    }
    config
}

fn text_files() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut queue: Vec<_> =
        ["config", "templates", "hooks"].iter().map(|dir| repository().join(dir)).collect();
    while let Some(dir) = queue.pop() {
        for entry in fs::read_dir(&dir).expect("list") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                queue.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                found.push((path, text));
            }
        }
    }
    found
}

#[test]
fn common_conf_confines() {
    let share = installed("common");
    let config = load(&[&share.join("config/common.conf")]);
    let settings = config.settings();
    let Capabilities::Drop(dropped) = &settings.capabilities else { panic!("{:?}", settings.capabilities) };
    let names: Vec<_> = dropped.iter().map(|capability| capability.name.as_str()).collect();
    assert_eq!(names, ["mac_admin", "mac_override", "sys_time", "sys_module", "sys_rawio"]);
    for rules in [&settings.cgroup1, &settings.cgroup2] {
        let rules: Vec<_> = rules.iter().map(|rule| format!("{} {}", rule.file, rule.value)).collect();
        assert_eq!(rules.first().map(String::as_str), Some("devices.deny a"));
        assert_eq!(rules.len(), 13, "{rules:?}");
        assert!(rules.contains(&"devices.allow c 1:3 rwm".to_owned()));
        // Nothing but making nodes is allowed for block devices.
        assert!(rules.iter().all(|rule| !rule.contains("allow b") || rule.ends_with("b *:* m")), "{rules:?}");
    }
    assert_eq!(settings.mounts.auto.proc, Some(AutoProc::Mixed));
    assert_eq!(settings.mounts.auto.sys, Some(AutoSys::Mixed));
    assert_eq!(settings.mounts.auto.cgroup.map(|cgroup| cgroup.access), Some(AutoAccess::Mixed));
    assert_eq!((settings.pty_max, settings.tty_max), (1024, 4));
    let profile = settings.seccomp.profile.as_deref().expect("a seccomp profile");
    let policy = fs::read_to_string(profile).expect("the profile is there");
    for call in ["kexec_load", "open_by_handle_at", "init_module", "finit_module", "delete_module"] {
        assert!(policy.lines().any(|line| line == format!("{call} errno 1")), "{call}");
    }
    let hook = &settings.hooks.of(lxc_conf::model::HookKind::Clone)[0].value;
    assert!(repository().join("hooks").join(Path::new(hook).file_name().expect("name")).exists(), "{hook}");
    fs::remove_dir_all(share).expect("clean up");
}

#[test]
fn userns_conf_takes_back_what_users_cannot_have() {
    let share = installed("userns");
    let files = ["common.conf", "userns.conf"].map(|name| share.join("config").join(name));
    let config = load(&[&files[0], &files[1]]);
    let settings = config.settings();
    assert!(settings.cgroup1.is_empty() && settings.cgroup2.is_empty());
    assert_eq!(settings.capabilities, Capabilities::Untouched);
    assert_eq!(settings.mounts.auto.sys, Some(AutoSys::Rw));
    assert_eq!(settings.mounts.auto.proc, Some(AutoProc::Mixed));
    assert_eq!(settings.tty_dir.as_deref().unwrap_or(""), "");
    assert!(settings.seccomp.profile.is_some());
    fs::remove_dir_all(share).expect("clean up");
}

#[test]
fn every_other_configuration_parses() {
    let share = installed("others");
    for name in ["nesting.conf", "oci.common.conf"] {
        load(&[&share.join("config").join(name)]);
    }
    let config = load(&[&repository().join("config/etc/default.conf")]);
    let nic = config.settings().nics.get(&0).expect("lxc.net.0");
    assert!(nic.up && nic.link.as_deref() == Some("lxcbr0"));
    let hwaddr = nic.hwaddr.as_deref().expect("an address");
    assert!(hwaddr.starts_with("10:66:6a:") && !hwaddr.contains('x'), "{hwaddr}");
    fs::remove_dir_all(share).expect("clean up");
}

/// CVE-2013-6441: a template bound the host's init read-write into the guest.
#[test]
fn nothing_of_the_host_is_bound_writable() {
    let mut seen = 0;
    for (path, text) in text_files() {
        let code = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        for line in code.filter(|line| line.contains("lxc.mount.entry") && line.contains("bind")) {
            seen += 1;
            // /sys/fs/fuse/connections belongs to FUSE, whose files check who opens them.
            let harmless = line.contains("/sys/fs/fuse/connections");
            assert!(harmless || line.contains("ro,bind"), "{}: {line}", path.display());
        }
    }
    assert!(seen >= 3, "the search finds the entries it is about");
}

/// CVE-2017-18641: templates ran what they had fetched over plain HTTP.
#[test]
fn nothing_is_fetched_over_plain_http() {
    for (path, text) in text_files() {
        assert!(!text.contains("http://"), "{}", path.display());
    }
}

#[test]
fn scripts_are_scripts() {
    let mut checked = 0;
    for (path, text) in text_files().into_iter().filter(|(_, text)| text.starts_with("#!")) {
        let mode = fs::metadata(&path).expect("stat").permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{} is executable", path.display());
        assert!(text.starts_with("#!/bin/sh\n"), "{}", path.display());
        let status = Command::new("sh").arg("-n").arg(&path).status().expect("run sh");
        assert!(status.success(), "{}", path.display());
        checked += 1;
    }
    assert!(checked >= 4);
}

struct Busybox {
    dir: PathBuf,
}

impl Busybox {
    fn new(label: &str) -> Option<Busybox> {
        let there = Command::new("busybox").stdout(Stdio::null()).stderr(Stdio::null()).status();
        there.is_ok().then(|| Busybox { dir: scratch(label) })
    }

    fn run(&self, args: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(repository().join("templates/lxc-busybox"));
        let output = command.args(args).current_dir(&self.dir).stdin(Stdio::null()).output().expect("run");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

impl Drop for Busybox {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

#[test]
fn the_busybox_template_makes_what_boots() {
    let Some(busybox) = Busybox::new("busybox") else { return };
    let path = busybox.dir.display().to_string();
    let args = [format!("--path={path}"), "-n".into(), "a b".into(), format!("--rootfs={path}/root fs")];
    let (code, said) = busybox.run(&args.each_ref().map(String::as_str));
    assert_eq!(code, Some(0), "{said}");
    let root = busybox.dir.join("root fs");
    for file in ["sbin/init", "bin/sh", "bin/getty", "etc/inittab", "etc/passwd", "etc/udhcpc/default.script"]
    {
        assert!(root.join(file).exists(), "{file}");
    }
    for (file, mode) in [("etc/shadow", 0o600), ("etc/init.d/rcS", 0o755), ("tmp", 0o1777), ("root", 0o700)] {
        let got = fs::metadata(root.join(file)).expect("stat").permissions().mode() & 0o7777;
        assert_eq!(got, mode, "{file}: {got:o}");
    }
    let config = load(&[&busybox.dir.join("config")]);
    let settings = config.settings();
    assert_eq!(settings.uts_name.as_deref(), Some("a b"));
    assert_eq!((settings.signals.halt, settings.signals.reboot), (Some(10), Some(15)));
    let rootfs = settings.rootfs.path.as_ref().expect("lxc.rootfs.path");
    assert_eq!(rootfs.path, root.display().to_string());
    // The programs start: nothing of the host is needed for it.
    let hello = Command::new(root.join("bin/sh")).args(["-c", "echo hello"]).output().expect("run");
    assert_eq!(hello.stdout, b"hello\n");
}

#[test]
fn the_busybox_template_never_writes_through_links() {
    let Some(busybox) = Busybox::new("busybox-link") else { return };
    let outside = busybox.dir.join("outside");
    fs::create_dir_all(&outside).expect("mkdir");
    fs::create_dir_all(busybox.dir.join("rootfs")).expect("mkdir");
    symlink(&outside, busybox.dir.join("rootfs/etc")).expect("symlink");
    let path = format!("--path={}", busybox.dir.display());
    let (code, said) = busybox.run(&[&path, "--name=x"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("symbolic link"), "{said}");
    assert_eq!(fs::read_dir(&outside).expect("list").count(), 0);
}

#[test]
fn the_busybox_template_checks_its_words() {
    let Some(busybox) = Busybox::new("busybox-words") else { return };
    for (args, text) in [
        (&["--name"][..], "requires an argument"),
        (&["--name=x"], "--path is required"),
        (&["--path=/x"], "--name is required"),
        (&["--no-such-option"], "unknown option"),
        (&["--name=x", "--path=.", "--busybox-path=/no/such/file"], "no such file"),
        (&["--name=x", "--path=.", "--busybox-path=/bin/ls"], "has no applet"),
        (&["--name=a\nlxc.hook.stop = /x", "--path=."], "line breaks"),
    ] {
        let (code, said) = busybox.run(args);
        assert_eq!(code, Some(1), "{args:?}");
        assert!(said.contains(text), "{args:?}: {said}");
    }
    assert_eq!(busybox.run(&["--help"]).0, Some(0));
    assert_eq!(
        fs::read_dir(&busybox.dir).expect("list").count(),
        0,
        "nothing is made before everything is checked"
    );
}

#[test]
fn clonehostname_changes_whole_words_and_follows_no_links() {
    let root = scratch("clonehostname");
    fs::create_dir_all(root.join("etc/sysconfig")).expect("mkdir");
    fs::write(root.join("etc/hostname"), "web\n").expect("write");
    fs::set_permissions(root.join("etc/hostname"), fs::Permissions::from_mode(0o640)).expect("chmod");
    fs::write(root.join("etc/hosts"), "127.0.1.1\tweb web.lan webmail\n# web\n").expect("write");
    fs::write(root.join("victim"), "untouched\n").expect("write");
    symlink("../victim", root.join("etc/HOSTNAME")).expect("symlink");
    let status = Command::new(repository().join("hooks/clonehostname"))
        .args(["web", "lxc", "clone"])
        .env("LXC_ROOTFS_MOUNT", &root)
        .env("LXC_SRC_NAME", "web")
        .env("LXC_NAME", "new")
        .status();
    assert!(status.expect("run").success());
    assert_eq!(fs::read_to_string(root.join("etc/hostname")).expect("read"), "new\n");
    let mode = fs::metadata(root.join("etc/hostname")).expect("stat").permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    assert_eq!(
        fs::read_to_string(root.join("etc/hosts")).expect("read"),
        "127.0.1.1\tnew web.lan webmail\n# web\n"
    );
    assert_eq!(fs::read_to_string(root.join("victim")).expect("read"), "untouched\n");
    fs::remove_dir_all(root).expect("clean up");
}
