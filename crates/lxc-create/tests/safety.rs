//! What ours does better than the original on purpose: nothing that was there before is lost, nothing is written when
//! something is wrong, and a name or an argument cannot become a path or a line of configuration.
#![allow(clippy::expect_used)] // a test may: failing is how it reports

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("create-safety-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("p")).expect("make a scratch directory");
        fs::write(path.join("conf"), "lxc.net.0.type = empty\n").expect("write");
        Place(path)
    }

    fn template(&self, script: &str) -> String {
        let path = self.0.join("lxc-t");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("write");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
        path.display().to_string()
    }

    fn command(&self, name: &str, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lxc-create"));
        command.arg("-P").arg(self.0.join("p")).arg("-n").arg(name).args(args);
        command.env("LC_ALL", "C").stdin(Stdio::null());
        command
    }

    fn create(&self, name: &str, args: &[&str]) -> Output {
        self.command(name, args).output().expect("run lxc-create")
    }

    fn conf(&self) -> String {
        self.0.join("conf").display().to_string()
    }

    fn is_empty(&self) -> bool {
        fs::read_dir(self.0.join("p")).expect("list").count() == 0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

/// lxc issue 2752: the original removes the whole given directory when the creation fails.
#[test]
fn a_given_rootfs_survives_a_failing_template() {
    let place = Place::new();
    let template = place.template("exit 3");
    let root = place.0.join("precious");
    fs::create_dir(&root).expect("mkdir");
    fs::write(root.join("data"), "x").expect("write");
    let dir = format!("--dir={}", root.display());
    let output = place.create("c", &["-t", &template, "-f", &place.conf(), &dir]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("exit status: 3") && said(&output).contains("Failed to create container c")
    );
    assert_eq!(fs::read_to_string(root.join("data")).expect("read"), "x");
    assert!(place.is_empty(), "what was made is gone");
}

#[test]
fn a_directory_that_was_there_survives_a_failing_template() {
    let place = Place::new();
    let template = place.template("exit 1");
    let dir = place.0.join("p/c");
    fs::create_dir_all(dir.join("rootfs")).expect("mkdir");
    fs::write(dir.join("notes"), "x").expect("write");
    fs::write(dir.join("rootfs/data"), "x").expect("write");
    assert_eq!(place.create("c", &["-t", &template, "-f", &place.conf()]).status.code(), Some(1));
    assert!(dir.join("notes").exists() && dir.join("rootfs/data").exists());
    assert!(!dir.join("config").exists() && !dir.join("partial").exists());
}

#[test]
fn half_a_configuration_is_none() {
    let place = Place::new();
    let template = place.template("exit 0");
    let wrong = place.0.join("wrong");
    fs::write(&wrong, "lxc.net.0.type = empty\nlxc.idmapp = u 0 100000 65536\n").expect("write");
    let wrong = wrong.display().to_string();
    for (file, reason) in [(wrong.as_str(), "lxc.idmapp"), ("/no/such/file", "No such file or directory")] {
        for template in [template.as_str(), "none"] {
            let output = place.create("c", &["-t", template, "-f", file]);
            assert_eq!(output.status.code(), Some(1), "{file}");
            assert!(said(&output).contains(reason), "{}", said(&output));
            assert!(place.is_empty());
        }
    }
    let output = place.create("c", &["-t", "none", "-f", &wrong]);
    assert!(said(&output).contains(&format!("{wrong}:2")), "the line is named: {}", said(&output));
}

/// The original's `lxc-create -n .. -t none` writes a configuration into the parent of the lxcpath.
#[test]
fn names_stay_in_the_lxcpath() {
    let place = Place::new();
    for name in ["..", ".", "a/b", "/etc", "a\nb", "../x", ""] {
        let output = place.create(name, &["-t", "none", "-f", &place.conf()]);
        assert_eq!(output.status.code(), Some(1), "{name:?}");
        assert!(place.is_empty() && !place.0.join("config").exists(), "{name:?}");
    }
    for name in ["a b", "-x", "ü", "it's"] {
        let template =
            place.template("for a; do case $a in --rootfs=*) touch \"${a#--rootfs=}/made\";; esac; done");
        let output = place.create(name, &["-t", &template, "-f", &place.conf()]);
        assert_eq!(output.status.code(), Some(0), "{name:?} {}", said(&output));
        assert!(place.0.join("p").join(name).join("rootfs/made").exists());
    }
}

#[test]
fn template_arguments_cannot_become_configuration() {
    let place = Place::new();
    let template = place.template("exit 0");
    let evil = "x\nlxc.hook.pre-start = /bin/evil";
    let output = place.create("c", &["-t", &template, "-f", &place.conf(), "--", evil]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let config = fs::read_to_string(place.0.join("p/c/config")).expect("read");
    assert!(!config.lines().any(|line| line.starts_with("lxc.hook")), "{config}");
}

/// The monitor runs in `/`: a relative path in the configuration would mean something else there.
#[test]
fn a_relative_lxcpath_becomes_absolute_in_the_configuration() {
    let place = Place::new();
    let template = place.template("exit 0");
    let mut command = Command::new(env!("CARGO_BIN_EXE_lxc-create"));
    command.current_dir(&place.0).args(["-P", "p", "-n", "c", "-t", &template, "-f", "conf"]);
    assert!(command.status().expect("run").success());
    let config = fs::read_to_string(place.0.join("p/c/config")).expect("read");
    let expected = format!("lxc.rootfs.path = dir:{}/p/c/rootfs", place.0.display());
    assert!(config.lines().any(|line| line == expected), "{config}");
}

#[test]
fn an_interrupted_creation_is_taken_back() {
    let place = Place::new();
    let ready = place.0.join("ready");
    let template = place.template(&format!("touch {}; exec sleep 30", ready.display()));
    let mut child = {
        let mut command = place.command("c", &["-t", &template, "-f", &place.conf()]);
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.stderr(Stdio::null()).spawn().expect("start")
    };
    for _ in 0..200 {
        if ready.exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(place.0.join("p/c/partial").exists());
    // As a terminal does it: to the whole process group.
    let group = format!("-{}", child.id());
    assert!(Command::new("kill").args(["-INT", "--", &group]).status().expect("kill").success());
    assert!(!child.wait().expect("wait").success());
    assert!(place.is_empty());
}

#[test]
fn what_a_template_mounts_goes_with_it() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let script =
        "for a; do case $a in --rootfs=*) mount -t tmpfs create-leak \"${a#--rootfs=}\";; esac; done";
    let template = place.template(script);
    let output = place.create("c", &["-t", &template, "-f", &place.conf()]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("read");
    assert!(!mounts.contains(&place.0.display().to_string()), "{mounts}");
}

#[test]
fn a_missing_rootfs_is_named_with_its_line() {
    let place = Place::new();
    fs::write(place.0.join("conf"), "\nlxc.rootfs.path = dir:/no/such/rootfs\n").expect("write");
    let output = place.create("c", &["-t", "none", "-f", &place.conf()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("The rootfs \"/no/such/rootfs\" does not exist"), "{}", said(&output));
    assert!(said(&output).contains(&format!("{}:2", place.conf())), "{}", said(&output));
    assert!(place.is_empty());
}

#[test]
fn storage_that_is_not_built_says_so_and_makes_nothing() {
    let place = Place::new();
    let template = place.template("exit 0");
    for kind in ["btrfs", "loop", "lvm", "nbd", "rbd", "zfs"] {
        let output = place.create("c", &["-t", &template, "-f", &place.conf(), "-B", kind]);
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains(kind), "{}", said(&output));
        assert!(place.is_empty(), "{kind}");
    }
}

#[test]
fn help_goes_on_with_the_templates_own() {
    let place = Place::new();
    let template = place.template("echo help of the template");
    for args in [["-h", "-t", &template], ["-t", &template, "-h"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_lxc-create")).args(args).output().expect("run");
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(output.stdout, b"help of the template\n");
        assert!(said(&output).contains("Usage: lxc-create"));
    }
}

/// Two creations of one name at the same time: one wins, the other says so, and nothing of the winner's is lost.
#[test]
fn two_at_once() {
    let place = Place::new();
    let template = place
        .template("sleep .3; for a; do case $a in --rootfs=*) echo x >\"${a#--rootfs=}/made\";; esac; done");
    let conf = place.conf();
    let start = || {
        let mut command = place.command("c", &["-t", &template, "-f", &conf]);
        command.stderr(Stdio::null()).spawn().expect("start")
    };
    let mut children = [start(), start()];
    let codes = children.each_mut().map(|child| child.wait().expect("wait").code());
    assert_eq!(codes.iter().filter(|code| **code == Some(0)).count(), 1, "{codes:?}");
    assert!(place.0.join("p/c/rootfs/made").exists() && place.0.join("p/c/config").exists());
    assert!(!Path::new(&place.0.join("p/c/partial")).exists());
}
