//! The bytes of the command socket: headers, command numbers and fixed structures, exactly as every LXC lays them out.
//!
//! Pure. Native endianness and LP64 alignment; the layouts are part of the drop-in contract. Source: abi-and-wire.md
//! B2, B4, B5; golden bytes B7.

pub use crate::console::ConsoleLogRequest;

/// Most bytes that may follow a header, in both directions; console logs are the exception.
pub const DATA_MAX: usize = 8192;

/// Bytes of both headers.
pub const HEADER: usize = 16;

/// Immediate in ADD_STATE_CLIENT's reply: the state is not there yet, a message will follow.
pub const WILL_NOTIFY: i32 = 8;

/// Number of container states, and of words in ADD_STATE_CLIENT's request.
pub const STATES: usize = 8;

/// Most descriptors in one reply (GET_CGROUP_CTX).
pub const MAX_FDS: usize = 20;

macro_rules! commands {
    ($($number:literal $name:ident)*) => {
        /// The 27 commands. Numbers are stable; releases only append.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(i32)]
        pub enum Command {
            $($name = $number,)*
        }

        impl Command {
            pub const ALL: &'static [Command] = &[$(Command::$name),*];

            /// `None` for a number newer than we are, or nonsense.
            pub fn from_number(number: i32) -> Option<Command> {
                match number {
                    $($number => Some(Command::$name),)*
                    _ => None,
                }
            }
        }
    };
}

commands! {
     0 GetTtyFd
     1 TerminalWinch
     2 Stop
     3 GetState
     4 GetInitPid
     5 GetCloneFlags
     6 GetCgroup
     7 GetConfigItem
     8 GetName
     9 GetLxcpath
    10 AddStateClient
    11 ConsoleLog
    12 ServeStateClients
    13 SeccompNotifyAddListener
    14 AddBpfDeviceCgroup
    15 Freeze
    16 Unfreeze
    17 GetCgroup2Fd
    18 GetInitPidfd
    19 GetLimitCgroup
    20 GetLimitCgroup2Fd
    21 GetDevptsFd
    22 GetSeccompNotifyFd
    23 GetCgroupCtx
    24 GetCgroupFd
    25 GetLimitCgroupFd
    26 GetSystemdScope
}

impl Command {
    pub fn number(self) -> i32 {
        self as i32
    }
}

/// An immediate in a data word: the original casts an int to a pointer, which sign-extends.
pub fn immediate(value: i32) -> u64 {
    i64::from(value).cast_unsigned()
}

/// The int in a data word. Only meaningful when no payload follows; otherwise the word is a stale pointer.
pub fn immediate_of(word: u64) -> i32 {
    i32::from_ne_bytes(low_bytes(word))
}

fn low_bytes(word: u64) -> [u8; 4] {
    u32::try_from(word & 0xffff_ffff).unwrap_or(0).to_ne_bytes()
}

/// `int32 cmd, int32 datalen, u64 data`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    pub command: i32,
    /// Bytes that follow; negative behaves like 0.
    pub datalen: i32,
    pub data: u64,
}

/// `int32 ret, int32 datalen, u64 data`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResponseHeader {
    /// 0, a negative errno, or (some commands) a positive value.
    pub ret: i32,
    pub datalen: i32,
    pub data: u64,
}

impl RequestHeader {
    pub fn encode(self) -> [u8; HEADER] {
        encode_header(self.command, self.datalen, self.data)
    }

    pub fn decode(bytes: [u8; HEADER]) -> RequestHeader {
        let (command, datalen, data) = decode_header(bytes);
        RequestHeader { command, datalen, data }
    }

    /// Bytes of payload to expect; `None` when the peer announces more than is allowed.
    pub fn payload_len(self) -> Option<usize> {
        let len = usize::try_from(self.datalen).unwrap_or(0);
        (len <= DATA_MAX).then_some(len)
    }
}

impl ResponseHeader {
    pub fn encode(self) -> [u8; HEADER] {
        encode_header(self.ret, self.datalen, self.data)
    }

    pub fn decode(bytes: [u8; HEADER]) -> ResponseHeader {
        let (ret, datalen, data) = decode_header(bytes);
        ResponseHeader { ret, datalen, data }
    }
}

fn encode_header(first: i32, second: i32, data: u64) -> [u8; HEADER] {
    let mut out = Writer::<HEADER>::default();
    out.i32(first).i32(second).bytes(&data.to_ne_bytes());
    out.buffer
}

