//! D-Bus messages as bytes: as much of the protocol as asking systemd for a scope takes.
//!
//! Pure. Source: the D-Bus specification, "Type System", "Message Protocol".

/// Longest message that is read; the largest we expect is an error text.
pub(super) const LONGEST: usize = 1 << 20;

const VERSION: u8 = 1;

/// Kinds of messages.
pub(super) const CALL: u8 = 1;
pub(super) const RETURN: u8 = 2;
pub(super) const ERROR: u8 = 3;
pub(super) const SIGNAL: u8 = 4;

/// Numbers of header fields.
mod field {
    pub(super) const PATH: u8 = 1;
    pub(super) const INTERFACE: u8 = 2;
    pub(super) const MEMBER: u8 = 3;
    pub(super) const ERROR_NAME: u8 = 4;
    pub(super) const REPLY_SERIAL: u8 = 5;
    pub(super) const DESTINATION: u8 = 6;
    pub(super) const SIGNATURE: u8 = 8;
}

/// Marshals values, in the byte order of this machine.
#[derive(Debug, Default)]
pub(super) struct Writer {
    pub bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn align(&mut self, to: usize) {
        while !self.bytes.len().is_multiple_of(to) {
            self.bytes.push(0);
        }
    }

    pub(super) fn byte(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.align(4);
        self.bytes.extend_from_slice(&value.to_ne_bytes());
    }

    /// A string or an object path.
    pub(super) fn text(&mut self, value: &str) {
        self.u32(value.len() as u32);
        self.bytes.extend_from_slice(value.as_bytes());
        self.bytes.push(0);
    }

    pub(super) fn signature(&mut self, value: &str) {
        self.bytes.push(value.len() as u8);
        self.bytes.extend_from_slice(value.as_bytes());
        self.bytes.push(0);
    }

    /// An array of elements aligned to `to`, written by `fill`.
    pub(super) fn array(&mut self, to: usize, fill: impl FnOnce(&mut Writer)) {
        self.u32(0);
        let length_at = self.bytes.len() - 4;
        self.align(to);
        let start = self.bytes.len();
        fill(self);
        let length = (self.bytes.len() - start) as u32;
        for (to, from) in self.bytes.iter_mut().skip(length_at).zip(length.to_ne_bytes()) {
            *to = from;
        }
    }
}

/// A method call about to be sent.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub destination: &'a str,
    pub path: &'a str,
    pub interface: &'a str,
    pub member: &'a str,
    pub signature: &'a str,
    pub body: Vec<u8>,
}

impl Call<'_> {
    pub(super) fn marshal(&self, serial: u32) -> Vec<u8> {
        let mut out = Writer::default();
        out.byte(if cfg!(target_endian = "little") { b'l' } else { b'B' });
        out.byte(CALL);
        out.byte(0);
        out.byte(VERSION);
        out.u32(self.body.len() as u32);
        out.u32(serial);
        out.array(8, |out| {
            let mut text = |code: u8, kind: &str, value: &str| {
                out.align(8);
                out.byte(code);
                out.signature(kind);
                out.text(value);
            };
            text(field::PATH, "o", self.path);
            text(field::INTERFACE, "s", self.interface);
            text(field::MEMBER, "s", self.member);
            text(field::DESTINATION, "s", self.destination);
            if !self.signature.is_empty() {
                out.align(8);
                out.byte(field::SIGNATURE);
                out.signature("g");
                out.signature(self.signature);
            }
        });
        out.align(8);
        out.bytes.extend_from_slice(&self.body);
        out.bytes
    }
}

/// A message that has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    pub kind: u8,
    pub reply_serial: Option<u32>,
    pub interface: Option<String>,
    pub member: Option<String>,
    pub error: Option<String>,
    body: Vec<u8>,
    big: bool,
}

impl Message {
    /// The length of a whole message, from its first 16 bytes.
    ///
    /// - Errors: `None` when it is no message, or longer than `LONGEST`.
    pub(super) fn length(head: &[u8; 16]) -> Option<usize> {
        let big = order(head[0])?;
        let mut reader = Reader { bytes: head, at: 4, big };
        let body = reader.u32()? as usize;
        let _serial = reader.u32()?;
        let fields = reader.u32()? as usize;
        let length = 16usize.checked_add(fields)?.checked_next_multiple_of(8)?.checked_add(body)?;
        (length <= LONGEST && head[3] == VERSION).then_some(length)
    }

