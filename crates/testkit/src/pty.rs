//! A program on a terminal of its own: type, and wait for what should appear. Not a terminal emulator.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::run::Run;

/// The program and the other end of its terminal.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    ptx: File,
    bytes: Receiver<Vec<u8>>,
    seen: String,
    all: String,
}

impl Terminal {
    /// Starts the program as leader of a session whose terminal is 80 columns by 24 lines.
    pub fn spawn(run: Run) -> Terminal {
        let ptx = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&ptx).unwrap();
        unlockpt(&ptx).unwrap();
        let name = ptsname(&ptx, Vec::new()).unwrap();
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&ptx, size).unwrap();
        let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
        let pts: OwnedFd = rustix::fs::open(&name, flags, rustix::fs::Mode::empty()).unwrap();
        let inner = run.into_command();
        // setsid(1) makes the terminal the controlling one; doing it here would need unsafe code.
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait"]).arg(inner.get_program()).args(inner.get_args());
        for (key, value) in inner.get_envs() {
            match value {
                Some(value) => command.env(key, value),
                None => command.env_remove(key),
            };
        }
        command.stdin(Stdio::from(pts.try_clone().unwrap()));
        command.stdout(Stdio::from(pts.try_clone().unwrap())).stderr(Stdio::from(pts));
        let child = command.spawn().unwrap();
        drop(command);
        let ptx = File::from(ptx);
        let mut reader = ptx.try_clone().unwrap();
        let (sender, bytes) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // EIO is how a terminal whose other end is closed says end of file.
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Terminal { child, ptx, bytes, seen: String::new(), all: String::new() }
    }

    /// Types.
    pub fn send(&mut self, text: &str) {
        self.ptx.write_all(text.as_bytes()).unwrap();
    }

    /// Waits until `text` appears; what came before it is used up. Panics after `limit`.
    pub fn expect_within(&mut self, text: &str, limit: Duration) -> String {
        let end = Instant::now() + limit;
        loop {
            if let Some(at) = self.seen.find(text) {
                let before = self.seen[..at].to_owned();
                self.seen = self.seen[at + text.len()..].to_owned();
                return before;
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.bytes.recv_timeout(left) {
                Ok(bytes) => {
                    let text = String::from_utf8_lossy(&bytes);
                    self.seen.push_str(&text);
                    self.all.push_str(&text);
                }
                Err(error) => panic!("{text:?} did not appear ({error}); all that came: {:?}", self.all),
            }
        }
    }

    /// Waits ten seconds for `text`.
    pub fn expect(&mut self, text: &str) -> String {
        self.expect_within(text, Duration::from_secs(10))
    }

    /// True when `text` appears within `limit`.
    pub fn sees(&mut self, text: &str, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        while !self.seen.contains(text) {
            match self.bytes.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(bytes) => {
                    let text = String::from_utf8_lossy(&bytes);
                    self.seen.push_str(&text);
                    self.all.push_str(&text);
                }
                Err(_) => return false,
            }
        }
        true
    }

    /// Changes the size of the terminal.
    pub fn resize(&self, columns: u16, rows: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(self.ptx.as_fd(), size).unwrap();
    }

    /// Everything that has appeared so far.
    pub fn all(&self) -> &str {
        &self.all
    }

    /// Waits for the program's end; its exit status.
    pub fn exit_within(&mut self, limit: Duration) -> i32 {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                while let Ok(bytes) = self.bytes.recv_timeout(Duration::from_millis(50)) {
                    self.all.push_str(&String::from_utf8_lossy(&bytes));
                }
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < end, "still running; all that came: {:?}", self.all);
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // setsid(1) waits for the program, which is the one to end.
            let parent = self.child.id();
            let children =
                std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
            for pid in children.split_whitespace().filter_map(|word| word.parse().ok()) {
                if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
                }
            }
            drop(self.child.kill());
        }
        drop(self.child.wait());
    }
}
