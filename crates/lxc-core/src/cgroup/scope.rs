//! A systemd scope for a caller whose own cgroup is not delegated to him: asked for over D-Bus, `Delegate=yes`.
//!
//! Three places are tried: the session bus of the environment, the one in the runtime directory, and the user manager's
//! own socket beside it, which is there without any bus. Everything blocks, within a time limit. Not here: what is
//! created in the scope.

mod bus;
mod wire;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::net::SocketAddrUnix;

use self::bus::{Bus, Failure};
use self::wire::{Call, Writer};
use crate::error::{Error, ErrorKind, Result};
use crate::host::Session;

/// For everything together; the user manager answers in milliseconds when it is there.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many names are tried, as suffixes, for containers of one name in several lxcpaths.
const NAMES: u32 = 100;

/// Longest name of a unit, systemd.unit(5).
const LONGEST: usize = 255;

const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const SYSTEMD: &str = "org.freedesktop.systemd1";
const SYSTEMD_PATH: &str = "/org/freedesktop/systemd1";
const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";

/// Where a manager may listen.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Bus(Spot),
    /// The user manager itself: no bus in between, so nobody to greet and nothing to subscribe to.
    Manager(PathBuf),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Spot {
    Path(PathBuf),
    Abstract(Vec<u8>),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Bus(Spot::Path(path)) => write!(f, "the session bus {}", path.display()),
            Place::Bus(Spot::Abstract(name)) => {
                write!(f, "the session bus @{}", String::from_utf8_lossy(name))
            }
            Place::Manager(path) => write!(f, "the user manager's socket {}", path.display()),
        }
    }
}

/// Moves the calling process into a new scope called after `stem`.
///
/// - Shape: returns the scope's name, `STEM-N.scope`; `stem` is escaped as systemd.unit(5) asks.
/// - Context: before any fork, single-threaded: the connection is closed before this returns.
/// - Errors: `Unsupported`, with the piece that is missing and the command that mends it.
/// - Source: org.freedesktop.systemd1(5), `StartTransientUnit`; abi-and-wire.md D8.
pub fn enter(stem: &str, description: &str, session: &Session) -> Result<String> {
    let deadline = Instant::now() + PATIENCE;
    let places = places(session);
    let mut said = Vec::new();
    for place in &places {
        match ask(place, stem, description, deadline) {
            Ok(scope) => return Ok(scope),
            Err(failure) => {
                let text = format!("{place}: {failure}");
                tracing::debug!("no scope from {text}");
                said.push((failure, text));
            }
        }
    }
    Err(explain(session, &said))
}

/// What has to be mended, most likely first.
fn explain(session: &Session, said: &[(Failure, String)]) -> Error {
    let user = &session.user;
    let fail = |what: String| Error::new(ErrorKind::Unsupported, what);
    // A manager that was reached and refused knows best.
    let refused = said.iter().find(|(failure, _)| match failure {
        Failure::Refused { name, .. } => !is_absence(name),
        Failure::Broken(_) => false,
    });
    if let Some((_, text)) = refused {
        return fail(format!("systemd makes no scope: {text}"))
            .cure("see what it says to: systemd-run --user --scope -p Delegate=yes true");
    }
    if !session.booted_with_systemd {
        return fail("systemd does not run this machine, so it cannot be asked for a scope".into()).cure(
            "as root: make a cgroup, chown it and its cgroup.procs, cgroup.subtree_control and cgroup.threads to the user, \
             and write the pid of his shell into its cgroup.procs",
        );
    }
    let linger = format!("as root: loginctl enable-linger {user}");
    let Some(dir) = &session.runtime_dir else {
        return fail(format!(
            "systemd cannot be asked for a scope: XDG_RUNTIME_DIR is not set and {} does not exist: no user manager runs for \
             {user}",
            session.usual_runtime_dir.display()
        ))
        .cure(linger);
    };
    let texts: Vec<&str> = said.iter().map(|(_, text)| text.as_str()).collect();
    if !dir.join("systemd/private").exists() {
        return fail(format!(
            "systemd cannot be asked for a scope: no user manager runs for {user} ({} does not exist{})",
            dir.join("systemd").display(),
            texts.iter().map(|text| format!("; {text}")).collect::<String>(),
        ))
        .cure(linger);
    }
    fail(format!("systemd cannot be asked for a scope: {}", texts.join("; "))).cure(format!(
        "check DBUS_SESSION_BUS_ADDRESS and XDG_RUNTIME_DIR ({}), or start in a scope: systemd-run --user --scope -p \
         Delegate=yes COMMAND",
        dir.display()
    ))
}

/// Errors that mean that nobody is there, not that he refuses.
fn is_absence(name: &str) -> bool {
    [
        "ServiceUnknown",
        "NameHasNoOwner",
        "Spawn.ExecFailed",
        "Spawn.ChildExited",
        "Spawn.ServiceNotFound",
        "NoReply",
    ]
    .iter()
    .any(|end| name.strip_prefix("org.freedesktop.DBus.Error.").is_some_and(|rest| rest == *end))
}

