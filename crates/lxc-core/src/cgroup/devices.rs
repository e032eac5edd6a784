//! Device rules: their grammar, what a list of them means, and the BPF program that says the same.
//!
//! One meaning for both generations: the v1 device controller's. A list is a default plus exceptions; `a` sets the
//! default and clears the exceptions. Not here: loading and attaching (`lxc_sys::bpf`), when to do so (`tree`).

use std::fmt;

use lxc_sys::bpf::Insn;
use rustix::fs::FileType;

/// What happens to devices no exception names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListDefault {
    Allow,
    Deny,
}

impl ListDefault {
    /// The word used in plans.
    pub fn word(self) -> &'static str {
        match self {
            ListDefault::Allow => "denylist",
            ListDefault::Deny => "allowlist",
        }
    }
}

/// Block or character device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    Block,
    Char,
}

/// A set of the accesses `m`, `r`, `w`; the bits are those of `BPF_DEVCG_ACC_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access(u8);

impl Access {
    pub const MKNOD: Access = Access(1);
    pub const READ: Access = Access(2);
    pub const WRITE: Access = Access(4);
    const ALL: Access = Access(7);

    fn parse(text: &str) -> Option<Access> {
        let mut bits = 0;
        for letter in text.chars() {
            bits |= match letter {
                'm' => 1,
                'r' => 2,
                'w' => 4,
                _ => return None,
            };
        }
        (bits != 0 && text.len() <= 3).then_some(Access(bits))
    }

    fn without(self, other: Access) -> Access {
        Access(self.0 & !other.0)
    }

    fn with(self, other: Access) -> Access {
        Access(self.0 | other.0)
    }

    fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (bit, letter) in [(2, "r"), (4, "w"), (1, "m")] {
            if self.0 & bit != 0 {
                f.write_str(letter)?;
            }
        }
        Ok(())
    }
}

/// A set of devices; `None` is `*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceSet {
    pub kind: DeviceKind,
    pub major: Option<u32>,
    pub minor: Option<u32>,
}

impl fmt::Display for DeviceSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = if self.kind == DeviceKind::Block { 'b' } else { 'c' };
        let number = |n: Option<u32>| n.map_or_else(|| "*".to_owned(), |n| n.to_string());
        write!(f, "{letter} {}:{}", number(self.major), number(self.minor))
    }
}

/// What a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceTarget {
    /// `a`: all devices; starts the list over.
    All,
    Set(DeviceSet, Access),
    /// A node of the host, looked up when the rule is applied.
    Node(String, Access),
}

/// One `devices.allow` or `devices.deny` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRule {
    pub allow: bool,
    pub target: DeviceTarget,
}

impl DeviceRule {
    /// Parses a value of `devices.allow` or `devices.deny`.
    ///
    /// - Shape: `a`, or `a|b|c [MAJ:MIN [MODE]]`, or `/dev/PATH MODE`; MAJ and MIN numbers or `*`, MODE 1–3 of r w m. A
    ///   missing or whole range with `a` means all devices.
    /// - Errors: a phrase for the end of a message.
    /// - Source: lxc.container.conf(5); kernel Documentation/admin-guide/cgroup-v1/devices.rst; config.md §2.3.
    pub fn parse(file: &str, value: &str) -> Result<DeviceRule, String> {
        let allow = match file {
            "devices.allow" => true,
            "devices.deny" => false,
            _ => return Err("the file is neither devices.allow nor devices.deny".to_owned()),
        };
        let mut words = value.split_whitespace();
        let first = words.next().ok_or("the rule is empty")?;
        let access = |word: Option<&str>| match word {
            None => Ok(Access::ALL),
            Some(word) => Access::parse(word).ok_or_else(|| format!("`{word}` is not made of r, w and m")),
        };
        let target = match first {
            "a" => {
                if let Some(numbers) = words.next().filter(|numbers| *numbers != "*:*") {
                    // The kernel ignores everything behind `a`; a number there is a misunderstanding worth refusing.
                    return Err(format!("`a` means all devices and takes no `{numbers}`; use b or c"));
                }
                access(words.next())?;
                DeviceTarget::All
            }
            "b" | "c" => {
                let kind = if first == "b" { DeviceKind::Block } else { DeviceKind::Char };
                let numbers = words.next().ok_or("MAJOR:MINOR is missing")?;
                let (major, minor) = numbers.split_once(':').ok_or("MAJOR:MINOR is missing its colon")?;
                let set = DeviceSet { kind, major: number(major)?, minor: number(minor)? };
                DeviceTarget::Set(set, access(words.next())?)
            }
            path if path.starts_with('/') => DeviceTarget::Node(path.to_owned(), access(words.next())?),
            other => return Err(format!("`{other}` is neither a, b, c nor an absolute path")),
        };
        match words.next() {
            None => Ok(DeviceRule { allow, target }),
            Some(word) => Err(format!("`{word}` follows the rule")),
        }
    }

