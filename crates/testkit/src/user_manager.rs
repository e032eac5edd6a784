//! A stand-in for a user's systemd: answers `StartTransientUnit` on a socket by making the cgroup and moving the caller.
//!
//! It reads the messages by the D-Bus specification with code of its own, so that a mistake of the client's shows. Runs in
//! a thread of the test, as root. Not here: anything else a bus or systemd can do.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Makes the scope.
    Obliging,
    /// The first name asked for is there already.
    NameTaken,
    /// An error with the words `not today`.
    Refusing,
    /// The job fails.
    Failing,
    /// A bus on which nobody is called org.freedesktop.systemd1.
    Absent,
}

/// Where and to whom it gives cgroups.
#[derive(Clone, Debug)]
pub struct Delegation {
    /// Directory of the cgroup that scopes are made in, as this process sees it.
    pub parent: PathBuf,
    pub uid: u32,
}

/// The listening stand-in; what it was asked for is in `log`.
#[derive(Debug)]
pub struct UserManager {
    log: Arc<Mutex<Vec<String>>>,
}

impl UserManager {
    /// Listens on `socket`; as a bus, or as the manager's own socket when that is called `private`.
    pub fn listen(socket: &Path, manner: Manner, delegation: Delegation) -> UserManager {
        fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let listener = UnixListener::bind(socket).unwrap();
        fs::set_permissions(socket, fs::Permissions::from_mode(0o777)).unwrap();
        let is_bus = !socket.ends_with("private");
        let log = Arc::new(Mutex::new(Vec::new()));
        let manager = UserManager { log: log.clone() };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let peer = Peer { stream, manner, is_bus, delegation: delegation.clone(), log: log.clone() };
                std::thread::spawn(move || peer.serve());
            }
        });
        manager
    }

    /// Calls and properties in the order they came, such as `Hello`, `StartTransientUnit NAME`, `Delegate=1`.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Names of the units that were asked for.
    pub fn units(&self) -> Vec<String> {
        self.log()
            .iter()
            .filter_map(|line| line.strip_prefix("StartTransientUnit "))
            .map(str::to_owned)
            .collect()
    }
}

struct Peer {
    stream: UnixStream,
    manner: Manner,
    is_bus: bool,
    delegation: Delegation,
    log: Arc<Mutex<Vec<String>>>,
}

impl Peer {
    fn note(&self, line: impl Into<String>) {
        self.log.lock().unwrap().push(line.into());
    }

    /// None when the client has gone.
    fn serve(mut self) -> Option<()> {
        assert_eq!(self.line()?, "\0AUTH EXTERNAL 3132333435", "hex of the uid 12345");
        self.stream.write_all(b"OK 0123456789abcdef0123456789abcdef\r\n").ok()?;
        assert_eq!(self.line()?, "BEGIN");
        let mut greeted = !self.is_bus;
        let mut subscribed = !self.is_bus;
        let mut watching = !self.is_bus;
        let mut taken = self.manner == Manner::NameTaken;
        loop {
            let call = self.message()?;
            self.note(if call.member == "StartTransientUnit" { String::new() } else { call.member.clone() });
            let serial = call.serial;
            let systemd = call.destination == "org.freedesktop.systemd1";
            if systemd && self.manner == Manner::Absent {
                self.error(serial, "org.freedesktop.DBus.Error.ServiceUnknown", "nobody has that name")?;
                continue;
            }
            match call.member.as_str() {
                "Hello" => greeted = true,
                "AddMatch" => watching = call.body().text().contains("member='JobRemoved'"),
                "Subscribe" => subscribed = systemd,
                "StartTransientUnit" => {
                    assert!(greeted, "a bus is greeted first");
                    assert_eq!(call.signature, "ssa(sv)a(sa(sv))");
                    assert_eq!(call.path, "/org/freedesktop/systemd1");
                    let (unit, pid) = self.unit(&call);
                    if std::mem::take(&mut taken) {
                        self.error(serial, "org.freedesktop.systemd1.UnitExists", "it is there")?;
                        continue;
                    }
                    if self.manner == Manner::Refusing {
                        self.error(serial, "org.freedesktop.DBus.Error.AccessDenied", "not today")?;
                        continue;
                    }
                    let done = self.manner != Manner::Failing;
                    if done {
                        self.make(&unit, pid);
                    }
                    let job = "/org/freedesktop/systemd1/job/7";
                    // The signal may overtake the answer: the client must not lose it.
                    if watching && subscribed {
                        let mut body = Out::default();
                        body.u32(7);
                        body.text(job);
                        body.text(&unit);
                        body.text(if done { "done" } else { "failed" });
                        let fields = [
                            (1, "o", "/org/freedesktop/systemd1"),
                            (2, "s", "org.freedesktop.systemd1.Manager"),
                            (3, "s", "JobRemoved"),
                            (8, "g", "uoss"),
                        ];
                        self.send(4, None, &fields, &body.0)?;
                    }
                    let mut body = Out::default();
                    body.text(job);
                    self.send(2, Some(serial), &[(8, "g", "o")], &body.0)?;
                    continue;
                }
                other => panic!("an unexpected call of {other}"),
            }
            self.send(2, Some(serial), &[], &[])?;
        }
    }

