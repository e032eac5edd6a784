//! Configuration and host facts turned into a finished plan of a start.
//!
//! Pure: the same inputs give the same plan, and the plan printed (`Display`) is what the golden files hold. After this,
//! nothing is decided any more: `start` opens what the plan names, clones, and executes.

pub mod cgroup_mounts;
mod describe;
mod devices;
mod environment;
mod ignored;
mod limits;
mod namespaces;
pub mod script;

use std::ffi::{CString, OsString};
use std::path::Path;

use lxc_conf::model::{Arch, Capabilities, HookKind, IdKind, IdMap, Item, Ns, Origin, Settings};
use lxc_conf::value::mount_entry::IdmapSource;
use lxc_sys::cred::Personality;

use crate::cgroup::layout::Layout;
use crate::cgroup::plan::{CgroupGlobals, CgroupPlan};
use crate::error::{Error, ErrorKind, Result, cstring};
use crate::hooks::{self, Environment, HookPlan};
use crate::host::Host;
use crate::mounts::{self, MountPlan};
use crate::net::plan::{HostFacts, NetPlan};
use crate::rootfs::{self, MountNs, RootfsPlan};
use crate::{idmap, lsm, net};

pub use devices::{ConsolePlan, DevPlan};
pub use limits::Limit;
pub use namespaces::{Join, NamespacePlan};

/// Everything a plan depends on.
#[derive(Debug)]
pub struct Input<'a> {
    pub name: &'a str,
    pub lxcpath: &'a Path,
    pub config_file: &'a Path,
    pub settings: &'a Settings,
    pub host: &'a Host,
    pub cgroups: &'a Layout,
    pub cgroup_globals: &'a CgroupGlobals,
    /// Lines of the file `lxc.mount.fstab` names.
    pub fstab: &'a [Item<String>],
    /// The caller's environment.
    pub environment: &'a [(OsString, OsString)],
    /// Command given on the command line.
    pub argv: Option<&'a [OsString]>,
    pub kind: Kind,
    pub mode: Mode,
    /// The log level in force, for hooks.
    pub log_level: &'a str,
    /// A random id for `/dev/.lxc-boot-id`.
    pub boot_id: &'a str,
}

/// lxc-start or lxc-execute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The command is init.
    Start,
    /// The command runs under a minimal init.
    Execute,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Daemon,
    Foreground,
}

/// A start with every question answered.
#[derive(Debug)]
pub struct StartPlan {
    pub name: String,
    pub kind: Kind,
    pub mode: Mode,
    /// One of the caller's standard streams is a terminal.
    pub terminal: bool,
    pub namespaces: NamespacePlan,
    pub idmap: Vec<IdMap>,
    /// Ids that are root of the new user namespace, as seen inside.
    pub become_root: Option<(u32, u32)>,
    pub cgroups: CgroupPlan,
    pub network: NetPlan,
    pub rootfs: RootfsPlan,
    /// Where `lxc.rootfs.options` is set.
    pub rootfs_options: Option<Origin>,
    pub hostname: Option<CString>,
    pub new_session_keyring: bool,
    pub dev: DevPlan,
    pub mounts: Vec<MountPlan>,
    pub cgroup_mounts: Vec<MountPlan>,
    pub boot_id: Option<Vec<u8>>,
    pub personality: Option<Personality>,
    /// Path below /proc/sys, value.
    pub sysctls: Vec<(CString, Vec<u8>, Origin)>,
    /// Path below /proc/PID, value; written by the monitor.
    pub procs: Vec<(String, String, Origin)>,
    pub limits: Vec<Limit>,
    pub time_offsets: Vec<u8>,
    /// Capabilities to drop, as a mask.
    pub drop_capabilities: u64,
    pub lsm: lsm::LsmPlan,
    /// Label of the new session keyring.
    pub keyring_label: Option<lsm::LabelPlan>,
    pub no_new_privs: bool,
    pub core_scheduling: bool,
    pub seccomp: Option<(String, Origin)>,
    pub cwd: Option<CString>,
    pub ids: (u32, u32),
    /// `None` keeps the starter's groups.
    pub groups: Option<Vec<u32>>,
    pub death_signal: u32,
    pub argv: Vec<CString>,
    /// Environment of init.
    pub environment: Vec<CString>,
    /// Environment of hooks on the host.
    pub hook_environment: Environment,
    /// Environment of hooks in the child.
    pub child_hook_environment: Environment,
    pub hook_version: u8,
    /// By `HookKind as usize`.
    pub hooks: [Vec<HookPlan>; 10],
    /// Lines that do not take effect, with the reason; logged by the monitor.
    pub notices: Vec<String>,
}