    /// `devices.deny = a`.
    pub fn deny_all() -> DeviceRule {
        DeviceRule { allow: false, target: DeviceTarget::All }
    }

    /// Whether the rule sets the list's default.
    pub fn is_global(&self) -> bool {
        self.target == DeviceTarget::All
    }

    /// The rule in numbers, a path having been looked up.
    ///
    /// - Context: any process; one stat(2) for a path, none otherwise.
    /// - Errors: the errno of stat, or `NODEV` for something that is no device.
    pub fn resolve(&self) -> Result<ResolvedRule, rustix::io::Errno> {
        let set = match &self.target {
            DeviceTarget::All => None,
            DeviceTarget::Set(set, access) => Some((*set, *access)),
            DeviceTarget::Node(path, access) => {
                let stat = rustix::fs::stat(path.as_str())?;
                let kind = match FileType::from_raw_mode(stat.st_mode) {
                    FileType::BlockDevice => DeviceKind::Block,
                    FileType::CharacterDevice => DeviceKind::Char,
                    _ => return Err(rustix::io::Errno::NODEV),
                };
                let set = DeviceSet {
                    kind,
                    major: Some(rustix::fs::major(stat.st_rdev)),
                    minor: Some(rustix::fs::minor(stat.st_rdev)),
                };
                Some((set, *access))
            }
        };
        Ok(ResolvedRule { allow: self.allow, set })
    }
}

impl fmt::Display for DeviceRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.allow { "allow " } else { "deny " })?;
        match &self.target {
            DeviceTarget::All => f.write_str("a"),
            DeviceTarget::Set(set, access) => write!(f, "{set} {access}"),
            DeviceTarget::Node(path, access) => write!(f, "{path} {access}"),
        }
    }
}

fn number(text: &str) -> Result<Option<u32>, String> {
    match text {
        "*" => Ok(None),
        _ => text.parse().map(Some).map_err(|_| format!("`{text}` is neither a device number nor *")),
    }
}

/// A rule without paths; `None` is all devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolvedRule {
    pub allow: bool,
    pub set: Option<(DeviceSet, Access)>,
}

impl ResolvedRule {
    /// The file and the value that say this to the v1 device controller.
    pub fn v1_write(&self) -> (&'static str, String) {
        let file = if self.allow { "devices.allow" } else { "devices.deny" };
        let value = match &self.set {
            None => "a".to_owned(),
            Some((set, access)) => format!("{set} {access}"),
        };
        (file, value)
    }
}

/// What a list of rules comes to.
///
/// - Shape: with `Deny` an access is granted when one exception covers all of it; with `Allow` it is refused when any
///   exception touches it. That is the v1 kernel controller's rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceList {
    default: ListDefault,
    exceptions: Vec<(DeviceSet, Access)>,
}

impl DeviceList {
    /// A list without exceptions.
    pub fn new(default: ListDefault) -> DeviceList {
        DeviceList { default, exceptions: Vec::new() }
    }

