//! Where `tracing` events go: LXC's log file, stderr and syslog, in LXC's line formats.
//!
//! - File:   `PROG[ NAME] YYYYMMDDHHMMSS.mmm LEVEL    CATEGORY - FILE:FUNC:LINE - MESSAGE` (UTC, level filled to 8).
//! - Stderr: `PROG:[ NAME:] FILE: FUNC: LINE MESSAGE`, ERROR and above only, whatever the level of the file.
//!
//! Other programs parse both. LXC has nine levels and tracing five: a field `level = "NOTICE"` (or CRIT, ALERT, FATAL)
//! refines one. FUNC is the innermost module, CATEGORY the outermost below the crate. Spans are ignored. An event below
//! the level costs one comparison and formats nothing. Source: abi-and-wire.md D6, cli.md §1.4.

use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use lxc_conf::model::Log;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span;
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};

use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::paths;

/// LXC's levels in ascending order; the number is the one of `lxc.log.level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    Trace,
    Debug,
    Info,
    Notice,
    Warn,
    Error,
    Crit,
    Alert,
    Fatal,
}

impl Level {
    const ALL: [Level; 9] = [
        Level::Trace,
        Level::Debug,
        Level::Info,
        Level::Notice,
        Level::Warn,
        Level::Error,
        Level::Crit,
        Level::Alert,
        Level::Fatal,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Level::Trace => "TRACE",
            Level::Debug => "DEBUG",
            Level::Info => "INFO",
            Level::Notice => "NOTICE",
            Level::Warn => "WARN",
            Level::Error => "ERROR",
            Level::Crit => "CRIT",
            Level::Alert => "ALERT",
            Level::Fatal => "FATAL",
        }
    }

    /// Any case; `None` for an unknown word.
    pub fn parse(text: &str) -> Option<Level> {
        Level::ALL.into_iter().find(|level| level.name().eq_ignore_ascii_case(text))
    }

    pub fn from_number(number: u8) -> Option<Level> {
        Level::ALL.get(usize::from(number)).copied()
    }

    /// Severity of syslog(3).
    fn severity(self) -> u8 {
        match self {
            Level::Trace | Level::Debug => 7,
            Level::Info => 6,
            Level::Notice => 5,
            Level::Warn => 4,
            Level::Error => 3,
            Level::Crit => 2,
            Level::Alert => 1,
            Level::Fatal => 0,
        }
    }

    /// The highest level an event of this tracing level can turn out to have.
    fn ceiling(level: tracing::Level) -> Level {
        match level {
            tracing::Level::TRACE => Level::Trace,
            tracing::Level::DEBUG => Level::Debug,
            tracing::Level::INFO => Level::Notice,
            tracing::Level::WARN => Level::Warn,
            tracing::Level::ERROR => Level::Fatal,
        }
    }

    fn plain(level: tracing::Level) -> Level {
        match level {
            tracing::Level::INFO => Level::Info,
            tracing::Level::ERROR => Level::Error,
            other => Level::ceiling(other),
        }
    }
}

/// What a program knows about logging when it starts.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogSetup<'a> {
    /// First word of every line, such as `lxc-start`.
    pub program: &'a str,
    pub name: Option<&'a str>,
    pub lxcpath: Option<&'a Path>,
    /// Value of `-o`: a path, or `none`. `None` with a level = the default file of the container.
    pub file: Option<&'a str>,
    /// Value of `-l`; an unknown word counts as ERROR.
    pub level: Option<&'a str>,
    /// Nothing on stderr.
    pub quiet: bool,
}

/// Starts logging for this process. Only the first call counts.
///
/// - Errors: the file named with `-o` cannot be opened. The default file is optional.
pub fn init(setup: &LogSetup<'_>) -> Result<()> {
    let mut first = false;
    let sink = SINK.get_or_init(|| {
        first = true;
        Arc::new(Sink::new(setup))
    });
    if !first {
        return Ok(());
    }
    let opened = sink.open_initial(setup);
    let subscriber = Logger { sink: Arc::clone(sink) };
    tracing::subscriber::set_global_default(subscriber)
        .map_err(|_| Error::new(ErrorKind::Internal, "another logger is in place"))?;
    opened
}

