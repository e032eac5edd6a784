//! Requests of the command socket as values: what a client asks, and how the serving side reads it.
//!
//! Pure. The decoder never trusts a length, a terminator or a number; what it refuses it refuses the way the original
//! does (an errno, or silence).

use rustix::io::Errno;

use super::wire::{
    CgroupFd, Command, ConsoleLogRequest, DeviceItem, RequestHeader, StateInterest, decode_string,
    encode_string, immediate, immediate_of,
};

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// 0 = console, N = that tty, -1 = any free one.
    GetTtyFd {
        tty: i32,
    },
    TerminalWinch,
    Stop,
    GetState,
    GetInitPid,
    GetCloneFlags,
    /// `None` = no payload: the unified hierarchy.
    GetCgroup {
        controller: Option<String>,
    },
    GetConfigItem {
        key: String,
    },
    GetName,
    GetLxcpath,
    AddStateClient(StateInterest),
    ConsoleLog(ConsoleLogRequest),
    /// The raw state number.
    ServeStateClients {
        state: i32,
    },
    /// The listener follows in a second message.
    SeccompNotifyAddListener,
    AddBpfDeviceCgroup(DeviceItem),
    /// Seconds; negative = for ever.
    Freeze {
        timeout: i32,
    },
    Unfreeze {
        timeout: i32,
    },
    GetCgroup2Fd,
    GetInitPidfd,
    GetLimitCgroup {
        controller: Option<String>,
    },
    GetLimitCgroup2Fd,
    GetDevptsFd,
    GetSeccompNotifyFd,
    /// How many bytes of the answer the client has room for.
    GetCgroupCtx {
        room: usize,
    },
    GetCgroupFd {
        wanted: CgroupFd,
        room: usize,
    },
    GetLimitCgroupFd {
        wanted: CgroupFd,
        room: usize,
    },
    GetSystemdScope,
}

/// Why a request is not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A reply with `ret = -errno`.
    Errno(Errno),
    /// The connection is closed without a word.
    Close,
}

const INVALID: Refusal = Refusal::Errno(Errno::INVAL);

impl Request {
    pub fn command(&self) -> Command {
        match self {
            Request::GetTtyFd { .. } => Command::GetTtyFd,
            Request::TerminalWinch => Command::TerminalWinch,
            Request::Stop => Command::Stop,
            Request::GetState => Command::GetState,
            Request::GetInitPid => Command::GetInitPid,
            Request::GetCloneFlags => Command::GetCloneFlags,
            Request::GetCgroup { .. } => Command::GetCgroup,
            Request::GetConfigItem { .. } => Command::GetConfigItem,
            Request::GetName => Command::GetName,
            Request::GetLxcpath => Command::GetLxcpath,
            Request::AddStateClient(_) => Command::AddStateClient,
            Request::ConsoleLog(_) => Command::ConsoleLog,
            Request::ServeStateClients { .. } => Command::ServeStateClients,
            Request::SeccompNotifyAddListener => Command::SeccompNotifyAddListener,
            Request::AddBpfDeviceCgroup(_) => Command::AddBpfDeviceCgroup,
            Request::Freeze { .. } => Command::Freeze,
            Request::Unfreeze { .. } => Command::Unfreeze,
            Request::GetCgroup2Fd => Command::GetCgroup2Fd,
            Request::GetInitPidfd => Command::GetInitPidfd,
            Request::GetLimitCgroup { .. } => Command::GetLimitCgroup,
            Request::GetLimitCgroup2Fd => Command::GetLimitCgroup2Fd,
            Request::GetDevptsFd => Command::GetDevptsFd,
            Request::GetSeccompNotifyFd => Command::GetSeccompNotifyFd,
            Request::GetCgroupCtx { .. } => Command::GetCgroupCtx,
            Request::GetCgroupFd { .. } => Command::GetCgroupFd,
            Request::GetLimitCgroupFd { .. } => Command::GetLimitCgroupFd,
            Request::GetSystemdScope => Command::GetSystemdScope,
        }
    }