impl StartPlan {
    /// The container keeps capability `number`.
    pub fn keeps(&self, number: u8) -> bool {
        self.drop_capabilities & 1 << number == 0
    }

    /// Another name than the first was free for the payload's cgroup: a container without a cgroup namespace sees it.
    pub fn rename_payload(&mut self, settings: &Settings, name: &str) -> Result<()> {
        let cgroup_namespace = self.namespaces.owns(Ns::Cgroup) || self.namespaces.shares(Ns::Cgroup);
        if self.cgroup_mounts.is_empty() || cgroup_namespace || name == self.cgroups.payload.candidate(0) {
            return Ok(());
        }
        let keeps = self.keeps(CAP_SYS_ADMIN);
        self.cgroup_mounts = cgroup_mounts::plan(settings, &self.cgroups, name, &self.namespaces, keeps)?;
        Ok(())
    }

    /// Takes over the id maps of the user namespace the container shares.
    pub fn adopt_maps(&mut self, maps: Vec<IdMap>) {
        self.become_root = Some(idmap::namespace_root(&maps, self.ids));
        self.idmap = maps;
    }

    pub fn hooks_of(&self, kind: HookKind) -> &[HookPlan] {
        &self.hooks[kind as usize]
    }
}

const CAP_NET_ADMIN: u8 = 12;
const CAP_SYS_ADMIN: u8 = 21;

