//! A command in new namespaces, without a container: what lxc-unshare(1) and lxc-usernsexec(1) do.
//!
//! The child is finished before anything runs in it; it waits until its ids are mapped and its interfaces are there, and
//! tells which step failed. Not here: what the command line means.

mod child;

use std::ffi::{CString, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use lxc_conf::model::{IdMap, Ns};
use lxc_sys::clone::{self, Child, CloneArgs, SingleThreaded};
use lxc_sys::exec::Image;
use lxc_sys::pidfd::{self, Exit};
use lxc_sys::proc::ProcFs;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use self::child::{Ids, Script, Step};
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::{host, idmap, net};

/// What the namespaces are filled with before the command runs.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `CLONE_NEW*` bits.
    pub namespaces: u64,
    /// Written by root or newuidmap(1); needs a user namespace.
    pub maps: Vec<IdMap>,
    /// A uid that stands for the caller's own, instead of `maps`; the command gets it.
    pub own_uid: Option<u32>,
    /// `(uid, gid)` inside that the command gets, without other groups.
    pub ids: Option<(u32, u32)>,
    pub hostname: Option<String>,
    /// Interfaces of the caller's network namespace to move inside.
    pub interfaces: Vec<String>,
    /// Mount /proc, /dev/shm and /dev/mqueue anew.
    pub remount: bool,
    /// The command and its words.
    pub words: Vec<OsString>,
}

/// A command that runs.
#[derive(Debug)]
pub struct Running {
    child: Child,
}

impl Running {
    /// Waits for its end.
    pub fn wait(self) -> Result<Exit> {
        pidfd::reap(self.child.pidfd.as_fd()).what(|| format!("wait for process {}", self.child.pid))
    }
}

/// Starts the command; it runs when this returns.
///
/// - Context: single-threaded.
/// - Errors: of every step, also those inside; nothing is left running then. `NotFound` and `Permission` of exec name the
///   program.
pub fn start(request: &Request) -> Result<Running> {
    let what = || "make new namespaces";
    let text = |word: &OsString| {
        let word = CString::new(word.clone().into_vec());
        word.map_err(|_| Error::new(ErrorKind::Config, "a word of the command contains a NUL"))
    };
    let argv = request.words.iter().map(text).collect::<Result<Vec<_>>>()?;
    let environment = host::environment();
    let envp = environment.iter().map(|(key, value)| {
        let mut line = key.clone();
        line.push("=");
        line.push(value);
        text(&line)
    });
    let image = Image::new(argv, envp.collect::<Result<Vec<_>>>()?);

    let single = SingleThreaded::check().what(what)?;
    let (wait, go) = pipe_with(PipeFlags::CLOEXEC).what(what)?;
    let (report, tell) = pipe_with(PipeFlags::CLOEXEC).what(what)?;
    let has = |ns: Ns| request.namespaces & ns.clone_flag() != 0;
    let script = Script {
        wait: wait.as_fd(),
        go: go.as_fd(),
        tell: tell.as_fd(),
        ids: match (request.ids, request.own_uid) {
            (Some((uid, gid)), _) => Ids::Both(uid, gid),
            (None, Some(uid)) => Ids::User(uid),
            (None, None) => Ids::Kept,
        },
        hostname: request.hostname.as_deref().map(str::as_bytes),
        slave: has(Ns::Mnt),
        remount: request.remount,
        image: &image,
    };
    let args = CloneArgs { flags: request.namespaces, cgroup: None };
    let child =
        clone::into(&single, &args, child::run, &script).what(what).map_err(|error| match error.errno() {
            Some(Errno::PERM) if !has(Ns::User) => {
                error.cure("root may; others need a user namespace as well")
            }
            Some(Errno::NOSPC) => error.cure("see the limits in /proc/sys/user"),
            _ => error,
        })?;
    drop((wait, tell));
    let started = prepare(request, child.pid).and_then(|()| {
        rustix::io::write(&go, b"g").what(|| "let the command go")?;
        hear(&report, &image)
    });
    // Without its byte the child ends.
    drop(go);
    match started {
        Ok(()) => Ok(Running { child }),
        Err(error) => {
            pidfd::reap(child.pidfd.as_fd()).what(|| "wait for the command that could not be started")?;
            Err(error)
        }
    }
}

/// What is done from outside while the child waits.
fn prepare(request: &Request, pid: i32) -> Result<()> {
    let proc = ProcFs::open().what(|| "open /proc")?;
    idmap::apply::write(&proc, pid, &request.maps)?;
    if let Some(uid) = request.own_uid {
        // The one map that needs no privilege: whoever made the namespace may map himself.
        let own = rustix::process::geteuid().as_raw();
        proc.write_at(format!("{pid}/uid_map"), format!("{uid} {own} 1\n").as_bytes())
            .what(|| format!("map uid {uid} to the own {own}"))?;
    }
    if request.interfaces.is_empty() {
        return Ok(());
    }
    let netns = proc.open_at(format!("{pid}/ns"), OFlags::PATH | OFlags::DIRECTORY);
    let netns = netns
        .and_then(|dir| rustix::fs::openat(&dir, "net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()))
        .what(|| "open the new network namespace")?;
    request.interfaces.iter().try_for_each(|name| net::send_link(netns.as_fd(), name, name))
}

/// Waits until the child has become the command, or says why not.
fn hear(report: &OwnedFd, image: &Image) -> Result<()> {
    let mut answer = [0; 8];
    let count = rustix::io::retry_on_intr(|| rustix::io::read(report, &mut answer))
        .what(|| "hear from the command")?;
    let [a, b, c, d, e, f, g, h] = answer;
    match count {
        // Exec closed it.
        0 => Ok(()),
        8 => {
            let step = Step::from(u32::from_ne_bytes([a, b, c, d]));
            let errno = Errno::from_raw_os_error(i32::from_ne_bytes([e, f, g, h]));
            let error = Error::kernel(errno, step.describe(image));
            Err(match (step, errno) {
                (Step::Groups | Step::Gid | Step::Uid, Errno::INVAL) => error.cure("map the id"),
                (Step::Proc, Errno::PERM) => error.cure("a new /proc needs a new pid namespace: add PID"),
                _ => error,
            })
        }
        _ => Err(Error::new(ErrorKind::Internal, "the new process told half of what failed")),
    }
}
