//! What control groups a container gets: names, order of attempts, and every value that will be written.
//!
//! Pure: settings and a `Layout` in, a `CgroupPlan` out. Not here: system calls (`tree`), the meaning of v1 keys on a
//! v2 host (`translate`), device rules (`devices`).

use std::fmt;

use lxc_conf::model::{CgroupPaths, CgroupSetting, Origin, Settings};

use super::devices::{DeviceRule, ListDefault};
use super::layout::{Hierarchy, Layout, LayoutKind, Version};
use super::limit::controller_of;
use super::translate::{Translated, v1_to_v2};
use crate::error::{Error, ErrorKind, Result};

/// Highest suffix tried when a cgroup's name is taken.
pub const LAST_SUFFIX: u32 = 999;

/// `lxc.cgroup.pattern` and `lxc.cgroup.use` of lxc.conf(5).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CgroupGlobals {
    /// `%n` stands for the container's name.
    pub pattern: Option<String>,
    /// Controllers that must be writable; a comma list.
    pub required: Option<String>,
}

/// The path of one cgroup below the base cgroups, and whether another name may be tried when it is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupName {
    /// Relative, no leading slash.
    pub path: String,
    /// False for explicit paths: those fail when taken.
    pub suffixed: bool,
    pub origin: Origin,
}

impl CgroupName {
    /// The name of attempt `number`; 0 is the plain one.
    pub fn candidate(&self, number: u32) -> String {
        match number {
            0 => self.path.clone(),
            _ => format!("{}-{number}", self.path),
        }
    }

    /// How many candidates there are.
    pub fn candidates(&self) -> u32 {
        if self.suffixed { LAST_SUFFIX + 1 } else { 1 }
    }
}

/// One value for one file of the limit cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupWrite {
    /// Index into `CgroupPlan::hierarchies`.
    pub hierarchy: usize,
    pub file: String,
    pub value: String,
    pub origin: Origin,
    /// A refusal is only worth a warning: the setting was written for v1 and put into v2's words.
    pub translated: bool,
}

/// How device access is restricted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DeviceSetup {
    #[default]
    Open,
    /// Rules written one by one to the v1 devices controller, in order.
    Files { hierarchy: usize, rules: Vec<PlannedRule> },
    /// One BPF program on the unified cgroup.
    Program { start: ListDefault, rules: Vec<PlannedRule> },
}

/// A device rule and the line it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedRule {
    pub rule: DeviceRule,
    pub origin: Origin,
}

/// Everything about control groups that is known before the first of them is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupPlan {
    pub kind: LayoutKind,
    /// The hierarchies used, in the order of the layout.
    pub hierarchies: Vec<Hierarchy>,
    pub monitor: CgroupName,
    /// The cgroup that carries the limits.
    pub payload: CgroupName,
    /// A single component below `payload` for the processes.
    pub inner: Option<String>,
    /// Where the monitor goes while its own cgroup is removed.
    pub pivot: String,
    /// `lxc.cgroup.dir.monitor.pivot` is set.
    pub explicit_pivot: bool,
    pub writes: Vec<CgroupWrite>,
    pub devices: DeviceSetup,
    /// Settings that do not take effect, or take effect otherwise than written; for the log.
    pub notices: Vec<String>,
    /// The systemd scope that was made for the container; a plan itself asks for none.
    pub scope: Option<String>,
}

/// Answers every question about a container's cgroups.
///
/// - Shape: `name` is the container's; `layout` as surveyed with the same `lxc.cgroup.relative`.
/// - Errors: `Config` for contradicting keys or controllers that are not mounted; `Permission` when no hierarchy may be
///   written.
/// - Source: abi-and-wire.md D8; lxc.container.conf(5); observed: which combinations 5.0.2 refuses.
pub fn plan(
    settings: &Settings,
    name: &str,
    globals: &CgroupGlobals,
    layout: &Layout,
    euid: u32,
) -> Result<CgroupPlan> {
    check_paths(settings)?;
    let mut notices: Vec<String> = layout
        .skipped
        .iter()
        .map(|s| format!("cgroup hierarchy {} is not used: {}", s.label, s.why))
        .collect();
    let hierarchies = writable_hierarchies(layout, globals, euid, &mut notices)?;
    let (monitor, payload) = names(settings, name, globals);
    let paths = &settings.cgroup;
    let pivot = match (&paths.monitor_pivot, &paths.dir) {
        (Some(pivot), _) => clean(pivot),
        (None, Some(dir)) => format!("{}/lxc.pivot", clean(dir)),
        (None, None) => "lxc.pivot".to_owned(),
    };
    let mut plan = CgroupPlan {
        kind: layout.kind,
        hierarchies,
        monitor,
        payload,
        inner: paths.container_inner.clone(),
        pivot,
        explicit_pivot: paths.monitor_pivot.is_some(),
        writes: Vec::new(),
        devices: DeviceSetup::Open,
        notices,
        scope: None,
    };
    plan.place_v1_settings(&settings.cgroup1, &settings.cgroup2)?;
    plan.place_v2_settings(&settings.cgroup2)?;
    plan.place_devices(settings)?;
    Ok(plan)
}

