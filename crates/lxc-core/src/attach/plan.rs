//! Request and facts → the finished list of what the attached process does. Pure.
//!
//! Not here: reading facts (`context`), opening anything (`spawn`).

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;

use lxc_conf::model::{Arch, Ns, Settings};
use lxc_sys::cred::Personality;

use super::facts::{Facts, Label};
use super::{Elevated, Namespaces, Request, Terminal};
use crate::host::Lsm;
use crate::lsm;
use crate::{Error, ErrorKind, Result};

/// One resource limit to set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedLimit {
    pub name: String,
    pub resource: u32,
    pub soft: u64,
    pub hard: u64,
}

/// One file below `/proc` to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedWrite {
    pub path: CString,
    pub value: Vec<u8>,
}

/// Every question answered; no descriptor opened yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachPlan {
    /// `CLONE_NEW*` bits to enter.
    pub kinds: u64,
    pub enter_cgroups: bool,
    pub limits: Vec<PlannedLimit>,
    pub proc_writes: Vec<PlannedWrite>,
    /// LSM attribute file below the host's procfs, and what to write there.
    pub label: Option<(CString, Vec<u8>)>,
    pub new_session_keyring: bool,
    pub drop_terminal: bool,
    pub cwd: Option<CString>,
    pub remount: bool,
    pub core_of: Option<i32>,
    pub personality: Option<Personality>,
    pub drop_bounding: u64,
    pub groups: Vec<u32>,
    pub namespace_root: Option<(u32, u32)>,
    pub no_new_privs: bool,
    pub seccomp_profile: Option<String>,
    pub uid: u32,
    pub gid: u32,
    pub environment: Vec<CString>,
}

/// Plans an attach. `caller_cwd` is used when the request names no directory.
///
/// - Errors: `Config` for a limit with an unknown name.
pub fn plan(request: &Request, facts: &Facts, caller_cwd: Option<&std::path::Path>) -> Result<AttachPlan> {
    let kinds = kinds(request, facts);
    let has = |ns: Ns| kinds & ns.clone_flag() != 0;
    let confined = !request.elevated.contains(Elevated::Lsm);
    let cwd = request.cwd.as_deref().or(caller_cwd.filter(|_| has(Ns::Mnt)));
    let settings = &request.settings;
    Ok(AttachPlan {
        kinds,
        enter_cgroups: !request.elevated.contains(Elevated::Cgroup),
        limits: limits(settings)?,
        proc_writes: proc_writes(settings)?,
        label: facts.label.as_ref().filter(|_| confined).map(label),
        new_session_keyring: facts.own_keyring && confined,
        // With a pseudo terminal the process leads a session of its own; where the host's files stay in reach there is
        // nothing to protect.
        drop_terminal: request.terminal == Terminal::None && has(Ns::Mnt),
        cwd: cwd.and_then(|path| CString::new(path.as_os_str().as_bytes()).ok()),
        remount: request.remount_proc_sys && !has(Ns::Mnt),
        core_of: facts.core_scheduling.then_some(if has(Ns::Pid) { facts.ns_pid } else { facts.pid }),
        personality: request.arch.or(facts.arch).map(personality),
        drop_bounding: if request.elevated.contains(Elevated::Cap) { 0 } else { !facts.bounding },
        groups: request.groups.clone(),
        namespace_root: has(Ns::User).then_some((facts.root_uid, facts.root_gid)),
        no_new_privs: request.no_new_privs || (facts.no_new_privs && confined),
        seccomp_profile: facts.seccomp_profile.clone().filter(|_| confined),
        uid: request.uid.unwrap_or(if has(Ns::User) { facts.root_uid } else { 0 }),
        gid: request.gid.unwrap_or(if has(Ns::User) { facts.root_gid } else { 0 }),
        environment: request.environment.build(&[&settings.environment, &settings.environment_runtime]),
    })
}

