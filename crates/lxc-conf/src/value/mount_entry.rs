//! `lxc.mount.entry` and the lines of `lxc.mount.fstab`: fstab(5) with the options LXC adds.
//!
//! Flags are those of mount(2). Not here: what is done with an entry (`lxc-core::mounts`).

use super::{Result, ValueError, number, words};
use crate::model::{IdKind, IdMap};

/// Flags of mount(2), as this module names them.
pub mod flag {
    pub const RDONLY: u64 = 1;
    pub const NOSUID: u64 = 1 << 1;
    pub const NODEV: u64 = 1 << 2;
    pub const NOEXEC: u64 = 1 << 3;
    pub const NOSYMFOLLOW: u64 = 1 << 8;
    pub const NOATIME: u64 = 1 << 10;
    pub const NODIRATIME: u64 = 1 << 11;
    pub const BIND: u64 = 1 << 12;
    pub const MOVE: u64 = 1 << 13;
    pub const REC: u64 = 1 << 14;
    pub const UNBINDABLE: u64 = 1 << 17;
    pub const PRIVATE: u64 = 1 << 18;
    pub const SLAVE: u64 = 1 << 19;
    pub const SHARED: u64 = 1 << 20;
    pub const RELATIME: u64 = 1 << 21;
    pub const STRICTATIME: u64 = 1 << 24;
}

/// `create=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Create {
    Dir,
    File,
}

/// `idmap=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdmapSource {
    /// The user namespace of the container.
    Container,
    /// A user namespace file.
    Path(String),
    /// Ranges of their own, `u:0:100000:65536;g:0:100000:65536`: first id of the source, first id on the host, count.
    Maps(Vec<IdMap>),
}

impl IdmapSource {
    /// What comes after `idmap=`.
    pub fn parse(text: &str) -> Result<IdmapSource> {
        match text {
            "" => Err(ValueError::new("idmap= needs \"container\" or the path of a user namespace")),
            "container" => Ok(IdmapSource::Container),
            _ if ["u:", "g:", "b:"].iter().any(|kind| text.starts_with(kind)) => {
                maps(text).map(IdmapSource::Maps)
            }
            path => Ok(IdmapSource::Path(path.to_owned())),
        }
    }
}

impl std::fmt::Display for IdmapSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            IdmapSource::Container => f.write_str("container"),
            IdmapSource::Path(path) => f.write_str(path),
            IdmapSource::Maps(maps) => {
                for (index, map) in maps.iter().enumerate() {
                    let kind = if map.kind == IdKind::User { "u" } else { "g" };
                    let separator = if index == 0 { "" } else { ";" };
                    write!(f, "{separator}{kind}:{}:{}:{}", map.ns_id, map.host_id, map.count)?;
                }
                Ok(())
            }
        }
    }
}

/// `u|g|b:FROM:TO:COUNT`, joined by `;`. Both kinds must be there: files of an unmapped group can't be written to.
fn maps(text: &str) -> Result<Vec<IdMap>> {
    let mut maps = Vec::new();
    for range in text.split(';') {
        let shape = || {
            ValueError::new(format!(
                "{range:?}: expected u, g or b, first id, first id on the host, number of ids"
            ))
        };
        let mut fields = range.split(':');
        let kinds: &[IdKind] = match fields.next() {
            Some("u") => &[IdKind::User],
            Some("g") => &[IdKind::Group],
            Some("b") => &[IdKind::User, IdKind::Group],
            _ => return Err(shape()),
        };
        let mut id = || number::uint(fields.next().ok_or_else(shape)?);
        let (ns_id, host_id, count) = (id()?, id()?, id()?);
        if fields.next().is_some() || count == 0 {
            return Err(shape());
        }
        maps.extend(kinds.iter().map(|kind| IdMap { kind: *kind, ns_id, host_id, count }));
    }
    for (kind, word) in [(IdKind::User, "u"), (IdKind::Group, "g")] {
        if !maps.iter().any(|map| map.kind == kind) {
            return Err(ValueError::new(format!("{text:?} has no range {word}:FIRST:HOST:COUNT")));
        }
    }
    Ok(maps)
}

/// Propagation of a mount; `recursive` for the `r…` words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Propagation {
    /// One of [`flag::PRIVATE`], [`flag::SHARED`], [`flag::SLAVE`], [`flag::UNBINDABLE`].
    pub flag: u64,
    pub recursive: bool,
}

/// The options of an entry or of a root file system, sorted by who understands them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountOptions {
    pub create: Option<Create>,
    /// Failure is ignored.
    pub optional: bool,
    /// The source is relative to the root file system.
    pub relative: bool,
    pub idmap: Option<IdmapSource>,
    /// Flags to set, bind, rbind and move among them.
    pub set: u64,
    /// Flags an option such as `rw` or `dev` takes away.
    pub clear: u64,
    pub propagation: Option<Propagation>,
    /// What the file system itself gets, in order.
    pub data: Vec<String>,
}

