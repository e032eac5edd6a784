//! The command socket of a container: wire format, typed requests and replies, and the blocking client.
//!
//! Not here: the serving side (`monitor::serve`). Source: abi-and-wire.md B; protocol unchanged from LXC 2.1 to 7.0.

pub mod client;
pub mod reply;
pub mod request;
pub mod wire;

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::io::Errno;

pub use client::{Client, StateStream, StateWait, TtyLease};
pub use reply::Reply;
pub use request::{Refusal, Request};

use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::paths;

/// Pending connections the kernel queues (abi-and-wire.md B1).
const BACKLOG: i32 = 100;

/// Claims a container's name: the listening command socket, close-on-exec.
///
/// Its existence is what makes a container "running" for every other process in this network namespace; it goes when
/// the last copy of the descriptor is closed.
///
/// - Errors: `AlreadyRunning` when somebody listens on the name.
pub fn bind_listener(lxcpath: &Path, name: &str) -> Result<OwnedFd> {
    let address = paths::command_socket(lxcpath, name);
    let object = || format!("listen on the command socket of container {name}");
    match lxc_sys::socket::listen_abstract(&address, BACKLOG) {
        Err(Errno::ADDRINUSE) => {
            Err(Error::new(ErrorKind::AlreadyRunning, format!("container {name} is already running")))
        }
        other => other.what(object),
    }
}