fn kinds(request: &Request, facts: &Facts) -> u64 {
    let wanted = match request.namespaces {
        Namespaces::OfContainer => facts.foreign,
        Namespaces::Only(kinds) => return kinds & facts.foreign,
    };
    // COMPAT: a cgroup namespace the container only shares is left alone by who stays out of its cgroups.
    let shared = wanted & !facts.owned;
    match request.elevated.contains(Elevated::Cgroup) {
        true => wanted & !(shared & Ns::Cgroup.clone_flag()),
        false => wanted,
    }
}

fn personality(arch: Arch) -> Personality {
    match arch {
        Arch::Bits32 => Personality::Linux32,
        Arch::Bits64 => Personality::Linux,
    }
}

fn label(label: &Label) -> (CString, Vec<u8>) {
    match label.lsm {
        Lsm::AppArmor => {
            (lsm::apparmor_file(label.stacked).to_owned(), lsm::apparmor_command(&label.text).into_bytes())
        }
        // At exec: a change at once needs a permission of its own that policies rarely give.
        Lsm::SeLinux | Lsm::None => (c"thread-self/attr/exec".to_owned(), label.text.clone().into_bytes()),
    }
}

fn limits(settings: &Settings) -> Result<Vec<PlannedLimit>> {
    let limit = |limit: &lxc_conf::model::Prlimit| {
        let resource = lxc_conf::value::prlimit::resource(&limit.name).ok_or_else(|| {
            Error::new(ErrorKind::Config, format!("lxc.prlimit.{}: no such resource", limit.name))
                .at(&limit.origin)
        })?;
        Ok(PlannedLimit { name: limit.name.clone(), resource, soft: limit.soft, hard: limit.hard })
    };
    settings.prlimits.iter().map(limit).collect()
}

