//! Taking links away again: after a failed set-up and when the container has ended.
//!
//! Blocking and without a runtime. Every step is tried; failures are collected, none stops the rest.

use std::fs::File;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;

use crate::error::{Error, ErrorKind, Result, ResultExt};

use super::answer::LinkFacts;
use super::raw::Route;
use super::request;
use super::script::{ScriptCall, Scripts};
use super::usernic::UserNic;
use super::{names, ovs};

/// One thing to take back.
#[derive(Clone, Debug)]
pub(super) enum Undo {
    /// A device on the host; a veth takes its peer along.
    HostLink {
        name: String,
    },
    /// A device in the container that must not outlive it: the kernel frees a dead namespace later, and until then a
    /// macvlan keeps its MAC busy on the parent, which breaks reboots.
    InsideLink {
        index: Option<u32>,
        name: String,
    },
    /// A device of the host inside the container.
    Phys(Borrowed),
    OvsPort {
        bridge: String,
        port: String,
    },
    /// The same for a user without privileges.
    UserPort {
        user: UserNic,
        bridge: String,
        port: String,
    },
    Proxy {
        index: u32,
        name: String,
        addr: IpAddr,
    },
    /// Host route to a container's address through `lo` (l2proxy of an ipvlan).
    LoopbackRoute {
        addr: IpAddr,
    },
    Script(ScriptCall),
}

/// What a physical device was before the container got it.
#[derive(Clone, Debug)]
pub(super) struct Borrowed {
    pub(super) host: LinkFacts,
    pub(super) inside_name: String,
    /// Its index inside, once known.
    pub(super) inside_index: Option<u32>,
}

/// Index of `lo` in every network namespace.
pub(super) const LOOPBACK: u32 = 1;

/// Sockets opened when first needed.
struct Sockets<'a> {
    netns: BorrowedFd<'a>,
    host: Option<Route>,
    inside: Option<Route>,
}

impl Sockets<'_> {
    fn host(&mut self) -> Result<&mut Route> {
        match &mut self.host {
            Some(route) => Ok(route),
            none => Ok(none.insert(Route::open()?)),
        }
    }

    fn inside(&mut self) -> Result<&mut Route> {
        match &mut self.inside {
            Some(route) => Ok(route),
            none => Ok(none.insert(Route::open_in(self.netns)?)),
        }
    }
}

/// Takes everything back: physical devices first, then link by link in config order.
///
/// - Shape: per link in the order things were done; replayed backwards.
pub(super) fn replay(links: &[Vec<Undo>], netns: BorrowedFd<'_>, scripts: &dyn Scripts) -> Vec<Error> {
    let mut sockets = Sockets { netns, host: None, inside: None };
    let mut errors = Vec::new();
    for undo in links.iter().flatten() {
        if let Undo::Phys(borrowed) = undo {
            errors.extend(give_back(&mut sockets, borrowed).err());
        }
    }
    for undo in links.iter().flat_map(|link| link.iter().rev()) {
        errors.extend(step(&mut sockets, undo, scripts).err());
    }
    errors
}

fn step(sockets: &mut Sockets<'_>, undo: &Undo, scripts: &dyn Scripts) -> Result<()> {
    match undo {
        Undo::HostLink { name } => delete(sockets.host()?, None, name),
        Undo::InsideLink { index, name } => delete(sockets.inside()?, *index, name),
        Undo::Phys(_) => Ok(()),
        Undo::OvsPort { bridge, port } => ovs::delete_port(bridge, port),
        Undo::UserPort { user, bridge, port } => user.delete(sockets.netns, bridge, port),
        Undo::Proxy { index, name, addr } => {
            forgive(sockets.host()?.one(&request::delete_proxy(*index, name, *addr)).map(drop))
        }
        Undo::LoopbackRoute { addr } => {
            let route = request::Route::to_host(*addr, LOOPBACK);
            forgive(sockets.host()?.one(&request::delete_route(&route, "lo")).map(drop))
        }
        Undo::Script(call) => scripts.run(call),
    }
}

/// What is gone already needs no undoing.
fn forgive(result: Result<()>) -> Result<()> {
    match result {
        Err(error) if matches!(error.errno(), Some(Errno::NODEV | Errno::NOENT | Errno::SRCH)) => Ok(()),
        result => result,
    }
}

/// Deletes a device and looks whether it is gone.
fn delete(route: &mut Route, index: Option<u32>, name: &str) -> Result<()> {
    let wanted = match index {
        Some(index) => request::link_numbered(index),
        None => request::link_named(name),
    };
    let Some(link) = route.link(&wanted)? else { return Ok(()) };
    forgive(route.one(&request::delete_link(link.index, name)).map(drop))?;
    match route.link(&wanted)? {
        None => Ok(()),
        Some(_) => {
            Err(Error::new(ErrorKind::Busy, format!("interface {name} is still there after its deletion")))
        }
    }
}

/// Moves a physical device home under its old name, with its old MTU and MAC.
fn give_back(sockets: &mut Sockets<'_>, borrowed: &Borrowed) -> Result<()> {
    let old = &borrowed.host.name;
    let home = File::open("/proc/thread-self/ns/net").what(|| "open the host's network namespace")?;
    let inside = sockets.inside()?;
    // The container may have renamed it, so the index comes first; the name serves when the index was never learnt.
    let found = match borrowed.inside_index {
        Some(index) => inside.link(&request::link_numbered(index))?,
        None => inside.link(&request::link_named(&borrowed.inside_name))?,
    };
    let Some(found) = found else {
        // Never moved, or the container handed it on to somebody else.
        return match sockets.host()?.link(&request::link_named(old))? {
            Some(_) => Ok(()),
            None => Err(Error::new(
                ErrorKind::NotFound,
                format!("give interface {old} back: it left the container"),
            )),
        };
    };
    let mut name = old.clone();
    let mut taken = None;
    match inside.one(&request::move_link(found.index, &found.name, home.as_fd(), old, None, None)) {
        Ok(_) => {}
        Err(error) if error.errno() == Some(Errno::EXIST) => {
            // Somebody took the name meanwhile. Home under another name beats lost with the namespace.
            name = names::transient("phys")?;
            inside.one(&request::move_link(found.index, &found.name, home.as_fd(), &name, None, None))?;
            let message = format!("give interface {old} back: the name is in use, it is now {name}");
            taken = Some(
                Error::new(ErrorKind::AlreadyExists, message)
                    .cure(format!("free the name and run `ip link set {name} name {old}`")),
            );
        }
        Err(error) => return Err(error),
    }
    let host = sockets.host()?;
    let Some(back) = host.link(&request::link_named(&name))? else {
        return Err(Error::new(ErrorKind::NotFound, format!("interface {name} did not arrive on the host")));
    };
    let mac = Some(borrowed.host.mac.as_slice()).filter(|mac| *mac != back.mac.as_slice() && !mac.is_empty());
    if mac.is_some() || back.mtu != borrowed.host.mtu {
        host.one(&request::set_link(back.index, &name, Some(borrowed.host.mtu), mac))?;
    }
    taken.map_or(Ok(()), Err)
}