/// Makes the plan.
///
/// - Errors: everything that is wrong with the configuration on this host and can be known without touching anything,
///   each with its config line.
pub fn plan(input: &Input<'_>) -> Result<StartPlan> {
    let settings = input.settings;
    let mut notices = Vec::new();
    let network = net::plan::plan(settings, &HostFacts { privileged: input.host.euid == 0 })?;
    let namespaces = namespaces::plan(input, &network)?;
    let become_root = root_inside(settings, &namespaces)?;
    let cgroups = crate::cgroup::plan::plan(
        settings,
        input.name,
        input.cgroup_globals,
        input.cgroups,
        input.host.euid,
    )?;
    notices.extend(cgroups.notices.iter().cloned());

    let owns_mounts = namespaces.owns(Ns::Mnt);
    let mount_ns = match (owns_mounts, namespaces.shares(Ns::Mnt)) {
        (true, _) => MountNs::Own,
        (false, true) => MountNs::Shared,
        (false, false) => MountNs::Host,
    };
    let options = match &settings.rootfs.options {
        Some(text) => mounts::entry::rootfs_options(
            text,
            &settings.origin("lxc.rootfs.options").cloned().unwrap_or_default(),
        )?,
        None => mounts::entry::RootfsOptions::default(),
    };
    // COMPAT: without a user namespace the original ignores it, too: the ids are the host's anyway.
    let has_map = namespaces.owns(Ns::User) || namespaces.shares(Ns::User);
    let idmap = options.idmap.as_ref().filter(|idmap| **idmap != IdmapSource::Container || has_map);
    let rootfs = rootfs::plan(
        settings,
        input.host,
        mount_ns,
        rootfs::Options { attr: options.attr, idmap, data: &options.data },
    )?;
    if options.idmap.is_some() && idmap.is_none() {
        notices.push("idmap=container in lxc.rootfs.options has no effect: there is no lxc.idmap".to_owned());
    }
    notices.extend(ignored::notices(settings, &namespaces, &rootfs, &options.data));
    let drop_capabilities = dropped(&settings.capabilities, input.host.last_capability);
    let keeps = |capability: u8| drop_capabilities & 1 << capability == 0;
    let whose = lsm::apparmor::Whose {
        name: input.name,
        lxcpath: input.lxcpath,
        cgroup_namespace: namespaces.owns(Ns::Cgroup) || namespaces.shares(Ns::Cgroup),
    };
    let confinement = lsm::plan(settings, input.host, whose)?;
    let mut mount_plans = Vec::new();
    let mut cgroup_mounts = Vec::new();
    if owns_mounts {
        mount_plans = mounts::auto::plan(settings, keeps(CAP_NET_ADMIN))?;
        if let Some(shmounts) = &settings.mounts.auto.shmounts {
            mount_plans.push(mounts::auto::shmounts(shmounts, &settings.mounts.auto.origin)?);
        }
        let roots = entry_roots(input, &rootfs);
        for line in
            input.fstab.iter().chain(&settings.mounts.entries).chain(&nesting_mounts(settings, &confinement))
        {
            match mounts::entry::plan(line, &roots)? {
                Ok(plan) if !has_map && plan.wants_container_map() => {
                    return Err(Error::new(ErrorKind::Config, "idmap=container without a user namespace")
                        .at(&line.origin)
                        .cure(
                            "add lxc.idmap lines, or remove idmap=container: the ids are the host's anyway",
                        ));
                }
                Ok(plan) => mount_plans.push(plan),
                Err(reason) => notices.push(match &line.origin.file {
                    Some(_) => format!("{}: {reason}", line.origin),
                    None => reason,
                }),
            }
        }
        let payload = cgroups.payload.candidate(0);
        cgroup_mounts = cgroup_mounts::plan(settings, &cgroups, &payload, &namespaces, keeps(CAP_SYS_ADMIN))?;
    }
    let dev = devices::plan(settings, &rootfs)?;
    let populates_dev = dev.populate;
    let init_environment = environment::of_init(settings, &dev)?;
    let (ids, groups) = identity(settings);
    let rootfs_mount = settings
        .rootfs
        .mount
        .clone()
        .unwrap_or_else(|| input.host.rootfs_mount.to_string_lossy().into_owned());
    let facts = hooks::Facts {
        name: input.name,
        config_file: input.config_file,
        rootfs_mount: &rootfs_mount,
        log_level: input.log_level,
    };
    let hook_environment = hooks::environment(settings, &facts, input.environment);
    Ok(StartPlan {
        name: input.name.to_owned(),
        kind: input.kind,
        mode: input.mode,
        terminal: input.host.terminal,
        become_root,
        idmap: settings.idmap.clone(),
        cgroups,
        network,
        rootfs,
        rootfs_options: settings.origin("lxc.rootfs.options").cloned(),
        hostname: settings
            .uts_name
            .as_deref()
            .filter(|_| namespaces.owns(Ns::Uts))
            .map(cstring)
            .transpose()?,
        // The value is the raw one: 0 makes a new keyring (config.md row 47).
        new_session_keyring: !settings.keyring_session,
        boot_id: (dev.tmpfs_size.is_some() && owns_mounts)
            .then(|| format!("{}\n", input.boot_id).into_bytes()),
        dev,
        mounts: mount_plans,
        cgroup_mounts,
        personality: settings.arch.map(|arch| match arch {
            Arch::Bits32 => Personality::Linux32,
            Arch::Bits64 => Personality::Linux,
        }),
        sysctls: settings
            .sysctls
            .iter()
            .map(|s| {
                let path = cstring(format!("sys/{}", s.key.replace('.', "/")))?;
                Ok((path, s.value.clone().into_bytes(), s.origin.clone()))
            })
            .collect::<Result<_>>()?,
        procs: settings
            .procs
            .iter()
            .map(|s| (s.key.replace('.', "/"), s.value.clone(), s.origin.clone()))
            .collect(),
        limits: limits::plan(settings)?,
        time_offsets: match namespaces.owns(Ns::Time) {
            true => namespaces::time_offsets(settings),
            false => Vec::new(),
        },
        namespaces,
        drop_capabilities,
        lsm: confinement,
        keyring_label: lsm::keyring(settings, input.host).filter(|_| !settings.keyring_session),
        no_new_privs: settings.no_new_privs,
        core_scheduling: settings.sched_core,
        seccomp: settings
            .seccomp
            .profile
            .clone()
            .map(|path| (path, settings.origin("lxc.seccomp.profile").cloned().unwrap_or_default())),
        cwd: settings.init.cwd.as_deref().map(cstring).transpose()?,
        ids,
        groups,
        death_signal: settings.monitor.pdeath_signal.unwrap_or(9),
        argv: argv(input, mount_ns)?,
        environment: init_environment,
        child_hook_environment: environment::of_child_hooks(settings, &hook_environment),
        hook_environment,
        hook_version: settings.hooks.version,
        hooks: HookKind::ALL.map(|kind| match kind {
            // Observed: without a /dev of its own the original does not run them.
            HookKind::Autodev if !populates_dev => Vec::new(),
            kind => hooks::plan(settings, kind),
        }),
        notices,
    })
}

/// A complete proc and a complete sysfs, out of the way: the kernel lets a nested user namespace mount its own only where
/// one that nothing hides is visible (mount_namespaces(7)).
///
/// Source: config.md row 4; observed: only with a generated profile, which keeps the container from using them.
fn nesting_mounts(settings: &Settings, confinement: &lsm::LsmPlan) -> Vec<Item<String>> {
    if !settings.apparmor.allow_nesting
        || !matches!(confinement.apparmor, Some(lsm::apparmor::Policy::Generated(_)))
    {
        return Vec::new();
    }
    let origin = settings.origin("lxc.apparmor.allow_nesting").cloned().unwrap_or_default();
    ["proc dev/.lxc/proc proc create=dir,optional 0 0", "sys dev/.lxc/sys sysfs create=dir,optional 0 0"]
        .map(|line| Item { value: line.to_owned(), origin: origin.clone() })
        .to_vec()
}