fn proc_writes(settings: &Settings) -> Result<Vec<PlannedWrite>> {
    let write = |setting: &lxc_conf::model::KernelSetting| {
        let path = format!("self/{}", setting.key.replace('.', "/"));
        let path = CString::new(path).map_err(|_| {
            Error::new(ErrorKind::Config, format!("lxc.proc.{}: NUL in the name", setting.key))
                .at(&setting.origin)
        })?;
        Ok(PlannedWrite { path, value: setting.value.clone().into_bytes() })
    };
    settings.procs.iter().map(write).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use lxc_conf::model::{EnvVar, Prlimit};

    use super::super::{ElevatedSet, Program};
    use super::*;

    const ALL: u64 = 0x6e02_0000;
    const USER: u64 = 0x1000_0000;
    const MNT: u64 = 0x2_0000;
    const PID: u64 = 0x2000_0000;
    const CGROUP: u64 = 0x200_0000;

    fn facts() -> Facts {
        Facts {
            pid: 4711,
            ns_pid: 1,
            foreign: ALL,
            owned: ALL,
            bounding: 0x1ff,
            no_new_privs: true,
            own_keyring: true,
            seccomp_profile: Some("/p".into()),
            label: Some(Label { lsm: Lsm::AppArmor, stacked: true, text: "lxc-default".into() }),
            ..Facts::default()
        }
    }

    fn request() -> Request {
        Request::new("/var/lib/lxc", "c1", Program::Shell)
    }

    fn planned(request: &Request, facts: &Facts) -> AttachPlan {
        plan(request, facts, Some(Path::new("/work"))).expect("plan")
    }

    #[test]
    fn by_default_everything_of_the_container_applies() {
        let plan = planned(&request(), &facts());
        assert_eq!(plan.kinds, ALL);
        assert!(plan.enter_cgroups && plan.no_new_privs && plan.drop_terminal && !plan.remount);
        assert!(plan.new_session_keyring);
        assert_eq!(plan.drop_bounding, !0x1ff);
        assert_eq!(plan.seccomp_profile.as_deref(), Some("/p"));
        assert_eq!(
            plan.label,
            Some((c"thread-self/attr/apparmor/current".to_owned(), b"changeprofile lxc-default".to_vec()))
        );
        assert_eq!(plan.cwd.as_deref(), Some(c"/work"));
        assert_eq!((plan.uid, plan.gid, plan.namespace_root), (0, 0, None));
        assert_eq!(plan.environment, [c"container=lxc".to_owned()]);
    }

    #[test]
    fn each_elevation_keeps_its_privilege_only() {
        let elevated = |privilege| {
            planned(&Request { elevated: ElevatedSet::NONE.with(privilege), ..request() }, &facts())
        };
        let cap = elevated(Elevated::Cap);
        assert!(cap.drop_bounding == 0 && cap.enter_cgroups && cap.label.is_some());
        let cgroup = elevated(Elevated::Cgroup);
        assert!(!cgroup.enter_cgroups && cgroup.drop_bounding != 0 && cgroup.seccomp_profile.is_some());
        let lsm = elevated(Elevated::Lsm);
        assert!(
            !lsm.new_session_keyring
                && lsm.label.is_none()
                && lsm.seccomp_profile.is_none()
                && !lsm.no_new_privs
                && lsm.enter_cgroups
        );
    }

    #[test]
    fn a_shared_cgroup_namespace_is_left_alone_outside_of_the_cgroups() {
        let facts = Facts { owned: ALL & !CGROUP, ..facts() };
        let outside = Request { elevated: ElevatedSet::NONE.with(Elevated::Cgroup), ..request() };
        assert_eq!(planned(&outside, &facts).kinds, ALL & !CGROUP);
        assert_eq!(planned(&request(), &facts).kinds, ALL);
    }

    #[test]
    fn only_differing_namespaces_of_those_asked_for_are_entered() {
        let only =
            |kinds| Request { namespaces: Namespaces::Only(kinds), remount_proc_sys: true, ..request() };
        let plan = planned(&only(PID | USER), &facts());
        assert_eq!(plan.kinds, PID);
        assert!(plan.remount && !plan.drop_terminal);
        assert_eq!(plan.cwd, None, "without another mount namespace the process stays where it is");
        assert!(!planned(&only(MNT | PID), &facts()).remount);
    }

    #[test]
    fn a_user_namespace_needs_its_root_first() {
        let facts = Facts { foreign: ALL | USER, root_uid: 5, root_gid: 6, ..facts() };
        let plan = planned(&request(), &facts);
        assert_eq!((plan.namespace_root, plan.uid, plan.gid), (Some((5, 6)), 5, 6));
        let plan = planned(&Request { uid: Some(1000), ..request() }, &facts);
        assert_eq!((plan.namespace_root, plan.uid, plan.gid), (Some((5, 6)), 1000, 6));
    }

    #[test]
    fn the_domain_of_init_is_joined_by_the_number_visible_there() {
        let facts = Facts { core_scheduling: true, ..facts() };
        assert_eq!(planned(&request(), &facts).core_of, Some(1));
        let outside = Request { namespaces: Namespaces::Only(MNT), ..request() };
        assert_eq!(planned(&outside, &facts).core_of, Some(4711));
    }

    #[test]
    fn configured_limits_and_variables_are_taken_and_unknown_limits_blamed() {
        let mut request = request();
        request.settings.environment = vec![EnvVar { key: "A".into(), value: "1".into() }];
        request.settings.environment_runtime = vec![EnvVar { key: "A".into(), value: "2".into() }];
        request.settings.prlimits = vec![Prlimit {
            name: "nofile".into(),
            soft: 5,
            hard: 6,
            single: false,
            origin: Default::default(),
        }];
        let plan = planned(&request, &facts());
        assert_eq!(plan.environment, [c"container=lxc".to_owned(), c"A=2".to_owned()]);
        assert_eq!(
            plan.limits.first().map(|limit| (limit.resource, limit.soft, limit.hard)),
            Some((7, 5, 6))
        );
        request.settings.prlimits = vec![Prlimit {
            name: "bogus".into(),
            soft: 5,
            hard: 6,
            single: false,
            origin: Default::default(),
        }];
        let error = super::plan(&request, &facts(), None).expect_err("unknown limit");
        assert_eq!(error.kind(), ErrorKind::Config);
    }
}
