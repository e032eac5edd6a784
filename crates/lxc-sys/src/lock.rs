//! Whole-file record locks: of the open file description (freed with its last descriptor) and of the process.
//!
//! Not here: which file is locked and why (`lxc-core::lock`).

use std::os::fd::AsFd;

use nix::fcntl::{FcntlArg, fcntl};
use rustix::io::Errno;

/// Whether taking a lock may sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    Yes,
    No,
}

fn whole_file() -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

fn set(fd: impl AsFd, arg: FcntlArg<'_>) -> Result<(), Errno> {
    match fcntl(fd, arg) {
        Ok(_) => Ok(()),
        // fcntl(2): either errno may mean "somebody else holds it".
        Err(nix::errno::Errno::EACCES) => Err(Errno::AGAIN),
        Err(errno) => Err(Errno::from_raw_os_error(errno as i32)),
    }
}

/// Takes the exclusive open-file-description lock on the whole file; flock(2) on kernels without such locks.
///
/// - Errors: `AGAIN` when it is taken and `block` is `No`.
pub fn write_lock(fd: impl AsFd, block: Block) -> Result<(), Errno> {
    let record = whole_file();
    let arg = || match block {
        Block::Yes => FcntlArg::F_OFD_SETLKW(&record),
        Block::No => FcntlArg::F_OFD_SETLK(&record),
    };
    loop {
        match set(&fd, arg()) {
            Err(Errno::INTR) => {}
            // Until Linux 3.15 is the floor:
            Err(Errno::INVAL) => return flock(fd, block),
            other => return other,
        }
    }
}

fn flock(fd: impl AsFd, block: Block) -> Result<(), Errno> {
    use rustix::fs::{FlockOperation, flock};
    let operation = match block {
        Block::Yes => FlockOperation::LockExclusive,
        Block::No => FlockOperation::NonBlockingLockExclusive,
    };
    rustix::io::retry_on_intr(|| flock(&fd, operation))
}

/// Takes the exclusive lock of this *process* on the whole file without waiting (F_SETLK): it goes when the process
/// closes any descriptor of the file. The lock of lxc-monitord, shared with the original's.
pub fn process_lock(fd: impl AsFd) -> Result<(), Errno> {
    set(fd, FcntlArg::F_SETLK(&whole_file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_description_has_to_wait_and_a_close_frees_it() {
        let path = std::env::temp_dir().join(format!("cmd-lock-{}", std::process::id()));
        let open =
            || std::fs::OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        let first = open().unwrap();
        let second = open().unwrap();
        write_lock(&first, Block::No).unwrap();
        assert_eq!(write_lock(&second, Block::No), Err(Errno::AGAIN));
        let waiter = std::thread::spawn(move || write_lock(&second, Block::Yes));
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(!waiter.is_finished());
        drop(first);
        waiter.join().unwrap().unwrap();
        std::fs::remove_file(&path).unwrap();
    }
}
