//! Who needs whom: `lxc_snapshots` in a container lists the clones that use its rootfs, `lxc_rdepends` in a clone
//! lists the containers it uses.
//!
//! Both hold pairs of lines, LXCPATH then NAME. An `lxc_snapshots` of old LXC holds one number, the count of clones.

use std::path::{Path, PathBuf};

use crate::create::save;
use crate::error::{Result, ResultExt};
use crate::lock::DiskLock;

/// A container by place and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    pub lxcpath: String,
    pub name: String,
}

/// What `lxc_snapshots` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clones {
    Listed(Vec<Reference>),
    /// Old format: nobody knows where they are.
    Counted(u64),
}

impl Clones {
    pub fn is_empty(&self) -> bool {
        match self {
            Clones::Listed(list) => list.is_empty(),
            Clones::Counted(count) => *count == 0,
        }
    }

    fn parse(text: &str) -> Clones {
        match text.trim().parse() {
            Ok(count) => Clones::Counted(count),
            Err(_) => Clones::Listed(pairs(text)),
        }
    }

    fn text(&self) -> String {
        match self {
            Clones::Listed(list) => {
                list.iter().map(|entry| format!("{}\n{}\n", entry.lxcpath, entry.name)).collect()
            }
            Clones::Counted(count) => format!("{count}\n"),
        }
    }
}

/// The clones of the container in directory `dir`.
pub fn clones(dir: &Path) -> Result<Clones> {
    Ok(Clones::parse(&read(&dir.join("lxc_snapshots"))?))
}

/// The containers that the one in directory `dir` uses.
pub fn originals(dir: &Path) -> Result<Vec<Reference>> {
    Ok(pairs(&read(&dir.join("lxc_rdepends"))?))
}

/// Takes `gone` off the lists of the containers it used. One that does not exist any more is skipped.
pub fn forget(gone: &Reference, originals: &[Reference]) -> Result<()> {
    for original in originals {
        let lxcpath = Path::new(&original.lxcpath);
        let file = lxcpath.join(&original.name).join("lxc_snapshots");
        if file.is_file() {
            let _lock = DiskLock::acquire_within(lxcpath, &original.name, super::PATIENCE)?;
            remove_from(&file, gone)?;
        }
    }
    Ok(())
}

fn remove_from(file: &PathBuf, gone: &Reference) -> Result<()> {
    let mut clones = Clones::parse(&read(file)?);
    match &mut clones {
        Clones::Listed(list) => {
            // One entry a clone; a container cloned twice under one name cannot be.
            list.retain(|entry| entry != gone);
        }
        Clones::Counted(count) => *count = count.saturating_sub(1),
    }
    match clones.is_empty() {
        true => std::fs::remove_file(file).what(|| format!("remove {}", file.display())),
        false => save::write(file, clones.text().as_bytes()),
    }
}

fn read(file: &Path) -> Result<String> {
    match std::fs::read_to_string(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        other => other.what(|| format!("read {}", file.display())),
    }
}

fn pairs(text: &str) -> Vec<Reference> {
    let mut lines = text.lines();
    let mut list = Vec::new();
    while let (Some(lxcpath), Some(name)) = (lines.next(), lines.next()) {
        list.push(Reference { lxcpath: lxcpath.to_owned(), name: name.to_owned() });
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn reference(lxcpath: &str, name: &str) -> Reference {
        Reference { lxcpath: lxcpath.to_owned(), name: name.to_owned() }
    }

    #[test]
    fn a_clone_leaves_only_its_own_entry_behind() {
        let dir = std::env::temp_dir().join(format!("create-dependents-{}", std::process::id()));
        let original = dir.join("orig");
        fs::create_dir_all(&original).expect("mkdir");
        let text = "/p\na\n/p\nab\n/q\na\n";
        fs::write(original.join("lxc_snapshots"), text).expect("write");
        let user = [reference(dir.to_str().expect("utf-8"), "orig"), reference("/nonexistent", "x")];
        forget(&reference("/p", "a"), &user).expect("forget");
        assert_eq!(fs::read_to_string(original.join("lxc_snapshots")).expect("read"), "/p\nab\n/q\na\n");
        forget(&reference("/p", "ab"), &user).expect("forget");
        forget(&reference("/q", "a"), &user).expect("forget");
        assert!(!original.join("lxc_snapshots").exists());
        forget(&reference("/q", "a"), &user).expect("nothing to forget");
        fs::remove_dir_all(dir).expect("clean up");
    }

    #[test]
    fn the_old_count_goes_down() {
        let dir = std::env::temp_dir().join(format!("create-dependents-old-{}", std::process::id()));
        fs::create_dir_all(dir.join("orig")).expect("mkdir");
        let file = dir.join("orig/lxc_snapshots");
        fs::write(&file, "2\n").expect("write");
        let user = [reference(dir.to_str().expect("utf-8"), "orig")];
        assert!(!clones(&dir.join("orig")).expect("read").is_empty());
        forget(&reference("/p", "a"), &user).expect("forget");
        assert_eq!(fs::read_to_string(&file).expect("read"), "1\n");
        forget(&reference("/p", "b"), &user).expect("forget");
        assert!(!file.exists());
        fs::remove_dir_all(dir).expect("clean up");
    }

    #[test]
    fn empty_files_and_zero_are_no_clones() {
        for text in ["", "0", "0\n", "\n"] {
            assert!(Clones::parse(text).is_empty(), "{text:?}");
        }
        assert!(!Clones::parse("/x\ny\n").is_empty());
    }
}