fn decode_header(bytes: [u8; HEADER]) -> (i32, i32, u64) {
    let mut input = Reader(&bytes);
    (input.i32(), input.i32(), input.u64())
}

/// Fills a fixed-size structure from the front; what does not fit is a bug caught by the tests.
struct Writer<const N: usize> {
    buffer: [u8; N],
    at: usize,
}

impl<const N: usize> Default for Writer<N> {
    fn default() -> Self {
        Writer { buffer: [0; N], at: 0 }
    }
}

impl<const N: usize> Writer<N> {
    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        if let Some(target) = self.buffer.get_mut(self.at..self.at + bytes.len()) {
            target.copy_from_slice(bytes);
        }
        self.at += bytes.len();
        self
    }

    fn i32(&mut self, value: i32) -> &mut Self {
        self.bytes(&value.to_ne_bytes())
    }

    fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_ne_bytes())
    }

    fn pad(&mut self, count: usize) -> &mut Self {
        self.at += count;
        self
    }
}

/// Reads a structure from the front; missing bytes read as zero, so decoders of variable size stay total.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        let have = self.0.len().min(N);
        let (head, rest) = self.0.split_at(have);
        for (to, from) in out.iter_mut().zip(head) {
            *to = *from;
        }
        self.0 = rest;
        out
    }

    fn i32(&mut self) -> i32 {
        i32::from_ne_bytes(self.take())
    }

    fn u32(&mut self) -> u32 {
        u32::from_ne_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_ne_bytes(self.take())
    }

    fn bool(&mut self) -> bool {
        self.take::<1>() != [0]
    }
}

/// A string payload including its NUL.
pub fn encode_string(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() + 1);
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(0);
    bytes
}

/// The text of a string payload: exactly one NUL, at the end.
pub fn decode_string(payload: &[u8]) -> Option<String> {
    let (last, text) = payload.split_last()?;
    (*last == 0 && !text.contains(&0)).then(|| String::from_utf8_lossy(text).into_owned())
}

/// How the monitor's host lays out its cgroup hierarchies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i32)]
pub enum CgroupLayout {
    #[default]
    Unknown = -1,
    Legacy = 0,
    Hybrid = 1,
    Unified = 2,
}

impl CgroupLayout {
    pub fn from_number(number: i32) -> CgroupLayout {
        match number {
            0 => CgroupLayout::Legacy,
            1 => CgroupLayout::Hybrid,
            2 => CgroupLayout::Unified,
            _ => CgroupLayout::Unknown,
        }
    }
}

/// Bit in `utilities`: device rules work on the unified hierarchy.
pub const UTILITY_DEVICES: u32 = 1;
/// Bit in `utilities`: the freezer works on the unified hierarchy.
pub const UTILITY_FREEZER: u32 = 2;

/// File system magic of a version 1 hierarchy (`CGROUP_SUPER_MAGIC`).
pub const CGROUP_V1: i32 = 0x27_e0eb;
/// File system magic of the unified hierarchy (`CGROUP2_SUPER_MAGIC`).
pub const CGROUP_V2: i32 = 0x6367_7270;

/// Payload of GET_CGROUP_FD and GET_LIMIT_CGROUP_FD, both ways.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CgroupFd {
    pub layout: CgroupLayout,
    pub utilities: u32,
    /// `CGROUP_V1`, `CGROUP_V2`, or 0 in a request for any.
    pub kind: i32,
    /// A number that means nothing to the reader: -9 in a request, the server's own in a reply.
    pub fd: i32,
    /// At most 63 bytes.
    pub controller: String,
}

/// Bytes of the controller name in `CgroupFd`, including its NUL.
const CONTROLLER: usize = 64;

impl CgroupFd {
    pub const SIZE: usize = 80;

    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut name = [0u8; CONTROLLER];
        for (to, from) in name.iter_mut().take(CONTROLLER - 1).zip(self.controller.as_bytes()) {
            *to = *from;
        }
        let mut out = Writer::<{ Self::SIZE }>::default();
        out.i32(self.layout as i32).u32(self.utilities).i32(self.kind).i32(self.fd).bytes(&name);
        out.buffer
    }

    /// Total: a short payload reads as if padded with zeroes, an unterminated name ends at its 63rd byte.
    pub fn decode(payload: &[u8]) -> CgroupFd {
        let mut input = Reader(payload);
        let layout = CgroupLayout::from_number(input.i32());
        let (utilities, kind, fd) = (input.u32(), input.i32(), input.i32());
        let name: [u8; CONTROLLER] = input.take();
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        let name = name.get(..CONTROLLER - 1).unwrap_or(name);
        CgroupFd { layout, utilities, kind, fd, controller: String::from_utf8_lossy(name).into_owned() }
    }
}

