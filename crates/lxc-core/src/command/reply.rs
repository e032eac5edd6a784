//! Replies of the command socket as values, built by the serving side and taken apart by the client.
//!
//! Not here: when a connection stays open (`monitor::serve`).

use std::os::fd::OwnedFd;

use rustix::io::Errno;

use super::wire::{ResponseHeader, encode_string, immediate};

/// One reply: header words, payload, and descriptors that ride with the header.
#[derive(Debug, Default)]
pub struct Reply {
    pub ret: i32,
    /// Only sent as such when `payload` is empty.
    pub data: u64,
    pub payload: Vec<u8>,
    pub fds: Vec<OwnedFd>,
}

impl Reply {
    /// `ret = 0` and nothing else.
    pub fn ok() -> Reply {
        Reply::default()
    }

    /// `ret = -errno`.
    pub fn errno(errno: Errno) -> Reply {
        Reply { ret: -errno.raw_os_error(), ..Reply::default() }
    }

    /// `ret = 0` and a number in the data word.
    pub fn value(value: i32) -> Reply {
        Reply { data: immediate(value), ..Reply::default() }
    }

    /// `ret = 0` and a NUL-terminated string.
    pub fn string(text: &str) -> Reply {
        Reply { payload: encode_string(text), ..Reply::default() }
    }

    /// `ret = 0` and one descriptor.
    pub fn fd(fd: OwnedFd) -> Reply {
        Reply { fds: vec![fd], ..Reply::default() }
    }

    pub fn header(&self) -> ResponseHeader {
        let datalen = i32::try_from(self.payload.len()).unwrap_or(i32::MAX);
        ResponseHeader { ret: self.ret, datalen, data: if datalen == 0 { self.data } else { 0 } }
    }
}
