//! Where the rootfs of a new container is kept (`-B`), and which options go with which kind.
//!
//! Not here: mounting a rootfs (`rootfs`).

use std::ffi::OsString;
use std::path::PathBuf;

use crate::error::{Error, ErrorKind, Result};

/// A kind of storage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backing {
    #[default]
    Dir,
    Overlay,
    Btrfs,
    Loop,
    Lvm,
    Nbd,
    Rbd,
    Zfs,
    /// The first of btrfs, zfs, lvm, dir, rbd that works here.
    Best,
}

/// The storage options as typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Specs {
    pub dir: Option<PathBuf>,
    pub lvname: Option<OsString>,
    pub vgname: Option<OsString>,
    pub thinpool: Option<OsString>,
    pub fstype: Option<OsString>,
    pub fssize: Option<OsString>,
    pub zfsroot: Option<OsString>,
    pub rbdname: Option<OsString>,
    pub rbdpool: Option<OsString>,
    pub rbduser: Option<OsString>,
}

const WORDS: [(&str, Backing); 9] = [
    ("dir", Backing::Dir),
    ("btrfs", Backing::Btrfs),
    ("loop", Backing::Loop),
    ("lvm", Backing::Lvm),
    ("nbd", Backing::Nbd),
    ("overlay", Backing::Overlay),
    ("overlayfs", Backing::Overlay),
    ("rbd", Backing::Rbd),
    ("zfs", Backing::Zfs),
];

impl Backing {
    /// The word of the command line and of `lxc.rootfs.path`.
    pub fn word(self) -> &'static str {
        match self {
            Backing::Best => "best",
            other => WORDS.iter().find(|row| row.1 == other).map_or("dir", |row| row.0),
        }
    }

    /// Parses the value of `-B`. COMPAT: any beginning of `best` means `best`.
    pub fn parse(word: &str) -> Result<Backing> {
        if !word.is_empty() && "best".starts_with(word) {
            return Ok(Backing::Best);
        }
        let found = WORDS.iter().find(|row| row.0 == word).map(|row| row.1);
        found.ok_or_else(|| {
            Error::new(ErrorKind::Config, format!("{word} is not a valid backing storage type"))
        })
    }

    /// What is really used: `best` becomes the first kind that works here.
    ///
    /// - Errors: `Unsupported` for a kind this version cannot create containers on.
    pub fn resolve(self) -> Result<Backing> {
        match self {
            Backing::Dir | Backing::Best => Ok(Backing::Dir),
            Backing::Overlay => Ok(Backing::Overlay),
            other => {
                let text = format!("creating containers on {} storage is not supported yet", other.word());
                Err(Error::new(ErrorKind::Unsupported, text)
                    .cure("use -B dir, with --dir on a file system of the kind you want, or -B overlay"))
            }
        }
    }
}

impl Specs {
    /// Refuses options that mean nothing for `backing`; the texts are the original's.
    pub fn check(&self, backing: Backing) -> Result<()> {
        use Backing::{Best, Loop, Lvm, Rbd, Zfs};
        let block = matches!(backing, Lvm | Loop | Rbd | Best);
        let reason = if (self.fstype.is_some() || self.fssize.is_some()) && !block {
            "Filesystem type and size are only valid with block devices"
        } else if (self.lvname.is_some() || self.vgname.is_some() || self.thinpool.is_some())
            && !matches!(backing, Lvm | Best)
        {
            "--lvname, --vgname and --thinpool are only valid with -B lvm"
        } else if (self.rbdname.is_some() || self.rbdpool.is_some() || self.rbduser.is_some())
            && !matches!(backing, Rbd | Best)
        {
            "--rbdname and --rbdpool are only valid with -B rbd"
        } else if self.zfsroot.is_some() && !matches!(backing, Zfs | Best) {
            "zfsroot is only valid with -B zfs"
        } else if self.dir.as_ref().is_some_and(|dir| !dir.is_absolute()) {
            "--dir should use absolute path"
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::Config, reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_parse_back_and_best_may_be_shortened() {
        for (word, backing) in WORDS {
            assert_eq!(Backing::parse(word).expect(word), backing);
        }
        for word in ["b", "be", "bes", "best"] {
            assert_eq!(Backing::parse(word).expect(word), Backing::Best);
        }
        for word in ["", "di", "x", "dir,btrfs", "bestest", "DIR"] {
            let error = Backing::parse(word).expect_err(word);
            assert_eq!(error.to_string(), format!("{word} is not a valid backing storage type"));
        }
    }

    #[test]
    fn options_go_with_their_kind_only() {
        let some = || Some(OsString::from("x"));
        let lvm = Specs { lvname: some(), ..Specs::default() };
        let size = Specs { fssize: some(), ..Specs::default() };
        let zfs = Specs { zfsroot: some(), ..Specs::default() };
        let rbd = Specs { rbduser: some(), ..Specs::default() };
        for (specs, kinds) in [
            (&lvm, &[Backing::Lvm, Backing::Best][..]),
            (&size, &[Backing::Lvm, Backing::Loop, Backing::Rbd, Backing::Best]),
            (&zfs, &[Backing::Zfs, Backing::Best]),
            (&rbd, &[Backing::Rbd, Backing::Best]),
        ] {
            for (_, backing) in WORDS.into_iter().chain([("best", Backing::Best)]) {
                assert_eq!(specs.check(backing).is_ok(), kinds.contains(&backing), "{specs:?} {backing:?}");
            }
        }
        let relative = Specs { dir: Some("x".into()), ..Specs::default() };
        assert_eq!(
            relative.check(Backing::Dir).expect_err("relative").to_string(),
            "--dir should use absolute path"
        );
    }

    #[test]
    fn kinds_not_built_say_so() {
        assert_eq!(Backing::Best.resolve().expect("best"), Backing::Dir);
        let error = Backing::Zfs.resolve().expect_err("zfs");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("zfs") && error.cure_text().is_some());
    }
}
