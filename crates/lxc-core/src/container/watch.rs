//! Events of all containers of an lxcpath, as lxc-monitord fans them out.
//!
//! Not here: the daemon itself, and the state of one container (`state::wait`). Source: abi-and-wire.md C2.

use std::ffi::CString;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lxc_sys::clone::{Forked, SingleThreaded, exit_now, fork};
use lxc_sys::exec::Image;
use lxc_sys::fd::{close_all_but, dup_onto};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, FdFlags, fcntl_setfd, read};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::setsid;

use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::paths;
use crate::state::LxcMsg;

const DAEMON: &str = "lxc-monitord";

/// The pauses between attempts to connect.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(10), Duration::from_millis(50), Duration::from_millis(100)];

/// A stream of the events of all containers of one lxcpath.
#[derive(Debug)]
pub struct Watch {
    socket: UnixStream,
    /// The start of a message that has not come whole.
    pending: Vec<u8>,
}

impl Watch {
    /// Connects to the lxc-monitord of `lxcpath`, starting it when there is none.
    ///
    /// - Errors: `Unsupported` for a path longer than the 84 bytes that fit into a socket's name.
    /// - Context: single-threaded process.
    pub fn open(lxcpath: &Path) -> Result<Watch> {
        connect_or_spawn(lxcpath).map(Watch::of)
    }

    fn of(socket: UnixStream) -> Watch {
        Watch { socket, pending: Vec::new() }
    }

    /// Reads what has come, at least one byte; `None` = the daemon has gone.
    pub fn read(&mut self) -> Result<Option<Vec<LxcMsg>>> {
        let mut chunk = [0; 16 * LxcMsg::SIZE];
        let read = match self.socket.read(&mut chunk) {
            Ok(0) => return Ok(None),
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(error).what(|| "read from lxc-monitord"),
        };
        self.pending.extend_from_slice(chunk.get(..read).unwrap_or_default());
        let mut messages = Vec::new();
        while let Some((message, rest)) = self.pending.split_first_chunk::<{ LxcMsg::SIZE }>() {
            messages.push(LxcMsg::decode(message));
            self.pending = rest.to_vec();
        }
        Ok(Some(messages))
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Tells the lxc-monitord of `lxcpath` to quit.
pub fn quit(lxcpath: &Path) -> Result<()> {
    let mut socket = connect(lxcpath)?;
    socket.write_all(b"quit").what(|| format!("write to the monitor of {}", lxcpath.display()))
}

/// Connects to the daemon of `lxcpath`, trying a few times.
///
/// - Errors: nobody listens; the path is longer than the 84 bytes that fit into a socket's name.
fn connect(lxcpath: &Path) -> Result<UnixStream> {
    let address = paths::monitor_socket(lxcpath).ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, format!("path {} is too long to be monitored", lxcpath.display()))
    })?;
    let mut pauses = PAUSES.iter();
    loop {
        match (lxc_sys::socket::connect_abstract(&address, None), pauses.next()) {
            (Ok(socket), _) => return Ok(UnixStream::from(socket)),
            (Err(Errno::CONNREFUSED), Some(pause)) => std::thread::sleep(*pause),
            (Err(errno), _) => {
                return Err(errno).what(|| format!("connect to the monitor of {}", lxcpath.display()));
            }
        }
    }
}

/// Connects to the daemon of `lxcpath`, starting it first when nobody listens.
fn connect_or_spawn(lxcpath: &Path) -> Result<UnixStream> {
    let address = paths::monitor_socket(lxcpath);
    if let Some(Ok(socket)) = address.map(|address| lxc_sys::socket::connect_abstract(&address, None)) {
        return Ok(UnixStream::from(socket));
    }
    spawn(lxcpath)?;
    connect(lxcpath)
}

/// The daemon's program: the installed one, else the one beside the program that runs (an uninstalled build).
fn program(libexec: &Path, running: Option<&Path>) -> PathBuf {
    let installed = libexec.join(DAEMON);
    match running.and_then(Path::parent).map(|directory| directory.join(DAEMON)) {
        Some(beside) if !installed.exists() && beside.is_file() => beside,
        _ => installed,
    }
}

/// Starts lxc-monitord as a daemon and waits until it says that it listens, or ends because another one does.
fn spawn(lxcpath: &Path) -> Result<()> {
    let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC).what(|| "make a pipe to lxc-monitord")?;
    let program = program(&paths::libexec_dir(), paths::running_program().as_deref());
    let word = |bytes: &[u8]| {
        CString::new(bytes).map_err(|_| Error::new(ErrorKind::Config, "a path with a NUL byte"))
    };
    let argv = vec![
        word(program.as_os_str().as_bytes())?,
        word(lxcpath.as_os_str().as_bytes())?,
        word(theirs.as_raw_fd().to_string().as_bytes())?,
    ];
    let envp = crate::host::environment()
        .into_iter()
        .filter_map(|(key, value)| CString::new([key.as_bytes(), b"=", value.as_bytes()].concat()).ok());
    let image = Image::new(argv, envp.collect());
    let null = open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).what(|| "open /dev/null")?;
    let single = SingleThreaded::check().what(|| "start lxc-monitord")?;
    match fork(&single).what(|| "fork to start lxc-monitord")? {
        Forked::Parent(child) => {
            drop(theirs);
            lxc_sys::pidfd::reap(child.pidfd.as_fd()).what(|| "wait for the starter of lxc-monitord")?;
        }
        Forked::Child => {
            // ORDER: a session of its own, then the second fork, so that the daemon can never get a terminal.
            let _ = setsid();
            match fork(&SingleThreaded::after_clone()) {
                Ok(Forked::Child) => {}
                _ => exit_now(0),
            }
            let _ = (0..=2).try_for_each(|target| dup_onto(null.as_fd(), target));
            let _ = fcntl_setfd(&theirs, FdFlags::empty());
            let _ = close_all_but(3, &[theirs.as_fd()]);
            image.exec();
            exit_now(127);
        }
    }
    // One byte `S`, or the end of the pipe when it ended.
    let mut byte = [0];
    read(&ours, &mut byte).what(|| "wait for lxc-monitord")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::State;

    #[test]
    fn messages_may_come_in_pieces() {
        let (mut there, here) = UnixStream::pair().unwrap();
        let mut watch = Watch::of(here);
        let (first, second) = (LxcMsg::state("a", State::Frozen), LxcMsg::exit_code("b", 256));
        let bytes = [first.encode(), second.encode()].concat();
        there.write_all(&bytes[..300]).unwrap();
        assert_eq!(watch.read().unwrap(), Some(vec![first]));
        there.write_all(&bytes[300..]).unwrap();
        assert_eq!(watch.read().unwrap(), Some(vec![second]));
        drop(there);
        assert_eq!(watch.read().unwrap(), None);
    }

    #[test]
    fn the_installed_daemon_comes_before_the_one_beside() {
        let base = std::env::temp_dir().join(format!("monitord-program-{}", std::process::id()));
        let (libexec, bin) = (base.join("libexec"), base.join("bin"));
        [&libexec, &bin].iter().for_each(|directory| std::fs::create_dir_all(directory).unwrap());
        let (installed, beside) = (libexec.join(DAEMON), bin.join(DAEMON));
        let running = bin.join("lxc-monitor");
        let found = || program(&libexec, Some(&running));
        assert_eq!(found(), installed, "neither exists: the error names the installed one");
        std::fs::write(&beside, "").unwrap();
        assert_eq!(found(), beside);
        std::fs::write(&installed, "").unwrap();
        assert_eq!(found(), installed);
        std::fs::remove_dir_all(&base).unwrap();
    }
}
