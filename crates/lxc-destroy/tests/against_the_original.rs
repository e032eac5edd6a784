//! `lxc-destroy` on containers made by hand: what goes, what stays, and what is said, on ours and on the original.
//!
//! Skipped for the original where it is not installed or the tests do not run as root.
#![allow(clippy::expect_used)] // a test may: failing is how it reports

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

const OURS: &str = env!("CARGO_BIN_EXE_lxc-destroy");
const THEIRS: &str = "/usr/bin/lxc-destroy";

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

fn implementations() -> impl Iterator<Item = &'static str> {
    [OURS, THEIRS].into_iter().filter(|path| *path == OURS || (Path::new(path).exists() && is_root()))
}

struct Place {
    path: PathBuf,
    program: &'static str,
}

impl Place {
    fn new(program: &'static str) -> Place {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("create-destroy-tool-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("p")).expect("make a scratch directory");
        Place { path, program }
    }

    fn dir(&self, name: &str) -> PathBuf {
        self.path.join("p").join(name)
    }

    /// A container whose rootfs is the directory `rootfs`, with more lines of configuration.
    fn container(&self, name: &str, rootfs: &Path, lines: &str) {
        fs::create_dir_all(rootfs.join("etc")).expect("mkdir");
        fs::write(rootfs.join("etc/hostname"), name).expect("write");
        fs::create_dir_all(self.dir(name)).expect("mkdir");
        let text = format!("lxc.rootfs.path = dir:{}\n{lines}\n", rootfs.display());
        fs::write(self.dir(name).join("config"), text).expect("write");
    }

    fn usual(&self, name: &str, lines: &str) {
        self.container(name, &self.dir(name).join("rootfs"), lines);
    }

    fn destroy(&self, name: &str, args: &[&str]) -> Output {
        let mut command = Command::new(self.program);
        command.arg("-P").arg(self.path.join("p")).args(["-n", name]).args(args);
        command.env("LC_ALL", "C").stdin(Stdio::null()).output().expect("run lxc-destroy")
    }

    /// Destroys and checks the exit code and a part of what is said.
    fn ends(&self, name: &str, args: &[&str], code: i32, says: &str) {
        let output = self.destroy(name, args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{} {args:?}: {said}", self.program);
        assert!(said.contains(says), "{} {args:?}: {said}", self.program);
        assert!(output.stdout.is_empty());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

#[test]
fn rootfs_and_directory_go() {
    for program in implementations() {
        let place = Place::new(program);
        place.usual("a", "");
        place.container("b", &place.path.join("elsewhere"), "");
        for name in ["a", "b"] {
            let output = place.destroy(name, &[]);
            assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{program}");
        }
        assert!(
            !place.dir("a").exists() && !place.dir("b").exists() && !place.path.join("elsewhere").exists()
        );
        place.ends("a", &[], 1, "Container is not defined");
    }
}

#[test]
fn unmanaged_containers_stay() {
    for program in implementations() {
        let place = Place::new(program);
        let mark = place.path.join("hook-ran");
        let hook = place.path.join("hook");
        fs::write(&hook, format!("#!/bin/sh\necho \"$@\" $LXC_NAME > {}\n", mark.display())).expect("write");
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).expect("chmod");
        place.usual("a", &format!("lxc.rootfs.managed = 0\nlxc.hook.destroy = {}", hook.display()));
        assert_eq!(place.destroy("a", &[]).status.code(), Some(0), "{program}");
        assert!(
            place.dir("a").join("rootfs/etc/hostname").exists() && place.dir("a").join("config").exists()
        );
        assert_eq!(fs::read_to_string(mark).expect("the hook ran"), "a lxc destroy a\n", "{program}");
    }
}

#[test]
fn a_failing_hook_keeps_the_container() {
    for program in implementations() {
        let place = Place::new(program);
        place.usual("a", "lxc.hook.destroy = /bin/false");
        place.ends("a", &[], 1, "Destroying a failed");
        assert!(place.dir("a").join("rootfs/etc/hostname").exists(), "{program}");
    }
}

#[test]
fn snapshots_and_clones_are_in_the_way() {
    for program in implementations() {
        let place = Place::new(program);
        place.usual("a", "");
        let snap = place.dir("a").join("snaps/snap0");
        fs::create_dir_all(snap.join("rootfs")).expect("mkdir");
        fs::write(snap.join("config"), format!("lxc.rootfs.path = dir:{}/rootfs\n", snap.display()))
            .expect("write");
        place.ends("a", &[], 1, "Destroying a failed: a has snapshots");
        fs::write(place.dir("a").join("lxc_snapshots"), "/x\ny\n").expect("write");
        place.ends("a", &[], 1, "Destroying a failed: a has ");
        fs::remove_file(place.dir("a").join("lxc_snapshots")).expect("remove");
        place.ends("a", &["-s"], 0, "");
        assert!(!place.dir("a").exists(), "{program}");

        place.usual("b", "");
        fs::create_dir_all(place.dir("b").join("snaps")).expect("mkdir");
        place.ends("b", &[], 0, "");
        assert!(!place.dir("b").exists(), "{program}");
    }
}

#[test]
fn a_configuration_with_a_mistake_keeps_the_container() {
    for program in implementations() {
        let place = Place::new(program);
        place.usual("a", "lxc.no.such.key = 1");
        place.ends("a", &[], 1, "System error loading container");
        place.ends("a", &[], 1, "Failed to load config for a");
        assert!(place.dir("a").join("rootfs/etc/hostname").exists(), "{program}");
    }
}

#[test]
fn an_original_loses_the_clone_from_its_list() {
    for program in implementations() {
        let place = Place::new(program);
        place.usual("orig", "");
        let lxcpath = place.path.join("p");
        fs::create_dir_all(place.dir("clone").join("overlay/delta")).expect("mkdir");
        let path = format!(
            "lxc.rootfs.path = overlay:{}:{}\n",
            place.dir("orig").join("rootfs").display(),
            place.dir("clone").join("overlay/delta").display()
        );
        fs::write(place.dir("clone").join("config"), path).expect("write");
        fs::write(place.dir("clone").join("lxc_rdepends"), format!("{}\norig\n", lxcpath.display()))
            .expect("write");
        let list = place.dir("orig").join("lxc_snapshots");
        fs::write(&list, format!("{0}\nclone\n{0}\nother\n", lxcpath.display())).expect("write");
        place.ends("clone", &[], 0, "");
        assert!(!place.dir("clone").exists() && place.dir("orig").join("rootfs/etc/hostname").exists());
        assert_eq!(
            fs::read_to_string(&list).expect("read"),
            format!("{}\nother\n", lxcpath.display()),
            "{program}"
        );
    }
}

/// Ours only: the original empties what is bind-mounted into the rootfs.
#[test]
fn nothing_goes_while_something_is_mounted_inside() {
    if !is_root() {
        return;
    }
    let place = Place::new(OURS);
    place.usual("a", "");
    let (inside, outside) = (place.dir("a").join("rootfs/mnt"), place.path.join("outside"));
    fs::create_dir_all(&inside).expect("mkdir");
    fs::create_dir_all(&outside).expect("mkdir");
    fs::write(outside.join("precious"), "x").expect("write");
    let script = format!(
        "mount --bind {} {} && {OURS} -P {} -n a",
        outside.display(),
        inside.display(),
        place.path.join("p").display()
    );
    let output =
        Command::new("unshare").args(["-m", "--propagation", "private", "sh", "-c", &script]).output();
    let output = output.expect("run unshare");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&inside.display().to_string()) && said.contains("unmount"), "{said}");
    assert!(outside.join("precious").exists() && place.dir("a").join("rootfs/etc/hostname").exists());
}

