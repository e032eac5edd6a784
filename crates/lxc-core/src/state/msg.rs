//! `struct lxc_msg`: the 264 bytes that report a state or an exit code on the command socket, the monitor fifo and the
//! monitor socket.
//!
//! Pure. Unchanged from LXC 2.1 to 7.0; Proxmox reads it. Source: abi-and-wire.md C1.

use super::State;

/// Bytes of the name field, including its NUL.
const NAME: usize = 256;

/// One event of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LxcMsg {
    pub name: String,
    pub what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Type 0: a state number.
    State(i32),
    /// Type 1: never sent by anyone.
    Priority(i32),
    /// Type 2: the raw wait status of the container's init.
    ExitCode(i32),
    /// A type we do not know, and its value.
    Other(i32, i32),
}

impl LxcMsg {
    pub const SIZE: usize = 264;

    pub fn state(name: &str, state: State) -> LxcMsg {
        LxcMsg { name: name.to_owned(), what: What::State(state.number()) }
    }

    pub fn exit_code(name: &str, wait_status: i32) -> LxcMsg {
        LxcMsg { name: name.to_owned(), what: What::ExitCode(wait_status) }
    }

    /// The state reported, if this reports a known one.
    pub fn as_state(&self) -> Option<State> {
        match self.what {
            What::State(number) => State::from_number(number),
            _ => None,
        }
    }

    /// Names longer than 255 bytes are cut.
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let (kind, value) = match self.what {
            What::State(value) => (0, value),
            What::Priority(value) => (1, value),
            What::ExitCode(value) => (2, value),
            What::Other(kind, value) => (kind, value),
        };
        let kind: [u8; 4] = i32::to_ne_bytes(kind);
        let value = i32::to_ne_bytes(value);
        let name = self.name.as_bytes();
        let mut name = name.iter().take_while(|byte| **byte != 0).take(NAME - 1);
        let mut bytes = [0; Self::SIZE];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = match at {
                0..4 => kind.get(at).copied().unwrap_or(0),
                4..260 => name.next().copied().unwrap_or(0),
                _ => value.get(at - 260).copied().unwrap_or(0),
            };
        }
        bytes
    }

    /// Total: an unterminated name ends at its 255th byte, bytes that are not UTF-8 are replaced.
    pub fn decode(bytes: &[u8; Self::SIZE]) -> LxcMsg {
        let (kind, rest) = bytes.split_at(4);
        let (name, value) = rest.split_at(NAME);
        let number = |bytes: &[u8]| bytes.first_chunk::<4>().map_or(0, |chunk| i32::from_ne_bytes(*chunk));
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        let name = String::from_utf8_lossy(name.get(..NAME - 1).unwrap_or(name)).into_owned();
        let value = number(value);
        let what = match number(kind) {
            0 => What::State(value),
            1 => What::Priority(value),
            2 => What::ExitCode(value),
            kind => What::Other(kind, value),
        };
        LxcMsg { name, what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_sit_at_0_4_and_260() {
        let bytes = LxcMsg::exit_code("c1", 0x0100).encode();
        assert_eq!(bytes[..8], [2, 0, 0, 0, b'c', b'1', 0, 0]);
        assert_eq!(bytes[260..], 0x0100i32.to_ne_bytes());
        assert!(bytes[8..260].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn long_names_keep_their_terminator() {
        let bytes = LxcMsg::state(&"n".repeat(400), State::Frozen).encode();
        assert_eq!((bytes[258], bytes[259], bytes[260]), (b'n', 0, 6));
        assert_eq!(LxcMsg::decode(&[b'x'; 264]).name.len(), 255);
    }

    proptest! {
        #[test]
        fn messages_survive_the_wire(name in "[a-zA-Z0-9._-]{0,255}", kind in 0i32..5, value: i32) {
            let what = match kind {
                0 => What::State(value),
                1 => What::Priority(value),
                2 => What::ExitCode(value),
                kind => What::Other(kind, value),
            };
            let msg = LxcMsg { name, what };
            prop_assert_eq!(LxcMsg::decode(&msg.encode()), msg);
        }
    }
}