fn check_paths(settings: &Settings) -> Result<()> {
    let paths = &settings.cgroup;
    let CgroupPaths { dir, monitor, monitor_pivot, container, container_inner, relative: _ } = paths;
    let origin = |key: &str| settings.origins.get(key).cloned().unwrap_or_default();
    if monitor.is_some() || container.is_some() || container_inner.is_some() {
        if dir.is_some() {
            return Err(Error::new(
                ErrorKind::Config,
                "lxc.cgroup.dir excludes lxc.cgroup.dir.monitor, lxc.cgroup.dir.container and \
                 lxc.cgroup.dir.container.inner",
            )
            .at(&origin("lxc.cgroup.dir"))
            .cure("remove lxc.cgroup.dir, or the others"));
        }
        let lone = match (monitor, container) {
            (Some(_), Some(_)) => None,
            (None, Some(_)) => Some(("lxc.cgroup.dir.container", "lxc.cgroup.dir.monitor")),
            (Some(_), None) => Some(("lxc.cgroup.dir.monitor", "lxc.cgroup.dir.container")),
            (None, None) => Some((
                "lxc.cgroup.dir.container.inner",
                "lxc.cgroup.dir.container and lxc.cgroup.dir.monitor",
            )),
        };
        if let Some((present, missing)) = lone {
            return Err(Error::new(ErrorKind::Config, format!("{present} needs {missing} as well"))
                .at(&origin(present))
                .cure(format!("set {missing}")));
        }
    }
    let all = [
        ("lxc.cgroup.dir", dir),
        ("lxc.cgroup.dir.monitor", monitor),
        ("lxc.cgroup.dir.monitor.pivot", monitor_pivot),
        ("lxc.cgroup.dir.container", container),
        ("lxc.cgroup.dir.container.inner", container_inner),
    ];
    for (key, value) in all {
        let Some(value) = value else { continue };
        let sound = !value.starts_with('/')
            && !clean(value).is_empty()
            && value.split('/').all(|part| part != "..")
            && (key != "lxc.cgroup.dir.container.inner" || !value.contains('/') && value != ".");
        if !sound {
            return Err(Error::new(
                ErrorKind::Config,
                format!("{key} = {value} does not name a cgroup below the base"),
            )
            .at(&origin(key)));
        }
    }
    if let (Some(monitor), Some(container)) = (monitor, container)
        && clean(monitor) == clean(container)
    {
        return Err(Error::new(
            ErrorKind::Config,
            "lxc.cgroup.dir.monitor and lxc.cgroup.dir.container are the same cgroup",
        )
        .at(&origin("lxc.cgroup.dir.container")));
    }
    Ok(())
}

/// Drops empty and `.` components.
fn clean(path: &str) -> String {
    path.split('/').filter(|part| !part.is_empty() && *part != ".").collect::<Vec<_>>().join("/")
}

fn names(settings: &Settings, name: &str, globals: &CgroupGlobals) -> (CgroupName, CgroupName) {
    let paths = &settings.cgroup;
    let origin = |key: &str| settings.origins.get(key).cloned().unwrap_or_default();
    let explicit =
        |path: &str, key: &str| CgroupName { path: clean(path), suffixed: false, origin: origin(key) };
    if let (Some(monitor), Some(container)) = (&paths.monitor, &paths.container) {
        return (
            explicit(monitor, "lxc.cgroup.dir.monitor"),
            explicit(container, "lxc.cgroup.dir.container"),
        );
    }
    let derived = |monitor: String, payload: String, origin: Origin| {
        (
            CgroupName { path: monitor, suffixed: true, origin: origin.clone() },
            CgroupName { path: payload, suffixed: true, origin },
        )
    };
    if let Some(dir) = &paths.dir {
        let dir = clean(dir);
        return derived(
            format!("{dir}/lxc.monitor.{name}"),
            format!("{dir}/lxc.payload.{name}"),
            origin("lxc.cgroup.dir"),
        );
    }
    match globals.pattern.as_deref().map(|pattern| clean(&pattern.replace("%n", name))) {
        Some(pattern) if !pattern.is_empty() => {
            derived(format!("{pattern}/monitor"), format!("{pattern}/payload"), Origin::default())
        }
        _ => derived(format!("lxc.monitor.{name}"), format!("lxc.payload.{name}"), Origin::default()),
    }
}

