//! The blocking client of the command socket: one method per command, one connection per call.
//!
//! Speaks to every monitor from LXC 2.1 to 7.0 and to ours. No call can hang on a monitor that does not answer, except
//! where waiting is the point (`stop`, `StateStream::wait`), and those take a time-out. No tokio, no threads.
//! Source: abi-and-wire.md B.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lxc_sys::socket::{self, Wait};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::request::Request;
use super::wire::{
    CGROUP_V2, CgroupCtx, CgroupFd, CgroupLayout, Command, ConsoleLogRequest, DATA_MAX, DeviceItem, HEADER,
    MAX_FDS, ResponseHeader, StateInterest, WILL_NOTIFY, immediate_of,
};
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::paths;
use crate::state::{LxcMsg, State};

/// How long a monitor may take to answer, unless the caller says otherwise.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long readers of the state wait: lists of containers ask many monitors one after the other.
const STATE_PATIENCE: Duration = Duration::from_secs(5);

/// Most bytes of console log accepted from a monitor.
const CONSOLE_LOG_MAX: usize = 1 << 30;

/// A container's monitor, addressed by name.
#[derive(Clone, Debug)]
pub struct Client {
    name: String,
    address: Vec<u8>,
    patience: Option<Duration>,
}

/// What a monitor answered.
#[derive(Debug)]
struct Answer {
    ret: i32,
    /// The immediate; 0 when a payload came.
    value: i32,
    payload: Vec<u8>,
    fds: Vec<OwnedFd>,
    connection: OwnedFd,
}

/// A terminal of the container on loan.
///
/// - Shape: the loan lasts as long as `socket` is open; `ptx` alone does not keep it.
#[derive(Debug)]
pub struct TtyLease {
    pub socket: OwnedFd,
    pub ptx: OwnedFd,
    /// 0 = the console.
    pub number: i32,
}

/// Answer to ADD_STATE_CLIENT.
#[derive(Debug)]
pub enum StateWait {
    Now(State),
    Later(StateStream),
}

/// A registered state client, waiting for its one message.
#[derive(Debug)]
pub struct StateStream {
    socket: OwnedFd,
    name: String,
}

/// The cgroup directories of a container, one per hierarchy.
#[derive(Debug)]
pub struct CgroupDirs {
    pub layout: CgroupLayout,
    /// `wire::UTILITY_*` bits.
    pub utilities: u32,
    /// In the hierarchy order of the monitor's host, the unified one last on hybrid hosts.
    pub fds: Vec<OwnedFd>,
}

/// One cgroup directory of a container.
#[derive(Debug)]
pub struct CgroupDir {
    pub layout: CgroupLayout,
    pub fd: OwnedFd,
    /// Whether it belongs to the unified hierarchy.
    pub unified: bool,
}

impl Client {
    /// Does not connect: the container need not be running.
    pub fn new(lxcpath: &Path, name: &str) -> Client {
        Client { name: name.to_owned(), address: paths::command_socket(lxcpath, name), patience: None }
    }

    /// The container behind an abstract socket name found in /proc/net/unix (`lxc/HASH/command`).
    pub fn at_address(address: &[u8]) -> Client {
        Client {
            name: String::from_utf8_lossy(address).into_owned(),
            address: address.to_vec(),
            patience: None,
        }
    }

