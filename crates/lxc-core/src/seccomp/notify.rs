//! The protocol spoken with the proxy of `lxc.seccomp.notify.proxy` about calls that wait for a verdict.
//!
//! One SOCK_SEQPACKET message each way: header, the kernel's notification, an empty response, the cookie; descriptors of
//! the caller's /proc directory, of its memory and of the listener ride along. Not here: the event loop (`monitor`).

use std::os::fd::OwnedFd;

use lxc_conf::model::{NotifyProxy, Settings};
use lxc_sys::notify::{Notification, Response};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use crate::error::{Result, ResultExt};

/// Bytes of the header; see `question`.
const HEADER: usize = 32;
const NOTIFICATION: usize = size_of::<Notification>();
const RESPONSE: usize = size_of::<Response>();

/// Size of the kernel's `struct seccomp_data`.
const DATA: u16 = 64;

/// The configured proxy and, once made, the connection to it.
#[derive(Debug)]
pub struct Proxy {
    address: NotifyProxy,
    cookie: Vec<u8>,
    connection: Option<OwnedFd>,
}

impl Proxy {
    /// Connects to the configured proxy; `None` when there is none.
    ///
    /// - Context: before the container exists, so that a proxy that is not there fails the start as with the original.
    /// - Errors: those of connect(2), with the line of `lxc.seccomp.notify.proxy`.
    pub fn connect(settings: &Settings) -> Result<Option<Proxy>> {
        let Some(address) = settings.seccomp.notify_proxy.clone() else { return Ok(None) };
        let cookie = settings.seccomp.notify_cookie.clone().unwrap_or_default().into_bytes();
        let connection = open(&address).what(|| format!("connect to the seccomp proxy {}", text(&address)));
        let connection = connection.map_err(|error| {
            let origin = settings.origins.get("lxc.seccomp.notify.proxy").cloned().unwrap_or_default();
            error.at(&origin).cure("start the proxy first, or correct lxc.seccomp.notify.proxy")
        })?;
        Ok(Some(Proxy { address, cookie, connection: Some(connection) }))
    }

    /// The same proxy for another listener.
    #[must_use]
    pub fn sibling(&self) -> Proxy {
        Proxy { address: self.address.clone(), cookie: self.cookie.clone(), connection: None }
    }

    /// The connection made earlier, or a new one. It does not block.
    pub fn take_connection(&mut self) -> std::result::Result<OwnedFd, Errno> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => open(&self.address),
        }
    }

    pub fn cookie(&self) -> &[u8] {
        &self.cookie
    }
}

fn text(address: &NotifyProxy) -> String {
    match address {
        NotifyProxy::Path(path) => path.clone(),
        NotifyProxy::Abstract(name) => format!("@{name}"),
    }
}

fn open(address: &NotifyProxy) -> std::result::Result<OwnedFd, Errno> {
    let address = match address {
        NotifyProxy::Path(path) => SocketAddrUnix::new(path.as_str())?,
        NotifyProxy::Abstract(name) => SocketAddrUnix::new_abstract_name(name.as_bytes())?,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    connect(&socket, &address)?;
    Ok(socket)
}

/// The message that asks for a verdict.
///
/// - Shape: u64 0, i32 monitor, i32 init, u16 sizes of notification, response and call data, 2 bytes of padding, u64 length
///   of the cookie; notification; response with only its id set; cookie. Native endianness.
/// - Source: config.md §8; observed: the bytes 5.0.2 sends.
pub fn question(asked: &Notification, monitor: i32, init: i32, cookie: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER + NOTIFICATION + RESPONSE + cookie.len());
    message.extend(0_u64.to_ne_bytes());
    message.extend(monitor.to_ne_bytes());
    message.extend(init.to_ne_bytes());
    for size in [u16::try_from(NOTIFICATION).unwrap_or(0), u16::try_from(RESPONSE).unwrap_or(0), DATA, 0] {
        message.extend(size.to_ne_bytes());
    }
    message.extend((cookie.len() as u64).to_ne_bytes());

    message.extend(asked.id.to_ne_bytes());
    message.extend(asked.pid.to_ne_bytes());
    message.extend(asked.flags.to_ne_bytes());
    message.extend(asked.call.to_ne_bytes());
    message.extend(asked.arch.to_ne_bytes());
    message.extend(asked.instruction_pointer.to_ne_bytes());
    for arg in asked.args {
        message.extend(arg.to_ne_bytes());
    }

    message.extend(asked.id.to_ne_bytes());
    message.extend([0; RESPONSE - 8]);
    message.extend(cookie);
    message
}

