//! Running hooks and network scripts on the host, their output going to the log line by line.

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use lxc_conf::model::HookKind;
use lxc_sys::clone::{Child, CloneArgs, SingleThreaded, exit_now, into};
use lxc_sys::exec::Image;
use lxc_sys::fd::dup_onto;
use lxc_sys::pidfd::{self, Exit};
use lxc_sys::signal::{Mask, reset_dispositions, set_mask};

use super::{Environment, HookPlan, shell_line, version_1};
use crate::error::{Error, ErrorKind, Result, ResultExt};

/// Runs the hooks in order; the first failure ends it.
///
/// - Shape: `extra` are further arguments (stop: the namespaces; clone: the caller's own).
/// - Context: monitor or caller, host namespaces.
/// - Errors: `Hook` with the config line and the exit status.
pub fn run(
    hooks: &[HookPlan],
    version: u8,
    name: &str,
    environment: &Environment,
    extra: &[String],
) -> Result<()> {
    for hook in hooks {
        let mut environment = environment.clone();
        if version == 1 {
            version_1(&mut environment, "lxc", hook.kind.word());
        }
        let line = shell_line(&hook.command, version, name, "lxc", hook.kind.word(), extra);
        shell(&line, &environment, &format!("lxc.hook.{} {}", hook.kind.word(), hook.command))
            .map_err(|error| error.at(&hook.origin))?;
    }
    Ok(())
}

/// Runs one shell line, logging its output at debug level.
///
/// Output is read until the shell has ended; a process it left behind may keep the pipe open without holding us up.
pub fn shell(line: &str, environment: &Environment, what: &str) -> Result<()> {
    let (mut output, write): (std::fs::File, OwnedFd) = {
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .what(|| "make a pipe for hook output")?;
        (read.into(), write)
    };
    let mut child = Running::spawn(line, environment, write).what(|| format!("run {what}"))?;
    let mut text = Vec::new();
    let mut log = LineLog::new(what);
    let handle = child.pidfd().what(|| format!("open a pidfd of {what}"))?;
    rustix::io::ioctl_fionbio(&output, true).what(|| "make a pipe non-blocking")?;
    loop {
        let ended = pidfd::ended(handle.as_fd(), 0).what(|| format!("wait for {what}"))?;
        let mut buffer = [0; 4096];
        match output.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                text.extend_from_slice(buffer.get(..count).unwrap_or_default());
                log.feed(&mut text);
                continue;
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                if ended {
                    break;
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).what(|| format!("read output of {what}")),
        }
        use rustix::event::{PollFd, PollFlags, poll};
        let mut fds = [PollFd::new(&output, PollFlags::IN), PollFd::new(&handle, PollFlags::IN)];
        rustix::io::retry_on_intr(|| poll(&mut fds, None)).what(|| format!("wait for {what}"))?;
    }
    log.finish(&mut text);
    match child.wait().what(|| format!("wait for {what}"))? {
        Exit::Code(0) => Ok(()),
        Exit::Code(code) => Err(failed(what, &format!("exited with status {code}"), log.last())),
        Exit::Signal(signal) => Err(failed(what, &format!("was killed by signal {signal}"), log.last())),
    }
}

/// A shell at work.
enum Running {
    Cloned(Child),
    Spawned(std::process::Child),
}

/// What the cloned shell needs.
struct Shell<'a> {
    image: &'a Image,
    null: BorrowedFd<'a>,
    output: BorrowedFd<'a>,
}

extern "C" fn execute(shell: &Shell<'_>) -> ! {
    reset_dispositions();
    let ready = set_mask(Mask::EMPTY)
        .and_then(|_| dup_onto(shell.null, 0))
        .and_then(|()| dup_onto(shell.output, 1))
        .and_then(|()| dup_onto(shell.output, 2));
    if ready.is_ok() {
        shell.image.exec();
    }
    exit_now(127)
}

