//! The options of an injected mount: fstab words of the VFS, `create=`, `idmap=`, and the file system's own. Pure.
//!
//! Not here: the words themselves (`lxc_conf::value::mount_entry`).

use lxc_conf::value::mount_entry::{self, Create, IdmapSource, Propagation, flag};
use lxc_sys::mount::attr;

use crate::{Error, ErrorKind, Result};

/// Parsed options of a mount to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `MOUNT_ATTR_*` bits.
    pub attributes: u64,
    /// Bits that options such as `rw` or `suid` ask to clear.
    pub clear: u64,
    /// Mounts below the source come along (`rbind`).
    pub recursive: bool,
    /// `MS_SLAVE` and the like; the container must not pass mounts back to the host unless asked to (`shared`).
    pub propagation: u64,
    pub propagation_recursive: bool,
    pub create: Option<Create>,
    pub idmap: Option<IdmapSource>,
    /// What the file system gets.
    pub data: Vec<String>,
    /// As typed, for the list.
    pub text: String,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            attributes: 0,
            clear: 0,
            recursive: false,
            propagation: flag::SLAVE,
            propagation_recursive: false,
            create: None,
            idmap: None,
            data: Vec::new(),
            text: String::new(),
        }
    }
}

/// How hard to unmount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detach {
    /// Only when nobody uses it.
    Plain,
    /// Out of sight now, gone when the last user is (`MNT_DETACH`).
    Lazy,
    /// Even when its server does not answer (`MNT_FORCE`).
    Force,
}

impl Detach {
    /// Reads `lazy` or `force`; no words = plain.
    pub fn parse(text: &str) -> Result<Detach> {
        match text {
            "" => Ok(Detach::Plain),
            "lazy" => Ok(Detach::Lazy),
            "force" => Ok(Detach::Force),
            other => Err(Error::new(
                ErrorKind::Config,
                format!("unmount option {other:?} is neither lazy nor force"),
            )),
        }
    }
}

const ATTRIBUTES: [(u64, u64); 5] = [
    (flag::RDONLY, attr::RDONLY),
    (flag::NOSUID, attr::NOSUID),
    (flag::NODEV, attr::NODEV),
    (flag::NOEXEC, attr::NOEXEC),
    (flag::NOSYMFOLLOW, attr::NOSYMFOLLOW),
];

/// Words that mean something for a mount of an fstab and nothing for one that is made now.
const MEANINGLESS: [&str; 4] = ["optional", "relative", "remount", "move"];

impl Options {
    /// Reads a comma-separated list.
    ///
    /// - Errors: `Config` for words that do not apply, and for file system options of a bind mount (`bind` true).
    pub fn parse(text: &str, is_bind: bool) -> Result<Options> {
        let config = |what: String| Error::new(ErrorKind::Config, what);
        if let Some(word) = text.split(',').find(|word| MEANINGLESS.contains(word)) {
            return Err(config(format!(
                "mount option {word:?} does not apply to a mount of a running container"
            )));
        }
        let parsed =
            mount_entry::parse_options(text).map_err(|error| config(format!("mount options: {error}")))?;
        if is_bind && let Some(word) = parsed.data.first() {
            return Err(config(format!("a bind mount has no option {word:?}"))
                .cure("options of a file system need -t TYPE"));
        }
        if !is_bind && parsed.is_bind() {
            return Err(config("bind and rbind exclude a file system type".into()).cure("leave out -t"));
        }
        if !is_bind && parsed.idmap.is_some() {
            return Err(config("idmap= is for bind mounts".into()));
        }
        let map = |flags: u64| {
            ATTRIBUTES.iter().filter(|(flag, _)| flags & flag != 0).fold(0, |bits, (_, attr)| bits | attr)
        };
        let (mut attributes, mut clear) = (map(parsed.set), map(parsed.clear));
        if let Some(atime) = atime(parsed.set, parsed.clear) {
            attributes |= atime;
            clear |= attr::ATIME_MASK;
        }
        match (parsed.set & flag::NODIRATIME != 0, parsed.clear & flag::NODIRATIME != 0) {
            (true, _) => attributes |= attr::NODIRATIME,
            (_, true) => clear |= attr::NODIRATIME,
            _ => {}
        }
        let Propagation { flag: propagation, recursive } =
            parsed.propagation.unwrap_or(Propagation { flag: flag::SLAVE, recursive: true });
        Ok(Options {
            attributes,
            clear,
            recursive: parsed.set & flag::REC != 0,
            propagation,
            propagation_recursive: recursive,
            create: parsed.create,
            idmap: parsed.idmap,
            data: parsed.data,
            text: text.to_owned(),
        })
    }
}

