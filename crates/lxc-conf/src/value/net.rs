//! The values of `lxc.net.N.*`: types, modes, addresses, hardware addresses, VLANs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Result, ValueError, number, words};
use crate::model::{
    Gateway, IpNet, IpvlanIsolation, IpvlanMode, MacvlanMode, NicType, UntaggedVlan, VethMode,
};

/// Room for an interface name without its NUL.
pub const IFNAME_MAX: usize = 15;
/// Highest VLAN id.
const VLAN_MAX: u16 = 4094;

pub const TYPES: [(&str, NicType); 7] = [
    ("empty", NicType::Empty),
    ("ipvlan", NicType::Ipvlan),
    ("macvlan", NicType::Macvlan),
    ("none", NicType::None),
    ("phys", NicType::Phys),
    ("veth", NicType::Veth),
    ("vlan", NicType::Vlan),
];

pub const VETH_MODES: [(&str, VethMode); 2] = [("bridge", VethMode::Bridge), ("router", VethMode::Router)];

pub const MACVLAN_MODES: [(&str, MacvlanMode); 4] = [
    ("bridge", MacvlanMode::Bridge),
    ("passthru", MacvlanMode::Passthru),
    ("private", MacvlanMode::Private),
    ("vepa", MacvlanMode::Vepa),
];

pub const IPVLAN_MODES: [(&str, IpvlanMode); 3] =
    [("l2", IpvlanMode::L2), ("l3", IpvlanMode::L3), ("l3s", IpvlanMode::L3s)];

pub const IPVLAN_ISOLATIONS: [(&str, IpvlanIsolation); 3] = [
    ("bridge", IpvlanIsolation::Bridge),
    ("private", IpvlanIsolation::Private),
    ("vepa", IpvlanIsolation::Vepa),
];

/// The value a word of a table stands for.
pub fn word<T: Copy>(table: &[(&str, T)], what: &str, value: &str) -> Result<T> {
    table.iter().find(|(name, _)| *name == value).map(|(_, v)| *v).ok_or_else(|| {
        let names: Vec<&str> = table.iter().map(|(name, _)| *name).collect();
        ValueError::new(format!("unknown {what} {value:?}; expected one of {}", names.join(", ")))
    })
}

