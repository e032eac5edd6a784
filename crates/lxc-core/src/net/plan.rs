//! What the network configuration means: `Settings` → [`NetPlan`].
//!
//! Pure. Whether a bridge or a parent exists is not asked here (see `preflight`): pre-start hooks may still create it.

use std::fmt;
use std::net::IpAddr;

use lxc_conf::model::{
    Gateway, IpNet, IpvlanIsolation, IpvlanMode, MacvlanMode, Nic, NicType, Ns, Origin, Settings,
    UntaggedVlan, VethMode,
};

use crate::error::{Error, ErrorKind, Result};

/// Longest interface name (IFNAMSIZ without the NUL), in bytes.
pub const NAME_MAX: usize = 15;

/// The template of a name nobody chose; the kernel's own pattern syntax.
pub const DEFAULT_NAME: &str = "eth%d";

/// Facts of the host the plan depends on.
#[derive(Clone, Copy, Debug)]
pub struct HostFacts {
    /// The caller may create links in the host's network namespace (effective uid 0).
    pub privileged: bool,
}

/// Whose network the container sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetNs {
    /// A new network namespace.
    Own,
    /// The monitor's: every nic has type `none`, or `lxc.namespace.keep`/`.clone` leave `net` out.
    Host,
    /// Somebody else's (`lxc.namespace.share.net`).
    Shared,
}

/// Everything the network of one container needs.
#[derive(Clone, Debug)]
pub struct NetPlan {
    pub netns: NetNs,
    /// By ascending index; types `none` are left out, `empty` ones are kept for their scripts.
    pub links: Vec<LinkPlan>,
    /// `lo` must come up: some nic has `flags = up`. See [`NetPlan::child_raises_loopback`] for who does it.
    pub raise_loopback: bool,
}

impl NetPlan {
    /// The monitor has something to do, a link to make or a script to run: the child must open a route socket in its
    /// namespace, send it up and wait.
    pub fn needs_netlink(&self) -> bool {
        self.links.iter().any(|link| {
            link.kind != LinkKind::Empty || link.script_up.is_some() || link.script_down.is_some()
        })
    }

    /// The child itself must raise `lo` (`lxc_sys::netlink::raise_loopback`), because nobody will ask for its socket.
    pub fn child_raises_loopback(&self) -> bool {
        self.raise_loopback && !self.needs_netlink()
    }
}

/// One `lxc.net.N`.
#[derive(Clone, Debug)]
pub struct LinkPlan {
    /// N.
    pub index: u32,
    pub kind: LinkKind,
    pub up: bool,
    /// Name inside, at most 15 bytes; may hold one `%d`. `None` = `eth%d` (phys: its own name).
    pub name: Option<String>,
    pub hwaddr: Option<[u8; 6]>,
    pub mtu: Option<u32>,
    /// IPv4 before IPv6, each in config order.
    pub addresses: Vec<IpNet>,
    pub gateway4: Option<Gateway>,
    pub gateway6: Option<Gateway>,
    /// Answer for the addresses on the parent link.
    pub l2proxy: bool,
    pub script_up: Option<String>,
    pub script_down: Option<String>,
    pub origin: Origin,
}

/// What a link is made of, with only what its type can use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// Nothing but scripts.
    Empty,
    Veth(Veth),
    Macvlan {
        parent: String,
        mode: MacvlanMode,
    },
    Ipvlan {
        parent: String,
        mode: IpvlanMode,
        isolation: IpvlanIsolation,
    },
    Vlan {
        parent: String,
        id: u16,
    },
    Phys {
        link: PhysLink,
    },
}

/// A pair of virtual ethernet devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Veth {
    /// Name on the host; `None` = `vethXXXXXX`.
    pub pair: Option<String>,
    /// The bridge; `None` = attached to nothing. In router mode it only serves as the `l2proxy` link.
    pub link: Option<String>,
    pub mode: VethMode,
    pub rx_queues: Option<u32>,
    pub tx_queues: Option<u32>,
    /// Host routes to the host end.
    pub routes: Vec<IpNet>,
    pub vlan: Option<UntaggedVlan>,
    pub vlan_tagged: Vec<u16>,
}

impl Veth {
    /// The bridge the host end becomes a port of.
    pub fn bridge(&self) -> Option<&str> {
        match self.mode {
            VethMode::Bridge => self.link.as_deref(),
            VethMode::Router => None,
        }
    }
}

