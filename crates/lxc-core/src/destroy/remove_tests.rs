//! Trees a guest might leave behind, removed for real. Mount tests need root and make a mount namespace of their own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("create-remove-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("make a scratch directory");
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_tree_goes_and_its_neighbours_stay() {
    let scratch = Scratch::new("plain");
    let tree = scratch.0.join("tree");
    for dir in ["a/b/c", "d", "e/f"] {
        fs::create_dir_all(tree.join(dir)).expect("mkdir");
        for index in 0..40 {
            fs::write(tree.join(dir).join(format!("file{index}")), b"x").expect("write");
        }
    }
    fs::create_dir(scratch.0.join("neighbour")).expect("mkdir");
    remove_tree(&tree).expect("remove");
    assert!(!tree.exists());
    assert!(scratch.0.join("neighbour").exists());
    remove_tree(&tree).expect("removing nothing is fine");
}

#[test]
fn links_are_removed_and_never_followed() {
    let scratch = Scratch::new("links");
    let outside = scratch.0.join("outside");
    fs::create_dir(&outside).expect("mkdir");
    fs::write(outside.join("precious"), b"x").expect("write");
    let tree = scratch.0.join("tree");
    fs::create_dir_all(tree.join("sub")).expect("mkdir");
    symlink(&outside, tree.join("to-dir")).expect("symlink");
    symlink("../../outside", tree.join("sub/relative")).expect("symlink");
    symlink("../../outside/precious", tree.join("sub/file")).expect("symlink");
    symlink("/", tree.join("root")).expect("symlink");
    symlink("loop", tree.join("loop")).expect("symlink");
    remove_tree(&tree).expect("remove");
    assert!(!tree.exists());
    assert_eq!(fs::read(outside.join("precious")).expect("read"), b"x");
}

#[test]
fn a_link_in_place_of_the_tree_is_refused() {
    let scratch = Scratch::new("top-link");
    let outside = scratch.0.join("outside");
    fs::create_dir(&outside).expect("mkdir");
    fs::write(outside.join("precious"), b"x").expect("write");
    let link = scratch.0.join("tree");
    symlink(&outside, &link).expect("symlink");
    let error = remove_tree(&link).expect_err("a link");
    assert!(error.to_string().contains("is a symbolic link"), "{error}");
    assert!(outside.join("precious").exists() && link.is_symlink());
}

#[test]
fn depth_is_bounded_by_nothing_but_memory() {
    let scratch = Scratch::new("deep");
    let name = "d".repeat(100);
    let mut dir = {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        rustix::fs::mkdirat(rustix::fs::CWD, scratch.0.join("tree"), Mode::RWXU).expect("mkdir");
        rustix::fs::open(scratch.0.join("tree"), flags, Mode::empty()).expect("open")
    };
    // 300 KB of path: PATH_MAX is 4 KB, the usual limit of descriptors 1024.
    for _ in 0..3000 {
        rustix::fs::mkdirat(&dir, name.as_str(), Mode::RWXU).expect("mkdir");
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        dir = rustix::fs::openat(&dir, name.as_str(), flags, Mode::empty()).expect("open");
    }
    rustix::fs::openat(&dir, "leaf", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).expect("create");
    drop(dir);
    remove_tree(&scratch.0.join("tree")).expect("remove");
    assert!(!scratch.0.join("tree").exists());
}

#[test]
fn odd_entries_go_too() {
    let scratch = Scratch::new("odd");
    let tree = scratch.0.join("tree");
    fs::create_dir(&tree).expect("mkdir");
    assert!(Command::new("mkfifo").arg(tree.join("fifo")).status().expect("mkfifo").success());
    let _socket = std::os::unix::net::UnixListener::bind(tree.join("socket")).expect("bind");
    fs::write(tree.join("line\nbreak"), b"").expect("write");
    fs::write(tree.join(OsStr::from_bytes(b"not-utf8-\xff")), b"").expect("write");
    fs::create_dir(tree.join("no-access")).expect("mkdir");
    remove_tree(&tree).expect("remove");
    assert!(!tree.exists());
}

#[test]
fn the_root_directory_is_refused() {
    assert!(remove_tree(Path::new("/")).is_err());
    assert!(remove_tree(Path::new("..")).is_err());
}

/// Runs `script` as root in a mount namespace of its own; `None` when that is not possible here.
fn in_mount_namespace(script: &str) -> Option<()> {
    let status = Command::new("unshare")
        .args(["-m", "--propagation", "private", "sh", "-ec", script])
        .status()
        .ok()?;
    status.success().then_some(())
}

#[test]
fn mounts_inside_are_left_alone_with_what_they_show() {
    if std::env::var_os("CREATE_REMOVE_CHILD").is_some() {
        let tree = PathBuf::from(std::env::var_os("CREATE_REMOVE_CHILD").expect("set"));
        let error = remove_tree(&tree).expect_err("a mount is in the way");
        assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
        assert!(error.cure_text().expect("cure").contains("unmount"));
        return;
    }
    let scratch = Scratch::new("mounts");
    let (tree, outside) = (scratch.0.join("tree"), scratch.0.join("outside"));
    for dir in [tree.join("bind"), tree.join("deep/tmpfs"), tree.join("file"), outside.clone()] {
        fs::create_dir_all(dir).expect("mkdir");
    }
    fs::write(outside.join("precious"), b"x").expect("write");
    fs::write(tree.join("ordinary"), b"x").expect("write");
    let me = std::env::current_exe().expect("own path");
    let script = format!(
        "mount --bind {outside} {tree}/bind; mount -t tmpfs none {tree}/deep/tmpfs; touch {tree}/deep/tmpfs/f
        CREATE_REMOVE_CHILD={tree} {me} --exact destroy::remove::tests::mounts_inside_are_left_alone_with_what_they_show
        test -e {tree}/deep/tmpfs/f; test -e {outside}/precious; test ! -e {tree}/ordinary",
        outside = outside.display(),
        tree = tree.display(),
        me = me.display(),
    );
    let root = rustix::process::geteuid().is_root();
    if in_mount_namespace(&script).is_none() && root && in_mount_namespace("true").is_some() {
        panic!("the child failed, or something precious is gone");
    }
    assert!(outside.join("precious").exists());
}

#[test]
fn protected_files_are_unprotected_first() {
    let scratch = Scratch::new("chattr");
    let tree = scratch.0.join("tree");
    fs::create_dir(&tree).expect("mkdir");
    fs::write(tree.join("file"), b"x").expect("write");
    let set = |path: &Path| {
        Command::new("chattr").arg("+i").arg(path).status().is_ok_and(|status| status.success())
    };
    if !set(&tree.join("file")) || !set(&tree) {
        return; // no root, no chattr, or a file system without the flag
    }
    remove_tree(&tree).expect("remove");
    assert!(!tree.exists());
}