    /// - Errors: `None` when it is malformed.
    pub(super) fn parse(bytes: &[u8]) -> Option<Message> {
        let big = order(*bytes.first()?)?;
        let mut message = Message { kind: *bytes.get(1)?, big, ..Message::default() };
        let mut reader = Reader { bytes, at: 4, big };
        let body = reader.u32()? as usize;
        let _serial = reader.u32()?;
        let end = reader.u32()? as usize + reader.at;
        while reader.at < end {
            reader.align(8);
            let code = reader.byte()?;
            match reader.signature()? {
                "s" | "o" => {
                    let text = reader.text()?.to_owned();
                    match code {
                        field::INTERFACE => message.interface = Some(text),
                        field::MEMBER => message.member = Some(text),
                        field::ERROR_NAME => message.error = Some(text),
                        _ => {}
                    }
                }
                "u" => {
                    let value = reader.u32()?;
                    if code == field::REPLY_SERIAL {
                        message.reply_serial = Some(value);
                    }
                }
                "g" => {
                    reader.signature()?;
                }
                _ => return None,
            }
        }
        reader.align(8);
        message.body = bytes.get(reader.at..reader.at.checked_add(body)?)?.to_owned();
        Some(message)
    }

    /// Reads the values of the body, which the caller knows the types of.
    pub(super) fn body(&self) -> Reader<'_> {
        Reader { bytes: &self.body, at: 0, big: self.big }
    }
}

/// Whether a message is big-endian.
fn order(mark: u8) -> Option<bool> {
    match mark {
        b'l' => Some(false),
        b'B' => Some(true),
        _ => None,
    }
}

/// Takes values off a message; every method is `None` when there is no such value.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    big: bool,
}

impl<'a> Reader<'a> {
    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.align(4);
        let bytes = self.take(4)?.try_into().ok()?;
        Some(if self.big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    /// A string or an object path.
    pub(super) fn text(&mut self) -> Option<&'a str> {
        let length = self.u32()? as usize;
        let text = self.take(length)?;
        (self.byte()? == 0).then_some(())?;
        std::str::from_utf8(text).ok()
    }

    fn signature(&mut self) -> Option<&'a str> {
        let length = usize::from(self.byte()?);
        let text = self.take(length)?;
        (self.byte()? == 0).then_some(())?;
        std::str::from_utf8(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> Call<'static> {
        let mut body = Writer::default();
        body.text("word");
        Call {
            destination: "org.example",
            path: "/org/example",
            interface: "org.example.I",
            member: "Do",
            signature: "s",
            body: body.bytes,
        }
    }

    #[test]
    fn what_is_marshalled_is_parsed_again() {
        let bytes = call().marshal(7);
        let head: &[u8; 16] = bytes[..16].try_into().expect("16 bytes");
        assert_eq!(Message::length(head), Some(bytes.len()));
        let message = Message::parse(&bytes).expect("a message");
        assert_eq!(message.kind, CALL);
        assert_eq!(message.interface.as_deref(), Some("org.example.I"));
        assert_eq!(message.member.as_deref(), Some("Do"));
        assert_eq!(message.body().text(), Some("word"));
    }

    /// The example of a Hello call as dbus-daemon takes it, little-endian.
    #[cfg(target_endian = "little")]
    #[test]
    fn the_bytes_are_those_of_the_specification() {
        let hello = Call {
            destination: "org.freedesktop.DBus",
            path: "/org/freedesktop/DBus",
            interface: "org.freedesktop.DBus",
            member: "Hello",
            signature: "",
            body: Vec::new(),
        };
        let bytes = hello.marshal(1);
        assert_eq!(&bytes[..16], b"l\x01\x00\x01\0\0\0\0\x01\0\0\0\x6d\0\0\0");
        assert_eq!(&bytes[16..24], b"\x01\x01o\0\x15\0\0\0");
        assert_eq!(&bytes[24..46], b"/org/freedesktop/DBus\0");
        assert_eq!(bytes.len() % 8, 0);
    }

    #[test]
    fn no_cut_message_panics() {
        let bytes = call().marshal(1);
        for length in 0..bytes.len() {
            assert!(Message::parse(&bytes[..length]).is_none(), "{length}");
        }
    }

    #[test]
    fn lengths_that_are_lies_are_refused() {
        let mut head = *b"l\x02\x00\x01\0\0\0\0\x01\0\0\0\0\0\0\0";
        assert_eq!(Message::length(&head), Some(16));
        head[4..8].copy_from_slice(&[0xff; 4]);
        assert_eq!(Message::length(&head), None);
        head[4..8].copy_from_slice(&[0; 4]);
        head[12..16].copy_from_slice(&[0xff; 4]);
        assert_eq!(Message::length(&head), None);
        head[12..16].copy_from_slice(&[0; 4]);
        head[0] = b'x';
        assert_eq!(Message::length(&head), None);
    }
}