/// Payload of GET_CGROUP_CTX's reply; the descriptors themselves ride with the header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CgroupCtx {
    pub layout: CgroupLayout,
    pub utilities: u32,
    pub fd_len: u32,
    /// The server's own numbers.
    pub fds: [i32; MAX_FDS],
}

impl CgroupCtx {
    pub const SIZE: usize = 96;

    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut out = Writer::<{ Self::SIZE }>::default();
        out.i32(self.layout as i32).u32(self.utilities).u32(self.fd_len);
        for fd in self.fds {
            out.i32(fd);
        }
        out.buffer
    }

    /// Total: what a shorter peer left out reads as zero.
    pub fn decode(payload: &[u8]) -> CgroupCtx {
        let mut input = Reader(payload);
        CgroupCtx {
            layout: CgroupLayout::from_number(input.i32()),
            utilities: input.u32(),
            fd_len: input.u32(),
            fds: std::array::from_fn(|_| input.i32()),
        }
    }
}

/// Payload of ADD_BPF_DEVICE_CGROUP: one rule of the device filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceItem {
    /// `a`, `b` or `c`.
    pub kind: u8,
    /// -1 = any.
    pub major: i32,
    pub minor: i32,
    /// Letters of `rwm`, NUL padded.
    pub access: [u8; 4],
    pub allow: bool,
}

impl DeviceItem {
    /// LXC 4.0.11 … 7.0: the 20-byte structure, padding, and two pointers that mean nothing to the reader.
    pub const SIZE: usize = 40;

    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut out = Writer::<{ Self::SIZE }>::default();
        out.bytes(&[self.kind])
            .pad(3)
            .i32(self.major)
            .i32(self.minor)
            .bytes(&self.access)
            .i32(self.allow.into());
        out.buffer
    }

    /// `None` unless `payload` has the current size, a known type, and NUL-terminated access letters.
    pub fn decode(payload: &[u8]) -> Option<DeviceItem> {
        if payload.len() != Self::SIZE {
            return None;
        }
        let mut input = Reader(payload);
        let [kind, _, _, _] = input.take();
        let (major, minor, access, allow) = (input.i32(), input.i32(), input.take(), input.i32());
        let item = DeviceItem { kind, major, minor, access, allow: allow != 0 };
        let letters = item.access.split(|byte| *byte == 0).next().unwrap_or_default();
        let valid = matches!(kind, b'a' | b'b' | b'c')
            && letters.len() < item.access.len()
            && letters.iter().all(|letter| b"rwm".contains(letter));
        valid.then_some(item)
    }
}

impl ConsoleLogRequest {
    pub const SIZE: usize = 24;

    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut out = Writer::<{ Self::SIZE }>::default();
        out.bytes(&[u8::from(self.clear), u8::from(self.read)]).pad(6).bytes(&self.read_max.to_ne_bytes());
        out.bytes(&[u8::from(self.write_logfile)]);
        out.buffer
    }

    pub fn decode(payload: &[u8]) -> Option<ConsoleLogRequest> {
        if payload.len() != Self::SIZE {
            return None;
        }
        let mut input = Reader(payload);
        let (clear, read) = (input.bool(), input.bool());
        let _: [u8; 6] = input.take();
        Some(ConsoleLogRequest { clear, read, read_max: input.u64(), write_logfile: input.bool() })
    }
}

/// Word value in the RUNNING slot of `StateInterest`: stay registered across a reboot.
pub const SURVIVE_REBOOT: i32 = 2;

/// Payload of ADD_STATE_CLIENT: one word per state, non-zero = tell me.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateInterest(pub [i32; STATES]);

impl StateInterest {
    pub const SIZE: usize = 32;

    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut out = Writer::<{ Self::SIZE }>::default();
        for word in self.0 {
            out.i32(word);
        }
        out.buffer
    }

    pub fn decode(payload: &[u8]) -> Option<StateInterest> {
        if payload.len() != Self::SIZE {
            return None;
        }
        let mut input = Reader(payload);
        Some(StateInterest(std::array::from_fn(|_| input.i32())))
    }
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
