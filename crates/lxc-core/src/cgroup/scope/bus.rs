//! A blocking connection to a message bus, or to systemd itself, with a deadline for everything.
//!
//! Not here: what is asked (`scope`), how it is spelled (`wire`).

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::wire::{Call, ERROR, Message, RETURN, SIGNAL};

/// Why a call gave nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The other side's error: its name and its words.
    Refused { name: String, text: String },
    /// The connection failed, or what came made no sense.
    Broken(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Refused { name, text } if text.is_empty() => f.write_str(name),
            Failure::Refused { text, .. } => f.write_str(text),
            Failure::Broken(why) => f.write_str(why),
        }
    }
}

type Result<T> = std::result::Result<T, Failure>;

fn broken(error: &std::io::Error) -> Failure {
    match error.kind() {
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => {
            Failure::Broken("no answer in time".into())
        }
        _ => {
            let text = error.raw_os_error().map(Errno::from_raw_os_error).map(crate::error::errno_text);
            Failure::Broken(text.unwrap_or_else(|| error.to_string()))
        }
    }
}

fn nonsense() -> Failure {
    Failure::Broken("it sent something that is no D-Bus message".into())
}

/// The connection.
#[derive(Debug)]
pub(super) struct Bus {
    stream: UnixStream,
    deadline: Instant,
    serial: u32,
    /// Signals that came while an answer was awaited.
    signals: Vec<Message>,
}

impl Bus {
    /// Connects and says who we are.
    pub(super) fn connect(address: &SocketAddrUnix, deadline: Instant) -> Result<Bus> {
        let broken_by = |errno: Errno| broken(&errno.into());
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .map_err(broken_by)?;
        limit(&socket, deadline)?;
        connect(&socket, address).map_err(broken_by)?;
        let mut bus = Bus { stream: UnixStream::from(socket), deadline, serial: 0, signals: Vec::new() };
        bus.authenticate()?;
        Ok(bus)
    }

    /// - Source: D-Bus specification, "Authentication Protocol": EXTERNAL names our uid, which the socket proves.
    fn authenticate(&mut self) -> Result<()> {
        let uid = rustix::process::geteuid().as_raw().to_string();
        let hex: String = uid.bytes().map(|byte| format!("{byte:02x}")).collect();
        self.send(format!("\0AUTH EXTERNAL {hex}\r\n").as_bytes())?;
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            if line.len() > 1000 {
                return Err(nonsense());
            }
            let mut byte = [0];
            self.receive(&mut byte)?;
            line.extend(byte);
        }
        match line.starts_with(b"OK ") || line == b"OK\r\n" {
            true => self.send(b"BEGIN\r\n"),
            false => {
                let said = String::from_utf8_lossy(&line).trim().to_owned();
                Err(Failure::Broken(format!("it does not accept uid {uid}: {said}")))
            }
        }
    }

    /// Calls a method and waits for its answer.
    pub(super) fn call(&mut self, call: &Call<'_>) -> Result<Message> {
        self.serial += 1;
        let serial = self.serial;
        self.send(&call.marshal(serial))?;
        loop {
            let message = self.next()?;
            match message.kind {
                SIGNAL => self.signals.push(message),
                RETURN if message.reply_serial == Some(serial) => return Ok(message),
                ERROR if message.reply_serial == Some(serial) => {
                    let text = message.body().text().unwrap_or_default().to_owned();
                    return Err(Failure::Refused { name: message.error.unwrap_or_default(), text });
                }
                _ => {}
            }
        }
    }

    /// Waits for the first signal `wanted` finds something in, also among those that came meanwhile.
    pub(super) fn await_signal<T>(&mut self, wanted: impl Fn(&Message) -> Option<T>) -> Result<T> {
        if let Some(found) = self.signals.drain(..).find_map(|message| wanted(&message)) {
            return Ok(found);
        }
        loop {
            let message = self.next()?;
            if message.kind == SIGNAL
                && let Some(found) = wanted(&message)
            {
                return Ok(found);
            }
        }
    }

    fn next(&mut self) -> Result<Message> {
        let mut head = [0; 16];
        self.receive(&mut head)?;
        let length = Message::length(&head).ok_or_else(nonsense)?;
        let mut bytes = vec![0; length];
        let (start, rest) = bytes.split_at_mut(head.len());
        start.copy_from_slice(&head);
        self.receive(rest)?;
        Message::parse(&bytes).ok_or_else(nonsense)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        limit(&self.stream, self.deadline)?;
        self.stream.write_all(bytes).map_err(|error| broken(&error))
    }

    fn receive(&mut self, mut into: &mut [u8]) -> Result<()> {
        while !into.is_empty() {
            // Each part anew: a peer that sends a byte a second shall not hold us longer than one that sends none.
            limit(&self.stream, self.deadline)?;
            match self.stream.read(into) {
                Ok(0) => return Err(Failure::Broken("it closed the connection".into())),
                Ok(count) => into = into.get_mut(count..).unwrap_or_default(),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(broken(&error)),
            }
        }
        Ok(())
    }
}

/// Bounds the next blocking call, connect(2) included, by what remains.
fn limit(socket: impl std::os::fd::AsFd, deadline: Instant) -> Result<()> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left < Duration::from_millis(1) {
        return Err(Failure::Broken("no answer in time".into()));
    }
    for which in [Timeout::Send, Timeout::Recv] {
        set_socket_timeout(&socket, which, Some(left)).map_err(|errno| broken(&errno.into()))?;
    }
    Ok(())
}