/// Applies `lxc.log.level`, `lxc.log.file` and `lxc.log.syslog` of a container.
///
/// What was given on the command line wins.
///
/// - Errors: the file cannot be opened or the facility is unknown; the rest was applied.
pub fn apply(log: &Log) -> Result<()> {
    let Some(sink) = SINK.get() else { return Ok(()) };
    let keep = sink.chosen;
    if let (Some(level), false) = (log.level.and_then(Level::from_number), keep.level) {
        sink.set_level(level);
    }
    if let Some(file) = &log.file {
        // COMPAT: the file is made even if the one of the command line is used.
        let file = open(Path::new(file))?;
        if !keep.file {
            sink.lock().file = Some(Arc::new(file));
        }
    }
    if let Some(word) = &log.syslog {
        let facility = lxc_conf::value::log_level::facility(word)
            .map_err(|error| Error::new(ErrorKind::Config, format!("lxc.log.syslog: {error}")))?;
        sink.lock().syslog = Some(Syslog { facility, socket: None });
    }
    Ok(())
}

/// Which settings the command line made.
#[derive(Clone, Copy, Debug, Default)]
struct Chosen {
    level: bool,
    file: bool,
}

/// The descriptor of the log file, for code that closes all others.
pub fn file() -> Option<Arc<OwnedFd>> {
    SINK.get().and_then(|sink| sink.lock().file.clone())
}

/// The level in force, as `LXC_LOG_LEVEL` shows it to hooks.
pub fn level() -> Level {
    SINK.get().map_or(Level::Error, |sink| sink.level())
}

/// Writes an ERROR line to the file and to syslog only, for a program that has told stderr itself.
pub fn record(category: &str, place: &std::panic::Location<'_>, message: &str) {
    let Some(sink) = SINK.get() else { return };
    if Level::Error >= sink.level() {
        let file = short_file(place.file());
        let line =
            Line { level: Level::Error, category, file, function: "main", line: place.line(), message };
        sink.write_quietly(&line);
    }
}

/// Puts a container's name into the lines of this thread until the guard is dropped.
#[must_use]
pub fn container(name: &str) -> NameGuard {
    NameGuard { previous: NAME.with(|slot| slot.replace(Some(name.to_owned()))) }
}

/// See `container`.
#[derive(Debug)]
pub struct NameGuard {
    previous: Option<String>,
}

impl Drop for NameGuard {
    fn drop(&mut self) {
        let previous = self.previous.take();
        NAME.with(|slot| *slot.borrow_mut() = previous);
    }
}

