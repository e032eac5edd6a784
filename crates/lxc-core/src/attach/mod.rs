//! Running a program inside a running container.
//!
//! `Request` (what is wanted) + `AttachContext` (facts of the running init) → `AttachPlan` (every question answered, pure)
//! → `lxc_child::attach_script` → the attached process. Not here: the words of the command line (lxc-attach).

mod cgroup;
mod context;
mod env;
mod exposure;
mod facts;
mod fault;
mod pidns;
mod plan;
mod shell;
mod spawn;
mod stdio;

use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use lxc_conf::model::{Arch, Settings};
use lxc_sys::pidfd::{self, Exit};
use lxc_sys::tty::Pty;

pub use context::AttachContext;
pub use env::{EnvPolicy, Environment};
pub use facts::{Facts, IdRange, IdRanges, Label, Status};
pub use plan::{AttachPlan, plan};

use crate::console::proxy::{AtInputEnd, RawTerminal, Relay, Signals, relay, terminal_of};
use crate::{Error, Result, ResultExt};

/// One privilege of the caller that an attached process loses unless it is elevated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Elevated {
    /// Capabilities the container does not have.
    Cap = 1,
    /// Being outside of the container's cgroups.
    Cgroup = 2,
    /// Being outside of its LSM label, seccomp filter and no_new_privs.
    Lsm = 4,
}

/// A set of [`Elevated`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ElevatedSet(u8);

impl ElevatedSet {
    pub const NONE: ElevatedSet = ElevatedSet(0);
    pub const ALL: ElevatedSet = ElevatedSet(7);

    #[must_use]
    pub fn with(self, privilege: Elevated) -> ElevatedSet {
        ElevatedSet(self.0 | privilege as u8)
    }

    pub fn contains(self, privilege: Elevated) -> bool {
        self.0 & privilege as u8 != 0
    }
}

/// What to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// The words of a command; the first is searched along `PATH` of the new environment.
    Command(Vec<OsString>),
    /// The login shell of the target user, `/bin/sh` when it has none.
    Shell,
}

/// Which namespaces to enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespaces {
    /// All that init is in and the caller is not.
    OfContainer,
    /// These `CLONE_NEW*` bits.
    Only(u64),
}

/// Whether the program gets a pseudo terminal in place of those of its descriptors 0–2 that are terminals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terminal {
    None,
    Allocate,
}

/// Whether the caller's program may be executed again to protect its file from the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reexec {
    /// When the container could write to it. Only for programs that have done nothing yet that must not be done twice.
    IfExposed,
    /// For programs that see to it themselves, see [`seal_self`].
    Never,
}

/// Everything a caller may ask for.
#[derive(Debug)]
pub struct Request {
    pub lxcpath: PathBuf,
    pub name: String,
    /// The container's configuration as it is on disk: environment, limits, procfs settings.
    pub settings: Settings,
    pub program: Program,
    pub namespaces: Namespaces,
    pub elevated: ElevatedSet,
    /// Mount private `/proc` and `/sys`; only has an effect where the mount namespace is not entered.
    pub remount_proc_sys: bool,
    /// `None` = the container's.
    pub arch: Option<Arch>,
    pub environment: Environment,
    /// `None` = the caller's directory, if the container has one of that name.
    pub cwd: Option<PathBuf>,
    /// Ids in the container; `None` = its root.
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// LSM label to use instead of init's.
    pub label: Option<String>,
    pub no_new_privs: bool,
    pub terminal: Terminal,
    /// Gets a copy of what the program writes to its terminal.
    pub pty_log: Option<OwnedFd>,
    pub reexec: Reexec,
}

impl Request {
    /// A request with the usual answers: everything of the container, nothing of the caller but its environment.
    pub fn new(lxcpath: impl Into<PathBuf>, name: impl Into<String>, program: Program) -> Request {
        Request {
            lxcpath: lxcpath.into(),
            name: name.into(),
            settings: Settings::default(),
            program,
            namespaces: Namespaces::OfContainer,
            elevated: ElevatedSet::NONE,
            remount_proc_sys: false,
            arch: None,
            environment: Environment::default(),
            cwd: None,
            uid: None,
            gid: None,
            groups: Vec::new(),
            label: None,
            no_new_privs: false,
            terminal: Terminal::None,
            pty_log: None,
            reexec: Reexec::Never,
        }
    }
}

/// An attached process, a child of the caller.
#[derive(Debug)]
pub struct Attached {
    /// As the caller's pid namespace numbers it.
    pub pid: i32,
    pub pidfd: OwnedFd,
    exec_error: Option<Error>,
    session: Option<Session>,
}

/// The terminal of an attached process and what it is connected to.
#[derive(Debug)]
struct Session {
    pty: Pty,
    signals: Signals,
    log: Option<OwnedFd>,
}

impl Attached {
    /// Why the program could not be executed. [`Attached::wait`] then gives 127 (not found), 126 (found but not
    /// executable) or 255.
    pub fn exec_error(&self) -> Option<&Error> {
        self.exec_error.as_ref()
    }

    /// Waits for the program to end, serving its terminal meanwhile.
    ///
    /// - Context: caller; without a terminal, SIGINT and SIGQUIT are ignored since the clone.
    /// - Errors: the user's terminal cannot be used.
    pub fn wait(mut self) -> Result<Exit> {
        let served = match self.session.take() {
            Some(session) => self.serve(session),
            None => Ok(()),
        };
        let exit = pidfd::reap(self.pidfd.as_fd()).what(|| "wait for the attached process")?;
        served.map(|()| exit)
    }

    fn serve(&self, session: Session) -> Result<()> {
        let Session { pty: Pty { ptx, pts }, signals, log } = session;
        // ORDER: the program has its own; with this one open the hang-up would never come.
        drop(pts);
        let stdio: [BorrowedFd<'_>; 3] =
            [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
        let [stdin, stdout, _] = stdio;
        let raw = RawTerminal::enter(stdin)?;
        relay(
            &Relay {
                ptx: ptx.as_fd(),
                // Keys are the program's only when its standard input is the terminal.
                input: raw.as_ref().map(|_| stdin),
                output: terminal_of(stdio).unwrap_or(stdout),
                log: log.as_ref().map(AsFd::as_fd),
                escape: None,
                signals_to: Some(self.pidfd.as_fd()),
                at_input_end: AtInputEnd::Continue,
            },
            &signals,
        )
        .map(drop)
    }
}

/// Makes sure that a container cannot overwrite the caller's program through `/proc/PID/exe` (CVE-2019-5736): returns at
/// once when the program's file cannot be written to, else executes the program again in a way that it cannot.
///
/// - Context: start of a tool, before anything was done that must not be done twice.
pub fn seal_self() -> Result<()> {
    lxc_sys::seal::ensure().what(|| "protect the running program from the container")
}

/// Starts a program in a running container and returns once it executes (or cannot).
///
/// - Context: caller, single-threaded. Costs one clone when the caller may enter the container's pid namespace itself,
///   two otherwise.
/// - Errors: `NotRunning`, `Permission` (of the command socket or a namespace), `Config` (a limit or procfs setting of
///   the configuration), `Kernel`.
/// - Source: abi-and-wire.md F.
pub fn run(request: &Request) -> Result<Attached> {
    spawn::run(request)
}