/// Which host device `type = phys` takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PhysLink {
    Name(String),
    /// `link = eth+`: one whose name starts so.
    Prefix(String),
}

impl fmt::Display for PhysLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PhysLink::Name(name) => f.write_str(name),
            PhysLink::Prefix(prefix) => write!(f, "{prefix}+"),
        }
    }
}

impl LinkPlan {
    /// The word of `lxc.net.N.type`, as scripts see it.
    pub fn type_word(&self) -> &'static str {
        match self.kind {
            LinkKind::Empty => "empty",
            LinkKind::Veth(_) => "veth",
            LinkKind::Macvlan { .. } => "macvlan",
            LinkKind::Ipvlan { .. } => "ipvlan",
            LinkKind::Vlan { .. } => "vlan",
            LinkKind::Phys { .. } => "phys",
        }
    }

    /// `lxc.net.N.link` as configured.
    pub fn link(&self) -> Option<String> {
        match &self.kind {
            LinkKind::Empty => None,
            LinkKind::Veth(veth) => veth.link.clone(),
            LinkKind::Macvlan { parent, .. }
            | LinkKind::Ipvlan { parent, .. }
            | LinkKind::Vlan { parent, .. } => Some(parent.clone()),
            LinkKind::Phys { link } => Some(link.to_string()),
        }
    }

    /// The key `lxc.net.N.SUB`, for messages.
    pub fn key(&self, sub: &str) -> String {
        format!("lxc.net.{}.{sub}", self.index)
    }

    fn gateways(&self) -> impl Iterator<Item = (&'static str, &Gateway, bool)> {
        let has4 = self.addresses.iter().any(|net| net.addr.is_ipv4());
        let has6 = self.addresses.iter().any(|net| net.addr.is_ipv6());
        let four = self.gateway4.iter().map(move |gateway| ("ipv4", gateway, has4));
        four.chain(self.gateway6.iter().map(move |gateway| ("ipv6", gateway, has6)))
    }
}

/// Turns the `lxc.net.*` settings into a plan.
///
/// - Errors: `Config` for what the original only finds out after creating things (a gateway without an address, an
///   unusable MAC, a name twice, …); `Permission` for types that need root.
/// - Source: lxc.container.conf(5) NETWORK; observed on 5.0.2, see docs/undocumented-lxc.md "Network".
pub fn plan(settings: &Settings, facts: &HostFacts) -> Result<NetPlan> {
    let netns = netns(settings);
    if netns != NetNs::Own {
        return Ok(NetPlan { netns, links: Vec::new(), raise_loopback: false });
    }
    let mut links = Vec::new();
    for (index, nic) in &settings.nics {
        if nic.kind == NicType::None {
            continue;
        }
        let link = link(*index, nic).and_then(|link| {
            check::link(&link, facts)?;
            Ok(link)
        });
        links.push(link.map_err(|error| error.at(&nic.origin))?);
    }
    check::names(&links)?;
    let raise_loopback = links.iter().any(|link| link.up);
    Ok(NetPlan { netns, links, raise_loopback })
}

fn netns(settings: &Settings) -> NetNs {
    let namespaces = &settings.namespaces;
    if namespaces.share.get(Ns::Net as usize).is_some_and(Option::is_some) {
        return NetNs::Shared;
    }
    let kept = namespaces.keep.as_ref().is_some_and(|keep| keep.contains(&Ns::Net));
    let not_cloned = namespaces.clone.as_ref().is_some_and(|clone| !clone.contains(&Ns::Net));
    let none = !settings.nics.is_empty() && settings.nics.values().all(|nic| nic.kind == NicType::None);
    if kept || not_cloned || none { NetNs::Host } else { NetNs::Own }
}

fn bad(what: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Config, what)
}

