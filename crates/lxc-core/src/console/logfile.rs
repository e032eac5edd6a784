//! `lxc.console.logfile`: a copy of the console's output on disk, with a size limit and one rotated predecessor.
//!
//! - Observed on 5.0.2: created 0600 and appended to. At `lxc.console.size` bytes the file starts again, empty; with
//!   `lxc.console.rotate` the full one stays as `FILE.1`.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Result, ResultExt};

#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: OwnedFd,
    /// Bytes in the file.
    len: u64,
    /// 0 = no limit.
    limit: u64,
    rotate: bool,
    /// A failed write was reported.
    failed: bool,
}

impl LogFile {
    pub(super) fn open(path: &Path, limit: u64, rotate: bool) -> Result<LogFile> {
        let what = || format!("open the console log {}", path.display());
        let file = open(path).what(what)?;
        let len = rustix::fs::fstat(&file).what(what)?.st_size;
        let len = u64::try_from(len).unwrap_or(0);
        Ok(LogFile { path: path.to_owned(), file, len, limit, rotate, failed: false })
    }

    pub(super) fn is_limited(&self) -> bool {
        self.limit > 0
    }

    /// Appends output. A full disk costs output, not the container; it is reported once.
    pub(super) fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = match self.limit {
                0 => bytes.len(),
                limit => {
                    usize::try_from(limit.saturating_sub(self.len)).unwrap_or(usize::MAX).min(bytes.len())
                }
            };
            let result = match bytes.get(..room) {
                Some([]) | None => self.start_again().map(|()| 0),
                Some(part) => rustix::io::write(&self.file, part),
            };
            match result {
                Ok(written) => {
                    self.len += u64::try_from(written).unwrap_or(0);
                    self.failed = false;
                    bytes = bytes.get(written..).unwrap_or_default();
                }
                Err(Errno::INTR) => {}
                Err(errno) => {
                    if !self.failed {
                        tracing::warn!("cannot write the console log {}: {errno}", self.path.display());
                    }
                    self.failed = true;
                    return;
                }
            }
        }
    }

    /// The file is full: keep it aside or empty it.
    fn start_again(&mut self) -> std::result::Result<(), Errno> {
        if self.rotate {
            let mut old = self.path.clone().into_os_string();
            old.push(".1");
            rustix::fs::rename(&self.path, &old)?;
            self.file = open(&self.path)?;
        }
        rustix::fs::ftruncate(&self.file, 0)?;
        self.len = 0;
        Ok(())
    }

    /// Replaces the contents by the first bytes of `bytes` that fit the limit.
    pub(super) fn rewrite(&mut self, bytes: &[u8]) -> std::result::Result<(), Errno> {
        rustix::fs::ftruncate(&self.file, 0)?;
        self.len = 0;
        let most =
            if self.limit == 0 { usize::MAX } else { usize::try_from(self.limit).unwrap_or(usize::MAX) };
        self.append(bytes.get(..most.min(bytes.len())).unwrap_or_default());
        Ok(())
    }
}

fn open(path: &Path) -> std::result::Result<OwnedFd, Errno> {
    let flags = OFlags::WRONLY
        | OFlags::CREATE
        | OFlags::APPEND
        | OFlags::CLOEXEC
        | OFlags::NOCTTY
        | OFlags::NONBLOCK;
    let file = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?;
    // Only a fifo or device needed the flag above, so that opening it does not wait for a reader.
    let plain = rustix::fs::fcntl_getfl(&file)? - OFlags::NONBLOCK;
    let kind = rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(file.as_fd())?.st_mode);
    if kind == rustix::fs::FileType::RegularFile {
        rustix::fs::fcntl_setfl(&file, plain)?;
    }
    Ok(file)
}
