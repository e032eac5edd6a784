//! What AppArmor can do on this machine, and how it confines this process.
//!
//! Facts only. Not here: which profile a container gets (`lsm::apparmor`).

use std::path::{Path, PathBuf};

use lxc_sys::cred;
use lxc_sys::proc::ProcFs;
use lxc_sys::rustix::fd::OwnedFd;
use lxc_sys::rustix::fs::{Access, OFlags, access};

/// AppArmor's file system; inside a container with a policy namespace it shows that namespace.
pub const SECURITYFS: &str = "/sys/kernel/security/apparmor";

/// What the running kernel, the tools and this process' own confinement allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppArmor {
    /// The module has attribute files of its own (`attr/apparmor/`, Linux 5.8).
    pub own_attributes: bool,
    /// Its files can be seen here; in a container that is rare.
    pub visible: bool,
    /// This process runs in a container.
    pub nested: bool,
    /// Mounts are mediated, as far as can be seen.
    pub mounts: bool,
    /// Labels may be stacks of profiles (`domain/stack`, domain version 1.2).
    pub stacking: bool,
    /// Policy namespaces can be made.
    pub namespaces: bool,
    /// This process may load profiles: CAP_MAC_ADMIN and a policy to write to.
    pub loads: bool,
    /// The compiler of profiles.
    pub parser: Option<PathBuf>,
    /// The label of this process, unless it is unconfined or has the profile of our own programs.
    pub confined: Option<String>,
}

/// Reads `/sys/kernel/security/apparmor`. What cannot be read is taken for missing.
pub fn survey() -> AppArmor {
    let root = Path::new(SECURITYFS);
    let feature = |name: &str| std::fs::read_to_string(root.join("features").join(name)).unwrap_or_default();
    let visible = access(root.join("features"), Access::EXISTS).is_ok();
    let mask = feature("mount/mask");
    let has = |word: &str| mask.split_whitespace().any(|known| known == word);
    let (own_attributes, label) = own_label();
    AppArmor {
        own_attributes,
        visible,
        nested: in_container(),
        mounts: !visible || (has("mount") && has("umount")),
        stacking: feature("domain/stack").trim() == "yes" && at_least_1_2(feature("domain/version").trim()),
        namespaces: access(root.join("policy/namespaces"), Access::EXISTS).is_ok(),
        loads: mac_admin() && access(root.join(".replace"), Access::WRITE_OK).is_ok(),
        parser: parser(),
        confined: label.filter(|label| !is_ours(label)),
    }
}

/// Whoever made pid 1 said so in its environment, as container managers do.
fn in_container() -> bool {
    std::fs::read("/proc/1/environ")
        .is_ok_and(|text| text.split(|byte| *byte == 0).any(|line| line.starts_with(b"container=")))
}

/// Dotted version numbers: 1.2 is where stacking works as documented.
fn at_least_1_2(version: &str) -> bool {
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (1, 2)
}

fn mac_admin() -> bool {
    const CAP_MAC_ADMIN: u32 = 33;
    cred::capabilities().is_ok_and(|sets| sets.effective & 1 << CAP_MAC_ADMIN != 0)
}

/// Along `PATH`, then where root's programs are.
fn parser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .filter(|dir| dir.is_absolute())
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join("apparmor_parser"))
        .find(|program| access(program, Access::EXEC_OK).is_ok())
}

/// Whether the attribute directory is the module's own, and the label of this process if it is confined.
fn own_label() -> (bool, Option<String>) {
    let Ok(proc) = ProcFs::open() else { return (false, None) };
    let (own, file) = match proc.open_at("thread-self/attr/apparmor/current", OFlags::RDONLY) {
        Ok(file) => (true, Some(file)),
        // Until Linux 5.8 is the floor: there is one directory of attributes for all modules.
        Err(_) => (false, proc.open_at("thread-self/attr/current", OFlags::RDONLY).ok()),
    };
    (own, file.and_then(read_label))
}

fn read_label(file: OwnedFd) -> Option<String> {
    let text = std::io::read_to_string(std::fs::File::from(file)).ok()?;
    let text = text.trim_end_matches(['\n', '\0']);
    let label = text.rsplit_once(" (").map_or(text, |(label, _)| label);
    (!label.is_empty() && label != "unconfined").then(|| label.to_owned())
}

/// The profile that comes with the package is attached to the programs' paths, and allows a change to any container's.
fn is_ours(label: &str) -> bool {
    let path = Path::new(label);
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    path.is_absolute() && name.starts_with("lxc-") && path.parent().is_some_and(|dir| dir.ends_with("bin"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers_with_dots() {
        assert!(at_least_1_2("1.2") && at_least_1_2("1.10") && at_least_1_2("2.0"));
        assert!(!at_least_1_2("1.1") && !at_least_1_2("") && !at_least_1_2("0.9"));
    }

    #[test]
    fn our_own_programs_profile_does_not_count_as_confinement() {
        assert!(is_ours("/usr/bin/lxc-start") && is_ours("/opt/lxc/bin/lxc-copy"));
        for label in
            ["lxc-container-default-cgns", "/usr/bin/evince", "/usr/lib/lxc-start", "lxc-c1_</bin/lxc-a>"]
        {
            assert!(!is_ours(label), "{label}");
        }
    }
}
