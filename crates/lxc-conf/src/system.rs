//! lxc.conf(5), the system configuration: `key = value` lines, their defaults, and how `lxc-config` finds a key.
//!
//! Pure: the text and the defaults that depend on the caller are arguments. Not here: where the file is
//! (`lxc_core::paths`), printing (`lxc-config`).

/// A key of lxc.conf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SystemKey {
    pub name: &'static str,
    /// The default, unless it is one of [`Defaults`].
    pub default: Option<&'static str>,
    /// `lxc-config` knows it; the others are read by the library only.
    pub listed: bool,
    /// One sentence for the manual page.
    pub doc: &'static str,
}

/// All keys, the listed ones in the order `lxc-config -l` has them.
#[rustfmt::skip]
pub const KEYS: [SystemKey; 9] = [
    SystemKey { name: "lxc.default_config", default: None, listed: true, doc: "Configuration new containers start from." },
    SystemKey { name: "lxc.lxcpath", default: None, listed: true, doc: "Directory all containers are in." },
    SystemKey { name: "lxc.bdev.lvm.vg", default: Some("lxc"), listed: true, doc: "Default LVM volume group." },
    SystemKey { name: "lxc.bdev.lvm.thin_pool", default: Some("lxc"), listed: true, doc: "Default LVM thin pool." },
    SystemKey { name: "lxc.bdev.zfs.root", default: Some("lxc"), listed: true, doc: "Default ZFS dataset." },
    SystemKey { name: "lxc.cgroup.use", default: None, listed: true, doc: "Version 1 controllers that must be usable, separated by commas." },
    SystemKey { name: "lxc.cgroup.pattern", default: None, listed: true, doc: "Pattern of cgroup names; %n is the container's name." },
    SystemKey { name: "lxc.bdev.rbd.rbdpool", default: Some("lxc"), listed: false, doc: "Default RBD pool." },
    SystemKey { name: "lxc.bdev.rbd.rbduser", default: None, listed: false, doc: "RBD user." },
];

/// The defaults that depend on who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    pub lxcpath: String,
    pub default_config: String,
}

/// What `lxc-config ITEM` finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup<'s> {
    Value(&'s str),
    /// A known key without value: `ITEM is not set.`
    Unset,
    /// `Unknown configuration item: ITEM`
    Unknown,
}

/// The system configuration with defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemConfig {
    /// By position in [`KEYS`].
    values: [Option<String>; KEYS.len()],
}

impl SystemConfig {
    /// Reads the text of lxc.conf (empty when there is none). The first line of a key counts; unknown keys and lines
    /// without `=` are skipped; values keep blanks and carriage returns at their end, as in the original.
    pub fn parse(text: &str, defaults: &Defaults) -> SystemConfig {
        let mut values: [Option<String>; KEYS.len()] = Default::default();
        for line in text.split('\n').filter(|line| !line.starts_with('#')) {
            let Some((key, value)) = line.split_once('=') else { continue };
            let key = key.trim_matches(BLANK);
            let slot = KEYS.iter().zip(values.iter_mut()).find(|(k, _)| k.name == key).map(|(_, slot)| slot);
            if let Some(slot @ None) = slot {
                *slot = Some(value.trim_start_matches(BLANK).to_owned());
            }
        }
        for (key, slot) in KEYS.iter().zip(values.iter_mut()) {
            let default = match key.name {
                "lxc.lxcpath" => Some(defaults.lxcpath.as_str()),
                "lxc.default_config" => Some(defaults.default_config.as_str()),
                _ => key.default,
            };
            if slot.is_none() {
                *slot = default.map(str::to_owned);
            }
            if key.name == "lxc.lxcpath"
                && let Some(path) = slot
            {
                path.truncate(path.trim_end_matches('/').len());
            }
        }
        SystemConfig { values }
    }

