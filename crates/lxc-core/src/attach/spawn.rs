//! Carries out an attach plan: opens what the child needs, clones, listens to its report.
//!
//! Context: caller, single-threaded. Not here: facts (`context`), decisions (`plan`), the child (`lxc_child::attach`).

use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use lxc_child::attach::attached;
use lxc_child::attach_script::{
    AttachFault, AttachMessage, AttachScript, AttachStep, JoinOp, LabelOp, LimitOp, ProcWriteOp, SeccompOp,
};
use lxc_child::transient::transient;
use lxc_conf::model::Ns;
use lxc_sys::clone::{self, Child, CloneArgs, SingleThreaded};
use lxc_sys::exec::Image;
use lxc_sys::signal::{self, Mask};
use lxc_sys::{fd, pidfd, tty};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::termios::isatty;

use super::cgroup::Entry;
use super::context::AttachContext;
use super::pidns::PidNamespace;
use super::plan::{AttachPlan, plan};
use super::{Attached, Program, Reexec, Request, Session, Terminal, exposure, fault, shell, stdio};
use crate::command::Client;
use crate::console::proxy::{Signals, terminal_of};
use crate::seccomp::{self, SeccompFacts};
use crate::{Error, ErrorKind, Result, ResultExt};

const SIGINT: i32 = 2;
const SIGQUIT: i32 = 3;

/// See [`super::run`].
pub(super) fn run(request: &Request) -> Result<Attached> {
    // ORDER: blocked before the clone so that no key can end the caller between the clone and `ignore`.
    let keys = Mask::of(&[SIGINT, SIGQUIT]);
    let mask = signal::set_mask(keys).what(|| "block signals")?;
    signal::set_mask(Mask(mask.0 | keys.0)).what(|| "block signals")?;
    let result = attach(request, mask);
    match result {
        Ok(Attached { session: Some(_), .. }) => {}
        Ok(_) => {
            // The command gets the signals of the terminal's keys itself; its exit code must not be lost over them.
            signal::ignore(SIGINT);
            signal::ignore(SIGQUIT);
            signal::set_mask(mask).what(|| "restore the signal mask")?;
        }
        Err(_) => drop(signal::set_mask(mask).what(|| "restore the signal mask")?),
    }
    result
}

fn attach(request: &Request, mask: Mask) -> Result<Attached> {
    let client = Client::new(&request.lxcpath, &request.name);
    let context = AttachContext::open(&client, request)?;
    let plan = plan(request, &context.facts, caller_directory().as_deref())?;
    if request.reexec == Reexec::IfExposed {
        exposure::protect(&context, &plan, mask)?;
    }
    let launch = Launch::open(request, &client, &context, &plan, mask)?;
    let images = match &request.program {
        Program::Command(words) => Images { first: image(words, &plan)?, second: None },
        Program::Shell => shell_images(&launch)?,
    };
    let session = match request.terminal {
        Terminal::None => None,
        Terminal::Allocate => Some(launch.open_session()?),
    };
    let on_terminal = session.as_ref().map_or([false; 3], |_| terminals());
    stdio::hand_over(&context, &plan, on_terminal);
    let pts = session.as_ref().map(|session| session.pty.pts.as_fd());
    let Process { pid, pidfd, fault } =
        launch.spawn(&images, pts, on_terminal.map(|on| pts.filter(|_| on)))?;
    let exec_error = fault.map(|fault| fault::explain(request, &plan, &images.name(), fault));
    Ok(Attached { pid, pidfd, exec_error, session })
}

/// The caller's directory as a path; `None` when it has none that the container could have too.
fn caller_directory() -> Option<PathBuf> {
    let path = rustix::process::getcwd(Vec::new()).ok()?.into_bytes();
    path.starts_with(b"/").then(|| PathBuf::from(std::ffi::OsString::from_vec(path)))
}

fn terminals() -> [bool; 3] {
    [isatty(rustix::stdio::stdin()), isatty(rustix::stdio::stdout()), isatty(rustix::stdio::stderr())]
}

/// What to execute: the program, and what to execute when that one is missing.
#[derive(Debug)]
struct Images {
    first: Image,
    second: Option<Image>,
}

