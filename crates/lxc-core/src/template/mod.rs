//! Templates: the programs that fill the rootfs of a new container.
//!
//! Finding one, building its command line, running it. Not here: what `lxc-create` does around it (`create`), and the
//! templates themselves (`templates/` of the repository). The only module besides `destroy::hook` that runs programs
//! with `std::process::Command`: a template is started by an ordinary tool, long before any container exists.

pub mod mapped;
mod run;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use lxc_conf::model::IdMap;
use rustix::fs::Access;

use crate::error::{Error, ErrorKind, Result};
use crate::paths;

pub use run::{help, run};

/// Where a template's input and output go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdio {
    Inherit,
    /// `/dev/null`: the caller asked for silence.
    Null,
}

/// One run of a template.
///
/// - Shape: `path` is the container's directory; `args` are the user's own words, passed on as they are.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub template: &'a Path,
    pub path: &'a Path,
    pub name: &'a str,
    pub rootfs: &'a Path,
    pub args: &'a [OsString],
    pub idmap: &'a [IdMap],
    pub stdio: Stdio,
}

/// The program of the template `name`: an absolute path, or `TEMPLATEDIR/lxc-NAME`.
///
/// - Errors: `NotFound` when it is not there or not executable; the text is the original's.
pub fn find(name: &OsStr) -> Result<PathBuf> {
    find_in(&paths::data_dir().join("templates"), name)
}

fn find_in(dir: &Path, name: &OsStr) -> Result<PathBuf> {
    let shown = name.to_string_lossy();
    let path = if Path::new(name).is_absolute() {
        PathBuf::from(name)
    } else if shown.is_empty() || shown.contains('/') {
        // A relative path would depend on where lxc-create happens to be run, and "../x" leave the directory.
        return Err(not_found(&shown).cure("give the name of a template, or an absolute path"));
    } else {
        let mut file = OsString::from("lxc-");
        file.push(name);
        dir.join(file)
    };
    if !path.is_file() {
        return Err(not_found(&shown).cure(format!("there is no {}", path.display())));
    }
    match rustix::fs::access(&path, Access::EXEC_OK) {
        Ok(()) => Ok(path),
        Err(_) => Err(not_found(&shown).cure(format!("make {} executable", path.display()))),
    }
}

fn not_found(name: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("bad template: {name}: Template \"{name}\" not found"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_looked_up_and_paths_taken() {
        let dir = std::env::temp_dir().join(format!("create-templates-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("mkdir");
        let program = dir.join("lxc-x");
        std::fs::write(&program, "#!/bin/sh\n").expect("write");
        let error = find_in(&dir, OsStr::new("x")).expect_err("not executable");
        assert!(error.cure_text().expect("cure").contains("executable"));
        rustix::fs::chmod(&program, rustix::fs::Mode::RWXU).expect("chmod");
        assert_eq!(find_in(&dir, OsStr::new("x")).expect("found"), program);
        assert_eq!(find_in(Path::new("/nonexistent"), program.as_os_str()).expect("found"), program);
        for wrong in ["y", "", "../lxc-x", "a/b", "/nonexistent"] {
            let error = find_in(&dir, OsStr::new(wrong)).expect_err(wrong);
            assert_eq!(error.kind(), ErrorKind::NotFound);
            assert!(error.to_string().contains(&format!("Template \"{wrong}\" not found")), "{error}");
        }
        std::fs::remove_dir_all(&dir).expect("clean up");
    }
}