thread_local! {
    static NAME: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// The one piece of global state of the runtime: where log lines go.
static SINK: OnceLock<Arc<Sink>> = OnceLock::new();

#[derive(Debug)]
struct Sink {
    /// Level of the file and of syslog, as a number.
    level: AtomicU8,
    quiet: bool,
    /// What the command line decided.
    chosen: Chosen,
    outputs: Mutex<Outputs>,
}

#[derive(Debug, Default)]
struct Outputs {
    program: String,
    name: Option<String>,
    file: Option<Arc<OwnedFd>>,
    syslog: Option<Syslog>,
}

impl Outputs {
    /// The name of this thread's container, else the program's.
    fn name_now(&self) -> Option<String> {
        NAME.with(|slot| slot.borrow().clone()).or_else(|| self.name.clone())
    }
}

#[derive(Debug)]
struct Syslog {
    facility: u8,
    socket: Option<UnixDatagram>,
}

impl Sink {
    fn new(setup: &LogSetup<'_>) -> Sink {
        let level = setup.level.and_then(Level::parse).unwrap_or(Level::Error);
        let outputs = Outputs {
            program: setup.program.to_owned(),
            name: setup.name.map(str::to_owned),
            ..Outputs::default()
        };
        let chosen = Chosen { level: setup.level.is_some(), file: setup.file.is_some() };
        Sink { level: AtomicU8::new(level as u8), quiet: setup.quiet, chosen, outputs: Mutex::new(outputs) }
    }

    fn open_initial(&self, setup: &LogSetup<'_>) -> Result<()> {
        let file = match (setup.file, setup.level) {
            (Some("none"), _) | (None, None) => None,
            (Some(path), _) => Some(open(Path::new(path))?),
            (None, Some(_)) => {
                default_files(setup).iter().find_map(|path| open_beside_container(path, setup.lxcpath))
            }
        };
        self.lock().file = file.map(Arc::new);
        Ok(())
    }

    fn level(&self) -> Level {
        Level::from_number(self.level.load(Ordering::Relaxed)).unwrap_or(Level::Error)
    }

    fn set_level(&self, level: Level) {
        self.level.store(level as u8, Ordering::Relaxed);
        tracing::callsite::rebuild_interest_cache();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Outputs> {
        self.outputs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lowest level anybody wants to see.
    fn floor(&self) -> Level {
        if self.quiet { self.level() } else { self.level().min(Level::Error) }
    }

    fn write(&self, line: &Line<'_>) {
        if line.level >= self.level() {
            self.write_quietly(line);
        }
        if line.level >= Level::Error && !self.quiet {
            let outputs = self.lock();
            let name = outputs.name_now();
            write_all(rustix::stdio::stderr(), line.for_stderr(&outputs.program, name.as_deref()).as_bytes());
        }
    }

    /// File and syslog.
    fn write_quietly(&self, line: &Line<'_>) {
        let mut outputs = self.lock();
        let name = outputs.name_now();
        let name = name.as_deref();
        if let Some(file) = &outputs.file {
            write_all(file, line.for_file(&outputs.program, name, SystemTime::now()).as_bytes());
        }
        let program = outputs.program.clone();
        if let Some(syslog) = &mut outputs.syslog {
            syslog.write(line, &program, name);
        }
    }
}

impl Syslog {
    fn write(&mut self, line: &Line<'_>, program: &str, name: Option<&str>) {
        if self.socket.is_none() {
            let Ok(socket) = UnixDatagram::unbound() else { return };
            // A monitor must not wait for a syslog daemon that does not read.
            if socket.set_nonblocking(true).is_err() || socket.connect("/dev/log").is_err() {
                return;
            }
            self.socket = Some(socket);
        }
        let priority = u16::from(self.facility) * 8 + u16::from(line.level.severity());
        let name = name.unwrap_or_default();
        let pid = std::process::id();
        let text = format!("<{priority}>{program}[{pid}]: {name} {} {}", line.category, line.message);
        if self.socket.as_ref().is_some_and(|socket| socket.send(text.as_bytes()).is_err()) {
            self.socket = None;
        }
    }
}

/// One line is one write(2), so that lines of several processes do not mix. Nothing can be done about a failure.
fn write_all(fd: impl rustix::fd::AsFd, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match rustix::io::retry_on_intr(|| rustix::io::write(&fd, bytes)) {
            Ok(0) | Err(_) => return,
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
        }
    }
}

/// Where the original puts the log of a container when nobody says: first the log directory (root with the default
/// lxcpath), then beside the configuration.
fn default_files(setup: &LogSetup<'_>) -> Vec<PathBuf> {
    let Some(name) = setup.name.filter(|name| !name.contains('/')) else { return Vec::new() };
    let file = format!("{name}.log");
    let lxcpath = setup.lxcpath.map_or_else(paths::default_lxcpath, Path::to_owned);
    let beside = lxcpath.join(name).join(&file);
    let in_log_dir = paths::log_dir().join(&file);
    match rustix::process::geteuid().is_root() && lxcpath == paths::default_lxcpath() {
        true => vec![in_log_dir, beside],
        false => vec![beside, in_log_dir],
    }
}

/// Opens a default log file. Unlike the original it never makes a directory for a container that does not exist.
fn open_beside_container(path: &Path, lxcpath: Option<&Path>) -> Option<OwnedFd> {
    let default = paths::default_lxcpath();
    let container = path.parent()?;
    if container.starts_with(lxcpath.unwrap_or(&default)) && !container.is_dir() {
        return None;
    }
    open(path).ok()
}

fn open(path: &Path) -> Result<OwnedFd> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty() && !parent.is_dir()) {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o755).create(parent);
        made.what(|| format!("create {}", parent.display()))?;
    }
    let file = std::fs::OpenOptions::new().append(true).create(true).mode(0o660).open(path);
    file.map(OwnedFd::from).what(|| format!("open the log file {}", path.display()))
}

