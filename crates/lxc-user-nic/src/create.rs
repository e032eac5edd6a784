//! `create`: a veth whose far end is in the caller's namespace, counted against the caller's rules.

use lxc_sys::rustix;
use rustix::io::Errno;

use crate::caller::{Caller, told};
use crate::link::{self, Link, Pair};
use crate::netns::Netns;
use crate::nicdb::{Database, Entry};
use crate::rtnl::Route;
use crate::usernet::{Rule, Usernet};
use crate::{Refusal, Result, ovs};

/// What is wanted.
#[derive(Debug)]
pub struct Wanted<'a> {
    pub kind: &'a str,
    pub link: &'a str,
    /// `None`: the first free `eth%d`.
    pub inside: Option<&'a str>,
    pub netns: &'a Netns,
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    pub inside: String,
    pub inside_index: u32,
    pub host: String,
    pub host_index: u32,
}

/// How often a name is made up before giving in; there are fourteen million.
const ATTEMPTS: usize = 16;

/// Makes the pair and records it.
///
/// - Context: after `become_root`, with the record locked.
pub fn create(
    caller: &Caller,
    wanted: &Wanted<'_>,
    usernet: &Usernet,
    file: &str,
    database: &mut Database,
    route: &mut Route,
) -> Result<Made> {
    if wanted.kind != "veth" {
        return Err(Refusal::new(format!("type {}: only veth can be made", wanted.kind)));
    }
    cull(database, route)?;
    let rule = room(caller, wanted, usernet, file, database)?;
    let bridge = bridge(wanted.link, route)?;
    let native = bridge.as_ref().filter(|bridge| bridge.kind == "bridge");
    for _ in 0..ATTEMPTS {
        let host = host_name(caller.uid)?;
        if link::find(route, &host).map_err(|errno| refused("look up", &host, errno))?.is_some() {
            continue;
        }
        // Recorded first: whoever dies in between leaves a line that the next call drops, never a nic nobody counts.
        database.entries.push(Entry {
            owner: rule.owner.clone(),
            kind: wanted.kind.into(),
            link: wanted.link.into(),
            nic: host.clone(),
        });
        let pair = Pair {
            host: &host,
            inside: wanted.inside.unwrap_or("eth%d"),
            netns: wanted.netns,
            mtu: bridge.as_ref().map(|bridge| bridge.mtu),
            master: native.map(|bridge| bridge.index),
            host_mac: mac()?,
        };
        let made = database.save().and_then(|()| make(&pair, route)).and_then(|made| {
            if bridge.is_some()
                && native.is_none()
                && let Err(refusal) = ovs::add_port(wanted.link, &host)
            {
                link::delete(route, made.host_index).map_err(|errno| refused("delete", &host, errno))?;
                return Err(refusal);
            }
            Ok(made)
        });
        if made.is_err() {
            database.entries.pop();
            database.save()?;
        }
        return made;
    }
    Err(Refusal::new("no free name for an interface was found"))
}

/// Drops the record's lines whose nic is gone.
pub fn cull(database: &mut Database, route: &mut Route) -> Result<()> {
    let mut failed = None;
    database.entries.retain(|entry| match link::find(route, &entry.nic) {
        Ok(link) => link.is_some(),
        // A name no interface can have.
        Err(Errno::RANGE | Errno::INVAL) => false,
        Err(errno) => {
            failed = Some(refused("look up", &entry.nic, errno));
            true
        }
    });
    failed.map_or(Ok(()), Err)
}

/// The first matching rule with room left.
fn room<'a>(
    caller: &Caller,
    wanted: &Wanted<'_>,
    usernet: &'a Usernet,
    file: &str,
    database: &Database,
) -> Result<&'a Rule> {
    let (kind, link) = (wanted.kind, wanted.link);
    let mut full: Vec<String> = Vec::new();
    for rule in &usernet.rules {
        if rule.kind != kind || rule.link != link || !caller.owners.contains(&rule.owner) {
            continue;
        }
        let used = database.used(&rule.owner, kind, link);
        if used < rule.count as usize {
            return Ok(rule);
        }
        full.push(format!("{} uses {used} of {} (line {})", rule.owner, rule.count, rule.line));
    }
    if !full.is_empty() {
        let full = full.join(", ");
        return Err(Refusal::new(format!("Quota reached: {kind} on {link}: {full} of {file}")));
    }
    let unread: Vec<String> =
        usernet.malformed.iter().map(|line| format!("; line {}: {}", line.line, line.why)).collect();
    let names = caller.owners.join(", ");
    Err(Refusal::new(format!(
        "no line of {file} allows {kind} on {link} to any of {names}{}",
        unread.concat()
    )))
}

