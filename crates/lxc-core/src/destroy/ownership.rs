//! Files that belong to ids of a container: giving them away and removing them.
//!
//! Root does both directly. Anybody else must go through a user namespace with the container's map, for which
//! `lxc-usernsexec` is run.

use std::ffi::OsStr;
use std::path::Path;

use lxc_conf::model::{IdKind, IdMap};
use rustix::fs::{Gid, Uid};
use rustix::process::geteuid;

use super::remove;
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::template::mapped::{Mapping, host_id};

/// Removes a directory that root of the container may own; see [`remove::remove_tree`].
pub fn remove_tree(path: &Path, idmap: &[IdMap]) -> Result<()> {
    if idmap.is_empty() || geteuid().is_root() {
        return remove::remove_tree(path);
    }
    match rustix::fs::lstat(path) {
        Err(rustix::io::Errno::NOENT) => return Ok(()),
        // What is no directory can be unlinked by whoever owns the directory it is in, and a link is refused there.
        Ok(stat) if rustix::fs::FileType::from_raw_mode(stat.st_mode) != rustix::fs::FileType::Directory => {
            return remove::remove_tree(path);
        }
        _ => {}
    }
    // rm(1) walks by descriptors, does not follow links, and stays on the file system; the caller has made sure that
    // nothing is mounted below. The directory that holds `path` is the caller's, so it is the caller who removes the
    // last, empty one.
    let words = ["-rf".as_ref(), "--one-file-system".as_ref(), "--".as_ref(), path.as_os_str()];
    let emptied = as_container_root(idmap, "rm", &words);
    match (remove::remove_tree(path), emptied) {
        (Ok(()), _) => Ok(()),
        (Err(_), Err(reason)) => Err(reason).what(|| format!("remove {}", path.display())),
        (Err(left), Ok(())) => Err(left),
    }
}

/// Gives `path` itself to root of the container.
///
/// - Shape: root sets user and group; another caller keeps the group, which is how it keeps access.
pub fn give_to_container_root(path: &Path, idmap: &[IdMap]) -> Result<()> {
    if idmap.is_empty() {
        return Ok(());
    }
    let shown = || format!("give {} to root of the container", path.display());
    if geteuid().is_root() {
        let uid = mapped_root(idmap, IdKind::User)?;
        let gid = mapped_root(idmap, IdKind::Group)?;
        return rustix::fs::chown(path, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).what(shown);
    }
    as_container_root(idmap, "chown", &["-h".as_ref(), "0".as_ref(), "--".as_ref(), path.as_os_str()])
        .what(shown)
}

fn mapped_root(idmap: &[IdMap], kind: IdKind) -> Result<u32> {
    host_id(idmap, kind, 0).ok_or_else(|| {
        let word = match kind {
            IdKind::User => 'u',
            IdKind::Group => 'g',
        };
        Error::new(ErrorKind::Config, format!("lxc.idmap maps no {word} 0: the container would have no root"))
    })
}

fn as_container_root(idmap: &[IdMap], program: &str, words: &[&OsStr]) -> Result<()> {
    let mut command = Mapping::new(idmap).command(program.as_ref());
    let output = command.args(words).stdin(std::process::Stdio::null()).output();
    let output = output.what(|| "run lxc-usernsexec").map_err(|error| {
        error.cure("lxc-usernsexec must be in PATH, and newuidmap and newgidmap be installed")
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().last().unwrap_or_default().to_owned();
    Err(Error::new(
        ErrorKind::Permission,
        format!("{program} as root of the container: {}: {said}", output.status),
    ))
}
