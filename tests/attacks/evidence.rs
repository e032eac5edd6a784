//! What an attack would leave behind: files and mounts of the host that the container's tree does not hold. Only looks.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use testkit::Guest;

/// The mode of the machine's /dev/null, given back in the end: the original changes it when an image has no such device
/// (docs/undocumented-lxc.md), and everything that runs without privilege afterwards would fail for no reason of its own.
pub(crate) struct Null(u32);

impl Null {
    pub(crate) fn kept() -> Null {
        Null(Null::mode())
    }

    fn mode() -> u32 {
        fs::metadata("/dev/null").unwrap().permissions().mode() & 0o7777
    }
}

impl Drop for Null {
    fn drop(&mut self) {
        if Null::mode() != self.0 {
            let _ = fs::set_permissions("/dev/null", fs::Permissions::from_mode(self.0));
        }
    }
}

/// Directories of the host with bait in them, which no container may touch.
#[derive(Debug)]
pub(crate) struct Outside {
    /// Holds an object of every kind somebody could mount on.
    pub(crate) baited: PathBuf,
    /// Empty: whatever is in it later was made through a link.
    pub(crate) empty: PathBuf,
    before: Vec<String>,
}

impl Outside {
    /// Beside the container's directory, outside its root file system.
    pub(crate) fn of(guest: &Guest) -> Outside {
        let baited = guest.lxcpath().join("outside/baited");
        let empty = guest.lxcpath().join("outside/empty");
        fs::create_dir_all(&empty).unwrap();
        for dir in ["proc", "sys", "dev", "pts", "x", "fs/cgroup"] {
            fs::create_dir_all(baited.join(dir)).unwrap();
        }
        for file in ["file", "null", "console", "tty1", "ptmx", "dev/null", "dev/console", "dev/ptmx"] {
            fs::write(baited.join(file), "host\n").unwrap();
        }
        // Writable for everybody: a container with an id map shall not fail for lack of permission only.
        for dir in [&baited, &empty] {
            fs::set_permissions(dir, fs::Permissions::from_mode(0o777)).unwrap();
        }
        let mut outside = Outside { baited, empty, before: Vec::new() };
        outside.before = outside.census();
        outside
    }

    /// Every object with what would change when somebody writes it, chowns it or mounts on it.
    fn census(&self) -> Vec<String> {
        let mut found = Vec::new();
        for root in [&self.baited, &self.empty] {
            walk(root, &mut found);
        }
        found
    }

    /// Panics when anything out there is not what it was, or when the host has a mount there.
    pub(crate) fn assert_untouched(&self) {
        assert_eq!(self.census(), self.before, "something outside was made, changed or mounted on");
    }
}

fn walk(path: &Path, found: &mut Vec<String>) {
    let meta = fs::symlink_metadata(path).unwrap();
    let content = if meta.is_file() { fs::read(path).unwrap().len() } else { 0 };
    found.push(format!(
        "{} mode {:o} owner {}:{} device {} inode {} size {content}",
        path.display(),
        meta.mode(),
        meta.uid(),
        meta.gid(),
        meta.dev(),
        meta.ino()
    ));
    if meta.is_dir() {
        let mut entries: Vec<PathBuf> =
            fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        entries.iter().for_each(|entry| walk(entry, found));
    }
}

/// Mounts of this process' mount namespace, `MOUNTPOINT TYPE`.
pub(crate) fn host_mounts() -> Vec<String> {
    parse(&fs::read_to_string("/proc/self/mountinfo").unwrap())
}

fn parse(text: &str) -> Vec<String> {
    let line = |line: &str| {
        let (left, right) = line.split_once(" - ")?;
        Some(format!("{} {}", left.split(' ').nth(4)?, right.split(' ').next()?))
    };
    text.lines().filter_map(line).collect()
}

/// Records what the container's mount namespace looks like before the old root goes: a mount that missed its target
/// cannot be seen later. Give `conf` to the builder, then ask.
#[derive(Debug)]
pub(crate) struct MountWatch {
    file: PathBuf,
    host: Vec<String>,
}

const MARK: &str = "=== mounts of one start";

impl MountWatch {
    /// - Shape: the hook runs after all mounts but those of /dev, with the host's programs.
    pub(crate) fn conf() -> &'static str {
        "lxc.hook.mount = @DIR@/watch"
    }

    pub(crate) fn of(guest: &Guest) -> MountWatch {
        let file = guest.dir().join("mounts");
        let script = format!(
            "#!/bin/sh\n{{ echo '{MARK}' $LXC_ROOTFS_MOUNT; cat /proc/self/mountinfo; }} >> {}\n",
            file.display()
        );
        testkit::rootfs::write_script(&guest.dir().join("watch"), &script);
        MountWatch { file, host: host_mounts() }
    }

    /// How many starts came as far as the hook.
    pub(crate) fn starts(&self) -> usize {
        fs::read_to_string(&self.file).unwrap_or_default().matches(MARK).count()
    }

    /// Panics when a start had a mount that is neither the host's own nor below the container's root.
    pub(crate) fn assert_nothing_outside(&self) {
        for start in fs::read_to_string(&self.file).unwrap_or_default().split(MARK).skip(1) {
            let (root, mounts) = start.split_once('\n').unwrap();
            let root = format!("{}/", root.trim());
            let mut host = self.host.clone();
            for mount in parse(mounts) {
                if mount.starts_with(&root) || mount.starts_with(root.trim_end_matches('/')) {
                    continue;
                }
                // Other tests come and go on this machine, below directories of their own.
                if let Some(at) = host.iter().position(|other| *other == mount) {
                    host.swap_remove(at);
                    continue;
                }
                let ours = self.file.parent().and_then(Path::parent).unwrap();
                assert!(!mount.contains(ours.to_str().unwrap()), "a mount outside the root: {mount}");
                let system = ["/proc", "/sys", "/dev", "/etc", "/tmp"];
                let doubled = system.iter().any(|path| mount.split(' ').next() == Some(path));
                assert!(!doubled, "a mount on the host's own {mount}");
            }
        }
    }
}