/// The bridge to attach to; `None` for `none`.
fn bridge(name: &str, route: &mut Route) -> Result<Option<Link>> {
    if name == "none" {
        return Ok(None);
    }
    match link::find(route, name) {
        Ok(Some(link)) => Ok(Some(link)),
        Ok(None) => Err(Refusal::new(format!("there is no bridge {name} on this host"))),
        Err(errno) => Err(refused("look up", name, errno)),
    }
}

fn make(pair: &Pair<'_>, route: &mut Route) -> Result<Made> {
    match link::create(route, pair) {
        Ok(()) => {}
        Err(Errno::EXIST) => {
            return Err(Refusal::new(format!(
                "the container already has an interface called {}",
                pair.inside
            )));
        }
        Err(errno) => return Err(refused("make", pair.host, errno)),
    }
    let host = link::find(route, pair.host).map_err(|errno| refused("look up", pair.host, errno))?;
    let host = host.ok_or_else(|| Refusal::new(format!("{} vanished as soon as it was made", pair.host)))?;
    let inside_index = host.peer.unwrap_or_default();
    let inside = match (pair.inside, host.peer_netns) {
        // A name of the kernel's choice has to be asked for.
        ("eth%d", Some(netns)) => {
            link::find_in(route, netns, inside_index).ok().flatten().map(|link| link.name)
        }
        (name, _) => Some(name.to_owned()),
    };
    let Some(inside) = inside else {
        link::delete(route, host.index).map_err(|errno| refused("delete", pair.host, errno))?;
        return Err(Refusal::new(
            "this kernel does not tell the name of the new interface; name it yourself",
        ));
    };
    Ok(Made { inside, inside_index, host: host.name, host_index: host.index })
}

/// `vethUID_XXXX`, or `vethXXXXXX` for root and for ids that would not fit.
fn host_name(uid: u32) -> Result<String> {
    const LETTERS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let (mut name, count) = match uid {
        1..=65536 => (format!("veth{uid}_"), 4),
        _ => ("veth".to_owned(), 6),
    };
    for byte in random::<6>()?.iter().take(count) {
        let letter = LETTERS.get(usize::from(*byte) % LETTERS.len()).copied().unwrap_or(b'0');
        name.push(char::from(letter));
    }
    Ok(name)
}

/// Local and high: a bridge takes the lowest address of its ports for its own, and must not change when one goes.
fn mac() -> Result<[u8; 6]> {
    let mut mac = random::<6>()?;
    if let Some(first) = mac.first_mut() {
        *first = 0xfe;
    }
    Ok(mac)
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    match rustix::rand::getrandom(bytes.as_mut_slice(), rustix::rand::GetRandomFlags::empty()) {
        Ok(count) if count == N => Ok(bytes),
        Ok(_) => Err(Refusal::new("the kernel gave too few random bytes")),
        Err(errno) => Err(refused("get", "random bytes", errno)),
    }
}

pub(crate) fn refused(verb: &str, object: &str, errno: Errno) -> Refusal {
    Refusal::new(format!("the kernel refused to {verb} {object}: {}", told(errno)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_tell_the_user_and_always_fit() {
        for (uid, prefix, length) in [
            (0, "veth", 10),
            (1, "veth1_", 10),
            (1000, "veth1000_", 13),
            (65536, "veth65536_", 14),
            (65537, "veth", 10),
        ] {
            let name = host_name(uid).unwrap();
            assert!(name.starts_with(prefix) && name.len() == length && name.len() <= 15, "{name}");
        }
        assert_eq!(mac().unwrap()[0], 0xfe);
    }
}
