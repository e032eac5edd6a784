//! `lxc.rootfs.path` and `lxc.rootfs.options`.

use super::{Result, ValueError, path};
use crate::model::RootfsPath;

/// The storage types of this suite.
pub const TYPES: [&str; 9] = ["dir", "overlay", "overlayfs", "btrfs", "zfs", "lvm", "loop", "nbd", "rbd"];

/// `[TYPE:]PATH`. Any word without a slash before the first `:` is a type; whether it is a known one is decided by
/// the code that opens the storage, so that a container of an unknown type can still be listed.
pub fn parse_path(value: &str) -> Result<RootfsPath> {
    let (kind, rest) = match value.split_once(':') {
        Some((kind, rest)) if !kind.is_empty() && !kind.contains('/') => (Some(kind), rest),
        _ => (None, value),
    };
    if rest.is_empty() {
        return Err(ValueError::new(format!("no path after {value:?}")).at(value.len()));
    }
    let kind = kind.map(|k| if k == "overlayfs" { "overlay" } else { k }.to_owned());
    Ok(RootfsPath { kind, path: path::parse(rest)? })
}

/// Refuses the options of mount entries that make no sense for a root file system.
pub fn check_options(value: &str) -> Result<()> {
    let mut at = 0;
    for option in value.split(',') {
        let refused = matches!(option, "optional" | "relative") || option.starts_with("create=");
        if refused {
            return Err(
                ValueError::new(format!("{option:?} is not an option of the root file system")).at(at)
            );
        }
        if let Some(source) = option.strip_prefix("idmap=") {
            super::mount_entry::IdmapSource::parse(source).map_err(|error| error.at(at))?;
        }
        at += option.len() + 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types() {
        let split = |v: &str| parse_path(v).map(|p| (p.kind, p.path));
        let some = |k: &str, p: &str| Ok((Some(k.to_owned()), p.to_owned()));
        assert_eq!(split("dir:/a//b/"), some("dir", "/a/b"));
        assert_eq!(split("overlayfs:/a:/b"), some("overlay", "/a:/b"));
        assert_eq!(split("nbd:/a:1"), some("nbd", "/a:1"));
        assert_eq!(split("/a"), Ok((None, "/a".to_owned())));
        assert_eq!(split("/a:b"), Ok((None, "/a:b".to_owned())));
        assert!(split("dir:").is_err());
    }

    #[test]
    fn options() {
        assert!(check_options("ro,idmap=container,foo=bar").is_ok());
        assert_eq!(check_options("ro,optional").unwrap_err().offset, 3);
        assert!(check_options("create=dir").is_err());
        assert!(check_options("relative").is_err());
    }
}
