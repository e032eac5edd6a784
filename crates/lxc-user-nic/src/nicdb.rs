//! /run/lxc/nics: which nics were handed out to whom, one `OWNER TYPE LINK NIC` a line. Shared with the original's helper:
//! same lines, same lock (an fcntl record lock on the whole file).
//!
//! Not here: what may be handed out.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use lxc_sys::rustix;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::{Refusal, Result};

/// One nic; who may delete it is decided by all four together (CVE-2026-39402).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The rule it was counted under: a login name, or `@` and a group.
    pub owner: String,
    pub kind: String,
    pub link: String,
    /// Name on the host.
    pub nic: String,
}

/// Reads the text of the file; lines that are not four words are dropped.
pub fn parse(text: &[u8]) -> Vec<Entry> {
    text.split(|byte| *byte == b'\n').filter_map(entry).collect()
}

fn entry(line: &[u8]) -> Option<Entry> {
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split_ascii_whitespace().map(str::to_owned);
    let entry = Entry { owner: words.next()?, kind: words.next()?, link: words.next()?, nic: words.next()? };
    (words.next().is_none() && !line.contains('\0')).then_some(entry)
}

/// The text of these entries.
pub fn text(entries: &[Entry]) -> String {
    entries.iter().fold(String::new(), |mut text, entry| {
        for (word, after) in [(&entry.owner, ' '), (&entry.kind, ' '), (&entry.link, ' '), (&entry.nic, '\n')]
        {
            text.push_str(word);
            text.push(after);
        }
        text
    })
}

/// The file, locked until this is dropped.
#[derive(Debug)]
pub struct Database {
    file: OwnedFd,
    pub entries: Vec<Entry>,
}

/// How long to wait for the lock, and between two looks at it. Whoever holds it makes one device.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(5);

/// Far more than any machine has interfaces.
const LARGEST: u64 = 16 * 1024 * 1024;

impl Database {
    /// Opens `path`, making it and its directory when they are missing, waits for the lock, and reads it.
    ///
    /// - Context: as root; umask 022.
    /// - Errors: also when the lock is not to be had in half a minute.
    pub fn lock(path: &str) -> Result<Database> {
        Database::lock_within(path, PATIENCE)
    }

    fn lock_within(path: &str, patience: Duration) -> Result<Database> {
        let failed = |errno: Errno| Refusal::new(format!("{path}: {}", told(errno)));
        let open = || {
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
            rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)
        };
        let file = match open() {
            Err(Errno::NOENT) => {
                let dir = path.rsplit_once('/').map_or("/", |(dir, _)| dir);
                rustix::fs::mkdir(dir, Mode::from_raw_mode(0o755)).map_err(failed)?;
                open()
            }
            other => other,
        }
        .map_err(failed)?;
        if !rustix::fs::fstat(&file).is_ok_and(|stat| stat.st_mode & 0o170_000 == 0o100_000) {
            return Err(Refusal::new(format!("{path} is no regular file")));
        }
        // A lock of the process, as the original's: it goes when this process closes *any* descriptor of the file, so
        // there is only this one.
        // Not F_SETLKW: signals are blocked, and whoever holds it may be a process that was frozen.
        let end = Instant::now().checked_add(patience);
        loop {
            match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::AGAIN | Errno::ACCESS | Errno::INTR) => {}
                Err(errno) => return Err(failed(errno)),
            }
            if end.is_none_or(|end| Instant::now() >= end) {
                return Err(Refusal::new(format!(
                    "{path}: another process has held the lock for {} s",
                    patience.as_secs()
                )));
            }
            std::thread::sleep(PAUSE);
        }
        let mut bytes = Vec::new();
        let mut reader = std::fs::File::from(file);
        let read = std::io::Read::read_to_end(&mut std::io::Read::take(&reader, LARGEST), &mut bytes);
        read.map_err(|error| Refusal::new(format!("{path}: {error}")))?;
        std::io::Seek::rewind(&mut reader).map_err(|error| Refusal::new(format!("{path}: {error}")))?;
        Ok(Database { file: reader.into(), entries: parse(&bytes) })
    }

    /// How many nics are counted under a rule of `owner`.
    pub fn used(&self, owner: &str, kind: &str, link: &str) -> usize {
        self.entries
            .iter()
            .filter(|entry| entry.owner == owner && entry.kind == kind && entry.link == link)
            .count()
    }

    /// The entry with this name that one of `owners` has on this link.
    pub fn find(&self, owners: &[String], kind: &str, link: &str, nic: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| {
            entry.nic == nic && entry.kind == kind && entry.link == link && owners.contains(&entry.owner)
        })
    }

    /// Writes the entries back: whole lines first, then the new length, so that at no time a line is missing.
    pub fn save(&self) -> Result<()> {
        let text = text(&self.entries);
        let failed = |errno: Errno| Refusal::new(format!("write the record of nics: {}", told(errno)));
        let mut rest = text.as_bytes();
        let mut at = 0;
        while !rest.is_empty() {
            let count = match rustix::io::pwrite(&self.file, rest, at) {
                Ok(0) => return Err(failed(Errno::IO)),
                Ok(count) => count,
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(failed(errno)),
            };
            rest = rest.get(count..).unwrap_or_default();
            at = at.saturating_add(count as u64);
        }
        rustix::fs::ftruncate(&self.file, at).map_err(failed)
    }
}

