//! `lxc.mount.entry` and the lines of `lxc.mount.fstab`.
//!
//! Source: config.md §10; mount(8) for the option words, mount_setattr(2) for what a bind can change.

use lxc_child::script::{Create, Propagation, Resolve};
use lxc_conf::model::{Item, Origin};
use lxc_conf::value::mount_entry::{self, IdmapSource, MountEntry, MountOptions, flag};
use lxc_sys::mount::{MountAttr, attr};

use super::{MountKind, MountPlan, Param};
use crate::error::{Error, ErrorKind, Result, cstring};

/// What absolute targets may start with: the container's own tree under its names on the host.
#[derive(Clone, Debug, Default)]
pub struct Roots {
    /// `lxc.rootfs.path` without its type, and `LXCPATH/NAME/rootfs`; empty without a rootfs.
    pub prefixes: Vec<String>,
    /// The container has no rootfs: absolute targets are below the host's `/`.
    pub host_root: bool,
}

/// Plans one line; `None` (with the reason) when the original would skip it with a warning.
///
/// - Errors: `Config` with the line for text that is no mount entry.
pub fn plan(line: &Item<String>, roots: &Roots) -> Result<std::result::Result<MountPlan, String>> {
    let at = |error: Error| error.at(&line.origin);
    let entry = mount_entry::parse(&line.value)
        .map_err(|error| Error::new(ErrorKind::Config, format!("lxc.mount.entry = {}: {error}", line.value)))
        .map_err(at)?;
    let target = match target(&entry.target, roots) {
        Some(target) => target,
        None => {
            return Ok(Err(format!(
                "mount entry {:?} is skipped: its target {} is outside the container's root file system",
                line.value, entry.target
            )));
        }
    };
    let is_plain_bind = entry.options.is_bind() && entry.options.set & flag::MOVE == 0;
    if entry.options.idmap.is_some() && !is_plain_bind {
        return Err(at(Error::new(
            ErrorKind::Config,
            format!("lxc.mount.entry = {}: idmap= is for bind mounts", line.value),
        )
        .cure("add bind or rbind to the options, or leave out idmap=")));
    }
    Ok(Ok(build(&entry, target, &line.origin).map_err(at)?))
}

/// The target below the container's root.
fn target(target: &str, roots: &Roots) -> Option<String> {
    if !target.starts_with('/') {
        return Some(target.trim_end_matches('/').to_owned());
    }
    for prefix in &roots.prefixes {
        let prefix = prefix.trim_end_matches('/');
        if let Some(rest) = target.strip_prefix(prefix)
            && (rest.is_empty() || rest.starts_with('/'))
        {
            return Some(rest.trim_matches('/').to_owned());
        }
    }
    roots.host_root.then(|| target.trim_matches('/').to_owned())
}

fn build(entry: &MountEntry, target: String, origin: &Origin) -> Result<MountPlan> {
    let options = &entry.options;
    let source = cstring(entry.source.as_str())?;
    let recursive = options.set & flag::REC != 0;
    let kind = if options.set & flag::MOVE != 0 {
        MountKind::Classic {
            fstype: cstring(entry.fstype.as_str())?,
            source,
            flags: flag::MOVE,
            data: std::ffi::CString::default(),
        }
    } else if let Some(idmap) = &options.idmap {
        let source = match options.relative {
            true => cstring(entry.source.trim_start_matches('/'))?,
            false => source,
        };
        MountKind::Idmapped { source, inside: options.relative, recursive, idmap: idmap.clone() }
    } else if options.is_bind() {
        match options.relative {
            true => {
                MountKind::BindInside { source: cstring(entry.source.trim_start_matches('/'))?, recursive }
            }
            false => MountKind::Bind { source, recursive },
        }
    } else if entry.fstype == "none" && options.propagation.is_some() {
        MountKind::Change
    } else {
        file_system(entry)?
    };
    let create = match options.create {
        None => Create::No,
        Some(mount_entry::Create::Dir) => Create::Dir,
        Some(mount_entry::Create::File) => Create::File,
    };
    let propagation = match options.propagation {
        None => Propagation::Default,
        Some(p) if p.recursive => Propagation::Recursive(p.flag),
        Some(p) => Propagation::Top(p.flag),
    };
    Ok(MountPlan {
        create,
        optional: options.optional,
        attr: attributes(options),
        propagation,
        origin: origin.clone(),
        ..MountPlan::new(kind, cstring(target)?, Resolve::InRoot)
    })
}