    /// Name and first pid of a `StartTransientUnit`; its properties go to the log.
    fn unit(&self, call: &Incoming) -> (String, u32) {
        let mut body = call.body();
        let unit = body.text();
        self.note(format!("StartTransientUnit {unit}"));
        assert_eq!(body.text(), "fail");
        let mut pid = 0;
        let end = body.array(8);
        while body.at < end {
            body.align(8);
            let name = body.text();
            let value = match body.signature().as_str() {
                "s" => body.text(),
                "b" => body.u32().to_string(),
                "au" => {
                    let end = body.array(4);
                    pid = body.u32();
                    assert_eq!(body.at, end, "one pid");
                    "PID".to_owned()
                }
                other => panic!("{name} of type {other}"),
            };
            self.note(format!("{name}={value}"));
        }
        let end = body.array(8);
        assert_eq!(
            (body.at, end),
            (body.bytes.len(), body.bytes.len()),
            "no auxiliary units, and nothing after them"
        );
        (unit, pid)
    }

    /// The cgroup of a scope with `Delegate=yes`, with the caller in it.
    fn make(&self, unit: &str, pid: u32) {
        let dir = self.delegation.parent.join(unit);
        fs::create_dir(&dir).unwrap();
        for file in ["", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"] {
            std::os::unix::fs::chown(dir.join(file), Some(self.delegation.uid), Some(self.delegation.uid))
                .unwrap();
        }
        fs::write(dir.join("cgroup.procs"), pid.to_string()).unwrap();
        // The scope goes with its last process; systemd would remove what is left in it, which here shows as a leftover.
        std::thread::spawn(move || {
            let unpopulated = |text: String| text.contains("populated 0");
            while fs::read_to_string(dir.join("cgroup.events")).is_ok_and(|text| !unpopulated(text)) {
                std::thread::sleep(Duration::from_millis(5));
            }
            drop(fs::remove_dir(&dir));
        });
    }

    fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).ok()?;
            line.extend(byte);
        }
        Some(String::from_utf8(line).unwrap().trim_end().to_owned())
    }

    fn message(&mut self) -> Option<Incoming> {
        let mut head = [0; 16];
        self.stream.read_exact(&mut head).ok()?;
        assert_eq!((head[0], head[1], head[3]), (b'l', 1, 1), "a call, little-endian, version 1");
        let word = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().unwrap()) as usize;
        let (body, serial, fields) = (word(4), word(8), word(12));
        assert_ne!(serial, 0);
        let mut header = head.to_vec();
        header.resize((16 + fields).next_multiple_of(8), 0);
        self.stream.read_exact(&mut header[16..]).ok()?;
        let mut incoming = Incoming { serial: serial as u32, body: vec![0; body], ..Incoming::default() };
        self.stream.read_exact(&mut incoming.body).ok()?;
        let mut reader = In { bytes: header, at: 16 };
        while reader.at < 16 + fields {
            reader.align(8);
            let code = reader.byte();
            match (code, reader.signature().as_str()) {
                (1, "o") => incoming.path = reader.text(),
                (2, "s") => drop(reader.text()),
                (3, "s") => incoming.member = reader.text(),
                (6, "s") => incoming.destination = reader.text(),
                (8, "g") => incoming.signature = reader.signature(),
                other => panic!("header field {other:?}"),
            }
        }
        Some(incoming)
    }

    fn error(&mut self, serial: u32, name: &str, text: &str) -> Option<()> {
        let mut body = Out::default();
        body.text(text);
        self.send(3, Some(serial), &[(4, "s", name), (8, "g", "s")], &body.0)
    }

    fn send(
        &mut self,
        kind: u8,
        answers: Option<u32>,
        fields: &[(u8, &str, &str)],
        body: &[u8],
    ) -> Option<()> {
        let mut out = Out(vec![b'l', kind, 0, 1]);
        out.u32(body.len() as u32);
        out.u32(99);
        let mut header = Out::default();
        if let Some(serial) = answers {
            header.field(5, "u");
            header.u32(serial);
        }
        for (code, signature, value) in fields {
            header.field(*code, signature);
            match *signature {
                "g" => header.signature(value),
                _ => header.text(value),
            }
        }
        out.u32(header.0.len() as u32);
        out.0.extend(header.0);
        out.align(8);
        out.0.extend(body);
        self.stream.write_all(&out.0).ok()
    }
}

#[derive(Debug, Default)]
struct Incoming {
    serial: u32,
    path: String,
    member: String,
    destination: String,
    signature: String,
    body: Vec<u8>,
}

impl Incoming {
    fn body(&self) -> In {
        In { bytes: self.body.clone(), at: 0 }
    }
}

/// Takes values off; panics when they are not there, which ends the conversation.
struct In {
    bytes: Vec<u8>,
    at: usize,
}

impl In {
    fn align(&mut self, to: usize) {
        let next = self.at.next_multiple_of(to);
        assert!(self.bytes[self.at..next].iter().all(|byte| *byte == 0), "padding is zero");
        self.at = next;
    }

    fn byte(&mut self) -> u8 {
        self.at += 1;
        self.bytes[self.at - 1]
    }

    fn u32(&mut self) -> u32 {
        self.align(4);
        self.at += 4;
        u32::from_le_bytes(self.bytes[self.at - 4..self.at].try_into().unwrap())
    }

    fn rest(&mut self, length: usize) -> String {
        let text = String::from_utf8(self.bytes[self.at..self.at + length].to_vec()).unwrap();
        self.at += length;
        assert_eq!(self.byte(), 0, "texts end in a zero");
        text
    }

    fn text(&mut self) -> String {
        let length = self.u32() as usize;
        self.rest(length)
    }

    fn signature(&mut self) -> String {
        let length = usize::from(self.byte());
        self.rest(length)
    }

    /// Where the array ends.
    fn array(&mut self, alignment: usize) -> usize {
        let length = self.u32() as usize;
        self.align(alignment);
        self.at + length
    }
}

#[derive(Debug, Default)]
struct Out(Vec<u8>);

impl Out {
    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    fn u32(&mut self, value: u32) {
        self.align(4);
        self.0.extend(value.to_le_bytes());
    }

    fn text(&mut self, value: &str) {
        self.u32(value.len() as u32);
        self.0.extend(value.bytes());
        self.0.push(0);
    }

    fn signature(&mut self, value: &str) {
        self.0.push(value.len() as u8);
        self.0.extend(value.bytes());
        self.0.push(0);
    }

    fn field(&mut self, code: u8, signature: &str) {
        self.align(8);
        self.0.push(code);
        self.signature(signature);
    }
}