impl MountOptions {
    /// `bind` or `rbind`.
    pub fn is_bind(&self) -> bool {
        self.set & flag::BIND != 0
    }

    /// The data options joined by commas, as mount(2) takes them.
    pub fn data_text(&self) -> String {
        self.data.join(",")
    }
}

/// One fstab line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountEntry {
    pub source: String,
    /// As written: relative to the root file system, or absolute.
    pub target: String,
    pub fstype: String,
    pub options: MountOptions,
    pub dump: u32,
    pub pass: u32,
}

/// Option, flags to set, flags to clear. Options that are accepted without effect have neither.
const VFS_OPTIONS: [(&str, u64, u64); 30] = [
    ("async", 0, 0),
    ("atime", 0, flag::NOATIME),
    ("bind", flag::BIND, 0),
    ("defaults", 0, 0),
    ("dev", 0, flag::NODEV),
    ("diratime", 0, flag::NODIRATIME),
    ("dirsync", 0, 0),
    ("exec", 0, flag::NOEXEC),
    ("lazytime", 0, 0),
    ("mand", 0, 0),
    ("move", flag::MOVE, 0),
    ("noatime", flag::NOATIME, 0),
    ("nodev", flag::NODEV, 0),
    ("nodiratime", flag::NODIRATIME, 0),
    ("noexec", flag::NOEXEC, 0),
    ("nolazytime", 0, 0),
    ("nomand", 0, 0),
    ("norelatime", 0, flag::RELATIME),
    ("nostrictatime", 0, flag::STRICTATIME),
    ("nosuid", flag::NOSUID, 0),
    ("nosymfollow", flag::NOSYMFOLLOW, 0),
    ("rbind", flag::BIND | flag::REC, 0),
    ("relatime", flag::RELATIME, 0),
    ("remount", 0, 0),
    ("ro", flag::RDONLY, 0),
    ("rw", 0, flag::RDONLY),
    ("strictatime", flag::STRICTATIME, 0),
    ("suid", 0, flag::NOSUID),
    ("symfollow", 0, flag::NOSYMFOLLOW),
    ("sync", 0, 0),
];

const PROPAGATION: [(&str, u64); 4] = [
    ("private", flag::PRIVATE),
    ("shared", flag::SHARED),
    ("slave", flag::SLAVE),
    ("unbindable", flag::UNBINDABLE),
];

/// Parses one line. Source, target and type are required; missing options are `defaults`.
pub fn parse(line: &str) -> Result<MountEntry> {
    let mut fields = words(line);
    let mut field = |what: &str| {
        fields
            .next()
            .map(|(_, text)| unescape(text))
            .ok_or_else(|| ValueError::new(format!("mount entry {line:?} has no {what}")).at(line.len()))
    };
    let source = field("source")?;
    let target = field("target")?;
    let fstype = field("file system type")?;
    let (at, options) = fields.next().unwrap_or((line.len(), "defaults"));
    let options = parse_options(&unescape(options)).map_err(|e| ValueError { offset: at + e.offset, ..e })?;
    // Like getmntent(3), numbers that are none count as 0 and what follows is ignored.
    let mut number = || fields.next().and_then(|(_, n)| n.parse().ok()).unwrap_or(0);
    let (dump, pass) = (number(), number());
    Ok(MountEntry { source, target, fstype, options, dump, pass })
}

/// Parses a comma-separated option list.
pub fn parse_options(text: &str) -> Result<MountOptions> {
    let mut options = MountOptions::default();
    let mut at = 0;
    for option in text.split(',') {
        apply_option(&mut options, option).map_err(|e| e.at(at))?;
        at += option.len() + 1;
    }
    Ok(options)
}

fn apply_option(options: &mut MountOptions, option: &str) -> Result<()> {
    if let Some((_, set, clear)) = VFS_OPTIONS.iter().find(|(name, _, _)| *name == option) {
        options.set = (options.set & !clear) | set;
        options.clear = (options.clear & !set) | clear;
        return Ok(());
    }
    let (recursive, word) = match option.strip_prefix('r') {
        Some(rest) if PROPAGATION.iter().any(|(name, _)| *name == rest) => (true, rest),
        _ => (false, option),
    };
    if let Some((_, flag)) = PROPAGATION.iter().find(|(name, _)| *name == word) {
        options.propagation = Some(Propagation { flag: *flag, recursive });
        return Ok(());
    }
    match option {
        "" => {}
        "create=dir" => options.create = Some(Create::Dir),
        "create=file" => options.create = Some(Create::File),
        "optional" => options.optional = true,
        "relative" => options.relative = true,
        _ => match option.strip_prefix("idmap=") {
            Some(source) => options.idmap = Some(IdmapSource::parse(source)?),
            None if option.starts_with("create=") => {
                return Err(ValueError::new(format!("{option:?}: expected create=dir or create=file")));
            }
            None => options.data.push(option.to_owned()),
        },
    }
    Ok(())
}

