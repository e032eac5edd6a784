//! Running a program with a deadline and looking at what it said. Not a shell: arguments are passed as they are.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// A program about to be run.
#[derive(Debug)]
pub struct Run {
    command: Command,
    stdin: Option<Vec<u8>>,
    limit: Duration,
}

impl Run {
    pub fn new(program: impl AsRef<OsStr>) -> Run {
        Run { command: Command::new(program), stdin: None, limit: Duration::from_secs(60) }
    }

    /// `prefix` words first (`nsenter … --`), then the program.
    pub fn under(prefix: &[OsString], program: impl AsRef<OsStr>) -> Run {
        match prefix.split_first() {
            None => Run::new(program),
            Some((first, rest)) => {
                let mut run = Run::new(first);
                run.command.args(rest).arg(program);
                run
            }
        }
    }

    #[must_use]
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, args: I) -> Run {
        self.command.args(args);
        self
    }

    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Run {
        self.command.arg(arg);
        self
    }

    #[must_use]
    pub fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Run {
        self.command.env(key, value);
        self
    }

    #[must_use]
    pub fn env_remove(mut self, key: &str) -> Run {
        self.command.env_remove(key);
        self
    }

    #[must_use]
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Run {
        self.command.current_dir(dir.into());
        self
    }

    #[must_use]
    pub fn stdin(mut self, text: impl Into<Vec<u8>>) -> Run {
        self.stdin = Some(text.into());
        self
    }

    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Run {
        self.limit = limit;
        self
    }

    /// Runs it to its end.
    ///
    /// Panics when it does not end in time, and when something it left running keeps its output open: a caller that
    /// reads a pipe to the end (`$(lxc-start -d …)`) would hang then.
    pub fn done(mut self) -> Done {
        let shown = format!("{:?}", self.command);
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        self.command.stdin(if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        let started = Instant::now();
        let mut child = self.command.spawn().unwrap_or_else(|error| panic!("cannot run {shown}: {error}"));
        if let (Some(text), Some(mut pipe)) = (self.stdin.take(), child.stdin.take()) {
            std::thread::spawn(move || {
                // The program may end without reading; that is for the test to judge.
                drop(pipe.write_all(&text));
            });
        }
        let (sender, receiver) = mpsc::channel();
        collect(child.stdout.take().unwrap(), 0, sender.clone());
        collect(child.stderr.take().unwrap(), 1, sender);
        let status = wait(&mut child, started + self.limit);
        let mut output = [None, None];
        let grace = Duration::from_secs(3);
        while output.iter().any(Option::is_none) {
            match receiver.recv_timeout(grace) {
                Ok((stream, bytes)) => output[stream] = Some(bytes),
                Err(_) => panic!("{shown}: ended or timed out, but something keeps its output open"),
            }
        }
        let [stdout, stderr] = output.map(|bytes| String::from_utf8_lossy(&bytes.unwrap()).into_owned());
        let elapsed = started.elapsed();
        let Some(status) = status else {
            panic!("{shown}: not done after {:?}\nstdout: {stdout}\nstderr: {stderr}", self.limit);
        };
        let code = std::os::unix::process::ExitStatusExt::signal(&status)
            .map_or_else(|| status.code().unwrap_or(-1), |signal| 128 + signal);
        Done { shown, code, stdout, stderr, elapsed }
    }

    /// Starts it in the background with its output going to /dev/null or where `stdout` says.
    pub fn spawn(mut self, stdout: impl Into<Stdio>, stderr: impl Into<Stdio>) -> Child {
        self.command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        let shown = format!("{:?}", self.command);
        self.command.spawn().unwrap_or_else(|error| panic!("cannot run {shown}: {error}"))
    }

    /// The command itself, for callers that wire up its terminal.
    pub fn into_command(self) -> Command {
        self.command
    }
}

fn collect(mut from: impl Read + Send + 'static, stream: usize, to: mpsc::Sender<(usize, Vec<u8>)>) {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        drop(from.read_to_end(&mut bytes));
        drop(to.send((stream, bytes)));
    });
}

fn wait(child: &mut Child, end: Instant) -> Option<std::process::ExitStatus> {
    let mut pause = Duration::from_micros(200);
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        if Instant::now() > end {
            drop(child.kill());
            drop(child.wait());
            return None;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

/// What a program that ended has said.
#[derive(Clone, Debug)]
pub struct Done {
    pub shown: String,
    /// Exit status, or 128 + signal.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub elapsed: Duration,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nexit: {}\nstdout: {}\nstderr: {}", self.shown, self.code, self.stdout, self.stderr)
    }
}

impl Done {
    /// Requires exit status 0; gives stdout.
    pub fn ok(self) -> String {
        assert!(self.code == 0, "should have succeeded: {self}");
        self.stdout
    }

    /// Requires this exit status.
    #[must_use]
    pub fn exits(self, code: i32) -> Done {
        assert!(self.code == code, "should exit with {code}: {self}");
        self
    }

    /// Requires exactly this on stdout.
    #[must_use]
    pub fn prints(self, text: &str) -> Done {
        assert!(self.stdout == text, "should print {text:?}: {self}\nstdout as bytes: {:?}", self.stdout);
        self
    }

    /// Requires this text somewhere on stderr.
    #[must_use]
    pub fn says(self, text: &str) -> Done {
        assert!(self.stderr.contains(text), "should say {text:?}: {self}");
        self
    }

    /// Ends a chain of requirements whose exit status has been dealt with; gives stdout.
    pub fn ok_on_stdout(self) -> String {
        self.stdout
    }

    /// Requires an empty stderr.
    #[must_use]
    pub fn silent(self) -> Done {
        assert!(self.stderr.is_empty(), "should say nothing: {self}");
        self
    }
}