/// Ours only: paths that cannot be a container's own.
#[test]
fn a_rootfs_that_is_more_than_the_container_is_refused() {
    let place = Place::new(OURS);
    place.usual("victim", "");
    for path in ["/".to_owned(), place.path.display().to_string(), place.path.join("p").display().to_string()]
    {
        fs::create_dir_all(place.dir("a")).expect("mkdir");
        fs::write(place.dir("a").join("config"), format!("lxc.rootfs.path = dir:{path}\n")).expect("write");
        place.ends("a", &[], 1, "refuse to remove the rootfs");
        place.ends("a", &[], 1, &format!("{}:1", place.dir("a").join("config").display()));
    }
    symlink(place.dir("victim"), place.path.join("link")).expect("symlink");
    let path = format!("lxc.rootfs.path = dir:{}\n", place.path.join("link").display());
    fs::write(place.dir("a").join("config"), path).expect("write");
    place.ends("a", &[], 1, "symbolic link");
    assert!(place.dir("victim").join("rootfs/etc/hostname").exists());
}

/// Ours only: PATH_MAX and the number of descriptors bound nothing, links lead nowhere.
#[test]
fn hostile_trees_go_without_taking_anything_along() {
    let place = Place::new(OURS);
    place.usual("a", "");
    let outside = place.path.join("outside");
    fs::create_dir(&outside).expect("mkdir");
    fs::write(outside.join("precious"), "x").expect("write");
    let rootfs = place.dir("a").join("rootfs");
    symlink(&outside, rootfs.join("link")).expect("symlink");
    symlink("/", rootfs.join("etc/root")).expect("symlink");
    let script = format!(
        "cd {}; n=0; d=$(printf %0200d 0); while [ $n -lt 100 ]; do mkdir $d; cd -P ./$d; n=$((n+1)); done",
        rootfs.display()
    );
    // dash follows the directory by descriptor when the path is too long for getcwd; deep enough is what matters.
    let _ = Command::new("sh").args(["-c", &script]).stderr(Stdio::null()).status();
    place.ends("a", &[], 0, "");
    assert!(!place.dir("a").exists() && outside.join("precious").exists());
}