impl Images {
    fn name(&self) -> String {
        self.first.program().to_string_lossy().into_owned()
    }
}

fn image(words: &[impl AsRef<OsStr>], plan: &AttachPlan) -> Result<Image> {
    let argv: std::result::Result<Vec<CString>, _> =
        words.iter().map(|word| CString::new(word.as_ref().as_bytes())).collect();
    let argv =
        argv.map_err(|_| Error::new(ErrorKind::Config, "a word of the command contains a NUL byte"))?;
    Ok(Image::new(argv, plan.environment.clone()))
}

const DEFAULT_SHELL: &str = "/bin/sh";

fn shell_images(launch: &Launch<'_>) -> Result<Images> {
    let fallback = image(&[DEFAULT_SHELL], launch.plan)?;
    let shell = match shell::from_passwd(launch.context, launch.plan) {
        Some(shell) => Some(shell),
        None => launch.ask_getent()?,
    };
    match shell {
        Some(shell) => Ok(Images {
            first: Image::new(vec![shell], launch.plan.environment.clone()),
            second: Some(fallback),
        }),
        None => Ok(Images { first: fallback, second: None }),
    }
}

/// A clone that executes its program, or failed to.
struct Process {
    pid: i32,
    pidfd: OwnedFd,
    /// Only ever of step `Exec`; other faults are errors.
    fault: Option<AttachFault>,
}

/// Everything opened that does not depend on the program.
struct Launch<'a> {
    request: &'a Request,
    context: &'a AttachContext,
    plan: &'a AttachPlan,
    cgroups: Entry,
    seccomp: Option<seccomp::Program>,
    client: &'a Client,
    thread: SingleThreaded,
    /// The signal mask of what is executed.
    mask: Mask,
}

