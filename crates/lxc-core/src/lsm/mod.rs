//! Linux security modules: what label init gets, and in which /proc file it is written.

use lxc_conf::model::{Ns, Settings};

use crate::error::{Error, ErrorKind, Result};
use crate::host::{Host, Lsm};

/// A label and the file below `/proc` that takes it for the next exec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelPlan {
    pub file: &'static str,
    pub label: String,
}

const APPARMOR_FILE: &str = "thread-self/attr/exec";

/// The label of init, if one is to be set.
///
/// - Errors: `Unsupported` for `lxc.apparmor.profile = generated` (profile generation is not in yet).
/// - Source: config.md rows 2–5, 75–76; without an active module every one of these keys has no effect.
pub fn plan(settings: &Settings, host: &Host) -> Result<Option<LabelPlan>> {
    match host.lsm {
        Lsm::None => Ok(None),
        Lsm::AppArmor => match settings.apparmor.profile.as_deref() {
            Some("unchanged") => Ok(None),
            Some("generated") => Err(Error::new(
                ErrorKind::Unsupported,
                "generate an AppArmor profile (lxc.apparmor.profile = generated)",
            )
            .cure("set lxc.apparmor.profile to a loaded profile, lxc-container-default-cgns say")),
            profile => Ok(Some(LabelPlan {
                file: APPARMOR_FILE,
                label: format!("exec {}", profile.unwrap_or(default_profile(host))),
            })),
        },
        Lsm::SeLinux => Ok(settings
            .selinux
            .context
            .as_ref()
            .map(|context| LabelPlan { file: "thread-self/attr/exec", label: context.clone() })),
    }
}

/// The label of the session keyring; `None` leaves it to the kernel.
///
/// - Source: lxc.container.conf(5): `lxc.selinux.context.keyring`, else the context of init.
pub fn keyring(settings: &Settings, host: &Host) -> Option<LabelPlan> {
    let label = settings.selinux.keyring.as_ref().or(settings.selinux.context.as_ref());
    match host.lsm {
        Lsm::SeLinux => {
            label.map(|label| LabelPlan { file: "thread-self/attr/keycreate", label: label.clone() })
        }
        Lsm::None | Lsm::AppArmor => None,
    }
}

/// The profile that allows what a cgroup namespace makes safe, where the kernel has those.
fn default_profile(host: &Host) -> &'static str {
    if host.namespaces & Ns::Cgroup.clone_flag() != 0 {
        "lxc-container-default-cgns"
    } else {
        "lxc-container-default"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(lsm: Lsm) -> Host {
        Host {
            euid: 0,
            egid: 0,
            last_capability: 40,
            namespaces: Ns::Cgroup.clone_flag(),
            lsm,
            terminal: false,
            rootfs_mount: "/mnt".into(),
        }
    }

    #[test]
    fn without_a_module_no_label_is_set_whatever_is_configured() {
        let mut settings = Settings::default();
        settings.apparmor.profile = Some("generated".into());
        settings.selinux.keyring = Some("k".into());
        assert_eq!(plan(&settings, &host(Lsm::None)).expect("plan"), None);
        assert_eq!(keyring(&settings, &host(Lsm::None)), None);
        assert!(plan(&settings, &host(Lsm::AppArmor)).is_err());
    }

    #[test]
    fn the_default_profile_depends_on_the_kernel() {
        let mut host = host(Lsm::AppArmor);
        let label = |host: &Host| plan(&Settings::default(), host).expect("plan").expect("label").label;
        assert_eq!(label(&host), "exec lxc-container-default-cgns");
        host.namespaces = 0;
        assert_eq!(label(&host), "exec lxc-container-default");
    }
}
