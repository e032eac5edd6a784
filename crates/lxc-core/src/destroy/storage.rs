//! Which files a container's rootfs is, and whether they may be removed.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use lxc_conf::Settings;
use lxc_conf::model::{IdMap, Origin, RootfsPath};

use super::ownership;
use crate::error::{Error, ErrorKind, Result, ResultExt};

const KEY: &str = "lxc.rootfs.path";

/// What has to be removed besides the container's directory.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Storage {
    trees: Vec<PathBuf>,
}

impl Storage {
    /// Decides what belongs to the container, and refuses what must not be removed.
    ///
    /// - Shape: `dir` is the container's directory; what else is inside goes with it.
    pub(super) fn plan(settings: &Settings, dir: &Path) -> Result<Storage> {
        let own = dir.canonicalize().what(|| format!("resolve {}", dir.display()))?;
        let mut storage = Storage::default();
        if let Some(rootfs) = &settings.rootfs.path {
            let origin = settings.origin(KEY).cloned().unwrap_or_default();
            for path in removable(rootfs, &origin)? {
                storage.add(&path, &own, &origin)?;
            }
        }
        check_mounts(&own, &storage.trees)?;
        Ok(storage)
    }

    pub(super) fn remove(&self, idmap: &[IdMap]) -> Result<()> {
        self.trees.iter().try_for_each(|tree| ownership::remove_tree(tree, idmap))
    }

    fn add(&mut self, path: &Path, own: &Path, origin: &Origin) -> Result<()> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(refuse(path, "it is no place a container can own", origin));
        };
        // The last component is not resolved: a link in its place is refused when it comes to removing.
        let real = match parent.canonicalize() {
            Ok(parent) => parent.join(name),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(refuse(
                    path,
                    "its directory does not exist; is a file system not mounted?",
                    origin,
                ));
            }
            Err(error) => return Err(error).what(|| format!("resolve {}", parent.display())),
        };
        match std::fs::symlink_metadata(&real) {
            Ok(meta) if meta.is_symlink() => {
                return Err(refuse(path, "it is a symbolic link, and links are not followed", origin));
            }
            Ok(_) => {}
            // Inside the container's own directory a missing rootfs is one less thing to do.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && real.starts_with(own) => {
                return Ok(());
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(refuse(path, "it does not exist; is a file system not mounted?", origin));
            }
            Err(error) => return Err(error).what(|| format!("look at {}", path.display())),
        }
        if own.starts_with(&real) {
            return Err(refuse(path, "it contains the container's own directory", origin));
        }
        // Also what is inside the container's directory: it goes first, so that a failure leaves the configuration to
        // try again with.
        self.trees.push(real);
        Ok(())
    }
}

fn refuse(path: &Path, reason: &str, origin: &Origin) -> Error {
    let text = format!("refuse to remove the rootfs {}: {reason}", path.display());
    Error::new(ErrorKind::Config, text)
        .at(origin)
        .cure("correct lxc.rootfs.path; clear it to destroy the container without its rootfs")
}

/// The paths a rootfs consists of that belong to this container alone.
fn removable(rootfs: &RootfsPath, origin: &Origin) -> Result<Vec<PathBuf>> {
    let path = Path::new(&rootfs.path);
    let kind = match rootfs.kind.as_deref() {
        Some(kind) => kind,
        None if path.is_file() => "loop",
        None if path.starts_with("/dev") => "lvm",
        None => "dir",
    };
    match kind {
        "dir" | "btrfs" | "loop" => Ok(vec![path.to_owned()]),
        // Lower directories belong to the original; only the delta, and the work directory beside it, are ours.
        "overlay" | "overlayfs" => {
            let Some(delta) = rootfs.path.rsplit(':').next().filter(|delta| *delta != rootfs.path) else {
                return Err(refuse(path, "an overlay needs a delta directory", origin));
            };
            let delta = PathBuf::from(delta);
            let work = delta.with_file_name("work");
            let beside = delta.file_name().is_some_and(|name| name == "delta") && work.is_dir();
            Ok(if beside { vec![delta, work] } else { vec![delta] })
        }
        other => {
            let text = format!("destroying {other} storage is not supported yet");
            Err(Error::new(ErrorKind::Unsupported, text)
                .at(origin)
                .cure("remove the volume with its own tool, then clear lxc.rootfs.path and try again"))
        }
    }
}

