//! Which containers are there: on disk, running, or both; and which of them a pattern or a misspelt name means.
//!
//! Not here: what a container is like (`container`). Nothing here takes a lock or forks, and only sockets with hashed
//! names are talked to.

pub mod active;
pub mod inside;
pub mod nearest;
pub mod pattern;

use std::collections::BTreeSet;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;

pub use active::{Sockets, active, active_among};
pub use nearest::nearest;
pub use pattern::Pattern;

use crate::error::{Result, ResultExt};

/// Names of the containers that have a configuration file in `lxcpath`, sorted.
///
/// - Shape: as [`candidates`], but each has a file `config`.
/// - Errors: reading the directory failed half way.
pub fn defined(lxcpath: &Path) -> Result<Vec<String>> {
    let mut names = candidates(lxcpath)?;
    names.retain(|name| statat(CWD, lxcpath.join(name).join("config"), AtFlags::empty()).is_ok());
    Ok(names)
}

/// Names of the directories in `lxcpath` that may be containers, sorted: for callers that read the configuration
/// anyway.
///
/// Names that start with a dot and names that are not UTF-8 are skipped, as the original does. A directory that does
/// not exist or may not be read holds nothing.
///
/// - Errors: reading the directory failed half way.
pub fn candidates(lxcpath: &Path) -> Result<Vec<String>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = match openat(CWD, lxcpath, flags, Mode::empty()) {
        Ok(dir) => dir,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS | Errno::PERM) => return Ok(Vec::new()),
        Err(errno) => return Err(errno).what(|| format!("open {}", lxcpath.display())),
    };
    let object = || format!("list {}", lxcpath.display());
    let mut names = Vec::new();
    for entry in Dir::read_from(&dir).what(object)? {
        let entry = entry.what(object)?;
        let may_be_directory =
            matches!(entry.file_type(), FileType::Directory | FileType::Symlink | FileType::Unknown);
        if let Ok(name) = entry.file_name().to_str()
            && may_be_directory
            && !name.starts_with('.')
        {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Names of the containers that are defined, active or both, sorted.
pub fn all(lxcpath: &Path) -> Result<Vec<String>> {
    let mut names: BTreeSet<String> = defined(lxcpath)?.into_iter().collect();
    names.extend(active(lxcpath)?);
    Ok(names.into_iter().collect())
}

/// Whether a container with these groups belongs to every wanted one; wanting none selects all.
///
/// Source: lxc-ls(1) `--groups`.
pub fn in_groups(groups: &[String], wanted: &[String]) -> bool {
    wanted.iter().all(|wanted| groups.contains(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defined_needs_a_config_and_no_leading_dot() {
        let base = std::env::temp_dir().join(format!("tools-select-{}", std::process::id()));
        for name in ["b", "a b", ".hidden", "noconf"] {
            std::fs::create_dir_all(base.join(name)).unwrap();
        }
        for name in ["b", "a b", ".hidden"] {
            std::fs::write(base.join(name).join("config"), "").unwrap();
        }
        std::fs::write(base.join("file"), "").unwrap();
        let names = defined(&base);
        std::fs::remove_dir_all(&base).unwrap();
        assert_eq!(names.unwrap(), ["a b", "b"]);
        assert!(defined(&base).unwrap().is_empty(), "a missing directory holds nothing");
    }

    #[test]
    fn every_wanted_group_is_needed() {
        let have = ["a".to_owned(), "onboot".to_owned()];
        assert!(in_groups(&have, &[]));
        assert!(in_groups(&have, &["a".into(), "onboot".into()]));
        assert!(!in_groups(&have, &["a".into(), "z".into()]));
        assert!(!in_groups(&have, &["on".into()]));
    }
}
