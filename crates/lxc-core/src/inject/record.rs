//! What was injected into one run of a container, kept below the runtime directory.
//!
//! The file starts with the run it belongs to; a container that was started again has another one, and the old list is
//! forgotten. Not here: whether the mounts are still there (`inject::list`).

use std::ffi::{CString, OsString};
use std::fs::{DirBuilder, File};
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use lxc_sys::tree::{self, Resolve};
use rustix::fs::{FileType, FlockOperation, Mode, OFlags, fstat, major, minor};
use rustix::io::Errno;

use super::MountRequest;
use super::enter::Running;
use super::mountinfo::{MountInfo, escape, unescape};
use super::target::{Target, mount_id};
use crate::{Result, ResultExt};

/// One injected mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// As in mountinfo.
    pub mount_id: u64,
    /// `major:minor` of its file system.
    pub device: String,
    pub source: String,
    /// As asked for.
    pub target: String,
    /// `bind`, or the file system's type.
    pub fstype: String,
    /// As asked for; empty = none.
    pub options: String,
}

impl Record {
    pub(super) fn of(request: &MountRequest, target: &Target, mount: &OwnedFd) -> Result<Record> {
        let what = || "look at the new mount";
        let device = fstat(mount).what(what)?.st_dev;
        Ok(Record {
            mount_id: mount_id(mount).what(what)?,
            device: format!("{}:{}", major(device), minor(device)),
            source: request.source.to_string_lossy().into_owned(),
            target: target.display(),
            fstype: request.fstype.clone().unwrap_or_else(|| "bind".to_owned()),
            options: request.options.text.clone(),
        })
    }

    /// Whether a line of mountinfo is this mount. Ids are given out again, so the file system must be the same, too.
    pub(super) fn is(&self, mount: &MountInfo) -> bool {
        // btrfs and overlay show a device in mountinfo that differs from stat(2); then the id has to do.
        self.mount_id == mount.id && (self.device == mount.device || mount.device.starts_with("0:"))
    }

    fn to_line(&self) -> String {
        let fields = [&self.device, &self.source, &self.target, &self.fstype, &self.options];
        let fields: Vec<String> = fields.iter().map(|field| escape(field)).collect();
        format!("{}\t{}\n", self.mount_id, fields.join("\t"))
    }

    fn from_line(line: &str) -> Option<Record> {
        let mut fields = line.split('\t').map(unescape);
        Some(Record {
            mount_id: fields.next()?.parse().ok()?,
            device: fields.next()?,
            source: fields.next()?,
            target: fields.next()?,
            fstype: fields.next()?,
            options: fields.next()?,
        })
    }
}

/// `RUNDIR/lxc/inject`, made if missing.
pub(super) fn directory(rundir: &Path) -> Result<PathBuf> {
    let path = rundir.join("lxc/inject");
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(&path)
        .what(|| format!("make {}", path.display()))?;
    Ok(path)
}

/// `RUNDIR/lxc/inject/LXCPATH/NAME`; the lxcpath is appended verbatim, as for locks.
fn path(rundir: &Path, running: &Running) -> PathBuf {
    rundir.join(inside(running)).join(running.name())
}

/// The directory of the list, below the runtime directory.
fn inside(running: &Running) -> PathBuf {
    let mut text = OsString::from("lxc/inject/");
    text.push(running.lxcpath());
    PathBuf::from(text)
}

/// Opens the list, or makes it (and its directories); links below the runtime directory are refused (CVE-2015-1331).
fn open(rundir: &Path, running: &Running, make: bool) -> std::result::Result<File, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(rundir, flags, Mode::empty())?;
    let inside = CString::new(inside(running).into_os_string().into_vec()).map_err(|_| Errno::INVAL)?;
    let name = running.name();
    let file = if make {
        let dir = tree::find_or_make_dir(root.as_fd(), &inside, Resolve::NoSymlinks)?;
        let mode = Mode::RUSR | Mode::WUSR;
        tree::open_or_make(dir.as_fd(), name, OFlags::RDWR | OFlags::NOCTTY, mode, Resolve::NoSymlinks)?
    } else {
        let dir = tree::find(root.as_fd(), &inside, Resolve::NoSymlinks)?;
        tree::open_file(dir.as_fd(), name, Resolve::NoSymlinks)?
    };
    match FileType::from_raw_mode(fstat(&file)?.st_mode) {
        FileType::RegularFile => Ok(File::from(file)),
        _ => Err(Errno::INVAL),
    }
}

/// The records of this run; none when the file is of another run or does not exist.
pub(super) fn load(rundir: &Path, running: &Running) -> Result<Vec<Record>> {
    let path = path(rundir, running);
    let what = || format!("read {}", path.display());
    let mut file = match open(rundir, running, false) {
        Err(Errno::NOENT) => return Ok(Vec::new()),
        other => other.what(what)?,
    };
    rustix::fs::flock(&file, FlockOperation::LockShared).what(what)?;
    let mut text = String::new();
    file.read_to_string(&mut text).what(what)?;
    Ok(parse(&text, &running.run_id()))
}

fn parse(text: &str, run: &str) -> Vec<Record> {
    match text.split_once('\n') {
        Some((header, lines)) if header == run => lines.lines().filter_map(Record::from_line).collect(),
        _ => Vec::new(),
    }
}

/// Adds a record, starting a new list when the file is of another run.
pub(super) fn append(rundir: &Path, running: &Running, record: &Record) -> Result<()> {
    let path = path(rundir, running);
    let what = || format!("write {}", path.display());
    std::fs::create_dir_all(rundir).what(what)?;
    let mut file = open(rundir, running, true).what(what)?;
    rustix::fs::flock(&file, FlockOperation::LockExclusive).what(what)?;
    let mut text = String::new();
    file.read_to_string(&mut text).what(what)?;
    let run = running.run_id();
    if text.split('\n').next() == Some(run.as_str()) {
        return file.write_all(record.to_line().as_bytes()).what(what);
    }
    file.set_len(0).what(what)?;
    file.rewind().what(what)?;
    file.write_all(format!("{run}\n{}", record.to_line()).as_bytes()).what(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            mount_id: 77,
            device: "8:1".into(),
            source: "/a b".into(),
            target: "/x\ty".into(),
            fstype: "bind".into(),
            options: String::new(),
        }
    }

    #[test]
    fn lines_survive_blanks_and_belong_to_one_run() {
        let text = format!("12 345\n{}rubbish\n", record().to_line());
        assert_eq!(parse(&text, "12 345"), [record()]);
        assert_eq!(parse(&text, "12 346"), []);
        assert_eq!(parse("", "12 345"), []);
    }

    #[test]
    fn a_reused_id_on_another_file_system_is_not_the_mount() {
        let mount = |device: &str| MountInfo {
            id: 77,
            parent: 1,
            device: device.into(),
            root: "/".into(),
            mount_point: "/x".into(),
            fstype: "ext4".into(),
            source: "none".into(),
        };
        assert!(record().is(&mount("8:1")));
        assert!(!record().is(&mount("8:2")));
    }
}