/// Undoes the octal escapes of getmntent(3): space, TAB, newline, backslash (`\040 \011 \012 \134 \\`).
pub fn unescape(field: &str) -> String {
    const ESCAPES: [(&str, char); 6] =
        [("\\040", ' '), ("\\011", '\t'), ("\\012", '\n'), ("\\134", '\\'), ("\\043", '#'), ("\\\\", '\\')];
    let mut out = String::with_capacity(field.len());
    let mut rest = field;
    while let Some(c) = rest.chars().next() {
        let escape = ESCAPES.iter().find_map(|(seq, to)| rest.strip_prefix(seq).map(|after| (*to, after)));
        match escape {
            Some((to, after)) => {
                out.push(to);
                rest = after;
            }
            None => {
                out.push(c);
                rest = rest.get(c.len_utf8()..).unwrap_or_default();
            }
        }
    }
    out
}

/// The entries of an fstab file with their line numbers; comments and blank lines are skipped.
pub fn parse_fstab(text: &str) -> Vec<(u32, &str, Result<MountEntry>)> {
    (1..)
        .zip(text.lines())
        .map(|(nr, line)| (nr, line.trim_matches([' ', '\t'])))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(nr, line)| (nr, line, parse(line)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_line() {
        let e = parse("/a\\040b mnt none rbind,ro,create=dir,optional,rslave 0 2").unwrap();
        assert_eq!((e.source.as_str(), e.target.as_str(), e.fstype.as_str()), ("/a b", "mnt", "none"));
        assert_eq!(e.options.set, flag::BIND | flag::REC | flag::RDONLY);
        assert_eq!(e.options.create, Some(Create::Dir));
        assert!(e.options.optional && !e.options.relative && e.options.is_bind());
        assert_eq!(e.options.propagation, Some(Propagation { flag: flag::SLAVE, recursive: true }));
        assert_eq!((e.dump, e.pass), (0, 2));
    }

    #[test]
    fn options_without_a_flag_are_data() {
        let o = parse_options("size=10m,mode=755,nodev,idmap=/proc/1/ns/user,relative,create=file").unwrap();
        assert_eq!(o.data_text(), "size=10m,mode=755");
        assert_eq!(o.set, flag::NODEV);
        assert_eq!(o.idmap, Some(IdmapSource::Path("/proc/1/ns/user".into())));
        let explicit = |text: &str| parse_options(text).map(|o| o.idmap.unwrap().to_string()).ok();
        assert_eq!(explicit("idmap=u:0:5:1;g:0:0x10:2,ro").as_deref(), Some("u:0:5:1;g:0:16:2"));
        assert_eq!(explicit("idmap=b:1:2:3").as_deref(), Some("u:1:2:3;g:1:2:3"));
        for bad in ["u:0:5:1", "b:1:2", "b:1:2:0", "b:1:2:3:4", "b:1:2:3;", "b:1:-2:3", "b:1:2:3;x:1:2:3"] {
            assert!(parse_options(&format!("idmap={bad}")).is_err(), "{bad}");
        }
        assert_eq!(o.create, Some(Create::File));
        assert!(o.relative);
    }

    #[test]
    fn the_last_of_two_opposites_wins() {
        let o = parse_options("ro,rw").unwrap();
        assert_eq!((o.set, o.clear), (0, flag::RDONLY));
        let o = parse_options("rw,ro").unwrap();
        assert_eq!((o.set, o.clear), (flag::RDONLY, 0));
    }

    #[test]
    fn defaults_and_errors() {
        let e = parse("proc proc proc").unwrap();
        assert_eq!(e.options, MountOptions::default());
        assert_eq!(e.options, parse_options("defaults,").unwrap());
        for bad in ["", "a", "a b", "a b c create=x", "a b c idmap="] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(parse("a b c ro,create=x").unwrap_err().offset, 9);
    }

    #[test]
    fn escapes() {
        assert_eq!(unescape(r"a\040b\011c\134d\\e\x"), "a b\tc\\d\\e\\x");
        assert_eq!(unescape(r"\13"), r"\13");
        assert_eq!(unescape("é\\040ü"), "é ü");
    }

    #[test]
    fn fstab_lines_are_numbered() {
        let lines = parse_fstab("# c\n\n a b c\nbad\n");
        assert_eq!(lines.len(), 2);
        assert_eq!((lines[0].0, lines[0].2.is_ok()), (3, true));
        assert_eq!((lines[1].0, lines[1].2.is_ok()), (4, false));
    }
}