fn link(index: u32, nic: &Nic) -> Result<LinkPlan> {
    let parent = || match &nic.link {
        Some(link) => device_name(index, "link", link),
        None => Err(bad(format!(
            "lxc.net.{index} has a type that needs a parent, and lxc.net.{index}.link is not set"
        ))
        .cure(format!("name the host's interface in lxc.net.{index}.link"))),
    };
    let kind = match nic.kind {
        NicType::Empty | NicType::None => LinkKind::Empty,
        NicType::Veth => LinkKind::Veth(veth(index, nic)?),
        NicType::Macvlan => LinkKind::Macvlan { parent: parent()?, mode: nic.macvlan_mode },
        NicType::Ipvlan => LinkKind::Ipvlan {
            parent: parent()?,
            // COMPAT: the man page says l3; the original makes l2.
            mode: nic.ipvlan_mode.unwrap_or(IpvlanMode::L2),
            isolation: nic.ipvlan_isolation.unwrap_or(IpvlanIsolation::Bridge),
        },
        NicType::Vlan => LinkKind::Vlan { parent: parent()?, id: nic.vlan_id },
        NicType::Phys => LinkKind::Phys {
            link: match parent()? {
                name if name.ends_with('+') => PhysLink::Prefix(name.trim_end_matches('+').to_owned()),
                name => PhysLink::Name(name),
            },
        },
    };
    let mut addresses = nic.ipv4.clone();
    addresses.extend(nic.ipv6.iter().copied());
    Ok(LinkPlan {
        index,
        kind,
        up: nic.up,
        name: nic.name.as_deref().map(|name| device_name(index, "name", name)).transpose()?,
        hwaddr: nic.hwaddr.as_deref().map(|text| mac(index, text)).transpose()?,
        mtu: nic.mtu.as_deref().map(|text| mtu(index, text)).transpose()?,
        addresses,
        gateway4: nic.ipv4_gateway.clone(),
        gateway6: nic.ipv6_gateway.clone(),
        l2proxy: nic.l2proxy,
        script_up: nic.script_up.clone(),
        script_down: nic.script_down.clone(),
        origin: nic.origin.clone(),
    })
}

fn veth(index: u32, nic: &Nic) -> Result<Veth> {
    let mut routes = nic.veth_routes4.clone();
    routes.extend(nic.veth_routes6.iter().copied());
    let veth = Veth {
        pair: nic.veth_pair.as_deref().map(|name| device_name(index, "veth.pair", name)).transpose()?,
        link: nic.link.as_deref().map(|name| device_name(index, "link", name)).transpose()?,
        mode: nic.veth_mode,
        rx_queues: nic.veth_rx_queues,
        tx_queues: nic.veth_tx_queues,
        routes,
        vlan: nic.veth_vlan,
        vlan_tagged: nic.veth_vlan_tagged.clone(),
    };
    let wants_vlans = veth.vlan.is_some() || !veth.vlan_tagged.is_empty();
    if wants_vlans && veth.bridge().is_none() {
        return Err(bad(format!("lxc.net.{index}.veth.vlan.* needs veth.mode = bridge and a link")));
    }
    if let Some(UntaggedVlan::Id(id)) = veth.vlan
        && veth.vlan_tagged.contains(&id)
    {
        return Err(bad(format!("lxc.net.{index}: vlan {id} is both veth.vlan.id and veth.vlan.tagged.id")));
    }
    Ok(veth)
}

fn device_name(index: u32, sub: &str, name: &str) -> Result<String> {
    let wrong = name.is_empty()
        || name.len() > NAME_MAX
        || name == "."
        || name == ".."
        || name.bytes().any(|byte| byte == b'/' || byte == b':' || byte.is_ascii_whitespace());
    if wrong {
        return Err(bad(format!("lxc.net.{index}.{sub} = {name} is not an interface name"))
            .cure("use at most 15 characters without '/', ':' and blanks"));
    }
    Ok(name.to_owned())
}

fn mac(index: u32, text: &str) -> Result<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = text.split(':');
    let parsed = mac.iter_mut().all(|byte| match parts.next().map(|part| u8::from_str_radix(part, 16)) {
        Some(Ok(value)) => {
            *byte = value;
            true
        }
        _ => false,
    });
    if !parsed || parts.next().is_some() {
        return Err(bad(format!("lxc.net.{index}.hwaddr = {text} is not six hexadecimal octets")));
    }
    if mac[0] & 1 == 1 {
        return Err(bad(format!("lxc.net.{index}.hwaddr = {text} is a multicast address"))
            .cure("make the second hexadecimal digit even"));
    }
    Ok(mac)
}

fn mtu(index: u32, text: &str) -> Result<u32> {
    text.trim().parse().map_err(|_| bad(format!("lxc.net.{index}.mtu = {text} is not a number")))
}

/// The address as a host route's prefix length (32 or 128).
pub fn host_prefix(addr: IpAddr) -> u8 {
    if addr.is_ipv4() { 32 } else { 128 }
}

mod check;
mod print;

#[cfg(test)]
mod tests;