fn told(errno: Errno) -> std::io::Error {
    std::io::Error::from_raw_os_error(errno.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_survive_a_round_trip_and_other_lines_do_not() {
        let good = "alice veth br0 veth1000_AbCd\n@netty veth none vethXYZABC\n";
        assert_eq!(text(&parse(good.as_bytes())), good);
        let bad =
            b"alice veth br0\n\nfive words are too many\n\xff veth br0 x\na veth br0 x\0y\nbob veth br0 v";
        assert_eq!(text(&parse(bad)), "bob veth br0 v\n");
    }

    #[test]
    fn all_four_words_decide() {
        let path = std::env::temp_dir().join(format!("usernic-db-{}", std::process::id()));
        let path = path.to_str().unwrap();
        let rows = ["alice veth br0 v1", "bob veth br0 v2", "alice veth br1 v3", "@g veth br0 v4"];
        let me = ["alice".to_owned(), "@g".to_owned()];
        // CVE-2026-39402: whatever the order of the lines, only the own four-word entry is found.
        for shift in 0..rows.len() {
            let mut lines = rows;
            lines.rotate_left(shift);
            std::fs::write(path, lines.join("\n")).unwrap();
            let database = Database::lock(path).unwrap();
            assert!(database.find(&me, "veth", "br0", "v1").is_some());
            assert!(database.find(&me, "veth", "br0", "v4").is_some());
            assert!(database.find(&me, "veth", "br0", "v2").is_none());
            assert!(database.find(&me, "veth", "br0", "v3").is_none());
            assert!(database.find(&me, "phys", "br0", "v1").is_none());
            assert_eq!(database.used("alice", "veth", "br0"), 1);
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_shorter_record_leaves_nothing_of_the_longer_one() {
        let path = std::env::temp_dir().join(format!("usernic-short-{}", std::process::id()));
        let path = path.to_str().unwrap();
        std::fs::write(path, "alice veth br0 vethlong\nbob veth br0 v2\n").unwrap();
        let mut database = Database::lock(path).unwrap();
        database.entries.remove(0);
        database.save().unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), "bob veth br0 v2\n");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_lock_that_is_kept_is_not_waited_for_without_end() {
        let path = std::env::temp_dir().join(format!("usernic-kept-{}", std::process::id()));
        let path = path.to_str().unwrap();
        let file = std::fs::File::create(path).unwrap();
        // Of the open file: a lock of this process would be no hindrance to it.
        lxc_sys::lock::write_lock(&file, lxc_sys::lock::Block::No).unwrap();
        let refused = Database::lock_within(path, Duration::from_millis(50)).unwrap_err();
        assert!(refused.0.contains("another process has held the lock"), "{refused:?}");
        drop(file);
        Database::lock_within(path, Duration::from_millis(50)).unwrap();
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_symlink_or_a_pipe_is_no_record() {
        let dir = std::env::temp_dir().join(format!("usernic-odd-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let link = dir.join("link");
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        assert!(Database::lock(link.to_str().unwrap()).is_err());
        assert!(Database::lock("/dev/null").is_err());
        std::fs::remove_dir_all(dir).unwrap();
    }
}
