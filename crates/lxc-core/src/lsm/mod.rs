//! Linux security modules: what label init gets, in which /proc file it is written, and what has to be loaded before.

pub mod apparmor;

use std::ffi::CStr;

use lxc_conf::model::Settings;

use self::apparmor::{Policy, Whose};
use crate::error::Result;
use crate::host::{Host, Lsm};

/// A label and the file below `/proc` that takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelPlan {
    pub file: &'static CStr,
    /// As written: AppArmor's begins with a command.
    pub label: String,
}

/// How a container is confined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LsmPlan {
    pub label: Option<LabelPlan>,
    pub apparmor: Option<Policy>,
}

/// The label of init, if one is to be set.
///
/// - Errors: `Unsupported` where this machine cannot do what is asked for.
/// - Source: config.md rows 2–5, 75–76; without an active module every one of these keys has no effect.
pub fn plan(settings: &Settings, host: &Host, whose: Whose<'_>) -> Result<LsmPlan> {
    match (host.lsm, &host.apparmor) {
        (Lsm::AppArmor, Some(facts)) => {
            let decision = apparmor::decide(settings, host, facts, whose)?;
            Ok(LsmPlan {
                label: decision.label.map(|label| LabelPlan {
                    file: apparmor_file(facts.own_attributes),
                    label: apparmor_command(&label),
                }),
                apparmor: decision.policy,
            })
        }
        (Lsm::SeLinux, _) => Ok(LsmPlan {
            label: settings
                .selinux
                .context
                .as_ref()
                .map(|context| LabelPlan { file: c"thread-self/attr/exec", label: context.clone() }),
            apparmor: None,
        }),
        (Lsm::None | Lsm::AppArmor, _) => Ok(LsmPlan::default()),
    }
}

/// The file AppArmor takes a change of profile in: its own one where the kernel has that.
pub fn apparmor_file(own_attributes: bool) -> &'static CStr {
    match own_attributes {
        true => c"thread-self/attr/apparmor/current",
        false => c"thread-self/attr/current",
    }
}

/// What to write there.
///
/// A change at once, not on exec: a profile that changes on exec clears the signal that ties init to its monitor, is
/// refused under no_new_privs, and never comes where lxc-execute does not exec. The original does the same (stracing it).
pub fn apparmor_command(label: &str) -> String {
    format!("changeprofile {label}")
}