/// The word of a table that stands for a value.
pub fn word_of<T: PartialEq>(table: &[(&'static str, T)], value: &T) -> &'static str {
    table.iter().find(|(_, v)| v == value).map_or("", |(name, _)| *name)
}

pub fn parse_type(value: &str) -> Result<NicType> {
    word(&TYPES, "network type", value).map_err(|e| e.compat(format!("Invalid network type {value}")))
}

/// An interface name. The original logs an error and cuts longer names, which then mean another interface.
pub fn parse_ifname(value: &str) -> Result<String> {
    if value.len() > IFNAME_MAX {
        return Err(ValueError::new(format!("interface name {value:?} is longer than {IFNAME_MAX} bytes"))
            .compat(format!("Network device name \"{value}\" is too long (>= 16)")));
    }
    if matches!(value, "." | "..") || value.contains(['/', ':', ' ', '\t']) {
        return Err(ValueError::new(format!("{value:?} is not an interface name")));
    }
    Ok(value.to_owned())
}

/// `A[/P] [BROADCAST]`. Without a prefix length the class of the address gives it.
pub fn parse_ipv4(value: &str) -> Result<IpNet> {
    let invalid = |text: &str| {
        ValueError::new(format!("invalid ipv4 address {text:?}"))
            .compat(format!("Invalid ipv4 address \"{text}\""))
    };
    let mut words = words(value);
    let (_, first) = words.next().ok_or_else(|| invalid(value))?;
    let (text, prefix) = split_prefix(first, 32)?;
    let addr: Ipv4Addr = text.parse().map_err(|_| invalid(text))?;
    let prefix = match prefix {
        Some(prefix) => prefix,
        None => class_prefix(addr).ok_or_else(|| {
            ValueError::new(format!("{text} has no class a prefix length follows from; write {text}/PREFIX"))
        })?,
    };
    let broadcast = match words.next() {
        Some((at, text)) => Some(text.parse().map_err(|_| {
            ValueError::new(format!("invalid broadcast address {text:?}"))
                .at(at)
                .compat(format!("Invalid ipv4 broadcast address \"{value}\""))
        })?),
        None => computed_broadcast(addr, prefix),
    };
    if let Some((at, extra)) = words.next() {
        return Err(ValueError::new(format!("unexpected {extra:?} after the broadcast address")).at(at));
    }
    Ok(IpNet { addr: IpAddr::V4(addr), prefix, broadcast })
}

/// `A[/P]`, P being 64 when missing.
pub fn parse_ipv6(value: &str) -> Result<IpNet> {
    let (text, prefix) = split_prefix(value, 128)?;
    let addr: Ipv6Addr = text.parse().map_err(|_| {
        ValueError::new(format!("invalid ipv6 address {text:?}"))
            .compat(format!("Invalid ipv6 address \"{text}\""))
    })?;
    Ok(IpNet { addr: IpAddr::V6(addr), prefix: prefix.unwrap_or(64), broadcast: None })
}

/// A route destination: the prefix length must be given.
pub fn parse_route(value: &str, v6: bool) -> Result<IpNet> {
    if !value.contains('/') {
        return Err(ValueError::new(format!("route {value:?} has no prefix length")));
    }
    let net = if v6 { parse_ipv6(value) } else { parse_ipv4(value) };
    let net = net.map_err(|e| ValueError { compat: None, ..e })?;
    Ok(IpNet { broadcast: None, ..net })
}

pub fn parse_gateway(value: &str, v6: bool) -> Result<Gateway> {
    let addr = match value {
        "auto" => return Ok(Gateway::Auto),
        "dev" => return Ok(Gateway::Dev),
        _ if v6 => value.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => value.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    };
    let family = if v6 { "ipv6" } else { "ipv4" };
    addr.map(Gateway::Addr).ok_or_else(|| {
        ValueError::new(format!("invalid {family} gateway {value:?}; expected an address, auto or dev"))
            .compat(format!("Invalid {family} gateway address \"{value}\""))
    })
}

fn split_prefix(text: &str, max: u8) -> Result<(&str, Option<u8>)> {
    let Some((addr, prefix)) = text.split_once('/') else {
        return Ok((text, None));
    };
    let n = number::uint(prefix).ok().and_then(|n| u8::try_from(n).ok()).filter(|n| *n <= max);
    match n {
        Some(n) => Ok((addr, Some(n))),
        None => {
            Err(ValueError::new(format!("{prefix:?} is not a prefix length of 0 to {max}"))
                .at(addr.len() + 1))
        }
    }
}

fn class_prefix(addr: Ipv4Addr) -> Option<u8> {
    match addr.octets()[0] {
        0..=127 => Some(8),
        128..=191 => Some(16),
        192..=223 => Some(24),
        _ => None,
    }
}

fn computed_broadcast(addr: Ipv4Addr, prefix: u8) -> Option<Ipv4Addr> {
    let host_bits = u32::MAX.checked_shr(u32::from(prefix)).unwrap_or(0);
    (prefix < 31).then(|| Ipv4Addr::from_bits(addr.to_bits() | host_bits))
}

/// An address as inet_ntop(3) writes it; the standard library differs for `::1.2.3.4`.
pub fn format_addr(addr: IpAddr) -> String {
    if let IpAddr::V6(v6) = addr
        && let [0, 0, 0, 0, 0, 0, hi, lo] = v6.segments()
        && hi != 0
    {
        return format!("::{}", Ipv4Addr::from_bits(u32::from(hi) << 16 | u32::from(lo)));
    }
    addr.to_string()
}

pub fn format_net(net: &IpNet) -> String {
    format!("{}/{}", format_addr(net.addr), net.prefix)
}

pub fn format_gateway(gateway: &Gateway) -> String {
    match gateway {
        Gateway::Auto => "auto".to_owned(),
        Gateway::Dev => "dev".to_owned(),
        Gateway::Addr(addr) => format_addr(*addr),
    }
}

/// Replaces every `x` and `X` by a random hexadecimal digit; the first octet's low digit comes out even, so that the
/// address is not a multicast one. `None` when there is nothing to replace.
pub fn fill_hwaddr(value: &str, mut nibble: impl FnMut() -> u8) -> Option<String> {
    if !value.contains(['x', 'X']) {
        return None;
    }
    let fill = |(at, c): (usize, char)| match c {
        'x' | 'X' => {
            let n = u32::from(nibble() & if at == 1 { 0xe } else { 0xf });
            char::from_digit(n, 16).unwrap_or('0')
        }
        other => other,
    };
    Some(value.chars().enumerate().map(fill).collect())
}

pub fn parse_vlan_id(value: &str) -> Result<u16> {
    number::uint(value)
        .ok()
        .and_then(|n| u16::try_from(n).ok())
        .filter(|n| *n <= VLAN_MAX)
        .ok_or_else(|| ValueError::new(format!("{value:?} is not a VLAN id of 0 to {VLAN_MAX}")))
}

/// `vlan.id`: any 16-bit number, as in the original; the kernel refuses what is no VLAN.
pub fn parse_vlan_number(value: &str) -> Result<u16> {
    number::uint(value)
        .ok()
        .and_then(|n| u16::try_from(n).ok())
        .ok_or_else(|| ValueError::new(format!("{value:?} is not a number of 0 to {}", u16::MAX)))
}

pub fn parse_untagged(value: &str) -> Result<UntaggedVlan> {
    if value == "none" { Ok(UntaggedVlan::None) } else { parse_vlan_id(value).map(UntaggedVlan::Id) }
}

/// A count of queues: at least one.
pub fn parse_queues(value: &str) -> Result<u32> {
    match number::uint(value)? {
        0 => Err(ValueError::new("a veth device has at least one queue")),
        n => Ok(n),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv4_addresses() {
        let text = |v: &str| parse_ipv4(v).map(|n| (format_net(&n), n.broadcast.map(|b| b.to_string())));
        let ok = |a: &str, b: Option<&str>| Ok((a.to_owned(), b.map(str::to_owned)));
        assert_eq!(text("10.0.3.5"), ok("10.0.3.5/8", Some("10.255.255.255")));
        assert_eq!(text("172.16.1.5"), ok("172.16.1.5/16", Some("172.16.255.255")));
        assert_eq!(text("192.168.1.5 192.168.1.254"), ok("192.168.1.5/24", Some("192.168.1.254")));
        assert_eq!(text("1.2.3.4/0"), ok("1.2.3.4/0", Some("255.255.255.255")));
        assert_eq!(text("1.2.3.4/31"), ok("1.2.3.4/31", None));
        assert_eq!(text("1.2.3.4/32"), ok("1.2.3.4/32", None));
        for bad in
            ["", "foo", "1.2.3", "1.2.3.4/33", "1.2.3.4/x", "1.2.3.4 foo", "1.2.3.4 1.2.3.5 x", "230.1.1.1"]
        {
            assert!(parse_ipv4(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ipv6_addresses() {
        let text = |v: &str| parse_ipv6(v).map(|n| format_net(&n));
        assert_eq!(text("FE80:0:0::2/10"), Ok("fe80::2/10".into()));
        assert_eq!(text("fe80::1"), Ok("fe80::1/64".into()));
        assert_eq!(text("::102:304"), Ok("::1.2.3.4/64".into()));
        assert_eq!(text("::1"), Ok("::1/64".into()));
        assert_eq!(text("::ffff:1.2.3.4"), Ok("::ffff:1.2.3.4/64".into()));
        for bad in ["", "foo", "fe80::1/129", "fe80::1/x", "1.2.3.4", "fe80::1%eth0"] {
            assert!(parse_ipv6(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn routes_and_gateways() {
        assert!(parse_route("1.2.3.4", false).is_err());
        assert_eq!(parse_route("10.0.0.0/8", false).map(|n| format_net(&n)), Ok("10.0.0.0/8".into()));
        assert!(parse_route("10.0.0.0/8", true).is_err());
        assert_eq!(parse_gateway("dev", true), Ok(Gateway::Dev));
        assert_eq!(parse_gateway("FE80:0::1", true).map(|g| format_gateway(&g)), Ok("fe80::1".into()));
        assert!(parse_gateway("fe80::1", false).is_err());
        assert!(parse_gateway("1.2.3.4/8", false).is_err());
    }

    #[test]
    fn hardware_addresses_are_filled() {
        assert_eq!(fill_hwaddr("00:16:3e:01:02:03", || 0xf), None);
        assert_eq!(fill_hwaddr("xx:xX:3e", || 0xf).as_deref(), Some("fe:ff:3e"));
        assert_eq!(fill_hwaddr("10:66:6a:xx:xx:xx", || 0xa).as_deref(), Some("10:66:6a:aa:aa:aa"));
    }

    #[test]
    fn vlans_queues_names() {
        assert_eq!(parse_untagged("none"), Ok(UntaggedVlan::None));
        assert_eq!(parse_untagged("0x5"), Ok(UntaggedVlan::Id(5)));
        assert!(parse_untagged("4095").is_err());
        assert!(parse_untagged("NONE").is_err());
        assert!(parse_queues("0").is_err());
        assert!(parse_ifname("abcdefghijklmno").is_ok());
        assert!(parse_ifname("abcdefghijklmnop").is_err());
        assert!(parse_ifname("a/b").is_err());
        assert_eq!(word(&TYPES, "network type", "phys"), Ok(NicType::Phys));
        assert!(parse_type("bridge").unwrap_err().reason.contains("veth"));
    }
}
