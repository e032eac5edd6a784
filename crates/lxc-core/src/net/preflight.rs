//! Looks whether the host has what the plan needs, before anything is created. Changes nothing.
//!
//! Between this and set-up the host may change; set-up finds out again by itself and undoes what it did.

use lxc_conf::model::{Gateway, UntaggedVlan, VethMode};
use rustix::io::Errno;

use crate::error::{Error, ErrorKind, Result};

use super::answer::{LinkFacts, address_of, pick_gateway};
use super::plan::{LinkKind, LinkPlan, NetPlan, PhysLink};
use super::raw::Route;
use super::request;
use super::sysctl;

/// Checks bridges, parents, physical devices, host names, automatic gateways and sysctls.
///
/// - Context: caller or monitor, in the host's network namespace, after the pre-start hooks (they may make a bridge).
/// - Errors: `NotFound`, `AlreadyExists` or `Config`, naming key, configuration line and a cure.
pub fn preflight(plan: &NetPlan) -> Result<()> {
    if !plan.needs_netlink() {
        return Ok(());
    }
    let mut host = Route::open()?;
    for link in &plan.links {
        check(&mut host, link).map_err(|error| error.at(&link.origin))?;
    }
    Ok(())
}

fn check(host: &mut Route, link: &LinkPlan) -> Result<()> {
    let parent = match (&link.kind, link.link()) {
        (LinkKind::Empty, _) | (_, None) => None,
        (LinkKind::Phys { link: PhysLink::Prefix(prefix) }, _) => {
            let links = host.links()?;
            return match links.iter().any(|facts| facts.name.starts_with(prefix.as_str())) {
                true => Ok(()),
                false => Err(missing(link, &format!("{prefix}+"))),
            };
        }
        (_, Some(name)) => match host.link(&request::link_named(&name))? {
            Some(facts) => Some(facts),
            None => return Err(missing(link, &name)),
        },
    };
    if let LinkKind::Veth(veth) = &link.kind {
        if let Some(pair) = &veth.pair
            && host.link(&request::link_named(pair))?.is_some()
        {
            return Err(pair_exists(link, pair));
        }
        if let (Some(_), Some(facts)) = (veth.bridge(), &parent) {
            check_vlans(link, facts)?;
        }
        if veth.mode == VethMode::Router && matches!(link.gateway6, Some(Gateway::Addr(_) | Gateway::Auto)) {
            sysctl::require("ipv6", "all", "forwarding")?;
        }
    }
    if let Some(facts) = &parent {
        check_gateways(host, link, facts)?;
        check_l2proxy(link, &facts.name)?;
    }
    Ok(())
}

fn check_gateways(host: &mut Route, link: &LinkPlan, parent: &LinkFacts) -> Result<()> {
    let auto = [(false, &link.gateway4), (true, &link.gateway6)];
    let auto: Vec<bool> = auto
        .into_iter()
        .filter(|(_, gateway)| **gateway == Some(Gateway::Auto))
        .map(|(ipv6, _)| ipv6)
        .collect();
    if auto.is_empty() {
        return Ok(());
    }
    let addresses: Vec<_> = host.one(&request::addresses(None))?.iter().filter_map(address_of).collect();
    for ipv6 in auto {
        if pick_gateway(&addresses, parent.index, ipv6).is_none() {
            return Err(no_gateway(link, &parent.name, ipv6));
        }
    }
    Ok(())
}

/// The sysctls `l2proxy` leaves to the administrator.
///
/// - Source: lxc.container.conf(5) `lxc.net.[i].l2proxy`.
pub(super) fn check_l2proxy(link: &LinkPlan, parent: &str) -> Result<()> {
    if !link.l2proxy {
        return Ok(());
    }
    if link.addresses.iter().any(|net| net.addr.is_ipv4()) {
        sysctl::require("ipv4", parent, "forwarding")?;
    }
    if link.addresses.iter().any(|net| net.addr.is_ipv6()) {
        sysctl::require("ipv6", parent, "proxy_ndp")?;
        sysctl::require("ipv6", parent, "forwarding")?;
    }
    Ok(())
}

/// A native bridge must filter VLANs for `veth.vlan.*` to mean anything.
pub(super) fn check_vlans(link: &LinkPlan, bridge: &LinkFacts) -> Result<()> {
    let LinkKind::Veth(veth) = &link.kind else { return Ok(()) };
    let wanted = veth.vlan.is_some() || !veth.vlan_tagged.is_empty();
    match bridge.bridge {
        Some(facts) if wanted && !facts.vlan_filtering => {
            let key =
                link.key(if veth.vlan == Some(UntaggedVlan::None) { "veth.vlan.id" } else { "veth.vlan" });
            Err(Error::new(
                ErrorKind::Config,
                format!("{key} needs VLAN filtering on bridge {}", bridge.name),
            )
            .cure(format!("run `ip link set {} type bridge vlan_filtering 1`", bridge.name)))
        }
        _ => Ok(()),
    }
}

/// The host lacks the interface a link names.
pub(super) fn missing(link: &LinkPlan, name: &str) -> Error {
    let (what, cure) = match &link.kind {
        LinkKind::Veth(_) => (
            "bridge",
            format!("start lxc-net.service or create the bridge with `ip link add {name} type bridge`"),
        ),
        LinkKind::Phys { .. } => {
            ("device", "`ip link` lists the host's devices; another container may hold this one".to_owned())
        }
        _ => ("parent interface", "`ip link` lists the host's interfaces".to_owned()),
    };
    let message = format!("{} = {name}: there is no such {what} on the host", link.key("link"));
    let mut error = Error::kernel(Errno::NODEV, message).with_kind(ErrorKind::NotFound);
    error = error.cure(cure);
    error.at(&link.origin)
}

/// The host end's name is taken.
pub(super) fn pair_exists(link: &LinkPlan, pair: &str) -> Error {
    let message =
        format!("{} = {pair}: the host already has an interface of that name", link.key("veth.pair"));
    Error::kernel(Errno::EXIST, message)
        .cure(format!("choose another name, or remove a left-over one with `ip link delete {pair}`"))
        .at(&link.origin)
}

/// `gateway = auto` without an address to take.
pub(super) fn no_gateway(link: &LinkPlan, parent: &str, ipv6: bool) -> Error {
    let (family, key) = if ipv6 { ("IPv6", "ipv6.gateway") } else { ("IPv4", "ipv4.gateway") };
    let message = format!("{} = auto: {parent} has no {family} address", link.key(key));
    Error::new(ErrorKind::Config, message)
        .cure(format!("give {parent} an address or write the gateway's into {}", link.key(key)))
        .at(&link.origin)
}