/// The label of the session keyring; `None` leaves it to the kernel.
///
/// - Source: lxc.container.conf(5): `lxc.selinux.context.keyring`, else the context of init.
pub fn keyring(settings: &Settings, host: &Host) -> Option<LabelPlan> {
    let label = settings.selinux.keyring.as_ref().or(settings.selinux.context.as_ref());
    match host.lsm {
        Lsm::SeLinux => {
            label.map(|label| LabelPlan { file: c"thread-self/attr/keycreate", label: label.clone() })
        }
        Lsm::None | Lsm::AppArmor => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use lxc_conf::model::Ns;

    use super::*;
    use crate::host::apparmor::AppArmor;

    fn facts() -> AppArmor {
        AppArmor {
            own_attributes: true,
            visible: true,
            nested: false,
            mounts: true,
            stacking: true,
            namespaces: true,
            loads: true,
            parser: Some("/sbin/apparmor_parser".into()),
            confined: None,
        }
    }

    fn host(lsm: Lsm, apparmor: Option<AppArmor>) -> Host {
        Host {
            euid: 0,
            egid: 0,
            last_capability: 40,
            namespaces: Ns::Cgroup.clone_flag(),
            lsm,
            apparmor,
            terminal: false,
            rootfs_mount: "/mnt".into(),
        }
    }

    fn profile(name: &str) -> Settings {
        let mut settings = Settings::default();
        settings.apparmor.profile = Some(name.into());
        settings
    }

    fn label(settings: &Settings, facts: AppArmor) -> Option<LabelPlan> {
        plan(settings, &host(Lsm::AppArmor, Some(facts)), whose()).expect("plan").label
    }

    fn refusal(settings: &Settings, facts: AppArmor) -> (String, String) {
        let error = plan(settings, &host(Lsm::AppArmor, Some(facts)), whose()).expect_err("refused");
        (error.to_string(), error.cure_text().unwrap_or_default().to_owned())
    }

    fn whose() -> Whose<'static> {
        Whose { name: "c1", lxcpath: Path::new("/var/lib/lxc"), cgroup_namespace: true }
    }

    #[test]
    fn without_a_module_no_label_is_set_whatever_is_configured() {
        let mut settings = profile("generated");
        settings.selinux.keyring = Some("k".into());
        assert_eq!(plan(&settings, &host(Lsm::None, None), whose()).expect("plan"), LsmPlan::default());
        assert_eq!(keyring(&settings, &host(Lsm::None, None)), None);
    }

    #[test]
    fn the_default_profile_depends_on_the_kernel() {
        let mut host = host(Lsm::AppArmor, Some(facts()));
        let label = |host: &Host| {
            plan(&Settings::default(), host, whose()).expect("plan").label.expect("label").label
        };
        assert_eq!(label(&host), "changeprofile lxc-container-default-cgns");
        host.namespaces = 0;
        assert_eq!(label(&host), "changeprofile lxc-container-default");
    }

    #[test]
    fn a_generated_profile_is_stacked_on_a_namespace_where_there_are_any() {
        let stacked = label(&profile("generated"), facts()).expect("label");
        assert_eq!(stacked.label, "changeprofile lxc-c1_</var/lib/lxc>//&:lxc-c1_<-var-lib-lxc>:");
        assert_eq!(stacked.file, c"thread-self/attr/apparmor/current");
        let old = AppArmor { stacking: false, own_attributes: false, ..facts() };
        let plain = label(&profile("generated"), old).expect("label");
        assert_eq!(plain.label, "changeprofile lxc-c1_</var/lib/lxc>");
        assert_eq!(plain.file, c"thread-self/attr/current");
    }

    #[test]
    fn what_cannot_be_done_is_refused_with_the_key_that_helps() {
        let (what, cure) = refusal(&profile("generated"), AppArmor { loads: false, ..facts() });
        assert!(what.contains("CAP_MAC_ADMIN") && cure.contains("lxc.apparmor.profile ="), "{what} {cure}");
        let (what, cure) = refusal(&profile("generated"), AppArmor { parser: None, ..facts() });
        assert!(what.contains("apparmor_parser") && cure.contains("install"), "{what} {cure}");
        let blind = AppArmor { mounts: false, ..facts() };
        let (what, cure) = refusal(&profile("p"), blind.clone());
        assert!(what.contains("mounts") && cure.contains("lxc.apparmor.allow_incomplete"), "{what} {cure}");
        let mut settings = profile("p");
        settings.apparmor.allow_incomplete = true;
        assert_eq!(label(&settings, blind.clone()).expect("label").label, "changeprofile p");
        assert!(label(&profile("unconfined"), blind).is_some());
    }

    #[test]
    fn in_a_container_without_policy_of_its_own_the_label_stays() {
        let inside = AppArmor { confined: Some("lxc-outer".into()), ..facts() };
        assert_eq!(label(&Settings::default(), inside.clone()), None);
        assert_eq!(label(&profile("unchanged"), inside.clone()), None);
        let (what, cure) = refusal(&profile("generated"), inside);
        assert!(
            what.contains("already confined by lxc-outer") && cure.contains("unchanged"),
            "{what} {cure}"
        );
    }

    #[test]
    fn in_a_container_that_sees_no_policy_the_label_stays_too() {
        let inside = AppArmor { visible: false, nested: true, loads: false, ..facts() };
        assert_eq!(label(&Settings::default(), inside.clone()), None);
        let (what, cure) = refusal(&profile("generated"), inside);
        assert!(what.contains("does not see its policy") && cure.contains("unchanged"), "{what} {cure}");
        // On the machine itself that is no reason to go without a label.
        let blind = AppArmor { visible: false, loads: false, ..facts() };
        assert!(label(&Settings::default(), blind).is_some());
    }

    #[test]
    fn a_mapped_root_gets_mounts_a_root_of_the_machine_does_not() {
        use lxc_conf::model::{IdKind, IdMap};
        let text = |settings: &Settings| {
            let plan = plan(settings, &host(Lsm::AppArmor, Some(facts())), whose()).expect("plan");
            match plan.apparmor {
                Some(Policy::Generated(generated)) => generated.text.text,
                other => panic!("{other:?}"),
            }
        };
        let mut settings = profile("generated");
        assert!(!text(&settings).contains("\n  mount,\n"));
        let map = IdMap { kind: IdKind::User, ns_id: 0, host_id: 100_000, count: 65_536 };
        settings.idmap = vec![map];
        assert!(text(&settings).contains("\n  mount,\n"));
        settings.idmap.push(IdMap { ns_id: 65_536, host_id: 0, count: 1, ..map });
        assert!(!text(&settings).contains("\n  mount,\n"), "the machine's root is mapped after all");
    }

    #[test]
    fn selinux_takes_its_context_at_exec() {
        let mut settings = Settings::default();
        settings.selinux.context = Some("u:r:t:s0".into());
        let plan = plan(&settings, &host(Lsm::SeLinux, None), whose()).expect("plan");
        assert_eq!(plan.label, Some(LabelPlan { file: c"thread-self/attr/exec", label: "u:r:t:s0".into() }));
        assert_eq!(
            keyring(&settings, &host(Lsm::SeLinux, None)).map(|label| label.file),
            Some(c"thread-self/attr/keycreate")
        );
    }
}