/// The places to try, in order, each once.
fn places(session: &Session) -> Vec<Place> {
    let mut places = Vec::new();
    let listed = session.bus_address.as_deref().unwrap_or_default().split(';').filter_map(parse_address);
    let usual = session.runtime_dir.iter().map(|dir| Place::Bus(Spot::Path(dir.join("bus"))));
    let private = session.runtime_dir.iter().map(|dir| Place::Manager(dir.join("systemd/private")));
    for place in listed.map(Place::Bus).chain(usual).chain(private) {
        if !places.contains(&place) {
            places.push(place);
        }
    }
    places
}

/// - Source: D-Bus specification, "Server Addresses": `unix:path=…` or `unix:abstract=…`, with `%XX` escapes.
fn parse_address(address: &str) -> Option<Spot> {
    address.strip_prefix("unix:")?.split(',').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        let value = unescape(value)?;
        match key {
            "path" => Some(Spot::Path(PathBuf::from(String::from_utf8(value).ok()?))),
            "abstract" => Some(Spot::Abstract(value)),
            _ => None,
        }
    })
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, tail) = rest.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = tail;
    }
    Some(bytes)
}

fn socket_address(place: &Place) -> std::result::Result<SocketAddrUnix, Failure> {
    let address = match place {
        Place::Bus(Spot::Abstract(name)) => SocketAddrUnix::new_abstract_name(name),
        Place::Bus(Spot::Path(path)) | Place::Manager(path) => SocketAddrUnix::new(path),
    };
    address.map_err(|errno| Failure::Broken(crate::error::errno_text(errno)))
}

fn ask(
    place: &Place,
    stem: &str,
    description: &str,
    deadline: Instant,
) -> std::result::Result<String, Failure> {
    let mut bus = Bus::connect(&socket_address(place)?, deadline)?;
    if matches!(place, Place::Bus(_)) {
        let hello = Call { destination: BUS, path: BUS_PATH, interface: BUS, ..call("Hello") };
        bus.call(&hello)?;
        let mut rule = Writer::default();
        rule.text(&format!("type='signal',sender='{SYSTEMD}',interface='{MANAGER}',member='JobRemoved'"));
        let watch = Call {
            destination: BUS,
            path: BUS_PATH,
            interface: BUS,
            signature: "s",
            body: rule.bytes,
            ..call("AddMatch")
        };
        bus.call(&watch)?;
        // Without it systemd keeps quiet on the bus.
        bus.call(&call("Subscribe"))?;
    }
    for number in 0..NAMES {
        let scope = unit_name(stem, number);
        match bus.call(&start_transient_unit(&scope, description)) {
            Ok(answer) => {
                let job = answer.body().text().unwrap_or_default().to_owned();
                let result = bus.await_signal(|message| {
                    let job_removed = message.member.as_deref() == Some("JobRemoved")
                        && message.interface.as_deref() == Some(MANAGER);
                    let mut body = message.body();
                    let _number = body.u32()?;
                    let (path, _unit, result) = (body.text()?, body.text()?, body.text()?);
                    (job_removed && path == job).then(|| result.to_owned())
                })?;
                return match result.as_str() {
                    "done" => Ok(scope),
                    other => Err(Failure::Refused {
                        name: String::new(),
                        text: format!("the job that starts {scope} ended as {other}"),
                    }),
                };
            }
            Err(Failure::Refused { name, .. }) if name == "org.freedesktop.systemd1.UnitExists" => {}
            Err(failure) => return Err(failure),
        }
    }
    let text = format!("{} and {} others are there already", unit_name(stem, 0), NAMES - 1);
    Err(Failure::Refused { name: String::new(), text })
}

fn call(member: &str) -> Call<'_> {
    Call {
        destination: SYSTEMD,
        path: SYSTEMD_PATH,
        interface: MANAGER,
        member,
        signature: "",
        body: Vec::new(),
    }
}

/// `StartTransientUnit(name, mode, properties, auxiliary units)` for this process.
fn start_transient_unit<'a>(scope: &str, description: &str) -> Call<'a> {
    let mut body = Writer::default();
    body.text(scope);
    body.text("fail");
    body.array(8, |properties| {
        property(properties, "Description", "s", |value| value.text(description));
        property(properties, "PIDs", "au", |value| {
            value.array(4, |pids| pids.u32(rustix::process::getpid().as_raw_pid().cast_unsigned()));
        });
        property(properties, "Delegate", "b", |value| value.u32(1));
        // A scope that failed would keep its name until somebody resets it.
        property(properties, "CollectMode", "s", |value| value.text("inactive-or-failed"));
    });
    body.array(8, |_| {});
    Call { signature: "ssa(sv)a(sa(sv))", body: body.bytes, ..call("StartTransientUnit") }
}

fn property(to: &mut Writer, name: &str, kind: &str, value: impl FnOnce(&mut Writer)) {
    to.align(8);
    to.text(name);
    to.signature(kind);
    value(to);
}

/// `STEM-N.scope`, escaped, and hashed when it would be too long.
fn unit_name(stem: &str, number: u32) -> String {
    let mut name = String::new();
    for byte in stem.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b':' | b'_' | b'.' | b'-' => {
                name.push(char::from(byte));
            }
            _ => name.push_str(&format!("\\x{byte:02x}")),
        }
    }
    if name.len() > LONGEST - "-99.scope".len() {
        name = format!("lxc-{:016x}", crate::paths::fnv1a64(stem.as_bytes()));
    }
    format!("{name}-{number}.scope")
}

#[cfg(test)]
mod tests;