impl<'a> Launch<'a> {
    fn open(
        request: &'a Request,
        client: &'a Client,
        context: &'a AttachContext,
        plan: &'a AttachPlan,
        mask: Mask,
    ) -> Result<Launch<'a>> {
        let thread = SingleThreaded::check().what(|| "attach from a process with several threads")?;
        let cgroups = match plan.enter_cgroups {
            true => Entry::open(client)?,
            false => Entry::default(),
        };
        let seccomp =
            plan.seccomp_profile.as_deref().map(|path| filter(request, path)).transpose()?.flatten();
        Ok(Launch { request, context, plan, cgroups, seccomp, client, thread, mask })
    }

    fn open_session(&self) -> Result<Session> {
        let pty = stdio::allocate(self.client, self.context, self.plan)?;
        let stdio: [BorrowedFd<'_>; 3] =
            [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
        if let Some(terminal) = terminal_of(stdio) {
            // ORDER: before the program can ask. A terminal that has no size has none to give.
            let _ = tty::copy_window_size(terminal, pty.ptx.as_fd());
        }
        let log = self.request.pty_log.as_ref().map(OwnedFd::try_clone).transpose();
        let log = log.what(|| "duplicate the pty log")?;
        Ok(Session { pty, signals: Signals::block()?.restoring(self.mask), log })
    }

    fn spawn(
        &self,
        images: &Images,
        terminal: Option<BorrowedFd<'_>>,
        stdio: [Option<BorrowedFd<'_>>; 3],
    ) -> Result<Process> {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .what(|| "make a socket pair")?;
        let cloned = self.clone(theirs.as_fd(), images, terminal, stdio);
        // ORDER: the end of file on `ours` needs every copy of `theirs` closed.
        drop(theirs);
        let (child, route) = cloned?;
        self.listen(ours.as_fd(), &child, route)
    }

    fn clone(
        &self,
        report: BorrowedFd<'_>,
        images: &Images,
        terminal: Option<BorrowedFd<'_>>,
        stdio: [Option<BorrowedFd<'_>>; 3],
    ) -> Result<(Child, Route)> {
        let plan = self.plan;
        let inside = PidNamespace::enter(self.context, plan.kinds)?;
        let route = if inside.is_some() { Route::Direct } else { Route::Transient };
        let kinds = match route {
            Route::Direct => plan.kinds & !Ns::Pid.clone_flag(),
            Route::Transient => plan.kinds,
        };
        let joins = [JoinOp { fd: self.context.pidfd.as_fd(), kinds }];
        let cgroups: Vec<BorrowedFd<'_>> = self.cgroups.v1.iter().map(AsFd::as_fd).collect();
        let limits: Vec<LimitOp> = plan
            .limits
            .iter()
            .map(|limit| LimitOp { resource: limit.resource, soft: limit.soft, hard: limit.hard })
            .collect();
        let proc_writes: Vec<ProcWriteOp<'_>> = plan
            .proc_writes
            .iter()
            .map(|write| ProcWriteOp { path: &write.path, value: &write.value })
            .collect();
        let seccomp =
            self.seccomp.as_ref().map(|filter| SeccompOp { program: &filter.filter, notify: filter.notify });
        let script = AttachScript {
            report,
            cgroups: &cgroups,
            limits: &limits,
            proc: &self.context.proc,
            proc_writes: &proc_writes,
            label: plan.label.as_ref().map(|(path, text)| LabelOp { path, text }),
            new_session_keyring: plan.new_session_keyring,
            drop_terminal: plan.drop_terminal,
            joins: if kinds == 0 { &[] } else { &joins },
            cwd: plan.cwd.as_deref(),
            remount: plan.remount,
            core_of: plan.core_of,
            personality: plan.personality,
            drop_bounding: plan.drop_bounding,
            groups: &plan.groups,
            namespace_root: plan.namespace_root,
            no_new_privs: plan.no_new_privs,
            terminal,
            stdio,
            seccomp,
            uid: plan.uid,
            gid: plan.gid,
            mask: self.mask,
            image: &images.first,
            fallback: images.second.as_ref(),
            clone: CloneArgs { flags: CLONE_PARENT, cgroup: None },
        };
        let args = CloneArgs { flags: 0, cgroup: self.cgroups.v2.as_ref().map(AsFd::as_fd) };
        // From here on the child may be seen from inside the container; see `lxc_child::attach::prepare`.
        let child = match clone::into_cgroup(&self.thread, &args, route.entry(), &script) {
            Err(errno) if args.cgroup.is_some() && clone::is_refused_cgroup(errno) => {
                self.clone_and_move(route, script)
            }
            other => other.what(|| "clone the attached process"),
        };
        if let Some(inside) = inside {
            inside.leave()?;
        }
        Ok((child?, route))
    }

    /// For kernels and cgroups that allow no birth in the unified hierarchy's leaf: the process moves itself, as into
    /// the other hierarchies.
    fn clone_and_move(&self, route: Route, script: AttachScript<'_>) -> Result<Child> {
        let leaf = self.cgroups.leaf_procs()?;
        let cgroups: Vec<BorrowedFd<'_>> =
            self.cgroups.v1.iter().map(AsFd::as_fd).chain(leaf.as_ref().map(AsFd::as_fd)).collect();
        let script = AttachScript { cgroups: &cgroups, ..script };
        clone::into(&self.thread, &CloneArgs::default(), route.entry(), &script)
            .what(|| "clone the attached process")
    }

    /// Reads the report until the program executes or a step failed.
    fn listen(&self, report: BorrowedFd<'_>, child: &Child, route: Route) -> Result<Process> {
        let mut process = match route {
            Route::Direct => Some((child.pid, child.pidfd.try_clone().what(|| "duplicate a pidfd")?)),
            Route::Transient => None,
        };
        let mut fault = None;
        loop {
            let mut bytes = [0; AttachMessage::SIZE];
            let mut received = None;
            let count = fd::receive(report, &mut bytes, |fd| received = Some(fd))
                .what(|| "read the report of the attached process")?;
            if count == 0 {
                break;
            }
            match AttachMessage::decode(bytes) {
                Some(AttachMessage::Fault(found)) => fault = Some(found),
                Some(AttachMessage::Pid(pid)) => process = Some((pid, open_child(pid)?)),
                Some(AttachMessage::SeccompListener) => self.hand_to_monitor(received)?,
                None => {
                    return Err(Error::new(ErrorKind::Protocol, "the attached process reported nonsense"));
                }
            }
        }
        if route == Route::Transient {
            pidfd::reap(child.pidfd.as_fd()).what(|| "wait for the transient process")?;
        }
        let program = match &self.request.program {
            Program::Command(words) => words.first().map(|word| word.to_string_lossy().into_owned()),
            Program::Shell => None,
        };
        match (process, fault) {
            (Some((pid, pidfd)), None) => Ok(Process { pid, pidfd, fault: None }),
            (Some((pid, pidfd)), Some(fault)) if fault.step == AttachStep::Exec => {
                Ok(Process { pid, pidfd, fault: Some(fault) })
            }
            (process, Some(fault)) => {
                if let Some((_, pidfd)) = process {
                    pidfd::reap(pidfd.as_fd()).what(|| "wait for the attached process")?;
                }
                let program = program.unwrap_or_default();
                Err(fault::explain(self.request, self.plan, &program, fault))
            }
            (None, None) => {
                Err(Error::new(ErrorKind::Internal, "the transient process ended without a word"))
            }
        }
    }

    fn hand_to_monitor(&self, listener: Option<OwnedFd>) -> Result<()> {
        let Some(listener) = listener else {
            return Err(Error::new(ErrorKind::Protocol, "the attached process sent no seccomp listener"));
        };
        self.client
            .seccomp_notify_add_listener(listener.as_fd())
            .what(|| "hand the seccomp listener to the container's monitor")
    }

    /// Asks the container's own name service for the user's shell, for users that are not in its password file.
    fn ask_getent(&self) -> Result<Option<CString>> {
        let uid = self.plan.uid.to_string();
        let images = Images { first: image(&["getent", "passwd", uid.as_str()], self.plan)?, second: None };
        let (read, write) =
            rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).what(|| "make a pipe")?;
        let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .what(|| "open /dev/null")?;
        let stdio = [Some(null.as_fd()), Some(write.as_fd()), Some(null.as_fd())];
        let process = self.spawn(&images, None, stdio)?;
        drop(write);
        let line = read_line(&read);
        drop(read);
        pidfd::reap(process.pidfd.as_fd()).what(|| "wait for getent")?;
        Ok(line.as_deref().and_then(shell::shell_of))
    }
}

/// The longest answer of getent that is looked at.
const ANSWER: usize = 4096;

/// The first line, if a whole one comes.
fn read_line(pipe: &OwnedFd) -> Option<Vec<u8>> {
    let mut line = vec![0; ANSWER];
    let mut used = 0;
    loop {
        match rustix::io::read(pipe, line.get_mut(used..)?) {
            Ok(0) => return None,
            Ok(count) => used += count,
            Err(Errno::INTR) => continue,
            Err(_) => return None,
        }
        if let Some(end) = line.get(..used)?.iter().position(|byte| *byte == b'\n') {
            line.truncate(end);
            return Some(line);
        }
    }
}

const CLONE_PARENT: u64 = 0x8000;

/// How the attached process comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    /// Cloned by the caller.
    Direct,
    /// Cloned by a process in between that could enter the pid namespace.
    Transient,
}

impl Route {
    fn entry<'a>(self) -> clone::Entry<AttachScript<'a>> {
        let (direct, through): (clone::Entry<AttachScript<'a>>, clone::Entry<AttachScript<'a>>) =
            (attached, transient);
        if self == Route::Direct { direct } else { through }
    }
}

fn open_child(pid: i32) -> Result<OwnedFd> {
    let pid = rustix::process::Pid::from_raw(pid)
        .ok_or_else(|| Error::new(ErrorKind::Protocol, "the transient process reported no pid"))?;
    // The process is this one's child and was not reaped, so the number is still its own.
    pidfd::pidfd_open(pid, pidfd::PidfdFlags::empty()).what(|| "open the attached process")
}

fn filter(request: &Request, profile: &str) -> Result<Option<seccomp::Program>> {
    seccomp::compile(Path::new(profile), &request.settings, SeccompFacts::survey())
        .map_err(|error| error.cure("use -eLSM to attach without the container's filter"))
}
