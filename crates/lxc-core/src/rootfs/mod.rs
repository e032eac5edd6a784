//! Where the root file system comes from and how it is mounted.
//!
//! Pure planning; storage that needs work on the host before it can be mounted (loop, lvm, zfs …) is not in yet and is
//! refused by name.

use std::ffi::CString;

use lxc_child::script;
use lxc_conf::model::Settings;
use lxc_conf::value::mount_entry::IdmapSource;
use lxc_sys::mount::MountAttr;

use crate::error::{Error, ErrorKind, Result, cstring};
use crate::host::Host;

/// The root file system of one start.
#[derive(Clone, Debug)]
pub enum RootfsPlan {
    /// No `lxc.rootfs.path`: the host's `/`.
    HostRoot,
    /// The mount namespace is not ours to change.
    Untouched,
    Dir {
        source: CString,
        mount: CString,
        attr: MountAttr,
        idmap: Option<IdmapSource>,
    },
    Overlay {
        data: CString,
        mount: CString,
        attr: MountAttr,
        idmap: Option<IdmapSource>,
        /// With `idmap`: the names `data` knows the directories by, below `mount`, and what they are copies of.
        layers: Vec<(CString, CString)>,
        lower: String,
        upper: String,
        work: String,
    },
}

/// Parts of an `overlay:LOWER…:UPPER` path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverlayDirs {
    /// One or more lower directories joined by `:`, as the kernel takes them.
    pub lower: String,
    pub upper: String,
    /// `work` beside the upper directory (the original uses the same).
    pub work: String,
}

/// Splits `LOWER[:LOWER…]:UPPER`.
pub fn overlay_dirs(path: &str) -> Option<OverlayDirs> {
    let (lower, upper) = path.rsplit_once(':')?;
    let (parent, _) = upper.trim_end_matches('/').rsplit_once('/')?;
    if lower.is_empty() || !lower.starts_with('/') || !upper.starts_with('/') {
        return None;
    }
    Some(OverlayDirs { lower: lower.to_owned(), upper: upper.to_owned(), work: format!("{parent}/work") })
}

/// Data of an overlay whose layers are attached below `mount`, and those layers.
///
/// Upper and work directory must be on one mount, so their common parent is a layer of its own.
fn idmapped_layers(dirs: &OverlayDirs, mount: &str) -> Result<(String, Vec<(CString, CString)>)> {
    let mut layers = Vec::new();
    let mut lower = Vec::new();
    for (number, dir) in dirs.lower.split(':').enumerate() {
        let name = number.to_string();
        lower.push(format!("{mount}/{name}"));
        layers.push((cstring(name)?, cstring(dir)?));
    }
    let split = |path: &str| {
        path.trim_end_matches('/').rsplit_once('/').map(|(dir, name)| (dir.to_owned(), name.to_owned()))
    };
    let no_parent =
        || Error::new(ErrorKind::Config, format!("{}: an upper directory needs a parent", dirs.upper));
    let (parent, upper) = split(&dirs.upper).ok_or_else(no_parent)?;
    let (_, work) = split(&dirs.work).ok_or_else(no_parent)?;
    layers.push((c"upper".into(), cstring(if parent.is_empty() { "/" } else { parent.as_str() })?));
    let data =
        format!("upperdir={mount}/upper/{upper},lowerdir={},workdir={mount}/upper/{work}", lower.join(":"));
    Ok((data, layers))
}

/// Whose mount namespace the container lives in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountNs {
    /// Its own.
    Own,
    /// That of another container (`lxc.namespace.share.mnt`).
    Shared,
    /// The host's (`lxc.namespace.keep`, `.clone`).
    Host,
}

/// What of `lxc.rootfs.options` concerns the root: attributes of the mount, and options of the file system.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    pub attr: MountAttr,
    pub idmap: Option<&'a IdmapSource>,
    pub data: &'a [String],
}