impl Running {
    /// The monitor has every signal blocked and std's `Command` hands that on, so there the shell is cloned with a clean
    /// mask; a process with threads (an API caller, a test) blocks nothing and takes the standard way.
    fn spawn(line: &str, environment: &Environment, output: OwnedFd) -> std::io::Result<Running> {
        let Ok(token) = SingleThreaded::check() else {
            let errors = output.try_clone()?;
            return Command::new("/bin/sh")
                .arg("-c")
                .arg(line)
                .env_clear()
                .envs(environment.iter().map(|(key, value)| (key, value)))
                .stdin(Stdio::null())
                .stdout(output)
                .stderr(errors)
                .spawn()
                .map(Running::Spawned);
        };
        let invalid = |_| std::io::Error::from(std::io::ErrorKind::InvalidInput);
        let argv =
            vec![c"/bin/sh".into(), c"-c".into(), std::ffi::CString::new(line).map_err(|_| invalid(()))?];
        let image = Image::new(argv, environment.strings().map_err(|_| invalid(()))?);
        let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC;
        let null = rustix::fs::open("/dev/null", flags, rustix::fs::Mode::empty())?;
        let shell = Shell { image: &image, null: null.as_fd(), output: output.as_fd() };
        Ok(Running::Cloned(into(&token, &CloneArgs::default(), execute, &shell)?))
    }

    fn pidfd(&self) -> std::io::Result<OwnedFd> {
        match self {
            Running::Cloned(child) => child.pidfd.try_clone(),
            Running::Spawned(child) => {
                let pid = rustix::process::Pid::from_child(child);
                Ok(rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?)
            }
        }
    }

    fn wait(&mut self) -> std::io::Result<Exit> {
        match self {
            Running::Cloned(child) => Ok(pidfd::reap(child.pidfd.as_fd())?),
            Running::Spawned(child) => {
                let status = child.wait()?;
                Ok(status
                    .code()
                    .map_or_else(|| Exit::Signal(status.signal().unwrap_or_default()), Exit::Code))
            }
        }
    }
}

fn failed(what: &str, how: &str, last: Option<&str>) -> Error {
    match last {
        Some(last) => Error::new(ErrorKind::Hook, format!("{what} {how}: {last}")),
        None => Error::new(ErrorKind::Hook, format!("{what} {how}")),
    }
}

/// Turns what a hook prints into log lines.
#[derive(Debug)]
pub struct LineLog {
    what: String,
    last: Option<String>,
}

impl LineLog {
    pub fn new(what: &str) -> LineLog {
        LineLog { what: what.to_owned(), last: None }
    }

    /// Logs the complete lines of `text` and leaves the rest in it.
    pub fn feed(&mut self, text: &mut Vec<u8>) {
        while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = text.drain(..=end).collect();
            self.line(line.strip_suffix(b"\n").unwrap_or(&line));
        }
    }

    /// Logs what is left.
    pub fn finish(&mut self, text: &mut Vec<u8>) {
        self.feed(text);
        if !text.is_empty() {
            let line = std::mem::take(text);
            self.line(&line);
        }
    }

    /// The last line seen, for error messages.
    pub fn last(&self) -> Option<&str> {
        self.last.as_deref()
    }

    fn line(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(line).into_owned();
        tracing::debug!("{} produced output: {line}", self.what);
        self.last = Some(line);
    }
}

/// What a failed hook inside the child is called in messages.
pub fn child_hook_failed(hook: &HookPlan, wait_status: i32) -> Error {
    let how = match wait_status & 0x7f {
        0 => match wait_status >> 8 {
            127 => "could not be found".to_owned(),
            126 => "could not be executed".to_owned(),
            code => format!("exited with status {code}"),
        },
        signal => format!("was killed by signal {signal}"),
    };
    let word = HookKind::word(hook.kind);
    Error::new(ErrorKind::Hook, format!("lxc.hook.{word} {} {how}", hook.command)).at(&hook.origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_line_is_reported_with_its_last_words() {
        let error = shell("echo a; echo broken >&2; exit 3", &Environment::default(), "the hook")
            .expect_err("status 3");
        assert_eq!(error.to_string(), "the hook exited with status 3: broken");
    }

    #[test]
    fn a_process_left_behind_does_not_hold_up_the_start() {
        let before = std::time::Instant::now();
        shell("sleep 5 & echo done", &Environment::default(), "the hook").expect("hook");
        assert!(before.elapsed().as_secs() < 4);
    }
}
