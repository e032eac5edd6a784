//! A network plan as the lines of a golden file. Not a format anybody parses.

use std::fmt;

use lxc_conf::model::{Gateway, IpvlanIsolation, IpvlanMode, MacvlanMode, UntaggedVlan, VethMode};

use super::{DEFAULT_NAME, LinkKind, LinkPlan, NetNs, NetPlan};

impl fmt::Display for NetPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.netns {
            NetNs::Own => writeln!(f, "net: new namespace")?,
            NetNs::Host => writeln!(f, "net: the host's namespace")?,
            NetNs::Shared => writeln!(f, "net: shared namespace")?,
        }
        for link in &self.links {
            writeln!(f, "{link}")?;
        }
        match (self.raise_loopback, self.child_raises_loopback()) {
            (true, true) => writeln!(f, "net lo: up (by init)"),
            (true, false) => writeln!(f, "net lo: up"),
            (false, _) => Ok(()),
        }
    }
}

impl fmt::Display for LinkPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "net {}: {}", self.index, self.type_word())?;
        match &self.kind {
            LinkKind::Empty => {}
            LinkKind::Veth(veth) => {
                write!(f, " host={}", veth.pair.as_deref().unwrap_or("vethXXXXXX"))?;
                match veth.mode {
                    VethMode::Bridge => write!(f, " bridge={}", veth.link.as_deref().unwrap_or("none"))?,
                    VethMode::Router => f.write_str(" router")?,
                }
                for (word, queues) in [("rx", veth.rx_queues), ("tx", veth.tx_queues)] {
                    if let Some(queues) = queues {
                        write!(f, " {word}-queues={queues}")?;
                    }
                }
                match veth.vlan {
                    Some(UntaggedVlan::None) => f.write_str(" untagged-vlan=none")?,
                    Some(UntaggedVlan::Id(id)) => write!(f, " untagged-vlan={id}")?,
                    None => {}
                }
                for id in &veth.vlan_tagged {
                    write!(f, " tagged-vlan={id}")?;
                }
                for route in &veth.routes {
                    write!(f, " host-route={}/{}", route.addr, route.prefix)?;
                }
            }
            LinkKind::Macvlan { parent, mode } => write!(f, " parent={parent} mode={}", macvlan_word(*mode))?,
            LinkKind::Ipvlan { parent, mode, isolation } => {
                write!(f, " parent={parent} mode={}", ipvlan_word(*mode))?;
                write!(f, " isolation={}", isolation_word(*isolation))?;
            }
            LinkKind::Vlan { parent, id } => write!(f, " parent={parent} id={id}")?,
            LinkKind::Phys { link } => write!(f, " device={link}")?,
        }
        if self.kind != LinkKind::Empty {
            let default = if matches!(self.kind, LinkKind::Phys { .. }) { "its own" } else { DEFAULT_NAME };
            write!(f, " name={}", self.name.as_deref().unwrap_or(default))?;
        }
        if let Some([a, b, c, d, e, g]) = self.hwaddr {
            write!(f, " mac={a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")?;
        }
        if let Some(mtu) = self.mtu {
            write!(f, " mtu={mtu}")?;
        }
        for net in &self.addresses {
            write!(f, " address={}/{}", net.addr, net.prefix)?;
            if let Some(broadcast) = net.broadcast {
                write!(f, "+{broadcast}")?;
            }
        }
        for (family, gateway, _) in self.gateways() {
            match gateway {
                Gateway::Auto => write!(f, " {family}-gateway=auto")?,
                Gateway::Dev => write!(f, " {family}-gateway=dev")?,
                Gateway::Addr(addr) => write!(f, " {family}-gateway={addr}")?,
            }
        }
        if self.up {
            f.write_str(" up")?;
        }
        if self.l2proxy {
            f.write_str(" l2proxy")?;
        }
        for (word, script) in [("script.up", &self.script_up), ("script.down", &self.script_down)] {
            if let Some(script) = script {
                write!(f, " {word}={script:?}")?;
            }
        }
        write!(f, " [{}]", self.origin)
    }
}

/// Word of a macvlan mode.
fn macvlan_word(mode: MacvlanMode) -> &'static str {
    match mode {
        MacvlanMode::Private => "private",
        MacvlanMode::Vepa => "vepa",
        MacvlanMode::Bridge => "bridge",
        MacvlanMode::Passthru => "passthru",
    }
}

/// Word of an ipvlan mode.
fn ipvlan_word(mode: IpvlanMode) -> &'static str {
    match mode {
        IpvlanMode::L2 => "l2",
        IpvlanMode::L3 => "l3",
        IpvlanMode::L3s => "l3s",
    }
}

/// Word of an ipvlan isolation.
fn isolation_word(isolation: IpvlanIsolation) -> &'static str {
    match isolation {
        IpvlanIsolation::Bridge => "bridge",
        IpvlanIsolation::Private => "private",
        IpvlanIsolation::Vepa => "vepa",
    }
}