/// Plans the root file system.
///
/// - Errors: `Config` for a path that cannot become the root; `Unsupported` for back ends that are not in yet.
pub fn plan(
    settings: &Settings,
    host: &Host,
    namespace: MountNs,
    options: Options<'_>,
) -> Result<RootfsPlan> {
    let Options { attr, idmap, data: extra } = options;
    let origin = settings.origin("lxc.rootfs.path").cloned().unwrap_or_default();
    let fail = |kind, what: String| Error::new(kind, what).at(&origin);
    match (namespace, &settings.rootfs.path) {
        (MountNs::Own, _) => {}
        // COMPAT: the original goes on, and pivots the host itself into the root file system.
        (MountNs::Host, Some(_)) => {
            return Err(fail(ErrorKind::Config, "lxc.rootfs.path in the host's mount namespace".to_owned())
                .cure("give the container a mount namespace (lxc.namespace.keep, .clone), or remove lxc.rootfs.path"));
        }
        (MountNs::Shared, _) | (MountNs::Host, None) => return Ok(RootfsPlan::Untouched),
    }
    let Some(path) = &settings.rootfs.path else { return Ok(RootfsPlan::HostRoot) };
    let mount = match &settings.rootfs.mount {
        Some(mount) => mount.clone(),
        None => host.rootfs_mount.to_string_lossy().into_owned(),
    };
    let kind = path.kind.as_deref().unwrap_or(match overlay_dirs(&path.path) {
        Some(_) => "overlay",
        None if path.path.starts_with("nbd:") => "nbd",
        None => "dir",
    });
    match kind {
        "dir" => Ok(RootfsPlan::Dir {
            source: cstring(path.path.as_str())?,
            mount: cstring(mount.as_str())?,
            attr,
            idmap: idmap.cloned(),
        }),
        "overlay" | "overlayfs" => {
            let dirs = overlay_dirs(&path.path).ok_or_else(|| {
                fail(ErrorKind::Config, format!("lxc.rootfs.path = overlay:{}: not LOWER:UPPER", path.path))
                    .cure("write overlay:/LOWERDIR:/UPPERDIR with absolute paths")
            })?;
            let (mut data, layers) = match idmap {
                None => {
                    let OverlayDirs { lower, upper, work } = &dirs;
                    (format!("upperdir={upper},lowerdir={lower},workdir={work}"), Vec::new())
                }
                Some(_) => idmapped_layers(&dirs, &mount)?,
            };
            for option in extra {
                data.push(',');
                data.push_str(option);
            }
            // Root of a user namespace has no trusted.* attributes: without this, directories could not be replaced. Such
            // a root may mount overlays from the kernel on that has the option (Linux 5.11).
            if !settings.idmap.is_empty() && !extra.iter().any(|option| option.ends_with("userxattr")) {
                data.push_str(",userxattr");
            }
            Ok(RootfsPlan::Overlay {
                data: cstring(data.as_str())?,
                mount: cstring(mount.as_str())?,
                attr,
                idmap: idmap.cloned(),
                layers,
                lower: dirs.lower,
                upper: dirs.upper,
                work: dirs.work,
            })
        }
        other => Err(fail(ErrorKind::Unsupported, format!("root file systems of type {other}"))
            .cure("use dir: or overlay: (see COMPATIBILITY.md for the storage back ends that are in)")),
    }
}

impl RootfsPlan {
    /// Whose ids the files shall have.
    pub fn idmap(&self) -> Option<&IdmapSource> {
        match self {
            RootfsPlan::HostRoot | RootfsPlan::Untouched => None,
            RootfsPlan::Dir { idmap, .. } | RootfsPlan::Overlay { idmap, .. } => idmap.as_ref(),
        }
    }

    /// The layers of an idmapped overlay as the child wants them; `script` borrows the result.
    pub fn layers(&self) -> Vec<script::Layer<'_>> {
        match self {
            RootfsPlan::Overlay { layers, .. } => {
                layers.iter().map(|(name, source)| script::Layer { name, source }).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Lends the plan to the child.
    pub fn script<'a>(&'a self, layers: &'a [script::Layer<'a>]) -> script::Rootfs<'a> {
        match self {
            RootfsPlan::HostRoot => script::Rootfs::HostRoot,
            RootfsPlan::Untouched => script::Rootfs::Untouched,
            RootfsPlan::Dir { source, mount, attr, idmap: None } => {
                script::Rootfs::Dir { source, mount, attr: *attr }
            }
            RootfsPlan::Dir { source, mount, attr, idmap: Some(_) } => {
                script::Rootfs::IdmappedDir { source, mount, attr: *attr }
            }
            RootfsPlan::Overlay { data, mount, attr, idmap: Some(_), .. } => {
                script::Rootfs::IdmappedOverlay { layers, data, mount, attr: *attr }
            }
            RootfsPlan::Overlay { data, mount, attr, .. } => script::Rootfs::Fs {
                source: c"overlay",
                fstype: c"overlay",
                flags: 0,
                data,
                mount,
                attr: *attr,
            },
        }
    }

    /// The container gets a root of its own.
    pub fn is_own(&self) -> bool {
        matches!(self, RootfsPlan::Dir { .. } | RootfsPlan::Overlay { .. })
    }
}

impl std::fmt::Display for RootfsPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RootfsPlan::HostRoot => f.write_str("rootfs: the host's / in a private mount namespace"),
            RootfsPlan::Untouched => f.write_str("rootfs: untouched (mount namespace not ours)"),
            RootfsPlan::Dir { source, mount, attr, .. } => {
                write!(f, "rootfs: rbind {} on {}{attr}", source.to_string_lossy(), mount.to_string_lossy())
            }
            RootfsPlan::Overlay { data, mount, attr, layers, .. } => {
                write!(f, "rootfs: overlay {} on {}{attr}", data.to_string_lossy(), mount.to_string_lossy())?;
                layers.iter().try_for_each(|(name, source)| {
                    write!(f, " {}={}", name.to_string_lossy(), source.to_string_lossy())
                })
            }
        }?;
        match self.idmap() {
            Some(idmap) => write!(f, " idmap={idmap}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_part_of_an_overlay_path_is_the_upper_directory() {
        let dirs = overlay_dirs("/a:/b:/c/delta0").expect("dirs");
        assert_eq!(
            (dirs.lower.as_str(), dirs.upper.as_str(), dirs.work.as_str()),
            ("/a:/b", "/c/delta0", "/c/work")
        );
        assert_eq!(overlay_dirs("/a"), None);
        assert_eq!(overlay_dirs("a:/b"), None);
    }
}
