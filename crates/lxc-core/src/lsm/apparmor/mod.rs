//! AppArmor: which profile confines a container. Deciding is here and pure; loading is in `load`.

pub mod load;
pub mod patterns;
pub mod profile;

use std::path::{Path, PathBuf};

use lxc_conf::model::{IdKind, Ns, Origin, Settings};

use self::profile::{Profile, Root};
use crate::error::{Error, ErrorKind, Result};
use crate::host::Host;
use crate::host::apparmor::AppArmor;
use crate::paths;

/// What has to be so before init can take its label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Policy {
    /// This profile is to be loaded, and to be removed in the end.
    Generated(Box<Generated>),
    /// Somebody else loads this one.
    Named { profile: String, origin: Origin },
}

/// A profile to load, and where it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    pub name: String,
    /// The policy namespace stacked below it: the container loads its own profiles there.
    pub namespace: Option<String>,
    pub text: profile::Text,
    /// Directory of the source, below the container's; the file has the name of the namespace.
    pub dir: PathBuf,
    pub file: String,
    /// Directory of compiled profiles.
    pub cache: PathBuf,
    pub parser: PathBuf,
    /// The line that asked for it.
    pub origin: Origin,
}

/// The label of init and the policy behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    pub label: Option<String>,
    pub policy: Option<Policy>,
}

/// Which container, for names.
#[derive(Clone, Copy, Debug)]
pub struct Whose<'a> {
    pub name: &'a str,
    pub lxcpath: &'a Path,
    /// It has a cgroup namespace of its own.
    pub cgroup_namespace: bool,
}

/// Decides the label.
///
/// - Errors: `Unsupported` when this kernel or this process cannot do what is configured, with the key that helps.
/// - Source: config.md rows 2–5; what the original does, stracing it with a made-up /sys/kernel/security.
pub fn decide(settings: &Settings, host: &Host, facts: &AppArmor, whose: Whose<'_>) -> Result<Decision> {
    let configured = settings.apparmor.profile.as_deref();
    let origin = settings.origin("lxc.apparmor.profile").cloned().unwrap_or_default();
    match (configured, &facts.confined) {
        (Some("unchanged"), _) => return Ok(Decision::default()),
        // Inside a container without policy of its own: its profile confines what is started there, too.
        (None, Some(_)) => return Ok(Decision::default()),
        // In its own policy namespace the container looks unconfined to itself; without a view of the policy there are
        // no profiles to name, and what is started there is confined as the container is.
        (None, None) if facts.nested && !facts.visible => return Ok(Decision::default()),
        (Some(profile), Some(label)) => {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("change to AppArmor profile {profile}: already confined by {label}"),
            )
            .at(&origin)
            .cure("set lxc.apparmor.profile = unchanged: the container is confined as its starter is"));
        }
        (Some("unconfined"), None) => {
            return Ok(Decision { label: Some("unconfined".into()), policy: None });
        }
        (_, None) => {}
    }
    if !facts.mounts && !settings.apparmor.allow_incomplete {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "confine the container: AppArmor does not mediate mounts on this kernel",
        )
        .at(&origin)
        .cure("set lxc.apparmor.allow_incomplete = 1 to start it all the same, or lxc.apparmor.profile = unconfined"));
    }
    match configured {
        Some("generated") => generated(settings, facts, whose, &origin),
        profile => {
            let profile = profile.unwrap_or(default_profile(host)).to_owned();
            Ok(Decision { label: Some(profile.clone()), policy: Some(Policy::Named { profile, origin }) })
        }
    }
}

/// The profile that allows what a cgroup namespace makes safe, where the kernel has those.
fn default_profile(host: &Host) -> &'static str {
    match host.namespaces & Ns::Cgroup.clone_flag() {
        0 => "lxc-container-default",
        _ => "lxc-container-default-cgns",
    }
}

