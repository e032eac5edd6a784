//! `delete`: takes back a nic of the caller's. Who owns it is decided by owner, type, link and name together
//! (CVE-2026-39402), and for one counted to a group also by where its far end is.

use crate::caller::Caller;
use crate::create::{cull, refused};
use crate::link::{self, Link};
use crate::netns::Netns;
use crate::nicdb::{Database, Entry};
use crate::rtnl::Route;
use crate::{Refusal, Result, ovs};

/// What is to go.
#[derive(Debug)]
pub struct Unwanted<'a> {
    pub kind: &'a str,
    pub link: &'a str,
    pub nic: &'a str,
    pub netns: &'a Netns,
}

/// Deletes the nic and its line of the record.
///
/// - Context: after `become_root`, with the record locked.
pub fn delete(
    caller: &Caller,
    unwanted: &Unwanted<'_>,
    database: &mut Database,
    route: &mut Route,
) -> Result<()> {
    let Unwanted { kind, link, nic, netns } = *unwanted;
    // Before stale lines go: the port of a device that died with its container is still to be deleted.
    let Some(entry) = database.find(&caller.owners, kind, link, nic).cloned() else {
        return Err(Refusal::new(format!("{} has no {kind} {nic} on {link}", caller.user)));
    };
    let device = link::find(route, nic).map_err(|errno| refused("look up", nic, errno))?;
    if let Some(device) = &device {
        belongs(caller, &entry, device, netns, route)?;
    }
    let bridge = match link {
        "none" => None,
        name => link::find(route, name).map_err(|errno| refused("look up", name, errno))?,
    };
    if bridge.is_some_and(|bridge| bridge.kind != "bridge") {
        ovs::delete_port(link, nic)?;
    }
    if let Some(device) = device {
        link::delete(route, device.index).map_err(|errno| refused("delete", nic, errno))?;
    }
    database.entries.retain(|other| *other != entry);
    cull(database, route)?;
    database.save()
}

/// The device is still the one that was recorded, and of a nic counted to a group it is the caller's.
fn belongs(caller: &Caller, entry: &Entry, device: &Link, netns: &Netns, route: &mut Route) -> Result<()> {
    if device.kind != "veth" {
        return Err(Refusal::new(format!("{} is no veth any more", entry.nic)));
    }
    if entry.owner == caller.user {
        return Ok(());
    }
    let number = link::number_of(route, netns).map_err(|errno| refused("number", "the namespace", errno))?;
    if number.is_some() && number == device.peer_netns {
        return Ok(());
    }
    Err(Refusal::new(format!(
        "{} is counted to {} but does not lead into this namespace",
        entry.nic, entry.owner
    )))
}