impl Options {
    /// The same as `MS_*` bits, for mount(2).
    ///
    /// - Errors: `Unsupported` for what mount(2) cannot do.
    pub(super) fn to_flags(&self) -> Result<u64> {
        if self.idmap.is_some() {
            return Err(Error::new(ErrorKind::Unsupported, "idmap= needs mount_setattr(2), Linux 5.12"));
        }
        let mut flags = ATTRIBUTES
            .iter()
            .filter(|(_, attr)| self.attributes & attr != 0)
            .fold(0, |flags, (flag, _)| flags | flag);
        flags |= match self.attributes & attr::ATIME_MASK {
            attr::NOATIME => flag::NOATIME,
            attr::STRICTATIME => flag::STRICTATIME,
            _ if self.clear & attr::ATIME_MASK != 0 => flag::RELATIME,
            _ => 0,
        };
        if self.attributes & attr::NODIRATIME != 0 {
            flags |= flag::NODIRATIME;
        }
        Ok(flags)
    }
}

/// The access-time choice, if the options make one.
fn atime(set: u64, clear: u64) -> Option<u64> {
    if set & flag::NOATIME != 0 {
        Some(attr::NOATIME)
    } else if set & flag::STRICTATIME != 0 {
        Some(attr::STRICTATIME)
    } else if set & flag::RELATIME != 0 || clear & (flag::NOATIME | flag::STRICTATIME) != 0 {
        Some(attr::RELATIME)
    } else if clear & flag::RELATIME != 0 {
        // Without relatime the kernel updates on every access.
        Some(attr::STRICTATIME)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(text: &str) -> Options {
        Options::parse(text, true).expect("options")
    }

    #[test]
    fn vfs_words_become_attributes() {
        let options = bind("ro,nosuid,nodev,noexec,noatime,nodiratime");
        let wanted =
            attr::RDONLY | attr::NOSUID | attr::NODEV | attr::NOEXEC | attr::NOATIME | attr::NODIRATIME;
        assert_eq!(options.attributes, wanted);
        assert_eq!(options.clear, attr::ATIME_MASK);
        let options = bind("suid,rw,exec,dev,diratime");
        assert_eq!(options.attributes, 0);
        assert_eq!(
            options.clear,
            attr::NOSUID | attr::RDONLY | attr::NOEXEC | attr::NODEV | attr::NODIRATIME
        );
        assert_eq!(
            (bind("norelatime").attributes, bind("relatime").clear),
            (attr::STRICTATIME, attr::ATIME_MASK)
        );
    }

    #[test]
    fn mounts_of_the_container_do_not_travel_back_unless_asked_to() {
        let options = bind("");
        assert_eq!((options.propagation, options.propagation_recursive), (flag::SLAVE, true));
        assert_eq!(bind("rshared").propagation, flag::SHARED);
        assert!(!bind("private").propagation_recursive);
    }

    #[test]
    fn binds_are_plain_or_recursive_and_take_no_data() {
        assert!(bind("rbind,ro").recursive && !bind("bind").recursive);
        assert_eq!(Options::parse("size=1m", true).expect_err("data").kind(), ErrorKind::Config);
        assert!(Options::parse("bind", false).is_err());
        assert!(Options::parse("idmap=container", false).is_err());
        assert_eq!(Options::parse("size=1m,ro", false).expect("tmpfs").data, ["size=1m"]);
    }

    #[test]
    fn words_without_effect_are_refused() {
        for word in MEANINGLESS {
            assert!(Options::parse(word, true).is_err(), "{word}");
        }
        assert!(Options::parse("create=link", true).is_err());
    }

    #[test]
    fn attributes_translate_back_to_flags() {
        let options = bind("ro,nosuid,noatime,nodiratime");
        let wanted = flag::RDONLY | flag::NOSUID | flag::NOATIME | flag::NODIRATIME;
        assert_eq!(options.to_flags().expect("flags"), wanted);
        assert_eq!(bind("").to_flags().expect("flags"), 0);
        assert_eq!(bind("relatime").to_flags().expect("flags"), flag::RELATIME);
        assert!(bind("idmap=container").to_flags().is_err());
    }

    #[test]
    fn unmounting_has_three_degrees() {
        assert_eq!(Detach::parse("").expect("plain"), Detach::Plain);
        assert_eq!(Detach::parse("lazy").expect("lazy"), Detach::Lazy);
        assert!(Detach::parse("ro").is_err());
    }
}
