//! Which control-group hierarchies this process can see, and which cgroup of each a container is created below.
//!
//! Not here: making or changing cgroups (`tree`), deciding names (`plan`). `Layout::parse` is pure; `survey` reads two
//! files of `/proc` and, on demand, `cgroup.controllers`. Nothing is remembered between calls.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags};

use crate::error::{Error, ErrorKind, Result, ResultExt};

/// The three shapes a host can have.
///
/// - Shape: the numbers are those of the command socket (abi-and-wire.md B5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum LayoutKind {
    /// v1 hierarchies only.
    Legacy = 0,
    /// v1 hierarchies and a unified one beside them.
    Hybrid = 1,
    /// The unified hierarchy only.
    Unified = 2,
}

impl LayoutKind {
    /// The word used in plans and messages.
    pub fn word(self) -> &'static str {
        match self {
            LayoutKind::Legacy => "legacy",
            LayoutKind::Hybrid => "hybrid",
            LayoutKind::Unified => "unified",
        }
    }
}

/// The generation of one hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V1,
    V2,
}

impl Version {
    /// The file system magic of statfs(2), which the command socket uses as the hierarchy's type.
    pub fn magic(self) -> i32 {
        match self {
            Version::V1 => 0x0027_e0eb,
            Version::V2 => 0x6367_7270,
        }
    }
}

/// One mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    pub version: Version,
    /// v1: as in `/proc/PID/cgroup`, named ones as `name=systemd`. v2: what the base cgroup may hand on.
    pub controllers: Vec<String>,
    /// Where it is mounted.
    pub mountpoint: PathBuf,
    /// The cgroup that the mount shows as its root (`/` unless the mount is a bind of a subtree).
    pub mount_root: String,
    /// The cgroup new ones are created below, as in `/proc/PID/cgroup`: starts with `/`, no trailing slash unless `/`.
    pub base_cgroup: String,
    /// False when the caller may not create cgroups below `base_cgroup`.
    pub writable: bool,
}

impl Hierarchy {
    /// Whether `controller` belongs to this hierarchy.
    pub fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|c| c == controller)
    }

    /// The directory of a cgroup given as in `/proc/PID/cgroup`.
    ///
    /// - Errors: `None` when the mount does not show it.
    pub fn dir_of(&self, cgroup: &str) -> Option<PathBuf> {
        let below = strip_root(cgroup, &self.mount_root)?;
        Some(if below.is_empty() { self.mountpoint.clone() } else { self.mountpoint.join(below) })
    }

    /// The directory of the base cgroup; `survey` drops hierarchies for which there is none.
    pub fn base_dir(&self) -> PathBuf {
        self.dir_of(&self.base_cgroup).unwrap_or_else(|| self.mountpoint.clone())
    }

    /// How the hierarchy is called in messages and plans: its controllers, or `unified`.
    pub fn label(&self) -> String {
        match self.version {
            Version::V2 => "unified".to_owned(),
            Version::V1 => self.controllers.join(","),
        }
    }
}

/// A hierarchy that exists but cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    pub label: String,
    pub why: String,
}

/// All usable hierarchies.
///
/// - Shape: in the order of `/proc/PID/cgroup`, which is also the order of fds in command 23; the unified one is last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    pub kind: LayoutKind,
    pub hierarchies: Vec<Hierarchy>,
    pub skipped: Vec<Skipped>,
}

/// Below whose cgroup containers are created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// The cgroup of pid 1, without a trailing `init.scope`: root's default.
    Init,
    /// The caller's own (`lxc.cgroup.relative`, and everybody but root).
    Own,
}

impl Base {
    /// The rule of abi-and-wire.md D8.
    pub fn of(euid: u32, relative: bool) -> Base {
        if euid == 0 && !relative { Base::Init } else { Base::Own }
    }
}

