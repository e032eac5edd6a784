//! The sub-keys of `lxc.net.N`.

use super::Result;
use crate::error::ConfErrorKind;
use crate::include::Source;
use crate::keys::{Id, Match};
use crate::model::{Nic, NicType, Origin, Settings};
use crate::value::{net, number};

/// The type an interface must have for a key; `None` = any.
pub(crate) fn needed_type(id: Id) -> Option<NicType> {
    match id {
        Id::NicMacvlanMode => Some(NicType::Macvlan),
        Id::NicIpvlanMode | Id::NicIpvlanIsolation => Some(NicType::Ipvlan),
        Id::NicVlanId => Some(NicType::Vlan),
        Id::NicVethMode
        | Id::NicVethRxQueues
        | Id::NicVethTxQueues
        | Id::NicVethPair
        | Id::NicVethIpv4Route
        | Id::NicVethIpv6Route
        | Id::NicVethVlanId
        | Id::NicVethVlanTaggedId => Some(NicType::Veth),
        _ => None,
    }
}

/// Refuses a key that does not fit the type of its interface.
pub(crate) fn check_type(is: NicType, id: Id) -> Result<()> {
    match needed_type(id) {
        Some(needs) if needs != is => Err(ConfErrorKind::WrongNicType {
            is: net::word_of(&net::TYPES, &is),
            needs: net::word_of(&net::TYPES, &needs),
        }),
        _ => Ok(()),
    }
}

/// Applies a value to an interface, which comes to life with its first sub-key.
pub(super) fn apply_nic(
    s: &mut Settings,
    line: &Match<'_>,
    value: &str,
    origin: &Origin,
    source: &dyn Source,
) -> Result<Option<String>> {
    let id = line.key.id;
    if id == Id::NicType {
        // A type forgets what was set for the index before it.
        let nic = Nic { kind: net::parse_type(value)?, origin: origin.clone(), ..Nic::default() };
        s.nics.insert(line.nic, nic);
        return Ok(None);
    }
    let kind = s.nics.get(&line.nic).map_or(NicType::Empty, |nic| nic.kind);
    check_type(kind, id)?;
    // Worked out on a copy, so that a bad value leaves no half-made interface.
    let mut nic =
        s.nics.get(&line.nic).cloned().unwrap_or_else(|| Nic { origin: origin.clone(), ..Nic::default() });
    let mut filled = None;
    match id {
        Id::NicLink => nic.link = Some(net::parse_ifname(value)?),
        Id::NicFlags => nic.up = true,
        Id::NicName => nic.name = Some(net::parse_ifname(value)?),
        Id::NicHwaddr => {
            filled = net::fill_hwaddr(value, || source.random_nibble());
            nic.hwaddr = Some(filled.clone().unwrap_or_else(|| value.to_owned()));
        }
        Id::NicMtu => nic.mtu = Some(value.to_owned()),
        Id::NicIpv4Address => nic.ipv4.push(net::parse_ipv4(value)?),
        Id::NicIpv4Gateway => nic.ipv4_gateway = Some(net::parse_gateway(value, false)?),
        Id::NicIpv6Address => nic.ipv6.push(net::parse_ipv6(value)?),
        Id::NicIpv6Gateway => nic.ipv6_gateway = Some(net::parse_gateway(value, true)?),
        Id::NicL2proxy => nic.l2proxy = number::boolean(value)?,
        Id::NicScriptUp => nic.script_up = Some(value.to_owned()),
        Id::NicScriptDown => nic.script_down = Some(value.to_owned()),
        Id::NicMacvlanMode => nic.macvlan_mode = net::word(&net::MACVLAN_MODES, "macvlan mode", value)?,
        Id::NicIpvlanMode => nic.ipvlan_mode = Some(net::word(&net::IPVLAN_MODES, "ipvlan mode", value)?),
        Id::NicIpvlanIsolation => {
            nic.ipvlan_isolation = Some(net::word(&net::IPVLAN_ISOLATIONS, "ipvlan isolation", value)?);
        }
        Id::NicVlanId => nic.vlan_id = net::parse_vlan_number(value)?,
        Id::NicVethMode => nic.veth_mode = net::word(&net::VETH_MODES, "veth mode", value)?,
        Id::NicVethRxQueues => nic.veth_rx_queues = Some(net::parse_queues(value)?),
        Id::NicVethTxQueues => nic.veth_tx_queues = Some(net::parse_queues(value)?),
        Id::NicVethPair => nic.veth_pair = Some(net::parse_ifname(value)?),
        Id::NicVethIpv4Route => nic.veth_routes4.push(net::parse_route(value, false)?),
        Id::NicVethIpv6Route => nic.veth_routes6.push(net::parse_route(value, true)?),
        Id::NicVethVlanId => nic.veth_vlan = Some(net::parse_untagged(value)?),
        Id::NicVethVlanTaggedId => nic.veth_vlan_tagged.push(net::parse_vlan_id(value)?),
        _ => {}
    }
    s.nics.insert(line.nic, nic);
    Ok(filled)
}
