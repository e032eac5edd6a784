//! Combinations of `lxc.net.*` settings that cannot work, found before anything is created.

use std::collections::BTreeMap;

use lxc_conf::model::{Gateway, IpvlanMode};

use crate::error::{Error, ErrorKind, Result};

use super::{HostFacts, LinkKind, LinkPlan, PhysLink, Veth, bad};

/// What one link needs that its type alone does not give.
pub(super) fn link(link: &LinkPlan, facts: &HostFacts) -> Result<()> {
    let index = link.index;
    for (family, gateway, has_address) in link.gateways() {
        if !link.up {
            return Err(bad(format!("lxc.net.{index}.{family}.gateway needs lxc.net.{index}.flags = up")));
        }
        if !has_address {
            return Err(bad(format!(
                "lxc.net.{index}.{family}.gateway needs an lxc.net.{index}.{family}.address"
            )));
        }
        if *gateway == Gateway::Auto {
            match &link.kind {
                LinkKind::Veth(Veth { link: Some(_), .. }) | LinkKind::Macvlan { .. } => {}
                LinkKind::Veth(_) => {
                    return Err(bad(format!(
                        "lxc.net.{index}.{family}.gateway = auto needs lxc.net.{index}.link"
                    )));
                }
                _ => {
                    return Err(bad(format!(
                        "lxc.net.{index}.{family}.gateway = auto is only for types veth and macvlan"
                    )));
                }
            }
        }
        if let Gateway::Addr(addr) = gateway
            && addr.is_ipv4() != (family == "ipv4")
        {
            return Err(bad(format!("lxc.net.{index}.{family}.gateway = {addr} is of the other family")));
        }
    }
    if link.l2proxy {
        match &link.kind {
            LinkKind::Ipvlan { mode, .. } if *mode != IpvlanMode::L3s => {
                return Err(bad(format!("lxc.net.{index}.l2proxy on an ipvlan needs ipvlan.mode = l3s")));
            }
            _ if link.link().is_none() => {
                return Err(bad(format!("lxc.net.{index}.l2proxy needs lxc.net.{index}.link")));
            }
            _ => {}
        }
    }
    if !facts.privileged && !matches!(link.kind, LinkKind::Empty | LinkKind::Veth(_)) {
        return Err(Error::new(
            ErrorKind::Permission,
            format!("lxc.net.{index}.type = {} needs root", link.type_word()),
        )
        .cure("unprivileged containers can have types veth (through lxc-user-nic), empty and none"));
    }
    Ok(())
}

/// Refuses names that two nics want; the kernel would refuse the second after creating the first.
pub(super) fn names(links: &[LinkPlan]) -> Result<()> {
    let mut inside: BTreeMap<&str, u32> = BTreeMap::from([("lo", u32::MAX)]);
    let mut host: BTreeMap<&str, u32> = BTreeMap::new();
    for link in links {
        let clash = |sub: &str, name: &str, other: u32| {
            let owner = match other {
                u32::MAX => "the loopback device".to_owned(),
                other => format!("lxc.net.{other}"),
            };
            bad(format!("{} = {name} is already the name of {owner}", link.key(sub))).at(&link.origin)
        };
        let own = match &link.kind {
            LinkKind::Empty => None,
            LinkKind::Phys { link: PhysLink::Name(name) } => link.name.as_deref().or(Some(name)),
            _ => link.name.as_deref(),
        };
        if let Some(name) = own.filter(|name| !name.contains('%'))
            && let Some(other) = inside.insert(name, link.index)
        {
            return Err(clash("name", name, other));
        }
        let outside = match &link.kind {
            LinkKind::Veth(Veth { pair: Some(pair), .. }) => Some(("veth.pair", pair.as_str())),
            LinkKind::Phys { link: PhysLink::Name(name) } => Some(("link", name.as_str())),
            _ => None,
        };
        if let Some((sub, name)) = outside
            && let Some(other) = host.insert(name, link.index)
        {
            return Err(clash(sub, name, other));
        }
    }
    Ok(())
}