fn generated(settings: &Settings, facts: &AppArmor, whose: Whose<'_>, origin: &Origin) -> Result<Decision> {
    let refuse = |why: &str| {
        Error::new(ErrorKind::Unsupported, format!("generate an AppArmor profile: {why}")).at(origin)
    };
    if facts.nested && !facts.visible {
        return Err(refuse("this container does not see its policy").cure(
            "set lxc.apparmor.profile = unchanged: what is started here is confined as this container is",
        ));
    }
    if !facts.loads {
        return Err(refuse("loading one needs root of the machine (CAP_MAC_ADMIN)").cure(
            "set lxc.apparmor.profile = lxc-container-default-cgns, a profile that the package loads, or unconfined",
        ));
    }
    let Some(parser) = &facts.parser else {
        return Err(refuse("apparmor_parser is not installed")
            .cure("install the package apparmor, or name a loaded profile in lxc.apparmor.profile"));
    };
    let (name, below) = names(whose.name, whose.lxcpath);
    let namespace = (facts.stacking && facts.namespaces).then(|| below.clone());
    let text = profile::text(&Profile {
        name: &name,
        namespace: namespace.as_deref(),
        root: match root_is_mapped(settings) {
            true => Root::Mapped,
            false => Root::Machine,
        },
        nesting: settings.apparmor.allow_nesting,
        cgroup_namespace: whose.cgroup_namespace,
        raw: &settings.apparmor.raw,
    });
    let label = match &namespace {
        Some(namespace) => format!("{name}//&:{namespace}:"),
        None => name.clone(),
    };
    let policy = Policy::Generated(Box::new(Generated {
        name,
        namespace,
        text,
        dir: whose.lxcpath.join(whose.name).join("apparmor"),
        file: below,
        cache: paths::apparmor_cache(),
        parser: parser.clone(),
        origin: origin.clone(),
    }));
    Ok(Decision { label: Some(label), policy: Some(policy) })
}

/// An id map that leaves the machine's root out. (A mapped 0 outside still owns every file of proc and sysfs.)
fn root_is_mapped(settings: &Settings) -> bool {
    !settings.idmap.is_empty()
        && !settings.idmap.iter().any(|map| map.kind == IdKind::User && map.host_id == 0)
}

/// Name of the profile, and that of its namespace and file.
///
/// - Shape: `lxc-NAME_<LXCPATH>`; in the second, slashes are dashes. Both are the FNV hash of the first in 16 digits
///   when that is too long for a file, or holds what means something to AppArmor.
/// - Source: observed on the original, also the hash of a long one; it does not look at the characters.
fn names(name: &str, lxcpath: &Path) -> (String, String) {
    let profile = format!("lxc-{name}_<{}>", lxcpath.display());
    let harmless = |c: char| c.is_ascii_alphanumeric() || "_-.+/<>".contains(c);
    if profile.len() > NAME_MAX || !profile.chars().all(harmless) {
        let hash = format!("{:016x}", paths::fnv1a64(profile.as_bytes()));
        return (hash.clone(), hash);
    }
    let below = profile.replace('/', "-");
    (profile, below)
}

const NAME_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_original() {
        assert_eq!(
            names("c1", Path::new("/var/lib/lxc")),
            ("lxc-c1_</var/lib/lxc>".into(), "lxc-c1_<-var-lib-lxc>".into())
        );
        // Observed: lxc-start 5.0.2 -P with this path.
        let long = format!("/tmp/lsm-work/fake/{}/{}", "l".repeat(200), "m".repeat(80));
        assert_eq!(names("lsm1", Path::new(&long)).0, "60beb181c76fbcaa");
    }

    #[test]
    fn what_means_something_to_apparmor_is_hashed() {
        for path in ["/a b", "/a*", "/a\"b", "/a{b}", "/a:b", "/a@{b}", "/a,b", "/\u{e9}", "/a\nb"] {
            let (profile, below) = names("c1", Path::new(path));
            assert_eq!(profile, below, "{path:?}");
            assert!(profile.chars().all(|c| c.is_ascii_hexdigit()) && profile.len() == 16);
        }
        assert_ne!(names("c1", Path::new("/a b")), names("c2", Path::new("/a b")));
    }
}