    /// Header and payload as a client sends them; the pointer word of a payload is zero.
    pub fn encode(&self) -> (RequestHeader, Vec<u8>) {
        let (data, payload) = match self {
            Request::GetTtyFd { tty: value }
            | Request::ServeStateClients { state: value }
            | Request::Freeze { timeout: value }
            | Request::Unfreeze { timeout: value } => (immediate(*value), Vec::new()),
            Request::GetCgroup { controller: Some(text) }
            | Request::GetLimitCgroup { controller: Some(text) }
            | Request::GetConfigItem { key: text } => (0, encode_string(text)),
            Request::AddStateClient(interest) => (0, interest.encode().to_vec()),
            Request::ConsoleLog(wanted) => (0, wanted.encode().to_vec()),
            Request::AddBpfDeviceCgroup(item) => (0, item.encode().to_vec()),
            Request::GetCgroupCtx { room } => (0, vec![0; *room]),
            Request::GetCgroupFd { wanted, .. } | Request::GetLimitCgroupFd { wanted, .. } => {
                (0, wanted.encode().to_vec())
            }
            _ => (0, Vec::new()),
        };
        let datalen = i32::try_from(payload.len()).unwrap_or(i32::MAX);
        (RequestHeader { command: self.command().number(), datalen, data }, payload)
    }

    /// What a client asked. `payload` holds the bytes the header announced (at most `DATA_MAX`).
    ///
    /// - Errors: the refusal the original gives; a key without terminator is `EINVAL` here although releases up to
    ///   7.0.0 read on (5.0.2 crashes on an empty one).
    pub fn decode(header: RequestHeader, payload: &[u8]) -> Result<Request, Refusal> {
        let command = Command::from_number(header.command).ok_or(Refusal::Errno(Errno::NOSYS))?;
        let value = immediate_of(header.data);
        Ok(match command {
            Command::GetTtyFd => Request::GetTtyFd { tty: value },
            Command::TerminalWinch => Request::TerminalWinch,
            Command::Stop => Request::Stop,
            Command::GetState => Request::GetState,
            Command::GetInitPid => Request::GetInitPid,
            Command::GetCloneFlags => Request::GetCloneFlags,
            Command::GetCgroup => Request::GetCgroup { controller: controller(payload)? },
            Command::GetConfigItem => Request::GetConfigItem {
                key: decode_string(payload).filter(|key| !key.is_empty()).ok_or(INVALID)?,
            },
            Command::GetName => Request::GetName,
            Command::GetLxcpath => Request::GetLxcpath,
            Command::AddStateClient => {
                Request::AddStateClient(StateInterest::decode(payload).ok_or(INVALID)?)
            }
            Command::ConsoleLog => Request::ConsoleLog(ConsoleLogRequest::decode(payload).ok_or(INVALID)?),
            Command::ServeStateClients => Request::ServeStateClients { state: value },
            Command::SeccompNotifyAddListener => Request::SeccompNotifyAddListener,
            Command::AddBpfDeviceCgroup => {
                Request::AddBpfDeviceCgroup(DeviceItem::decode(payload).ok_or(INVALID)?)
            }
            Command::Freeze => Request::Freeze { timeout: timeout(value, payload) },
            Command::Unfreeze => Request::Unfreeze { timeout: timeout(value, payload) },
            Command::GetCgroup2Fd => Request::GetCgroup2Fd,
            Command::GetInitPidfd => Request::GetInitPidfd,
            Command::GetLimitCgroup => Request::GetLimitCgroup { controller: controller(payload)? },
            Command::GetLimitCgroup2Fd => Request::GetLimitCgroup2Fd,
            Command::GetDevptsFd => Request::GetDevptsFd,
            Command::GetSeccompNotifyFd => Request::GetSeccompNotifyFd,
            Command::GetCgroupCtx => Request::GetCgroupCtx { room: payload.len() },
            Command::GetCgroupFd => {
                Request::GetCgroupFd { wanted: cgroup_fd(payload)?, room: payload.len().min(CgroupFd::SIZE) }
            }
            Command::GetLimitCgroupFd => Request::GetLimitCgroupFd {
                wanted: cgroup_fd(payload)?,
                room: payload.len().min(CgroupFd::SIZE),
            },
            Command::GetSystemdScope => Request::GetSystemdScope,
        })
    }
}

fn controller(payload: &[u8]) -> Result<Option<String>, Refusal> {
    match payload {
        [] => Ok(None),
        _ => decode_string(payload).map(Some).ok_or(INVALID),
    }
}

/// Proxmox sends the time-out of FREEZE as a native long after the header instead of as an immediate.
fn timeout(value: i32, payload: &[u8]) -> i32 {
    match payload {
        [] => value,
        _ => payload.first_chunk::<4>().map_or(-1, |bytes| i32::from_ne_bytes(*bytes)),
    }
}

fn cgroup_fd(payload: &[u8]) -> Result<CgroupFd, Refusal> {
    let wanted = CgroupFd::decode(payload);
    if wanted.controller.is_empty() { Err(INVALID) } else { Ok(wanted) }
}
