//! Looking for containers inside a container: this process joins the container's namespaces for good.
//!
//! **Context**: a process made for it, single-threaded, before it does anything else.

use std::os::fd::{AsFd, OwnedFd};

use lxc_conf::model::Ns;
use rustix::fs::{CWD, Mode, OFlags, openat};

use super::Sockets;
use crate::error::{Result, ResultExt};

/// Joins the user, mount and network namespaces of `pid`, a container's init, and gives the sockets there.
///
/// The pid namespace is left alone: processes of the container must not see this one, whose program file is the host's.
pub fn enter(pid: i32) -> Result<Sockets> {
    let object = |ns: Ns| move || format!("enter the {} namespace of process {pid}", ns.word());
    let open = |ns: Ns| -> Result<OwnedFd> {
        let path = format!("/proc/{pid}/ns/{}", ns.word());
        openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).what(object(ns))
    };
    let join = |ns: Ns, fd: OwnedFd| lxc_sys::ns::join(fd.as_fd(), ns.clone_flag()).what(object(ns));
    let identity = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/user")).what(object(Ns::User));
    let (mnt, net) = (open(Ns::Mnt)?, open(Ns::Net)?);
    if identity("self")? != identity(&pid.to_string())? {
        join(Ns::User, open(Ns::User)?)?;
        let become_root = || {
            lxc_sys::cred::set_groups(&[])?;
            lxc_sys::cred::set_gids(0)?;
            lxc_sys::cred::set_uids(0)
        };
        become_root().what(|| format!("become root of the container of process {pid}"))?;
    }
    join(Ns::Net, net)?;
    // ORDER: read through the host's procfs, which knows this process; the container's does not.
    let sockets = Sockets::read()?;
    join(Ns::Mnt, mnt)?;
    Ok(sockets)
}