fn writable_hierarchies(
    layout: &Layout,
    globals: &CgroupGlobals,
    euid: u32,
    notices: &mut Vec<String>,
) -> Result<Vec<Hierarchy>> {
    let required: Vec<&str> = globals
        .required
        .as_deref()
        .map(|list| list.split(',').map(str::trim).filter(|word| !word.is_empty()).collect())
        .unwrap_or_default();
    for controller in &required {
        let usable = layout.of_controller(controller).is_some_and(|h| h.writable);
        // `@all` asks for every controller there is.
        if !usable && *controller != "@all" {
            return Err(Error::new(
                ErrorKind::Config,
                format!("lxc.cgroup.use asks for the controller {controller}, which is not mounted writable"),
            )
            .cure("correct lxc.cgroup.use in lxc.conf, or get the controller delegated"));
        }
    }
    let (usable, refused): (Vec<&Hierarchy>, Vec<&Hierarchy>) =
        layout.hierarchies.iter().partition(|hierarchy| hierarchy.writable);
    let refused_dir = refused.last().map(|h| h.base_dir());
    if required.contains(&"@all")
        && let Some(hierarchy) = refused.first()
    {
        return Err(not_writable(hierarchy, euid));
    }
    if usable.is_empty() {
        return Err(match refused.last() {
            Some(hierarchy) => not_writable(hierarchy, euid),
            None => Error::new(ErrorKind::Unsupported, "no control groups are mounted")
                .cure("mount cgroup2 on /sys/fs/cgroup"),
        });
    }
    if let Some(dir) = refused_dir {
        let labels: Vec<String> = refused.iter().map(|h| h.label()).collect();
        notices.push(format!(
            "cgroup hierarchies not delegated to uid {euid} are left alone: {} (e.g. {})",
            labels.join(" "),
            dir.display()
        ));
    }
    Ok(usable.into_iter().cloned().collect())
}

/// The one message for hosts where the caller may not make cgroups.
fn not_writable(hierarchy: &Hierarchy, euid: u32) -> Error {
    let dir = hierarchy.base_dir();
    let error =
        Error::new(ErrorKind::Permission, format!("cgroup {} is not writable by uid {euid}", dir.display()));
    match (euid, hierarchy.version) {
        (0, _) => error.cure("the mount is read-only; remount it writable"),
        (_, Version::V2) => error.cure(
            "start inside a delegated cgroup: systemd-run --user --scope -p Delegate=yes lxc-start …; without systemd, \
             root must make a cgroup, chown it and its cgroup.procs to you and put your shell into it",
        ),
        (_, Version::V1) => error.cure("root must chown a cgroup of this hierarchy to you, as pam_cgfs does at login"),
    }
}

fn is_device_file(file: &str) -> bool {
    file.starts_with("devices.")
}

impl CgroupPlan {
    /// Index of the v1 hierarchy of a controller.
    fn v1_index(&self, controller: &str) -> Option<usize> {
        self.hierarchies.iter().position(|h| h.version == Version::V1 && h.has(controller))
    }

    fn v2_index(&self) -> Option<usize> {
        self.hierarchies.iter().position(|h| h.version == Version::V2)
    }

