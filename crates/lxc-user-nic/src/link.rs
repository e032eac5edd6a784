//! Links: finding one, making a veth pair with its far end already in another namespace, deleting one.
//!
//! The far end is made in its namespace under its final name, so this process never enters a namespace of the caller's and
//! nothing half-made is left when a name is taken. Not here: whether the caller may.

use std::os::fd::{AsFd, AsRawFd};

use lxc_sys::rustix;
use rustix::io::Errno;

use crate::netns::Netns;
use crate::rtnl::{Message, Route, attributes, number, text};

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_NEWNSID: u16 = 88;
const RTM_GETNSID: u16 = 90;
const EXCL: u16 = 0x200;
const CREATE: u16 = 0x400;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_TARGET_NETNSID: u16 = 46;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const NETNSA_NSID: u16 = 1;
const NETNSA_FD: u16 = 3;

const IFF_UP: u32 = 1;

/// What is known of a link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    pub index: u32,
    pub name: String,
    pub mtu: u32,
    /// `bridge`, `veth`, `openvswitch` …; empty for hardware.
    pub kind: String,
    /// Index of the other end of a veth, in the namespace with this number, as ours counts them.
    pub peer: Option<u32>,
    pub peer_netns: Option<u32>,
}

/// A pair to make.
#[derive(Debug)]
pub struct Pair<'a> {
    pub host: &'a str,
    /// May be a pattern, `eth%d`.
    pub inside: &'a str,
    pub netns: &'a Netns,
    /// Of both ends.
    pub mtu: Option<u32>,
    /// Index of the native bridge the host end becomes a port of.
    pub master: Option<u32>,
    pub host_mac: [u8; 6],
}

/// The link called `name`, in this namespace.
pub fn find(route: &mut Route, name: &str) -> Result<Option<Link>, Errno> {
    let mut message = Message::new(RTM_GETLINK, 0, &header(0, 0));
    message.put_text(IFLA_IFNAME, name);
    match route.ask(message) {
        Ok(answers) => Ok(parse(&answers)),
        Err(Errno::NODEV) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// The link with this index, in the namespace numbered so.
///
/// - Errors: `EINVAL` or `EOPNOTSUPP` before Linux 4.16.
pub fn find_in(route: &mut Route, netns: u32, index: u32) -> Result<Option<Link>, Errno> {
    let mut message = Message::new(RTM_GETLINK, 0, &header(index, 0));
    message.put_u32(IFLA_TARGET_NETNSID, netns);
    route.ask(message).map(|answers| parse(&answers))
}

/// Makes the pair; both ends or none.
///
/// - Errors: `EEXIST` when either name is taken.
pub fn create(route: &mut Route, pair: &Pair<'_>) -> Result<(), Errno> {
    let mut message = Message::new(RTM_NEWLINK, CREATE | EXCL, &header(0, IFF_UP));
    message.put_text(IFLA_IFNAME, pair.host);
    message.put(IFLA_ADDRESS, &pair.host_mac);
    if let Some(mtu) = pair.mtu {
        message.put_u32(IFLA_MTU, mtu);
    }
    if let Some(master) = pair.master {
        message.put_u32(IFLA_MASTER, master);
    }
    message.nest(IFLA_LINKINFO, &[], |info| {
        info.put_text(IFLA_INFO_KIND, "veth");
        info.nest(IFLA_INFO_DATA, &[], |data| {
            data.nest(VETH_INFO_PEER, &header(0, 0), |peer| {
                peer.put_text(IFLA_IFNAME, pair.inside);
                if let Some(mtu) = pair.mtu {
                    peer.put_u32(IFLA_MTU, mtu);
                }
                peer.put_u32(IFLA_NET_NS_FD, pair.netns.as_fd().as_raw_fd() as u32);
            });
        });
    });
    route.ask(message).map(drop)
}

/// Deletes a link; no error when it is gone already.
pub fn delete(route: &mut Route, index: u32) -> Result<(), Errno> {
    match route.ask(Message::new(RTM_DELLINK, 0, &header(index, 0))) {
        Ok(_) | Err(Errno::NODEV) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// The number this namespace has for another one; `None` when no link of ours leads there.
pub fn number_of(route: &mut Route, netns: &Netns) -> Result<Option<u32>, Errno> {
    // struct rtgenmsg is one byte, padded.
    let mut message = Message::new(RTM_GETNSID, 0, &[0; 4]);
    message.put_u32(NETNSA_FD, netns.as_fd().as_raw_fd() as u32);
    let answers = route.ask(message)?;
    let found = answers.iter().filter(|(kind, _)| *kind == RTM_NEWNSID).find_map(|(_, body)| {
        attributes(body.get(4..)?).find(|(kind, _)| *kind == NETNSA_NSID).and_then(|(_, value)| number(value))
    });
    // -1: no number was given.
    Ok(found.filter(|number| *number != u32::MAX))
}

/// `struct ifinfomsg`; `flags` are both the bits and which bits are meant.
fn header(index: u32, flags: u32) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    for word in [index, flags, flags] {
        bytes.extend(word.to_ne_bytes());
    }
    bytes
}

fn parse(answers: &[(u16, Vec<u8>)]) -> Option<Link> {
    let (_, body) = answers.iter().find(|(kind, _)| *kind == RTM_NEWLINK)?;
    let mut link = Link { index: number(body.get(4..)?)?, ..Link::default() };
    for (kind, value) in attributes(body.get(16..)?) {
        match kind {
            IFLA_IFNAME => link.name = text(value)?.to_owned(),
            IFLA_MTU => link.mtu = number(value)?,
            IFLA_LINK => link.peer = number(value),
            IFLA_LINK_NETNSID => link.peer_netns = number(value),
            IFLA_LINKINFO => {
                let word = attributes(value).find(|(kind, _)| *kind == IFLA_INFO_KIND);
                link.kind = word.and_then(|(_, value)| text(value)).unwrap_or_default().to_owned();
            }
            _ => {}
        }
    }
    Some(link)
}