/// fsconfig(2) takes at most 255 bytes a value, and some file systems only the old binary interface.
fn file_system(entry: &MountEntry) -> Result<MountKind> {
    let options = &entry.options;
    let fstype = cstring(entry.fstype.as_str())?;
    let source = cstring(entry.source.as_str())?;
    let data: Vec<&str> = options
        .data
        .iter()
        .map(String::as_str)
        .filter(|option| !option.is_empty() && !for_mount_8(option))
        .collect();
    let classic = data.iter().any(|option| option.len() > 255) || entry.fstype == "overlay";
    if classic {
        return Ok(MountKind::Classic {
            fstype,
            source,
            flags: options.set & (flag::RDONLY | flag::NOSUID | flag::NODEV | flag::NOEXEC),
            data: cstring(data.join(","))?,
        });
    }
    let params = data
        .into_iter()
        .map(|option| match option.split_once('=') {
            Some((key, value)) => Ok(Param::String(cstring(key)?, cstring(value)?)),
            None => Ok(Param::Word(cstring(option)?)),
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(MountKind::Fs { fstype, source, params, read_only: options.set & flag::RDONLY != 0 })
}

/// Words of fstab(5) that are for mount(8) and service managers, never for a file system.
fn for_mount_8(option: &str) -> bool {
    const WORDS: [&str; 10] =
        ["_netdev", "auto", "group", "noauto", "nofail", "nogroup", "noowner", "nouser", "owner", "user"];
    WORDS.contains(&option) || option == "users" || option.starts_with("x-") || option.starts_with("X-")
}

/// The attributes a mount gets; a bind keeps those of its source that are not mentioned.
pub fn attributes(options: &MountOptions) -> MountAttr {
    let mut attr = MountAttr::default();
    for (ms, bit) in [
        (flag::RDONLY, attr::RDONLY),
        (flag::NOSUID, attr::NOSUID),
        (flag::NODEV, attr::NODEV),
        (flag::NOEXEC, attr::NOEXEC),
        (flag::NODIRATIME, attr::NODIRATIME),
        (flag::NOSYMFOLLOW, attr::NOSYMFOLLOW),
    ] {
        if options.set & ms != 0 {
            attr.set |= bit;
        }
    }
    let atime = if options.set & flag::NOATIME != 0 {
        Some(attr::NOATIME)
    } else if options.set & flag::STRICTATIME != 0 {
        Some(attr::STRICTATIME)
    } else if options.set & flag::RELATIME != 0 {
        Some(attr::RELATIME)
    } else {
        None
    };
    if let Some(atime) = atime {
        // mount_setattr(2): the access-time modes are one field, to be cleared as a whole first.
        attr.clear |= attr::ATIME_MASK;
        attr.set |= atime;
    }
    attr
}

/// `lxc.rootfs.options`.
#[derive(Clone, Debug, Default)]
pub struct RootfsOptions {
    pub attr: MountAttr,
    pub idmap: Option<IdmapSource>,
    /// What the file system itself gets, in order.
    pub data: Vec<String>,
}

/// `lxc.rootfs.options` as attributes of the root mount and options of its file system.
///
/// - Errors: `Config` for words that do not belong there.
pub fn rootfs_options(text: &str, origin: &Origin) -> Result<RootfsOptions> {
    let options = mount_entry::parse_options(text).map_err(|error| {
        Error::new(ErrorKind::Config, format!("lxc.rootfs.options = {text}: {error}")).at(origin)
    })?;
    let mut attr = attributes(&options);
    attr.propagation = options.propagation.map_or(0, |p| p.flag);
    let data = options.data.into_iter().filter(|option| !option.is_empty() && !for_mount_8(option)).collect();
    Ok(RootfsOptions { attr, idmap: options.idmap, data })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(line: &str, roots: &Roots) -> std::result::Result<String, String> {
        let item = Item { value: line.to_owned(), origin: Origin::default() };
        plan(&item, roots).map_err(|e| e.to_string())?.map(|p| p.to_string())
    }

    fn roots() -> Roots {
        Roots { prefixes: vec!["/srv/c1".into(), "/var/lib/lxc/c1/rootfs".into()], host_root: false }
    }

    #[test]
    fn targets_are_relative_or_below_one_of_the_container_s_names() {
        for line in
            ["/a b none bind 0 0", "/a /srv/c1/b none bind 0 0", "/a /var/lib/lxc/c1/rootfs/b none bind 0 0"]
        {
            assert_eq!(planned(line, &roots()).as_deref(), Ok("bind /a on /b"), "{line}");
        }
        assert!(planned("/a /srv/c11/b none bind 0 0", &roots()).is_err_and(|why| why.contains("outside")));
        let host = Roots { prefixes: vec![], host_root: true };
        assert_eq!(planned("/a /b none bind 0 0", &host).as_deref(), Ok("bind /a on /b"));
    }

    #[test]
    fn options_become_attributes_parameters_and_creation() {
        assert_eq!(
            planned("tmpfs tmp tmpfs rw,nosuid,noatime,size=10m,mode=1777,create=dir,optional 0 0", &roots())
                .as_deref(),
            Ok("mount tmpfs tmpfs on /tmp size=10m mode=1777 nosuid noatime create=dir optional")
        );
        assert_eq!(
            planned("/x y none rbind,ro,rslave,create=file 0 0", &roots()).as_deref(),
            Ok("rbind /x on /y ro create=file propagation=rslave")
        );
        assert_eq!(
            planned("srv/in y none bind,relative", &roots()).as_deref(),
            Ok("bind inside:/srv/in on /y")
        );
        for (line, plan) in [
            ("/x y none rbind,idmap=container,nosuid", "rbind /x on /y idmap=container nosuid"),
            ("x y none bind,relative,idmap=/run/ns", "bind inside:/x on /y idmap=/run/ns"),
        ] {
            assert_eq!(planned(line, &roots()).as_deref(), Ok(plan));
        }
        for line in ["/x y none move,idmap=container", "t y tmpfs idmap=container"] {
            assert!(planned(line, &roots()).is_err_and(|why| why.contains("bind mounts")), "{line}");
        }
    }

    #[test]
    fn long_parameters_go_through_mount2() {
        let line = format!("over /srv/c1/o overlay lowerdir={} 0 0", "l".repeat(300));
        assert!(planned(&line, &roots()).is_ok_and(|plan| plan.starts_with("mount(2) overlay")));
    }
}