    /// The value of a key by its exact name (`lxc_get_global_config_item`).
    pub fn get(&self, name: &str) -> Lookup<'_> {
        match KEYS.iter().zip(&self.values).find(|(k, _)| k.name == name) {
            Some((_, Some(value))) => Lookup::Value(value),
            Some((_, None)) => Lookup::Unset,
            None => Lookup::Unknown,
        }
    }

    /// As `lxc-config` looks up: the first listed key that starts with `item`. An empty `item` finds nothing.
    pub fn lookup(&self, item: &str) -> Lookup<'_> {
        match KEYS.iter().find(|k| k.listed && !item.is_empty() && k.name.starts_with(item)) {
            Some(key) => self.get(key.name),
            None => Lookup::Unknown,
        }
    }

    /// The names `lxc-config -l` prints.
    pub fn listed() -> impl Iterator<Item = &'static str> {
        KEYS.iter().filter(|k| k.listed).map(|k| k.name)
    }

    /// Directory of all containers, without slashes at its end.
    pub fn lxcpath(&self) -> &str {
        self.text("lxc.lxcpath")
    }

    /// Configuration new containers start from.
    pub fn default_config(&self) -> &str {
        self.text("lxc.default_config")
    }

    /// `lxc.cgroup.pattern`, when set.
    pub fn cgroup_pattern(&self) -> Option<&str> {
        Some(self.text("lxc.cgroup.pattern")).filter(|t| !t.is_empty())
    }

    /// `lxc.cgroup.use` as words; empty when unset.
    pub fn cgroup_use(&self) -> Vec<&str> {
        self.text("lxc.cgroup.use").split(',').map(str::trim_ascii).filter(|w| !w.is_empty()).collect()
    }

    fn text(&self, name: &str) -> &str {
        match self.get(name) {
            Lookup::Value(value) => value,
            Lookup::Unset | Lookup::Unknown => "",
        }
    }
}

const BLANK: [char; 2] = [' ', '\t'];

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> SystemConfig {
        let defaults =
            Defaults { lxcpath: "/var/lib/lxc".into(), default_config: "/etc/lxc/default.conf".into() };
        SystemConfig::parse(text, &defaults)
    }

    #[test]
    fn lines() {
        for (text, want) in [
            ("", "/var/lib/lxc"),
            ("lxc.lxcpath=/x\n", "/x"),
            ("  lxc.lxcpath\t=\t/x y\n", "/x y"),
            ("lxc.lxcpath = /x/// \n", "/x/// "),
            ("lxc.lxcpath = /x///\n", "/x"),
            ("lxc.lxcpath = /x\nlxc.lxcpath = /y", "/x"),
            ("# lxc.lxcpath = /x\n  # lxc.lxcpath = /z\n", "/var/lib/lxc"),
            ("lxc.lxcpathx = /x\nxlxc.lxcpath = /x\nlxc.lxcpath /x\n", "/var/lib/lxc"),
            ("lxc.lxcpath =\n", ""),
            ("lxc.lxcpath = /\n", ""),
            ("lxc.lxcpath = \"/x\" # c\n", "\"/x\" # c"),
        ] {
            assert_eq!(parse(text).lxcpath(), want, "{text:?}");
        }
    }

    #[test]
    fn lookups_are_by_prefix() {
        let c = parse("lxc.cgroup.pattern = q/%n\nlxc.bdev.zfs.root = tank\n");
        assert_eq!(c.lookup("lxc.l"), Lookup::Value("/var/lib/lxc"));
        assert_eq!(c.lookup("l"), Lookup::Value("/etc/lxc/default.conf"));
        assert_eq!(c.lookup("lxc.bdev.z"), Lookup::Value("tank"));
        assert_eq!(c.lookup("lxc.cgroup"), Lookup::Unset);
        assert_eq!(c.lookup("lxc.cgroup.p"), Lookup::Value("q/%n"));
        for unknown in ["", "-x", "lxc.lxcpathx", "lxc.bdev.rbd.rbdpool"] {
            assert_eq!(c.lookup(unknown), Lookup::Unknown, "{unknown}");
        }
        assert_eq!(c.get("lxc.bdev.rbd.rbdpool"), Lookup::Value("lxc"));
        assert_eq!(c.get("lxc.bdev.rbd.rbduser"), Lookup::Unset);
        assert_eq!(c.get("lxc.l"), Lookup::Unknown);
    }

    #[test]
    fn typed_values() {
        let c = parse("lxc.cgroup.use = memory, pids,\n");
        assert_eq!(c.cgroup_use(), ["memory", "pids"]);
        assert_eq!(c.cgroup_pattern(), None);
        assert_eq!(SystemConfig::listed().count(), 7);
        assert_eq!(SystemConfig::listed().next(), Some("lxc.default_config"));
    }
}
