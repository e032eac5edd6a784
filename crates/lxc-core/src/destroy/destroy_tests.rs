//! Whole containers, made by hand and destroyed for real.

use std::fs;
use std::os::unix::net::UnixListener;

use lxc_conf::model::{HookKind, Item, RootfsPath};

use super::*;

struct Lxcpath(PathBuf);

impl Lxcpath {
    fn new(name: &str) -> Lxcpath {
        let path = std::env::temp_dir().join(format!("create-destroy-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("mkdir");
        Lxcpath(path)
    }

    /// A container with a rootfs directory in `rootfs`.
    fn container(&self, name: &str, rootfs: &Path) -> Settings {
        fs::create_dir_all(self.0.join(name)).expect("mkdir");
        fs::create_dir_all(rootfs.join("etc")).expect("mkdir");
        fs::write(rootfs.join("etc/passwd"), "root").expect("write");
        fs::write(self.0.join(name).join("config"), "").expect("write");
        let mut settings = Settings::default();
        settings.rootfs.path =
            Some(RootfsPath { kind: Some("dir".into()), path: rootfs.display().to_string() });
        settings
    }

    fn usual(&self, name: &str) -> Settings {
        self.container(name, &self.0.join(name).join("rootfs"))
    }

    fn destroy(&self, name: &str, settings: &Settings, snapshots: Snapshots) -> Result<Outcome> {
        destroy(Request { name, lxcpath: &self.0, settings, snapshots, caller: Caller::User })
    }
}

impl Drop for Lxcpath {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn rootfs_and_directory_go_wherever_the_rootfs_is() {
    let path = Lxcpath::new("plain");
    let inside = path.usual("a");
    let outside = path.container("b", &path.0.join("elsewhere"));
    assert_eq!(path.destroy("a", &inside, Snapshots::Keep).expect("a"), Outcome::Destroyed);
    assert_eq!(path.destroy("b", &outside, Snapshots::Keep).expect("b"), Outcome::Destroyed);
    assert_eq!(fs::read_dir(&path.0).expect("list").count(), 0);
    let error = path.destroy("a", &inside, Snapshots::Keep).expect_err("gone");
    assert_eq!(error.to_string(), "Container is not defined");
}

#[test]
fn a_container_without_a_rootfs_goes_too() {
    let path = Lxcpath::new("none");
    path.usual("a");
    assert_eq!(path.destroy("a", &Settings::default(), Snapshots::Keep).expect("a"), Outcome::Destroyed);
    assert!(!path.0.join("a").exists());
}

#[test]
fn unmanaged_containers_keep_everything_but_their_hooks_run() {
    let path = Lxcpath::new("unmanaged");
    let mut settings = path.usual("a");
    settings.rootfs.managed = false;
    let mark = path.0.join("hook-ran");
    let line = format!("touch {} -- ", mark.display());
    // The words after the line would be touched as well: run in a scratch directory of their own.
    let line = format!("sh -c 'touch {}'", line.trim_start_matches("touch ").trim_end_matches(" -- "));
    settings.hooks.commands[HookKind::Destroy as usize].push(Item { value: line, ..Item::default() });
    assert_eq!(path.destroy("a", &settings, Snapshots::Keep).expect("a"), Outcome::Kept);
    assert!(mark.exists() && path.0.join("a/rootfs/etc/passwd").exists() && path.0.join("a/config").exists());
}

#[test]
fn a_failing_hook_keeps_everything() {
    let path = Lxcpath::new("hook");
    let mut settings = path.usual("a");
    let item = Item { value: "false".to_owned(), ..Item::default() };
    settings.hooks.commands[HookKind::Destroy as usize].push(item);
    assert_eq!(path.destroy("a", &settings, Snapshots::Keep).expect_err("hook").kind(), ErrorKind::Hook);
    assert!(path.0.join("a/rootfs/etc/passwd").exists());
    // The monitor's own destruction runs no hooks.
    let request = Request {
        name: "a",
        lxcpath: &path.0,
        settings: &settings,
        snapshots: Snapshots::Keep,
        caller: Caller::Monitor,
    };
    assert_eq!(destroy(request).expect("ephemeral"), Outcome::Destroyed);
}

#[test]
fn running_containers_are_refused() {
    let path = Lxcpath::new("running");
    let settings = path.usual("a");
    let address = SocketAddr::from_abstract_name(paths::command_socket(&path.0, "a")).expect("address");
    let listener = UnixListener::bind_addr(&address).expect("bind");
    let error = path.destroy("a", &settings, Snapshots::Keep).expect_err("running");
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::AlreadyRunning, "a is running"));
    drop(listener);
    path.destroy("a", &settings, Snapshots::Keep).expect("stopped");
}

#[test]
fn clones_and_snapshots_are_in_the_way() {
    let path = Lxcpath::new("clones");
    let settings = path.usual("a");
    let dir = path.0.join("a");
    fs::create_dir_all(dir.join("snaps")).expect("mkdir");
    fs::write(dir.join("lxc_snapshots"), "/x\nclone\n").expect("write");
    for snapshots in [Snapshots::Keep, Snapshots::Destroy] {
        let error = path.destroy("a", &settings, snapshots).expect_err("clones");
        assert_eq!(error.to_string(), "a has clones");
    }
    fs::remove_file(dir.join("lxc_snapshots")).expect("remove");
    fs::create_dir_all(dir.join("snaps/snap0/rootfs")).expect("mkdir");
    let error = path.destroy("a", &settings, Snapshots::Keep).expect_err("snapshots");
    assert_eq!(error.to_string(), "a has snapshots");
    assert!(dir.join("rootfs/etc/passwd").exists());
    // The snapshot is listed as a clone; with it gone nothing is in the way.
    let entry = format!("{}\nsnap0\n", dir.join("snaps").display());
    fs::write(dir.join("lxc_snapshots"), entry).expect("write");
    path.destroy("a", &settings, Snapshots::Destroy).expect("both");
    assert!(!dir.exists());
}

#[test]
fn an_empty_snaps_directory_is_no_snapshot() {
    let path = Lxcpath::new("empty-snaps");
    let settings = path.usual("a");
    fs::create_dir_all(path.0.join("a/snaps")).expect("mkdir");
    path.destroy("a", &settings, Snapshots::Keep).expect("a");
    assert!(!path.0.join("a").exists());
}

#[test]
fn a_clone_is_taken_off_its_originals_list() {
    let path = Lxcpath::new("rdepends");
    path.usual("orig");
    let lxcpath = path.0.display();
    fs::write(path.0.join("orig/lxc_snapshots"), format!("{lxcpath}\nclone\n")).expect("write");
    let delta = path.0.join("clone/overlay/delta");
    let mut settings = path.container("clone", &delta);
    let value = format!("{}:{}", path.0.join("orig/rootfs").display(), delta.display());
    settings.rootfs.path = Some(RootfsPath { kind: Some("overlay".into()), path: value });
    fs::write(path.0.join("clone/lxc_rdepends"), format!("{lxcpath}\norig\n")).expect("write");
    path.destroy("clone", &settings, Snapshots::Keep).expect("clone");
    assert!(!path.0.join("clone").exists());
    assert!(path.0.join("orig/rootfs/etc/passwd").exists(), "the lower directory is the original's");
    assert!(!path.0.join("orig/lxc_snapshots").exists());
}

#[test]
fn a_directory_that_is_a_link_is_refused_before_anything_goes() {
    let path = Lxcpath::new("dirlink");
    let settings = path.container("real", &path.0.join("real/rootfs"));
    std::os::unix::fs::symlink("real", path.0.join("a")).expect("symlink");
    assert!(path.destroy("a", &settings, Snapshots::Keep).is_err());
    assert!(path.0.join("real/rootfs/etc/passwd").exists());
}