/// Nothing may be mounted in what is going to be removed: not even a rootfs that is a mount point itself.
fn check_mounts(own: &Path, trees: &[PathBuf]) -> Result<()> {
    let text = std::fs::read("/proc/self/mountinfo").what(|| "read /proc/self/mountinfo")?;
    let points = text.split(|byte| *byte == b'\n').filter_map(mount_point);
    let inside: Vec<_> = points
        .filter(|point| point.starts_with(own) || trees.iter().any(|tree| point.starts_with(tree)))
        .map(|point| point.display().to_string())
        .collect();
    match inside.is_empty() {
        true => Ok(()),
        false => {
            let text = format!("mounted below the container: {}", inside.join(", "));
            Err(Error::new(ErrorKind::Busy, text).cure("unmount it first; nothing was removed"))
        }
    }
}

/// The fifth field of a mountinfo line, without its octal escapes (proc(5)).
fn mount_point(line: &[u8]) -> Option<PathBuf> {
    let field = line.split(|byte| *byte == b' ').nth(4)?;
    let mut path = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, tail)) = rest.split_first() {
        let digits = tail.get(..3).filter(|_| byte == b'\\');
        let octal = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        match octal {
            Some(decoded) => {
                path.push(decoded);
                rest = tail.get(3..).unwrap_or_default();
            }
            None => {
                path.push(byte);
                rest = tail;
            }
        }
    }
    Some(PathBuf::from(OsString::from_vec(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rootfs(kind: &str, path: &str) -> RootfsPath {
        RootfsPath { kind: Some(kind.to_owned()), path: path.to_owned() }
    }

    fn planned(rootfs: RootfsPath, dir: &Path) -> Result<Storage> {
        let mut settings = Settings::default();
        settings.rootfs.path = Some(rootfs);
        Storage::plan(&settings, dir)
    }

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("create-storage-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(dir.join("c/rootfs")).expect("mkdir");
        dir
    }

    #[test]
    fn mount_points_are_unescaped() {
        let line = br"36 35 98:0 / /a\040b\134c rw - ext4 /dev/x rw";
        assert_eq!(mount_point(line), Some(PathBuf::from(r"/a b\c")));
        assert_eq!(mount_point(b"short"), None);
    }

    #[test]
    fn what_holds_the_container_is_never_removed() {
        let base = scratch("ancestors");
        let dir = base.join("c");
        std::os::unix::fs::symlink("c", base.join("link")).expect("symlink");
        std::os::unix::fs::symlink(&base, dir.join("up")).expect("symlink");
        let parent = base.parent().expect("has a parent").to_owned();
        for path in
            [Path::new("/"), &parent, &base, &dir, &base.join("link"), &dir.join("up"), &dir.join("up/c")]
        {
            let error = planned(rootfs("dir", path.to_str().expect("utf-8")), &dir).expect_err("refused");
            assert!(error.to_string().contains("refuse to remove"), "{path:?} {error}");
        }
        std::fs::remove_dir_all(base).expect("clean up");
    }

    #[test]
    fn an_overlay_gives_up_its_delta_only() {
        let base = scratch("overlay");
        let dir = base.join("c");
        std::fs::create_dir_all(dir.join("overlay/delta")).expect("mkdir");
        std::fs::create_dir_all(dir.join("overlay/work")).expect("mkdir");
        std::fs::create_dir_all(base.join("orig/rootfs")).expect("mkdir");
        let value = format!("{}:{}", base.join("orig/rootfs").display(), dir.join("overlay/delta").display());
        let storage = planned(rootfs("overlay", &value), &dir).expect("plan");
        let real = dir.canonicalize().expect("resolve");
        assert_eq!(storage.trees, [real.join("overlay/delta"), real.join("overlay/work")]);
        let value = base.join("orig/rootfs").display().to_string();
        assert!(planned(rootfs("overlay", &value), &dir).is_err(), "no delta");
        std::fs::remove_dir_all(base).expect("clean up");
    }

    #[test]
    fn a_missing_rootfs_matters_only_outside() {
        let base = scratch("missing");
        let dir = base.join("c");
        let inside = dir.join("gone").display().to_string();
        assert_eq!(planned(rootfs("dir", &inside), &dir).expect("fine"), Storage::default());
        for outside in [base.join("gone"), base.join("gone/deeper")] {
            let error = planned(rootfs("dir", &outside.display().to_string()), &dir).expect_err("outside");
            assert!(error.cure_text().expect("cure").contains("lxc.rootfs.path"));
        }
        std::fs::remove_dir_all(base).expect("clean up");
    }

    #[test]
    fn volumes_of_other_tools_are_left_to_them() {
        let base = scratch("volumes");
        for (kind, path) in
            [("zfs", "lxc/c"), ("lvm", "/dev/lxc/c"), ("rbd", "/dev/rbd/x"), ("nbd", "/x.qcow2:1")]
        {
            let error = planned(rootfs(kind, path), &base.join("c")).expect_err(kind);
            assert_eq!(error.kind(), ErrorKind::Unsupported);
        }
        std::fs::remove_dir_all(base).expect("clean up");
    }
}