impl Layout {
    /// Combines `/proc/self/mountinfo` and `/proc/PID/cgroup`.
    ///
    /// The controllers of the unified hierarchy are not in either text and stay empty here.
    ///
    /// - Errors: none; a layout without hierarchies is possible (`survey` refuses it).
    /// - Source: proc_pid_mountinfo(5), cgroups(7).
    pub fn parse(mountinfo: &str, cgroup: &str, base: Base) -> Layout {
        let mounts = visible_cgroup_mounts(mountinfo);
        let mut v1 = Vec::new();
        let mut unified = Vec::new();
        let mut skipped = Vec::new();
        for line in cgroup.lines() {
            let mut fields = line.splitn(3, ':');
            let (Some(id), Some(names), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
                continue;
            };
            let version = if id == "0" && names.is_empty() { Version::V2 } else { Version::V1 };
            let controllers: Vec<String> = match version {
                Version::V1 => names.split(',').map(str::to_owned).collect(),
                Version::V2 => Vec::new(),
            };
            let label = if version == Version::V2 { "unified".to_owned() } else { names.to_owned() };
            let base_cgroup = match base {
                Base::Init => prune_init_scope(path),
                Base::Own => path,
            };
            let candidates: Vec<&Mount<'_>> =
                mounts.iter().filter(|mount| mount.serves(version, &controllers)).collect();
            let Some(mount) = candidates.iter().find(|mount| strip_root(base_cgroup, mount.root).is_some())
            else {
                if let Some(mount) = candidates.first() {
                    let why =
                        format!("{} shows only {}, not {base_cgroup}", mount.point.display(), mount.root);
                    skipped.push(Skipped { label, why });
                }
                continue;
            };
            let hierarchy = Hierarchy {
                version,
                controllers,
                mountpoint: mount.point.clone(),
                mount_root: mount.root.to_owned(),
                base_cgroup: base_cgroup.to_owned(),
                writable: !mount.read_only,
            };
            match version {
                Version::V1 => v1.push(hierarchy),
                Version::V2 => unified.push(hierarchy),
            }
        }
        let kind = match (v1.is_empty(), unified.is_empty()) {
            (true, false) => LayoutKind::Unified,
            (false, false) => LayoutKind::Hybrid,
            _ => LayoutKind::Legacy,
        };
        v1.append(&mut unified);
        Layout { kind, hierarchies: v1, skipped }
    }

    /// The unified hierarchy, if there is one.
    pub fn unified(&self) -> Option<&Hierarchy> {
        self.hierarchies.iter().find(|h| h.version == Version::V2)
    }

    /// The hierarchy a controller belongs to.
    ///
    /// `devices` and `freezer` have no v2 controller; they are found in the unified hierarchy when no v1 one has them.
    pub fn of_controller(&self, controller: &str) -> Option<&Hierarchy> {
        self.hierarchies.iter().find(|h| h.has(controller)).or_else(|| match controller {
            "devices" | "freezer" => self.unified(),
            _ => None,
        })
    }
}

/// Looks at the hierarchies of the calling process.
///
/// - Context: any process; reads `/proc/self/mountinfo`, `/proc/{1,self}/cgroup` and, with a unified hierarchy,
///   `cgroup.controllers` of its base. Callers other than root also get their access checked.
/// - Errors: `Unsupported` when no control groups are mounted.
pub fn survey(euid: u32, relative: bool) -> Result<Layout> {
    let base = Base::of(euid, relative);
    let mountinfo = read_text(Path::new("/proc/self/mountinfo"))?;
    let cgroup = match base {
        // A hidden /proc/1 (hidepid) leaves only the caller's own view.
        Base::Init => {
            read_text(Path::new("/proc/1/cgroup")).or_else(|_| read_text(Path::new("/proc/self/cgroup")))?
        }
        Base::Own => read_text(Path::new("/proc/self/cgroup"))?,
    };
    let mut layout = Layout::parse(&mountinfo, &cgroup, base);
    if layout.hierarchies.is_empty() {
        return Err(Error::new(ErrorKind::Unsupported, "no control groups are mounted")
            .cure("mount cgroup2 on /sys/fs/cgroup"));
    }
    for hierarchy in &mut layout.hierarchies {
        let dir = hierarchy.base_dir();
        if hierarchy.version == Version::V2 {
            hierarchy.controllers = read_text(&dir.join("cgroup.controllers"))
                .map(|text| text.split_whitespace().map(str::to_owned).collect())
                .unwrap_or_default();
        }
        // Root may write wherever the mount is not read-only; asking would cost a call per hierarchy.
        if euid != 0 && hierarchy.writable {
            hierarchy.writable = may_create_in(&dir, hierarchy.version);
        }
    }
    Ok(layout)
}

fn may_create_in(dir: &Path, version: Version) -> bool {
    let may_write = |path: &Path| rustix::fs::accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS).is_ok();
    may_write(dir) && (version == Version::V1 || may_write(&dir.join("cgroup.procs")))
}