    /// Whether it lets everything through.
    pub fn is_open(&self) -> bool {
        self.default == ListDefault::Allow && self.exceptions.is_empty()
    }

    /// Applies one more rule; the order of rules matters as it does to the v1 controller.
    pub fn apply(&mut self, rule: &ResolvedRule) {
        let Some((set, access)) = rule.set else {
            self.default = if rule.allow { ListDefault::Allow } else { ListDefault::Deny };
            self.exceptions.clear();
            return;
        };
        let adds = rule.allow == (self.default == ListDefault::Deny);
        let known = self.exceptions.iter_mut().find(|(known, _)| *known == set);
        match (known, adds) {
            (Some((_, bits)), true) => *bits = bits.with(access),
            (None, true) => self.exceptions.push((set, access)),
            (Some((_, bits)), false) => *bits = bits.without(access),
            (None, false) => {}
        }
        self.exceptions.retain(|(_, bits)| !bits.is_empty());
    }

    /// The list as a BPF_PROG_TYPE_CGROUP_DEVICE program.
    ///
    /// - Source: linux/bpf.h `struct bpf_cgroup_dev_ctx`: access type (device kind in the low half, access in the high
    ///   half), major, minor.
    pub fn program(&self) -> Vec<Insn> {
        const TYPE: u8 = 2;
        const ACCESS: u8 = 3;
        const MAJOR: u8 = 4;
        const MINOR: u8 = 5;
        const SCRATCH: u8 = 1;
        let mut program = vec![
            Insn::load_ctx_word(TYPE, 0),
            Insn::and32(TYPE, 0xffff),
            Insn::load_ctx_word(ACCESS, 0),
            Insn::shr32(ACCESS, 16),
            Insn::load_ctx_word(MAJOR, 4),
            Insn::load_ctx_word(MINOR, 8),
        ];
        let verdict = i32::from(self.default == ListDefault::Deny);
        for (set, access) in &self.exceptions {
            let mut tests = vec![(TYPE, if set.kind == DeviceKind::Block { 1 } else { 2 })];
            tests.extend(set.major.map(|major| (MAJOR, major)));
            tests.extend(set.minor.map(|minor| (MINOR, minor)));
            // Every failed test jumps behind the two instructions that end the program.
            let access_tests = if *access == Access::ALL { 0 } else { 3 };
            let mut remaining = i16::try_from(tests.len()).unwrap_or(3) + access_tests;
            for (register, value) in tests {
                remaining -= 1;
                program.push(Insn::jump_unless_equal(register, value, remaining + 2));
            }
            if access_tests > 0 {
                program.push(Insn::copy32(SCRATCH, ACCESS));
                program.push(Insn::and32(SCRATCH, u32::from(access.0)));
                program.push(match self.default {
                    // All of what is asked for must be granted …
                    ListDefault::Deny => Insn::jump_unless_same(SCRATCH, ACCESS, 2),
                    // … but refusing a part refuses the whole.
                    ListDefault::Allow => Insn::jump_if_equal(SCRATCH, 0, 2),
                });
            }
            program.push(Insn::set64(0, verdict));
            program.push(Insn::exit());
        }
        program.push(Insn::set64(0, 1 - verdict));
        program.push(Insn::exit());
        program
    }

    /// Whether a device access passes; the meaning `program` has to match.
    #[cfg(test)]
    fn permits(&self, kind: DeviceKind, major: u32, minor: u32, access: Access) -> bool {
        let hit = self.exceptions.iter().any(|(set, granted)| {
            set.kind == kind
                && set.major.is_none_or(|m| m == major)
                && set.minor.is_none_or(|m| m == minor)
                && match self.default {
                    ListDefault::Deny => access.without(*granted).is_empty(),
                    ListDefault::Allow => granted.0 & access.0 != 0,
                }
        });
        hit == (self.default == ListDefault::Deny)
    }
}

#[cfg(test)]
mod tests;