/// Most bytes a proxy may answer with.
pub fn reply_room(cookie: &[u8]) -> usize {
    HEADER + NOTIFICATION + RESPONSE + cookie.len()
}

/// The verdict in a proxy's answer.
///
/// - Shape: the question with its response filled in, with or without the cookie.
/// - Errors: `None` for anything shorter, or when it answers another question than `id`.
pub fn verdict(reply: &[u8], id: u64) -> Option<Response> {
    let response = reply.get(HEADER + NOTIFICATION..HEADER + NOTIFICATION + RESPONSE)?;
    let (answered, rest) = response.split_first_chunk::<8>()?;
    let (val, rest) = rest.split_first_chunk::<8>()?;
    let (error, rest) = rest.split_first_chunk::<4>()?;
    let (flags, _) = rest.split_first_chunk::<4>()?;
    let response = Response {
        id: u64::from_ne_bytes(*answered),
        val: i64::from_ne_bytes(*val),
        error: i32::from_ne_bytes(*error),
        flags: u32::from_ne_bytes(*flags),
    };
    (response.id == id).then_some(response)
}

/// What a call gets when nobody can be asked.
pub fn no_verdict(id: u64) -> Response {
    Response { id, val: 0, error: -Errno::NOSYS.raw_os_error(), flags: 0 }
}

/// The caller's /proc directory and its memory.
///
/// They may belong to another process with the same pid until `lxc_sys::notify::is_valid` was asked afterwards.
pub fn evidence(pid: u32) -> std::result::Result<(OwnedFd, OwnedFd), Errno> {
    let directory = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = openat(CWD, format!("/proc/{pid}").as_str(), directory, Mode::empty())?;
    let memory = openat(&directory, "mem", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    Ok((directory, memory))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Notification {
        Notification {
            id: 0x1b5d_5d2d_3834_908f,
            pid: 31219,
            flags: 0,
            call: 259,
            arch: 0xc000_003e,
            instruction_pointer: 0x47_b413,
            args: [0xffff_ff9c, 0x7ffc_e86e_9f9d, 0x21b6, 0x103, 0x1999_9999_9999_9999, 0],
        }
    }

    #[test]
    #[cfg(all(target_arch = "x86_64", target_endian = "little"))]
    fn the_question_is_the_one_the_original_sent() {
        let expected = "0000000000000000f1790000f279000050001800400000000800000000000000\
            8f9034382d5d5d1bf379000000000000030100003e0000c013b44700000000009cffffff000000009d9f6ee8fc7f0000\
            b6210000000000000301000000000000999999999999991900000000000000008f9034382d5d5d1b\
            000000000000000000000000000000006d79636f6f6b6965";
        let sent: String =
            question(&asked(), 31217, 31218, b"mycookie").iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(sent, expected);
    }

    #[test]
    fn a_verdict_is_read_with_and_without_the_cookie() {
        let mut reply = question(&asked(), 1, 2, b"mycookie");
        let at = HEADER + NOTIFICATION + 8;
        reply[at..at + 8].copy_from_slice(&7_i64.to_ne_bytes());
        reply[at + 8..at + 12].copy_from_slice(&(-77_i32).to_ne_bytes());
        let expected = Some(Response { id: asked().id, val: 7, error: -77, flags: 0 });
        assert_eq!(verdict(&reply, asked().id), expected);
        assert_eq!(verdict(&reply[..reply.len() - 8], asked().id), expected);
        assert_eq!(verdict(&reply[..reply.len() - 9], asked().id), None, "too short");
        assert_eq!(verdict(&reply, 1), None, "another question");
        assert_eq!(verdict(&[], 0), None);
    }

    #[test]
    fn a_proxy_that_is_not_there_names_itself_and_the_line() {
        let mut settings = Settings::default();
        assert!(Proxy::connect(&settings).expect("none configured").is_none());
        settings.seccomp.notify_proxy = Some(NotifyProxy::Path("/no/such/proxy".into()));
        let origin = lxc_conf::model::Origin { file: Some("/c/config".into()), line: 3 };
        settings.origins.insert("lxc.seccomp.notify.proxy".into(), origin.clone());
        let error = Proxy::connect(&settings).expect_err("missing");
        assert_eq!(
            error.to_string(),
            "connect to the seccomp proxy /no/such/proxy: No such file or directory"
        );
        assert_eq!(error.origin(), Some(&origin));
    }
}
