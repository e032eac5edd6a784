//! What one creation has made, so that a failure takes back exactly that and nothing else.
//!
//! A container directory or rootfs that was there before is never removed, whatever is in it (lxc issue 2752: a typing
//! mistake in a config cost a whole rootfs).

use std::path::{Path, PathBuf};

use lxc_conf::model::IdMap;
use rustix::fs::Mode;
use rustix::io::Errno;

use crate::destroy::ownership;
use crate::error::{Result, ResultExt};

/// Something this process made.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Made {
    /// A directory that others may have begun to use meanwhile: removed if it is empty.
    Dir(PathBuf),
    /// A directory that programs fill; everything in it is theirs.
    Tree(PathBuf),
    File(PathBuf),
    /// A file that was there before, with what was in it.
    Replaced(PathBuf, Vec<u8>),
}

/// The record of one creation. Dropped without [`Journal::commit`], it takes everything back, newest first.
#[derive(Debug)]
pub struct Journal {
    made: Vec<Made>,
    idmap: Vec<IdMap>,
}

impl Journal {
    /// - Shape: `idmap` is the container's; its root may own what has to be removed.
    pub fn new(idmap: &[IdMap]) -> Journal {
        Journal { made: Vec::new(), idmap: idmap.to_vec() }
    }

    /// Makes a directory that may be there already; says whether it was made.
    pub fn dir(&mut self, path: &Path, mode: u32) -> Result<bool> {
        self.make(path, mode, Made::Dir(path.to_owned()))
    }

    /// As [`Journal::dir`], for a directory that templates fill.
    pub fn tree(&mut self, path: &Path, mode: u32) -> Result<bool> {
        self.make(path, mode, Made::Tree(path.to_owned()))
    }

    /// Records a file that is about to be written, with what it holds if it exists; says whether it is new.
    pub fn file(&mut self, path: &Path) -> Result<bool> {
        match std::fs::read(path) {
            Ok(bytes) => {
                self.made.push(Made::Replaced(path.to_owned(), bytes));
                Ok(false)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                self.made.push(Made::File(path.to_owned()));
                Ok(true)
            }
            Err(error) => Err(error).what(|| format!("read {}", path.display())),
        }
    }

    /// From now on everything in `path` is this creation's, if the directory is: what programs leave there goes with it.
    pub fn own(&mut self, path: &Path) {
        let dir = Made::Dir(path.to_owned());
        for made in self.made.iter_mut().filter(|made| **made == dir) {
            *made = Made::Tree(path.to_owned());
        }
    }

    /// Makes the missing directories above `path`.
    pub fn parents(&mut self, path: &Path, mode: u32) -> Result<()> {
        let mut missing: Vec<_> = path.ancestors().skip(1).take_while(|dir| !dir.exists()).collect();
        missing.retain(|dir| !dir.as_os_str().is_empty());
        missing.into_iter().rev().try_for_each(|dir| self.dir(dir, mode).map(drop))
    }

    fn make(&mut self, path: &Path, mode: u32, made: Made) -> Result<bool> {
        match rustix::fs::mkdir(path, Mode::from_raw_mode(mode)) {
            Ok(()) => {
                self.made.push(made);
                // The caller's mask must not decide who can use the container.
                rustix::fs::chmod(path, Mode::from_raw_mode(mode))
                    .what(|| format!("chmod {}", path.display()))?;
                Ok(true)
            }
            Err(Errno::EXIST) if path.is_dir() => Ok(false),
            Err(errno) => Err(errno).what(|| format!("make directory {}", path.display())),
        }
    }

    /// Everything is in place: nothing will be taken back.
    pub fn commit(mut self) {
        self.made.clear();
    }

    fn take_back(&mut self) {
        while let Some(made) = self.made.pop() {
            let result = match &made {
                Made::Tree(path) => ownership::remove_tree(path, &self.idmap),
                Made::Dir(path) => match rustix::fs::rmdir(path) {
                    Ok(()) | Err(Errno::NOENT) => Ok(()),
                    Err(Errno::NOTEMPTY) => Ok(()),
                    Err(errno) => Err(errno).what(|| format!("remove {}", path.display())),
                },
                Made::File(path) => match rustix::fs::unlink(path) {
                    Ok(()) | Err(Errno::NOENT) => Ok(()),
                    Err(errno) => Err(errno).what(|| format!("remove {}", path.display())),
                },
                Made::Replaced(path, bytes) => {
                    std::fs::write(path, bytes).what(|| format!("restore {}", path.display()))
                }
            };
            if let Err(error) = result {
                tracing::error!("left behind after a failed creation: {error}");
            }
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.take_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("create-journal-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("mkdir");
        path
    }

    #[test]
    fn what_was_made_goes_and_what_was_there_stays() {
        let dir = scratch("mixed");
        fs::create_dir_all(dir.join("old/rootfs")).expect("mkdir");
        fs::write(dir.join("old/rootfs/keep"), "x").expect("write");
        fs::write(dir.join("old/config"), "x").expect("write");
        let mut journal = Journal::new(&[]);
        assert!(!journal.dir(&dir.join("old"), 0o770).expect("dir"));
        assert!(!journal.tree(&dir.join("old/rootfs"), 0o755).expect("tree"));
        journal.file(&dir.join("old/config")).expect("file");
        fs::write(dir.join("old/config"), "changed").expect("write");
        assert!(journal.dir(&dir.join("new"), 0o770).expect("dir"));
        journal.own(&dir.join("new"));
        journal.own(&dir.join("old"));
        assert!(journal.dir(&dir.join("shared"), 0o770).expect("dir"));
        fs::write(dir.join("shared/of-another"), "x").expect("write");
        assert!(journal.tree(&dir.join("new/rootfs"), 0o755).expect("tree"));
        journal.parents(&dir.join("a/b/c"), 0o755).expect("parents");
        journal.file(&dir.join("new/config")).expect("file");
        fs::write(dir.join("new/config"), "x").expect("write");
        fs::write(dir.join("new/rootfs/file"), "x").expect("write");
        fs::write(dir.join("new/extra"), "x").expect("write");
        drop(journal);
        assert!(!dir.join("new").exists());
        assert_eq!(fs::read_to_string(dir.join("old/rootfs/keep")).expect("read"), "x");
        assert_eq!(fs::read_to_string(dir.join("old/config")).expect("read"), "x");
        assert!(!dir.join("a").exists());
        assert!(dir.join("shared/of-another").exists());
        fs::remove_dir_all(dir).expect("clean up");
    }

    #[test]
    fn committed_work_stays() {
        let dir = scratch("commit");
        let mut journal = Journal::new(&[]);
        journal.dir(&dir.join("new"), 0o770).expect("dir");
        journal.commit();
        let mode = rustix::fs::stat(dir.join("new")).expect("stat").st_mode;
        assert_eq!(mode & 0o7777, 0o770);
        fs::remove_dir_all(dir).expect("clean up");
    }
}