    /// Another limit on the time the monitor may take to answer.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Client {
        self.patience = Some(patience);
        self
    }

    /// The state of the container; no monitor is STOPPED.
    ///
    /// - Errors: `TimedOut` when the monitor does not answer within seconds; `Permission` when it does not talk to us
    ///   (the original shows STOPPED then).
    pub fn state(&self) -> Result<State> {
        let patience = self.patience.unwrap_or(STATE_PATIENCE);
        match self.ask_within(&Request::GetState, 0, patience) {
            Ok(answer) => {
                let answer = self.checked(answer, Command::GetState)?;
                State::from_number(answer.value).ok_or_else(|| self.nonsense("state", answer.value))
            }
            Err(error) if error.kind() == ErrorKind::NotRunning => Ok(State::Stopped),
            Err(error) => Err(error),
        }
    }

    /// Pid of the container's init, in the monitor's pid namespace.
    pub fn init_pid(&self) -> Result<i32> {
        let pid = self.ask(&Request::GetInitPid)?.value;
        if pid > 0 { Ok(pid) } else { Err(self.nonsense("init pid", pid)) }
    }

    /// Pidfd of the container's init. Monitors older than LXC 4.0.0 have none: `Unsupported`.
    pub fn init_pidfd(&self) -> Result<OwnedFd> {
        self.ask_fd(&Request::GetInitPidfd)
    }

    /// The `CLONE_NEW*` mask of the namespaces the container owns.
    pub fn clone_flags(&self) -> Result<u64> {
        Ok(u64::from(self.ask(&Request::GetCloneFlags)?.value.cast_unsigned()))
    }

    /// Path of the container's cgroup below the root of a hierarchy (`None` = the unified one), with leading slash.
    ///
    /// - Errors: `NotFound` for an unknown controller.
    pub fn cgroup(&self, controller: Option<&str>) -> Result<String> {
        self.ask_path(&Request::GetCgroup { controller: controller.map(str::to_owned) })
    }

    /// Like `cgroup`, of the directory that carries the limits.
    ///
    /// Monitors older than LXC 4.0.3 know one directory only; that one is answered.
    pub fn limit_cgroup(&self, controller: Option<&str>) -> Result<String> {
        let request = Request::GetLimitCgroup { controller: controller.map(str::to_owned) };
        match self.ask_path(&request) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unsupported) => {
                self.cgroup(controller)
            }
            other => other,
        }
    }

    fn ask_path(&self, request: &Request) -> Result<String> {
        // The original hangs up on an unknown controller; that is not the end of the container.
        match self.ask_within(request, 0, self.patience()) {
            Ok(answer) => self.text(self.checked(answer, request.command())?),
            Err(error) if error.kind() == ErrorKind::NotRunning && error.errno().is_none() => {
                Err(Error::new(ErrorKind::NotFound, format!("container {} has no such cgroup", self.name)))
            }
            Err(error) => Err(error),
        }
    }

    /// A configuration item of the running container, as parsed by its monitor; `None` when unset or unknown.
    pub fn config_item(&self, key: &str) -> Result<Option<String>> {
        let request = Request::GetConfigItem { key: key.to_owned() };
        let answer = self.ask_within(&request, 0, self.patience())?;
        // -1 is both "not set" and "not allowed"; who may not ask learns so from the cheaper question.
        if answer.ret == -1 && answer.payload.is_empty() {
            return self.ask(&Request::GetInitPid).map(|_| None);
        }
        Ok(Some(self.text(self.checked(answer, Command::GetConfigItem)?)?))
    }

    /// The container's name as its monitor knows it.
    pub fn name(&self) -> Result<String> {
        let answer = self.ask(&Request::GetName)?;
        self.text(answer)
    }

    /// The container's lxcpath as its monitor knows it.
    pub fn lxcpath(&self) -> Result<PathBuf> {
        let answer = self.ask(&Request::GetLxcpath)?;
        self.text(answer).map(PathBuf::from)
    }

    /// Signals init with `lxc.signal.stop` (default SIGKILL), thaws the container, and waits until its monitor has
    /// cleaned up and gone.
    ///
    /// - Units:  `None` waits for ever.
    /// - Errors: `TimedOut`; a stopped container is no error.
    pub fn stop(&self, timeout: Option<Duration>) -> Result<()> {
        self.stop_while(timeout, || false)
    }

    /// Like [`Client::stop`], but goes on waiting after `timeout` if that is `worth` it, and asks again that much later.
    pub fn stop_while(&self, timeout: Option<Duration>, worth: impl Fn() -> bool) -> Result<()> {
        let sent = self.connect(self.patience()).and_then(|connection| {
            self.send(&connection, &Request::Stop, self.patience())?;
            Ok(connection)
        });
        let connection = match sent {
            Err(error) if error.kind() == ErrorKind::NotRunning => return Ok(()),
            other => other?,
        };
        loop {
            let deadline = timeout.map(|timeout| Instant::now() + timeout);
            let again = connection.try_clone().what(|| "duplicate a descriptor")?;
            match self.receive(again, &Request::Stop, 0, deadline) {
                Ok(answer) => return self.checked(answer, Command::Stop).map(drop),
                Err(error) if error.kind() == ErrorKind::NotRunning => return Ok(()),
                Err(error) if error.kind() == ErrorKind::TimedOut && worth() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Asks to be told once when the container enters one of the states with a non-zero word.
    pub fn add_state_client(&self, interest: StateInterest) -> Result<StateWait> {
        let request = Request::AddStateClient(interest);
        let answer = self.ask_within(&request, 0, self.patience())?;
        // COMPAT: a refusal has ret < 0, but ret of a success is the state itself; the data word decides.
        if answer.ret < 0 {
            self.checked(answer, Command::AddStateClient)?;
            return Err(self.nonsense("reply to a state client", -1));
        }
        if answer.value == WILL_NOTIFY {
            return Ok(StateWait::Later(StateStream { socket: answer.connection, name: self.name.clone() }));
        }
        let state = State::from_number(answer.value).ok_or_else(|| self.nonsense("state", answer.value))?;
        Ok(StateWait::Now(state))
    }

    /// Sets the monitor's idea of the state and tells its clients; sent by whoever freezes or thaws the container.
    pub fn serve_state_clients(&self, state: State) -> Result<()> {
        self.ask(&Request::ServeStateClients { state: state.number() }).map(drop)
    }

    /// Borrows a terminal: 0 the console, N that tty, -1 any free tty.
    ///
    /// - Errors: `Busy` when it is taken or does not exist (monitors do not tell these apart).
    pub fn tty(&self, number: i32) -> Result<TtyLease> {
        let request = Request::GetTtyFd { tty: number };
        let busy =
            || Error::new(ErrorKind::Busy, format!("tty {number} of container {} is not free", self.name));
        let answer = match self.ask_within(&request, 1, self.patience()) {
            // LXC up to 4.0.0 hangs up when the tty is busy.
            Err(error) if error.kind() == ErrorKind::NotRunning && error.errno().is_none() => {
                return Err(busy());
            }
            other => other?,
        };
        if answer.ret == -Errno::BADF.raw_os_error() {
            return Err(busy());
        }
        let mut answer = self.checked(answer, Command::GetTtyFd)?;
        match answer.fds.pop() {
            Some(ptx) => Ok(TtyLease { socket: answer.connection, ptx, number: answer.value }),
            None => Err(busy()),
        }
    }

    /// Reads, clears or saves the console ring buffer; the bytes read, oldest first.
    ///
    /// - Errors: `NotFound` (ENODATA) when there is nothing to read; `Unsupported` (EFAULT) without a ring buffer.
    pub fn console_log(&self, wanted: ConsoleLogRequest) -> Result<Vec<u8>> {
        let answer = self.ask_within(&Request::ConsoleLog(wanted), 0, self.patience())?;
        let refused = |kind, errno: Errno, what: &str| {
            Err(Error::kernel(errno, format!("{what} of container {}", self.name)).with_kind(kind))
        };
        match answer.ret {
            ret if ret == -Errno::NODATA.raw_os_error() => {
                refused(ErrorKind::NotFound, Errno::NODATA, "read the console log")
            }
            ret if ret == -Errno::FAULT.raw_os_error() => {
                refused(ErrorKind::Unsupported, Errno::FAULT, "read the unconfigured console log")
            }
            _ => Ok(self.checked(answer, Command::ConsoleLog)?.payload),
        }
    }

    /// Directories of the container's cgroups in all hierarchies at once (LXC 4.0.7 and later).
    pub fn cgroup_ctx(&self) -> Result<CgroupDirs> {
        let request = Request::GetCgroupCtx { room: CgroupCtx::SIZE };
        let answer = self.ask_within(&request, MAX_FDS, self.patience())?;
        let answer = self.checked(answer, Command::GetCgroupCtx)?;
        let ctx = CgroupCtx::decode(&answer.payload);
        if usize::try_from(ctx.fd_len) != Ok(answer.fds.len()) {
            return Err(self.nonsense("number of cgroups", ctx.fd_len.cast_signed()));
        }
        Ok(CgroupDirs { layout: ctx.layout, utilities: ctx.utilities, fds: answer.fds })
    }

    /// Command GET_CGROUP_FD. COMPAT: from 4.0.7 on this is the directory that carries the *limits*.
    pub fn cgroup_fd(&self, controller: &str) -> Result<CgroupDir> {
        let wanted = CgroupFd { fd: -9, controller: controller.to_owned(), ..CgroupFd::default() };
        self.ask_cgroup(&Request::GetCgroupFd { wanted, room: CgroupFd::SIZE })
    }

    /// Command GET_LIMIT_CGROUP_FD. COMPAT: from 4.0.7 on this is the *inner* directory, where the processes are; it
    /// is the one lxc-cgroup and `get_cgroup_item` use.
    pub fn limit_cgroup_fd(&self, controller: &str) -> Result<CgroupDir> {
        let wanted = CgroupFd { fd: -9, controller: controller.to_owned(), ..CgroupFd::default() };
        self.ask_cgroup(&Request::GetLimitCgroupFd { wanted, room: CgroupFd::SIZE })
    }

    fn ask_cgroup(&self, request: &Request) -> Result<CgroupDir> {
        let answer = self.ask_within(request, 1, self.patience())?;
        let mut answer = self.checked(answer, request.command())?;
        let found = CgroupFd::decode(&answer.payload);
        let fd = answer.fds.pop().ok_or_else(|| self.nonsense("number of cgroups", 0))?;
        Ok(CgroupDir { layout: found.layout, unified: found.kind == CGROUP_V2, fd })
    }

    /// The container's directory on a pure unified host; `Unsupported` elsewhere.
    pub fn cgroup2_fd(&self) -> Result<OwnedFd> {
        self.ask_unified(&Request::GetCgroup2Fd)
    }

    /// The directory that carries the limits on a pure unified host; `Unsupported` elsewhere.
    pub fn limit_cgroup2_fd(&self) -> Result<OwnedFd> {
        self.ask_unified(&Request::GetLimitCgroup2Fd)
    }

    fn ask_unified(&self, request: &Request) -> Result<OwnedFd> {
        self.ask_fd(request).map_err(|error| match error.errno() {
            Some(Errno::INVAL) => error.with_kind(ErrorKind::Unsupported),
            _ => error,
        })
    }

    /// `O_PATH` descriptor of the container's devpts; `NotFound` when it has none (`lxc.pty.max = 0`).
    pub fn devpts_fd(&self) -> Result<OwnedFd> {
        self.ask_fd(&Request::GetDevptsFd)
    }

    /// The seccomp notification descriptor of the container; `NotFound` when its profile has none.
    pub fn seccomp_notify_fd(&self) -> Result<OwnedFd> {
        self.ask_fd(&Request::GetSeccompNotifyFd)
    }

    /// Gives the monitor the listener of one more filter to serve, that of an attached process.
    ///
    /// - Errors: `EINVAL` when the container has no `lxc.seccomp.notify.proxy`.
    pub fn seccomp_notify_add_listener(&self, listener: BorrowedFd<'_>) -> Result<()> {
        let request = Request::SeccompNotifyAddListener;
        let deadline = Instant::now() + self.patience();
        let connection = self.connect(self.patience())?;
        self.send(&connection, &request, self.patience())?;
        // The descriptor travels with a second message of one byte that means nothing.
        self.check_sent(socket::send(&connection, &[0], &[listener], false, Wait::Yes).map(drop))?;
        let answer = self.receive(connection, &request, 0, Some(deadline))?;
        self.checked(answer, Command::SeccompNotifyAddListener).map(drop)
    }

    /// Lets the monitor freeze the container; only monitors on a pure unified host can (`Unsupported`, `NotFound`).
    ///
    /// - Units: whole seconds; `None` = for ever.
    pub fn freeze(&self, timeout: Option<Duration>) -> Result<()> {
        self.ask_slow(&Request::Freeze { timeout: seconds(timeout) }, timeout)
    }

    /// Like `freeze`, the other way.
    pub fn unfreeze(&self, timeout: Option<Duration>) -> Result<()> {
        self.ask_slow(&Request::Unfreeze { timeout: seconds(timeout) }, timeout)
    }

    fn ask_slow(&self, request: &Request, timeout: Option<Duration>) -> Result<()> {
        let connection = self.connect(self.patience())?;
        self.send(&connection, request, self.patience())?;
        let deadline = timeout.map(|timeout| Instant::now() + timeout + self.patience());
        let answer = self.receive(connection, request, 0, deadline)?;
        self.checked(answer, request.command()).map(drop)
    }

    /// Adds a rule to the device filter of the container's unified cgroup.
    pub fn bpf_device(&self, rule: &DeviceItem) -> Result<()> {
        self.ask(&Request::AddBpfDeviceCgroup(*rule)).map(drop)
    }

    /// The systemd scope the container was started in; `None` without one or for monitors older than LXC 5.0.1.
    pub fn systemd_scope(&self) -> Result<Option<String>> {
        let answer = self.ask_within(&Request::GetSystemdScope, 0, self.patience())?;
        if [Errno::INVAL, Errno::NOSYS].iter().any(|errno| answer.ret == -errno.raw_os_error()) {
            return Ok(None);
        }
        self.text(self.checked(answer, Command::GetSystemdScope)?).map(Some)
    }

    /// Hands the notification descriptor of an attached process to the monitor's seccomp proxy.
    pub fn add_seccomp_listener(&self, listener: BorrowedFd<'_>) -> Result<()> {
        let request = Request::SeccompNotifyAddListener;
        let connection = self.connect(self.patience())?;
        self.send(&connection, &request, self.patience())?;
        let deadline = Instant::now() + self.patience();
        self.check_sent(socket::send(&connection, &[0], &[listener], false, Wait::Yes).map(|_| ()))?;
        let answer = self.receive(connection, &request, 0, Some(deadline))?;
        self.checked(answer, Command::SeccompNotifyAddListener).map(drop)
    }

    fn patience(&self) -> Duration {
        self.patience.unwrap_or(PATIENCE)
    }

    /// One round trip whose answer must be a success without descriptors.
    fn ask(&self, request: &Request) -> Result<Answer> {
        let answer = self.ask_within(request, 0, self.patience())?;
        self.checked(answer, request.command())
    }

    /// One round trip whose answer must be a success with one descriptor.
    fn ask_fd(&self, request: &Request) -> Result<OwnedFd> {
        let answer = self.ask_within(request, 1, self.patience())?;
        let missing =
            || Error::new(ErrorKind::NotFound, format!("container {} has no such descriptor", self.name));
        if answer.ret == -Errno::BADF.raw_os_error() {
            return Err(missing());
        }
        self.checked(answer, request.command())?.fds.pop().ok_or_else(missing)
    }

    fn ask_within(&self, request: &Request, max_fds: usize, patience: Duration) -> Result<Answer> {
        let deadline = Instant::now() + patience;
        let connection = self.connect(patience)?;
        self.send(&connection, request, patience)?;
        self.receive(connection, request, max_fds, Some(deadline))
    }

    fn connect(&self, patience: Duration) -> Result<OwnedFd> {
        match socket::connect_abstract(&self.address, Some(patience)) {
            Err(Errno::CONNREFUSED) => Err(self.refused(Errno::CONNREFUSED)),
            Err(Errno::AGAIN) => Err(self.no_answer()),
            other => other.what(|| format!("connect to the monitor of container {}", self.name)),
        }
    }

    /// Header with credentials in one message, payload in another: the shape every server expects.
    fn send(&self, connection: &OwnedFd, request: &Request, patience: Duration) -> Result<()> {
        let (header, payload) = request.encode();
        if payload.len() > DATA_MAX {
            return Err(Error::new(ErrorKind::Config, "argument of a command is longer than 8192 bytes"));
        }
        let deadline = Instant::now() + patience;
        self.check_sent(self.send_all(connection, &header.encode(), true, deadline))?;
        self.check_sent(self.send_all(connection, &payload, false, deadline))
    }

    fn send_all(
        &self,
        connection: &OwnedFd,
        mut bytes: &[u8],
        mut cred: bool,
        deadline: Instant,
    ) -> std::result::Result<(), Errno> {
        while !bytes.is_empty() {
            if Instant::now() >= deadline {
                return Err(Errno::AGAIN);
            }
            let sent = socket::send(connection, bytes, &[], cred, Wait::Yes)?;
            bytes = bytes.get(sent..).unwrap_or_default();
            cred = false;
        }
        Ok(())
    }

    fn check_sent(&self, sent: std::result::Result<(), Errno>) -> Result<()> {
        match sent {
            Err(errno @ (Errno::PIPE | Errno::CONNRESET)) => Err(self.refused(errno)),
            Err(Errno::AGAIN) => Err(self.no_answer()),
            other => other.what(|| format!("send a command to the monitor of container {}", self.name)),
        }
    }

    fn receive(
        &self,
        connection: OwnedFd,
        request: &Request,
        max_fds: usize,
        deadline: Option<Instant>,
    ) -> Result<Answer> {
        let mut head = [0; HEADER];
        let fds = self.fill(&connection, &mut head, max_fds, deadline)?;
        let header = ResponseHeader::decode(head);
        let limit = if request.command() == Command::ConsoleLog { CONSOLE_LOG_MAX } else { DATA_MAX };
        let datalen = usize::try_from(header.datalen).unwrap_or(0);
        if datalen > limit {
            return Err(self.nonsense("length of a reply", header.datalen));
        }
        let mut payload = vec![0; datalen];
        if datalen > 0 {
            self.fill(&connection, &mut payload, 0, deadline)?;
        }
        let value = if datalen == 0 { immediate_of(header.data) } else { 0 };
        Ok(Answer { ret: header.ret, value, payload, fds, connection })
    }

    /// Reads exactly `buffer.len()` bytes and the descriptors that come with them.
    fn fill(
        &self,
        connection: &OwnedFd,
        buffer: &mut [u8],
        max_fds: usize,
        deadline: Option<Instant>,
    ) -> Result<Vec<OwnedFd>> {
        let mut fds = Vec::new();
        let mut have = 0;
        while have < buffer.len() {
            if !await_readable(connection, deadline).what(|| "wait for a monitor")? {
                return Err(self.no_answer());
            }
            let rest = buffer.get_mut(have..).unwrap_or_default();
            match socket::recv(connection, rest, max_fds, Wait::No) {
                Ok(got) if got.truncated => {
                    let what = format!("monitor of container {} sent too many descriptors", self.name);
                    return Err(Error::new(ErrorKind::Protocol, what));
                }
                Ok(got) if got.len == 0 => return Err(self.not_running()),
                Ok(got) => {
                    have += got.len;
                    fds.extend(got.fds);
                }
                Err(Errno::AGAIN) => {}
                Err(errno @ (Errno::PIPE | Errno::CONNRESET)) => return Err(self.refused(errno)),
                Err(errno) => {
                    return Err(errno)
                        .what(|| format!("read the answer of the monitor of container {}", self.name));
                }
            }
        }
        Ok(fds)
    }

    /// Turns a negative `ret` into an error.
    fn checked(&self, answer: Answer, command: Command) -> Result<Answer> {
        if answer.ret >= 0 {
            return Ok(answer);
        }
        let errno = Errno::from_raw_os_error(answer.ret.saturating_neg().clamp(1, 4095));
        let what = format!("monitor of container {} refused {command:?}", self.name);
        Err(Error::kernel(errno, what))
    }

    fn text(&self, answer: Answer) -> Result<String> {
        let mut bytes = answer.payload;
        if bytes.pop() != Some(0) {
            return Err(self.nonsense("string without end of length", answer.ret));
        }
        bytes.truncate(bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len()));
        String::from_utf8(bytes).map_err(|_| self.nonsense("text", answer.ret))
    }

    /// Without errno: the connection ended in the place of an answer.
    fn not_running(&self) -> Error {
        Error::new(ErrorKind::NotRunning, format!("container {} is not running", self.name))
    }

    fn refused(&self, errno: Errno) -> Error {
        let what = format!("container {} is not running", self.name);
        Error::kernel(errno, what).with_kind(ErrorKind::NotRunning)
    }

    fn no_answer(&self) -> Error {
        Error::new(ErrorKind::TimedOut, format!("the monitor of container {} does not answer", self.name))
    }

    fn nonsense(&self, what: &str, value: i32) -> Error {
        Error::new(ErrorKind::Protocol, format!("monitor of container {} sent {what} {value}", self.name))
    }
}

fn seconds(timeout: Option<Duration>) -> i32 {
    timeout.map_or(-1, |timeout| i32::try_from(timeout.as_secs()).unwrap_or(i32::MAX))
}

/// Whether the descriptor became readable (or hung up) before the deadline.
fn await_readable(fd: &OwnedFd, deadline: Option<Instant>) -> std::result::Result<bool, Errno> {
    loop {
        let left = match deadline {
            None => None,
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Ok(false);
                }
                Timespec::try_from(left).ok()
            }
        };
        match poll(&mut [PollFd::new(fd, PollFlags::IN)], left.as_ref()) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Ok(true),
            Err(errno) => return Err(errno),
        }
    }
}

impl StateStream {
    /// Waits for the one message.
    ///
    /// - Units:   `None` = for ever.
    /// - Returns: `None` when the connection ended instead, which is how STOPPED is told.
    /// - Errors:  `TimedOut`; the registration stays.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<Option<LxcMsg>> {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let mut bytes = [0; LxcMsg::SIZE];
        let mut have = 0;
        while have < bytes.len() {
            if !await_readable(&self.socket, deadline).what(|| "wait for a state")? {
                let what = format!("wait for a state of container {}", self.name);
                return Err(Error::new(ErrorKind::TimedOut, what));
            }
            match socket::recv(&self.socket, bytes.get_mut(have..).unwrap_or_default(), 0, Wait::No) {
                Ok(got) if got.len == 0 => return Ok(None),
                Ok(got) => have += got.len,
                Err(Errno::AGAIN) => {}
                Err(Errno::CONNRESET | Errno::PIPE) => return Ok(None),
                Err(errno) => return Err(errno).what(|| format!("read a state of container {}", self.name)),
            }
        }
        Ok(Some(LxcMsg::decode(&bytes)))
    }
}

impl AsFd for StateStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
