//! Linux security modules: what label init gets, and in which /proc file it is written.

use lxc_conf::model::Settings;

use crate::error::{Error, ErrorKind, Result};
use crate::host::Lsm;

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
pub fn plan(settings: &Settings, lsm: Lsm) -> Result<Option<LabelPlan>> {
    match lsm {
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
                label: format!("exec {}", profile.unwrap_or("lxc-container-default-cgns")),
            })),
        },
        Lsm::SeLinux => Ok(settings
            .selinux
            .context
            .as_ref()
            .map(|context| LabelPlan { file: "thread-self/attr/exec", label: context.clone() })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_module_no_label_is_set_whatever_is_configured() {
        let mut settings = Settings::default();
        settings.apparmor.profile = Some("generated".into());
        assert_eq!(plan(&settings, Lsm::None).expect("plan"), None);
        assert!(plan(&settings, Lsm::AppArmor).is_err());
        settings.apparmor.profile = None;
        let label = plan(&settings, Lsm::AppArmor).expect("plan").expect("label");
        assert_eq!(label.label, "exec lxc-container-default-cgns");
    }
}