    /// `lxc.cgroup.FILE`: written where its v1 controller is mounted, translated where only v2 is.
    fn place_v1_settings(&mut self, settings: &[CgroupSetting], v2: &[CgroupSetting]) -> Result<()> {
        let mut orphans: Vec<&CgroupSetting> = Vec::new();
        for setting in settings.iter().filter(|setting| !is_device_file(&setting.file)) {
            let controller = controller_of(&setting.file);
            match (self.v1_index(controller), self.v2_index()) {
                (Some(hierarchy), _) => self.push(hierarchy, setting),
                (None, Some(_)) => orphans.push(setting),
                (None, None) => return Err(no_controller(setting, "lxc.cgroup.")),
            }
        }
        let Some(unified) = self.v2_index() else { return Ok(()) };
        // On a hybrid host an unknown controller is a mistake, as it is for the original.
        if self.kind == LayoutKind::Hybrid
            && let Some(setting) = orphans.iter().find(|setting| {
                let controller = controller_of(&setting.file);
                !self.hierarchies.get(unified).is_some_and(|h| h.has(v2_controller(controller)))
            })
        {
            return Err(no_controller(setting, "lxc.cgroup."));
        }
        for translated in v1_to_v2(&orphans) {
            match translated {
                Translated::Write { file, value, origin, from } => {
                    if v2.iter().any(|setting| setting.file == file) {
                        self.notices.push(format!("{origin}: {from} is ignored: lxc.cgroup2.{file} is set"));
                        continue;
                    }
                    let controller = controller_of(&file);
                    if !self.hierarchies.get(unified).is_some_and(|h| h.has(controller)) {
                        self.notices.push(format!(
                            "{origin}: {from} is ignored: the {controller} controller is not available on cgroup2 here"
                        ));
                        continue;
                    }
                    self.notices.push(format!("{origin}: {from} is applied as cgroup2 {file} = {value}"));
                    self.writes.push(CgroupWrite {
                        hierarchy: unified,
                        file,
                        value,
                        origin,
                        translated: true,
                    });
                }
                Translated::Dropped { origin, from, why } => {
                    self.notices.push(format!("{origin}: {from} is ignored: {why}"));
                }
            }
        }
        Ok(())
    }

    /// `lxc.cgroup2.FILE`: only where the unified hierarchy has the controller.
    fn place_v2_settings(&mut self, settings: &[CgroupSetting]) -> Result<()> {
        for setting in settings.iter().filter(|setting| !is_device_file(&setting.file)) {
            let controller = controller_of(&setting.file);
            let unified = self.v2_index();
            let has = unified
                .and_then(|index| self.hierarchies.get(index))
                .is_some_and(|h| controller == "cgroup" || h.has(controller));
            match (unified, self.kind) {
                (Some(index), LayoutKind::Hybrid) if has => self.push(index, setting),
                // A file of a v2 controller that is not delegated fails later with the reason.
                (Some(index), LayoutKind::Unified) => self.push(index, setting),
                // COMPAT: the original warns and goes on when v1 controllers are in charge.
                _ => self.notices.push(format!(
                    "{}: lxc.cgroup2.{} is ignored: the {controller} controller is not on the unified hierarchy of this \
                     {} host",
                    setting.origin,
                    setting.file,
                    self.kind.word()
                )),
            }
        }
        Ok(())
    }

    /// `devices.allow` and `devices.deny` of both families.
    fn place_devices(&mut self, settings: &Settings) -> Result<()> {
        let parse = |list: &[CgroupSetting], prefix: &str| -> Result<Vec<PlannedRule>> {
            let mut rules = Vec::new();
            for setting in list.iter().filter(|setting| is_device_file(&setting.file)) {
                let rule = DeviceRule::parse(&setting.file, &setting.value).map_err(|why| {
                    Error::new(
                        ErrorKind::Config,
                        format!("{prefix}{} = {}: {why}", setting.file, setting.value),
                    )
                    .at(&setting.origin)
                })?;
                rules.push(PlannedRule { rule, origin: setting.origin.clone() });
            }
            Ok(rules)
        };
        let v1 = parse(&settings.cgroup1, "lxc.cgroup.")?;
        let v2 = parse(&settings.cgroup2, "lxc.cgroup2.")?;
        self.devices = match (self.v1_index("devices"), self.v2_index()) {
            _ if v1.is_empty() && v2.is_empty() => DeviceSetup::Open,
            (Some(hierarchy), _) if !v1.is_empty() => {
                if !v2.is_empty() {
                    self.notices
                        .push("lxc.cgroup2.devices.* is ignored: lxc.cgroup.devices.* applies here".into());
                }
                DeviceSetup::Files { hierarchy, rules: v1 }
            }
            (Some(hierarchy), _) => {
                // Ignoring them, as 5.0.2 does, would leave every device open to a container that asked for a list.
                self.notices
                    .push("lxc.cgroup2.devices.* is applied through the v1 devices controller".into());
                let mut rules = v2;
                if !rules.iter().any(|planned| planned.rule.is_global()) {
                    let origin = rules.first().map(|planned| planned.origin.clone()).unwrap_or_default();
                    rules.insert(0, PlannedRule { rule: DeviceRule::deny_all(), origin });
                }
                DeviceSetup::Files { hierarchy, rules }
            }
            (None, Some(_)) if !v2.is_empty() => {
                if !v1.is_empty() {
                    self.notices.push("lxc.cgroup.devices.* is ignored: lxc.cgroup2.devices.* is set".into());
                }
                DeviceSetup::Program { start: ListDefault::Deny, rules: v2 }
            }
            (None, Some(_)) => {
                self.notices.push("lxc.cgroup.devices.* is applied as a cgroup2 device program".into());
                DeviceSetup::Program { start: ListDefault::Allow, rules: v1 }
            }
            (None, None) => {
                let origin =
                    v1.first().or(v2.first()).map(|planned| planned.origin.clone()).unwrap_or_default();
                return Err(Error::new(
                    ErrorKind::Config,
                    "device rules are set but no devices controller is mounted",
                )
                .at(&origin)
                .cure("mount the v1 devices controller or cgroup2, or remove the rules"));
            }
        };
        self.check_inner_devices()
    }

