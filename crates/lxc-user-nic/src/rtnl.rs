//! Route netlink by hand: building one request, sending it, reading its answer. Four messages do not need a library, and a
//! set-uid program is better off without one.
//!
//! Not here: what is asked (`link`). Source: netlink(7), rtnetlink(7).

use std::os::fd::{AsFd, OwnedFd};

use lxc_sys::{netlink, rustix};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

const REQUEST: u16 = 1;
const ACK: u16 = 4;
const NESTED: u16 = 0x8000;
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// Length of `struct nlmsghdr`.
const HEADER: usize = 16;
/// Larger than any one answer of the kernel (a link with statistics and hundreds of virtual functions).
const BUFFER: usize = 64 * 1024;

/// A request being built.
#[derive(Clone, Debug)]
pub struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// - Shape: `kind` RTM_…; `flags` beside REQUEST and ACK; `body` the fixed structure of this kind.
    pub fn new(kind: u16, flags: u16, body: &[u8]) -> Message {
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((flags | REQUEST | ACK).to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(body);
        let mut message = Message { bytes };
        message.align();
        message
    }

    /// Adds an attribute.
    pub fn put(&mut self, attribute: u16, value: &[u8]) {
        // Nothing here is longer than a name; a length that does not fit is one the kernel refuses.
        let length = u16::try_from(value.len().saturating_add(4)).unwrap_or(u16::MAX);
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(attribute.to_ne_bytes());
        self.bytes.extend(value);
        self.align();
    }

    pub fn put_u32(&mut self, attribute: u16, value: u32) {
        self.put(attribute, &value.to_ne_bytes());
    }

    /// With the NUL the kernel expects.
    pub fn put_text(&mut self, attribute: u16, text: &str) {
        let mut value = text.as_bytes().to_vec();
        value.push(0);
        self.put(attribute, &value);
    }

    /// An attribute made of `head` and attributes.
    pub fn nest(&mut self, attribute: u16, head: &[u8], fill: impl FnOnce(&mut Message)) {
        let mut inner = Message { bytes: head.to_vec() };
        fill(&mut inner);
        self.put(attribute | NESTED, &inner.bytes);
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        for (at, value) in [(0, length), (8, sequence)] {
            if let Some(place) = self.bytes.get_mut(at..at + 4) {
                place.copy_from_slice(&value.to_ne_bytes());
            }
        }
        self.bytes
    }
}

/// A blocking route socket in this process' network namespace.
#[derive(Debug)]
pub struct Route {
    socket: OwnedFd,
    sequence: u32,
}

impl Route {
    pub fn open() -> Result<Route, Errno> {
        Ok(Route { socket: netlink::open_route_socket()?, sequence: 0 })
    }

    /// Sends the request; gives the bodies that came before the acknowledgement, each with its kind.
    ///
    /// - Errors: the kernel's answer.
    pub fn ask(&mut self, message: Message) -> Result<Vec<(u16, Vec<u8>)>, Errno> {
        self.sequence = self.sequence.wrapping_add(1);
        send(self.socket.as_fd(), &message.finish(self.sequence), SendFlags::empty())?;
        let mut answers = Vec::new();
        let mut buffer = vec![0; BUFFER];
        loop {
            let length = match recv(self.socket.as_fd(), buffer.as_mut_slice(), RecvFlags::empty()) {
                Ok((length, _)) => length,
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno),
            };
            let mut rest = buffer.get(..length).unwrap_or_default();
            while let Some((kind, sequence, body, next)) = split(rest) {
                rest = next;
                match kind {
                    _ if sequence != self.sequence => {}
                    ERROR => {
                        let code = number(body).ok_or(Errno::PROTO)? as i32;
                        return if code == 0 {
                            Ok(answers)
                        } else {
                            Err(Errno::from_raw_os_error(code.wrapping_neg()))
                        };
                    }
                    DONE => return Ok(answers),
                    _ => answers.push((kind, body.to_vec())),
                }
            }
        }
    }
}

/// Kind, sequence number and body of the first message, and what follows it.
fn split(bytes: &[u8]) -> Option<(u16, u32, &[u8], &[u8])> {
    let length = number(bytes)? as usize;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let sequence = number(bytes.get(8..)?)?;
    let body = bytes.get(HEADER..length)?;
    Some((kind, sequence, body, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

/// The first four bytes.
pub fn number(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?))
}

/// The attributes in `bytes`, with their kinds; stops at one that is cut short.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?) & !NESTED;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The text of an attribute, without its NUL.
pub fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value.split(|byte| *byte == 0).next()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_read_back_as_they_were_put() {
        let mut message = Message::new(18, 0, &[0; 16]);
        message.put_text(3, "eth0");
        message.put_u32(4, 1400);
        message.nest(18, &[], |inner| inner.put_text(1, "veth"));
        let bytes = message.finish(7);
        let (kind, sequence, body, rest) = split(&bytes).unwrap();
        assert_eq!((kind, sequence, rest.len()), (18, 7, 0));
        let found: Vec<(u16, &[u8])> = attributes(&body[16..]).collect();
        assert_eq!(found[0], (3, b"eth0\0".as_slice()));
        assert_eq!(number(found[1].1), Some(1400));
        assert_eq!(attributes(found[2].1).next().and_then(|(_, value)| text(value)), Some("veth"));
    }

    #[test]
    fn cut_or_absurd_bytes_end_the_reading() {
        for bytes in [&[][..], &[3, 0], &[3, 0, 1, 0], &[0, 0, 1, 0], &[255, 255, 1, 0, 9], &[8, 0, 1, 0, 1]]
        {
            assert_eq!(attributes(bytes).count(), 0, "{bytes:?}");
        }
        assert!(split(&[16, 0, 0, 0]).is_none());
        assert!(split(&[4, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).is_none());
    }
}