/// Reads a small kernel file whole.
pub(super) fn read_text(path: &Path) -> Result<String> {
    let what = || format!("read {}", path.display());
    let fd = rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty())
        .what(what)?;
    let bytes = super::file::read_all(&fd).what(what)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// `/init.scope` is where systemd keeps pid 1 alone; containers belong beside it.
fn prune_init_scope(path: &str) -> &str {
    match path.strip_suffix("/init.scope") {
        Some("") => "/",
        Some(parent) => parent,
        None => path,
    }
}

/// What remains of `path` below `root`, without leading slash.
fn strip_root<'a>(path: &'a str, root: &str) -> Option<&'a str> {
    let root = root.trim_end_matches('/');
    let rest = path.strip_prefix(root)?;
    match rest.strip_prefix('/') {
        // What is joined to a directory must not start over at the root: `//a` is `/a`.
        Some(below) => Some(below.trim_start_matches('/')),
        None if rest.is_empty() => Some(""),
        None => None,
    }
}

struct Mount<'a> {
    id: &'a str,
    parent: &'a str,
    root: &'a str,
    point: PathBuf,
    read_only: bool,
    fs_type: &'a str,
    super_options: &'a str,
}

impl Mount<'_> {
    fn serves(&self, version: Version, controllers: &[String]) -> bool {
        match version {
            Version::V2 => self.fs_type == "cgroup2",
            Version::V1 => {
                self.fs_type == "cgroup"
                    && controllers.iter().all(|name| self.super_options.split(',').any(|opt| opt == name))
            }
        }
    }

    /// Whether something mounted on the same parent hides this mount point.
    fn is_covered_by(&self, other: &Mount<'_>) -> bool {
        other.id != self.id
            && other.parent == self.parent
            && self.point != other.point
            && self.point.starts_with(&other.point)
    }
}

/// The cgroup mounts that path lookup can still reach, first those at the customary place.
fn visible_cgroup_mounts(mountinfo: &str) -> Vec<Mount<'_>> {
    let mounts: Vec<Mount<'_>> = mountinfo.lines().filter_map(parse_mount).collect();
    let hidden = |mount: &Mount<'_>| {
        let mut current = mount;
        // The depth bound keeps a text with a parent loop from hanging us.
        for _ in 0..64 {
            if mounts.iter().any(|other| current.is_covered_by(other)) {
                return true;
            }
            match mounts.iter().find(|other| other.id == current.parent && other.id != current.id) {
                // A mount on the root of another one hides everything else that sits on that one.
                Some(parent) => current = parent,
                None => return false,
            }
        }
        true
    };
    let shadowed =
        |mount: &Mount<'_>| mounts.iter().any(|other| other.parent == mount.id && other.point == mount.point);
    let mut visible: Vec<usize> = mounts
        .iter()
        .enumerate()
        .filter(|(_, mount)| {
            matches!(mount.fs_type, "cgroup" | "cgroup2") && !hidden(mount) && !shadowed(mount)
        })
        .map(|(index, _)| index)
        .collect();
    visible.sort_by_key(|index| {
        mounts.get(*index).is_some_and(|mount| !mount.point.starts_with("/sys/fs/cgroup"))
    });
    let mut mounts: Vec<Option<Mount<'_>>> = mounts.into_iter().map(Some).collect();
    visible.into_iter().filter_map(|index| mounts.get_mut(index).and_then(Option::take)).collect()
}

fn parse_mount(line: &str) -> Option<Mount<'_>> {
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ');
    let id = before.next()?;
    let parent = before.next()?;
    let _device = before.next()?;
    let root = before.next()?;
    let point = before.next()?;
    let options = before.next()?;
    let mut after = after.split(' ');
    let fs_type = after.next()?;
    let _source = after.next()?;
    let super_options = after.next().unwrap_or("");
    let read_only = [options, super_options].iter().any(|list| list.split(',').any(|opt| opt == "ro"));
    Some(Mount { id, parent, root, point: unescape(point), read_only, fs_type, super_options })
}

/// Undoes the octal escapes of mountinfo (`\040` for a blank).
fn unescape(text: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let octal = tail.get(..3).filter(|digits| digits.iter().all(|d| (b'0'..=b'7').contains(d)));
        match (first, octal) {
            (b'\\', Some(digits)) => {
                let value = digits.iter().fold(0_u32, |value, digit| value * 8 + u32::from(digit - b'0'));
                bytes.push(u8::try_from(value).unwrap_or(b'?'));
                rest = tail.get(3..).unwrap_or(&[]);
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests;