/// The subscriber: hands events to the sink.
#[derive(Debug)]
struct Logger {
    sink: Arc<Sink>,
}

impl Subscriber for Logger {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match self.enabled(metadata) {
            true => Interest::always(),
            false => Interest::never(),
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match self.sink.floor() {
            Level::Trace => LevelFilter::TRACE,
            Level::Debug => LevelFilter::DEBUG,
            Level::Info | Level::Notice => LevelFilter::INFO,
            Level::Warn => LevelFilter::WARN,
            _ => LevelFilter::ERROR,
        })
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Libraries of others (netlink, tokio) do not speak of containers.
        let ours = metadata.target().starts_with("lxc");
        metadata.is_event() && ours && Level::ceiling(*metadata.level()) >= self.sink.floor()
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let level = fields.level.unwrap_or_else(|| Level::plain(*metadata.level()));
        if level < self.sink.floor() {
            return;
        }
        let module = metadata.module_path().unwrap_or(metadata.target());
        self.sink.write(&Line {
            level,
            category: category(metadata.target()),
            file: short_file(metadata.file().unwrap_or("?")),
            function: module.rsplit("::").next().unwrap_or(module),
            line: metadata.line().unwrap_or(0),
            message: &fields.message,
        });
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// `lxc_core::monitor::run` is about `monitor`; `lxc_start` about itself.
fn category(target: &str) -> &str {
    target.split("::").nth(1).unwrap_or(target)
}

/// `…/crates/lxc-core/src/x.rs` as `lxc-core/src/x.rs`.
fn short_file(file: &str) -> &str {
    file.rfind("crates/").and_then(|at| file.get(at + "crates/".len()..)).unwrap_or(file)
}

/// Collects the fields of an event: the message, the refined level, anything else as ` key=value`.
#[derive(Debug, Default)]
struct Fields {
    message: String,
    level: Option<Level>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match (field.name(), Level::parse(value)) {
            ("level", Some(level)) => self.level = Some(level),
            _ => self.record_debug(field, &format_args!("{value}")),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.message, " {name}={value:?}"),
        };
    }
}

/// One line, before it gets its shape.
#[derive(Debug)]
struct Line<'a> {
    level: Level,
    category: &'a str,
    file: &'a str,
    function: &'a str,
    line: u32,
    message: &'a str,
}

impl Line<'_> {
    fn for_file(&self, program: &str, name: Option<&str>, now: SystemTime) -> String {
        let mut text = String::with_capacity(160 + self.message.len());
        text.push_str(program);
        if let Some(name) = name {
            let _ = write!(text, " {}", OneLine(name));
        }
        let (level, category, message) = (self.level.name(), self.category, OneLine(self.message.trim_end()));
        let Line { file, function, line, .. } = self;
        let _ = writeln!(
            text,
            " {} {level:<8} {category} - {file}:{function}:{line} - {message}",
            Timestamp(now)
        );
        text
    }

    fn for_stderr(&self, program: &str, name: Option<&str>) -> String {
        let Line { file, function, line, .. } = self;
        let message = OneLine(self.message.trim_end());
        match name {
            Some(name) => format!("{program}: {}: {file}: {function}: {line} {message}\n", OneLine(name)),
            None => format!("{program}: {file}: {function}: {line} {message}\n"),
        }
    }
}

/// Text that cannot break out of its line or paint a terminal: control characters show as `?`, newlines as ` | `.
struct OneLine<'a>(&'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.chars() {
            match char {
                '\n' => f.write_str(" | ")?,
                '\t' => f.write_char('\t')?,
                char if char.is_control() => f.write_char('?')?,
                char => f.write_char(char)?,
            }
        }
        Ok(())
    }
}

/// `YYYYMMDDHHMMSS.mmm`, UTC.
struct Timestamp(SystemTime);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.0.duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = since.as_secs();
        let (year, month, day) = civil(seconds / 86_400);
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}.{:03}", since.subsec_millis())
    }
}

/// Date of a day counted from 1970-01-01, by whole 400-year cycles that start on a 1 March.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (cycle, of_cycle) = (days / 146_097, days % 146_097);
    let year = (of_cycle - of_cycle / 1460 + of_cycle / 36_524 - of_cycle / 146_096) / 365;
    let of_year = of_cycle - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (cycle * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