/// Ids that are root of the user namespace, as seen inside; `None` in the host's own.
fn root_inside(settings: &Settings, namespaces: &NamespacePlan) -> Result<Option<(u32, u32)>> {
    if settings.idmap.is_empty() {
        // What the other container's map is, only its namespace knows; the kernel refuses an unmapped root.
        return Ok(namespaces.shares(Ns::User).then_some((0, 0)));
    }
    let init = (settings.init.uid, settings.init.gid);
    let root = idmap::namespace_root(&settings.idmap, init);
    let mut needed = vec![
        (IdKind::User, root.0, "root of the user namespace"),
        (IdKind::Group, root.1, "root of the user namespace"),
        (IdKind::User, init.0, "lxc.init.uid"),
        (IdKind::Group, init.1, "lxc.init.gid"),
    ];
    needed.extend(settings.init.groups.iter().map(|gid| (IdKind::Group, *gid, "lxc.init.groups")));
    idmap::check(&settings.idmap, &needed).map_err(|error| {
        let key = ["lxc.init.uid", "lxc.init.gid", "lxc.idmap"]
            .into_iter()
            .find(|key| error.to_string().starts_with(key));
        error.at(&settings.origin(key.unwrap_or("lxc.idmap")).cloned().unwrap_or_default())
    })?;
    Ok(Some(root))
}

/// What init's command is.
fn argv(input: &Input<'_>, mount_ns: MountNs) -> Result<Vec<CString>> {
    use std::os::unix::ffi::OsStrExt;
    if let Some(argv) = input.argv.filter(|argv| !argv.is_empty()) {
        return argv.iter().map(|word| cstring(word.as_bytes())).collect();
    }
    let (configured, key) = match input.kind {
        Kind::Start => (&input.settings.init.cmd, "lxc.init.cmd"),
        Kind::Execute => (&input.settings.execute_cmd, "lxc.execute.cmd"),
    };
    let words = configured.as_deref().map(lxc_conf::value::command::split).unwrap_or_default();
    match (words.is_empty(), input.kind) {
        (false, _) => words.into_iter().map(cstring).collect(),
        // The host's own init would run a second time, on the host's own file systems.
        (true, Kind::Start) if mount_ns == MountNs::Host => {
            Err(Error::new(ErrorKind::Config, "run /sbin/init in the host's mount namespace")
                .at(&["lxc.namespace.keep", "lxc.namespace.clone"]
                    .into_iter()
                    .find_map(|key| input.settings.origin(key))
                    .cloned()
                    .unwrap_or_default())
                .cure("set lxc.init.cmd, or give a command after the container's name"))
        }
        (true, Kind::Start) => Ok(vec![c"/sbin/init".into()]),
        (true, Kind::Execute) => Err(Error::new(ErrorKind::Config, "no command to execute")
            .cure(format!("give a command after the container's name, or set {key}"))),
    }
}

/// Names of the container's tree that absolute mount targets may start with.
fn entry_roots(input: &Input<'_>, rootfs: &RootfsPlan) -> mounts::entry::Roots {
    if !rootfs.is_own() {
        return mounts::entry::Roots { prefixes: Vec::new(), host_root: true };
    }
    let mut prefixes = Vec::new();
    if let Some(path) = &input.settings.rootfs.path {
        prefixes.push(path.path.clone());
    }
    prefixes.push(format!("{}/{}/rootfs", input.lxcpath.display(), input.name));
    mounts::entry::Roots { prefixes, host_root: false }
}

fn dropped(capabilities: &Capabilities, last: u8) -> u64 {
    let bits = |list: &[lxc_conf::model::Capability]| {
        list.iter().fold(0u64, |mask, cap| mask | 1 << (cap.number & 63))
    };
    let all = if last >= 63 { u64::MAX } else { (1u64 << (last + 1)) - 1 };
    match capabilities {
        Capabilities::Untouched => 0,
        Capabilities::Drop(list) => bits(list),
        Capabilities::Keep(list) => all & !bits(list),
    }
}

/// Final ids and supplementary groups of init.
///
/// Source: abi-and-wire.md E2 step 25: groups are dropped, or set to `lxc.init.groups`.
fn identity(settings: &Settings) -> ((u32, u32), Option<Vec<u32>>) {
    ((settings.init.uid, settings.init.gid), Some(settings.init.groups.clone()))
}