    /// A v1 cgroup with another below it takes no rule for all devices, and the inner cgroup is there from the start.
    fn check_inner_devices(&self) -> Result<()> {
        let (DeviceSetup::Files { rules, .. }, Some(_)) = (&self.devices, &self.inner) else { return Ok(()) };
        let Some(planned) = rules.iter().find(|planned| planned.rule.is_global()) else { return Ok(()) };
        Err(Error::new(
            ErrorKind::Config,
            format!(
                "device rule `{}` and lxc.cgroup.dir.container.inner exclude each other here",
                planned.rule
            ),
        )
        .at(&planned.origin)
        .cure(
            "the v1 devices controller takes no rule for all devices on a cgroup with another below it: deny \
             devices one by one (or `c *:*` and `b *:*`), or clear lxc.cgroup.dir.container.inner",
        ))
    }

    fn push(&mut self, hierarchy: usize, setting: &CgroupSetting) {
        self.writes.push(CgroupWrite {
            hierarchy,
            file: setting.file.clone(),
            value: setting.value.clone(),
            origin: setting.origin.clone(),
            translated: false,
        });
    }
}

/// The v2 controller that took over a v1 one's duties.
fn v2_controller(controller: &str) -> &str {
    match controller {
        "blkio" => "io",
        "cpuacct" => "cpu",
        other => other,
    }
}

fn no_controller(setting: &CgroupSetting, prefix: &str) -> Error {
    let controller = controller_of(&setting.file);
    Error::new(
        ErrorKind::Config,
        format!("{prefix}{}: no usable cgroup hierarchy has the controller {controller}", setting.file),
    )
    .at(&setting.origin)
    .cure(format!("mount the {controller} controller (see /proc/cgroups), or remove the key"))
}

/// The lines of the golden plan.
impl fmt::Display for CgroupPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = |index: usize| self.hierarchies.get(index).map_or_else(String::new, Hierarchy::label);
        let name = |name: &CgroupName| match name.suffixed {
            true => format!("{} (or -1 … -{LAST_SUFFIX})", name.path),
            false => format!("{} (exactly)", name.path),
        };
        writeln!(f, "cgroup layout {}", self.kind.word())?;
        for hierarchy in &self.hierarchies {
            writeln!(f, "cgroup hierarchy {} at {}", hierarchy.label(), hierarchy.base_dir().display())?;
        }
        writeln!(f, "cgroup monitor {}", name(&self.monitor))?;
        writeln!(f, "cgroup payload {}", name(&self.payload))?;
        if let Some(inner) = &self.inner {
            writeln!(f, "cgroup inner {inner}")?;
        }
        for write in &self.writes {
            writeln!(
                f,
                "cgroup write {} {} = {} [{}]",
                label(write.hierarchy),
                write.file,
                write.value,
                write.origin
            )?;
        }
        match &self.devices {
            DeviceSetup::Open => {}
            DeviceSetup::Files { hierarchy, rules } => {
                for planned in rules {
                    writeln!(f, "cgroup device {} {} [{}]", label(*hierarchy), planned.rule, planned.origin)?;
                }
            }
            DeviceSetup::Program { start, rules } => {
                writeln!(f, "cgroup device program starts as {}", start.word())?;
                for planned in rules {
                    writeln!(f, "cgroup device {} [{}]", planned.rule, planned.origin)?;
                }
            }
        }
        for notice in &self.notices {
            writeln!(f, "cgroup notice {notice}")?;
        }
        writeln!(f, "cgroup pivot {}", self.pivot)
    }
}

#[cfg(test)]
mod tests;
