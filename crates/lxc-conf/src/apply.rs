//! Storing one `key = value` in the typed settings. Checks the whole value before it changes anything.
//!
//! Not here: reading lines (`include`), keeping the text (`lib`).

mod clear;
mod nic;

use crate::error::ConfErrorKind;
use crate::include::Source;
use crate::keys::{Form, Id, Match, Value};
use crate::model::{
    Capabilities, CgroupSetting, EnvVar, HookKind, Item, KernelSetting, Origin, Prlimit, Settings,
};
use crate::value::{self, ValueError, number};

pub(crate) use clear::clear;
pub(crate) use nic::{check_type, needed_type};

type Result<T> = std::result::Result<T, ConfErrorKind>;

impl From<ValueError> for ConfErrorKind {
    fn from(e: ValueError) -> Self {
        ConfErrorKind::Value(Box::new(e))
    }
}

/// Applies a line. Gives the value to save when it is not the one that was written (a filled hardware address).
pub(crate) fn apply(
    settings: &mut Settings,
    line: &Match<'_>,
    value: &str,
    origin: &Origin,
    source: &dyn Source,
) -> Result<Option<String>> {
    let filled = if value.is_empty() {
        clear::apply_empty(settings, line)?;
        None
    } else if line.key.form == Form::Nic {
        nic::apply_nic(settings, line, value, origin, source)?
    } else {
        apply_value(settings, line, value, origin, source)?;
        None
    };
    settings.origins.insert(line.name.to_owned(), origin.clone());
    Ok(filled)
}

/// The text a key with plain text stores it in.
pub(crate) fn text_slot(settings: &mut Settings, id: Id) -> Option<&mut Option<String>> {
    Some(match id {
        Id::ApparmorProfile => &mut settings.apparmor.profile,
        Id::CgroupDirMonitorPivot => &mut settings.cgroup.monitor_pivot,
        Id::CgroupDirMonitor => &mut settings.cgroup.monitor,
        Id::CgroupDirContainerInner => &mut settings.cgroup.container_inner,
        Id::CgroupDirContainer => &mut settings.cgroup.container,
        Id::CgroupDir => &mut settings.cgroup.dir,
        Id::ConsoleLogfile => &mut settings.console.logfile,
        Id::ConsolePath => &mut settings.console.path,
        Id::ExecuteCmd => &mut settings.execute_cmd,
        Id::InitCmd => &mut settings.init.cmd,
        Id::InitCwd => &mut settings.init.cwd,
        Id::LogFile => &mut settings.log.file,
        Id::LogSyslog => &mut settings.log.syslog,
        Id::MountFstab => &mut settings.mounts.fstab,
        Id::RootfsMount => &mut settings.rootfs.mount,
        Id::RootfsOptions => &mut settings.rootfs.options,
        Id::SeccompNotifyCookie => &mut settings.seccomp.notify_cookie,
        Id::SeccompProfile => &mut settings.seccomp.profile,
        Id::SelinuxContextKeyring => &mut settings.selinux.keyring,
        Id::SelinuxContext => &mut settings.selinux.context,
        Id::TtyDir => &mut settings.tty_dir,
        Id::UtsName => &mut settings.uts_name,
        _ => return None,
    })
}

/// The switch a boolean key sets.
pub(crate) fn bool_slot(settings: &mut Settings, id: Id) -> Option<&mut bool> {
    Some(match id {
        Id::ApparmorAllowIncomplete => &mut settings.apparmor.allow_incomplete,
        Id::ApparmorAllowNesting => &mut settings.apparmor.allow_nesting,
        Id::Autodev => &mut settings.autodev,
        Id::CgroupRelative => &mut settings.cgroup.relative,
        Id::ConsoleRotate => &mut settings.console.rotate,
        Id::Ephemeral => &mut settings.ephemeral,
        Id::KeyringSession => &mut settings.keyring_session,
        Id::NoNewPrivs => &mut settings.no_new_privs,
        Id::RootfsManaged => &mut settings.rootfs.managed,
        Id::SchedCore => &mut settings.sched_core,
        Id::SeccompAllowNesting => &mut settings.seccomp.allow_nesting,
        Id::StartAuto => &mut settings.start.auto,
        _ => return None,
    })
}

/// The number an unsigned key sets.
pub(crate) fn uint_slot(settings: &mut Settings, id: Id) -> Option<&mut u32> {
    Some(match id {
        Id::InitGid => &mut settings.init.gid,
        Id::InitUid => &mut settings.init.uid,
        Id::MonitorUnshare => &mut settings.monitor.unshare,
        Id::PtyMax => &mut settings.pty_max,
        Id::StartDelay => &mut settings.start.delay,
        Id::TtyMax => &mut settings.tty_max,
        _ => return None,
    })
}

/// The signal a key sets.
pub(crate) fn signal_slot(settings: &mut Settings, id: Id) -> Option<&mut Option<u32>> {
    Some(match id {
        Id::MonitorSignalPdeath => &mut settings.monitor.pdeath_signal,
        Id::SignalHalt => &mut settings.signals.halt,
        Id::SignalReboot => &mut settings.signals.reboot,
        Id::SignalStop => &mut settings.signals.stop,
        _ => return None,
    })
}

/// The variables an environment key adds to.
pub(crate) fn env_slot(settings: &mut Settings, id: Id) -> Option<&mut Vec<EnvVar>> {
    Some(match id {
        Id::Environment => &mut settings.environment,
        Id::EnvironmentHooks => &mut settings.environment_hooks,
        Id::EnvironmentRuntime => &mut settings.environment_runtime,
        _ => return None,
    })
}

/// The kind of hook a key adds to.
pub(crate) fn hook_kind(id: Id) -> Option<HookKind> {
    Some(match id {
        Id::HookAutodev => HookKind::Autodev,
        Id::HookClone => HookKind::Clone,
        Id::HookDestroy => HookKind::Destroy,
        Id::HookMount => HookKind::Mount,
        Id::HookPostStop => HookKind::PostStop,
        Id::HookPreMount => HookKind::PreMount,
        Id::HookPreStart => HookKind::PreStart,
        Id::HookStart => HookKind::Start,
        Id::HookStartHost => HookKind::StartHost,
        Id::HookStop => HookKind::Stop,
        _ => return None,
    })
}

fn parse_text(line: &Match<'_>, value: &str) -> Result<String> {
    let name = line.key.name;
    Ok(match line.key.value {
        Value::Path => value::path::parse(value)?,
        Value::CgroupDir => value::cgroup::parse_dir(name, value)?,
        Value::CgroupName => value::cgroup::parse_name(name, value)?,
        Value::Facility => value::log_level::facility(value).map(|_| value.to_owned())?,
        Value::RootfsOptions => value::rootfs::check_options(value).map(|()| value.to_owned())?,
        Value::TtyDir => limited(value, 255)?,
        Value::HostName => limited(value, 64)?,
        _ => value.to_owned(),
    })
}

fn limited(value: &str, max: usize) -> std::result::Result<String, ValueError> {
    if value.len() > max {
        return Err(ValueError::new(format!("{} bytes; the limit is {max}", value.len())));
    }
    Ok(value.to_owned())
}

fn apply_value(
    s: &mut Settings,
    line: &Match<'_>,
    value: &str,
    origin: &Origin,
    source: &dyn Source,
) -> Result<()> {
    let id = line.key.id;
    if let Some(slot) = text_slot(s, id) {
        *slot = Some(parse_text(line, value)?);
        return Ok(());
    }
    if let Some(slot) = bool_slot(s, id) {
        *slot = number::boolean(value)?;
        return Ok(());
    }
    if let Some(slot) = uint_slot(s, id) {
        *slot =
            if matches!(id, Id::InitUid | Id::InitGid) { number::id(value)? } else { number::uint(value)? };
        return Ok(());
    }
    if let Some(slot) = signal_slot(s, id) {
        *slot = Some(value::signal::parse(value)?);
        return Ok(());
    }
    if let Some(slot) = env_slot(s, id) {
        slot.push(environment(value, source)?);
        return Ok(());
    }
    if let Some(kind) = hook_kind(id) {
        let item = Item { value: value.to_owned(), origin: origin.clone() };
        s.hooks.commands[kind as usize].push(item);
        return Ok(());
    }
    match id {
        Id::Arch => s.arch = Some(value::arch::parse(value)?),
        Id::ApparmorRaw => s.apparmor.raw.push(value.to_owned()),
        // The original takes anything that is no number for the default.
        Id::AutodevTmpfsSize => s.autodev_tmpfs_size = number::int(value).unwrap_or(TMPFS_SIZE),
        Id::CapDrop | Id::CapKeep => apply_caps(s, id, value, source)?,
        Id::Cgroup1 | Id::Cgroup2 => {
            family_member(line)?;
            let list = if id == Id::Cgroup1 { &mut s.cgroup1 } else { &mut s.cgroup2 };
            let setting =
                CgroupSetting { file: line.rest.to_owned(), value: value.to_owned(), origin: origin.clone() };
            list.push(setting);
        }
        Id::ConsoleBufferSize => s.console.buffer_size = value::size::parse(value)?,
        Id::ConsoleSize => s.console.size = value::size::parse(value)?,
        Id::Group => s.groups.extend(value::words(value).map(|(_, w)| w.to_owned())),
        Id::HookVersion => s.hooks.version = u8::from(number::boolean(value)?),
        Id::Hook | Id::Net | Id::NetNic => return Err(ConfErrorKind::MustBeEmpty),
        Id::Idmap => s.idmap.push(value::idmap::parse(value)?),
        Id::InitGroups => {
            let mut gids = value::group_ids(value)?;
            s.init.groups.append(&mut gids);
        }
        Id::LogLevel => s.log.level = Some(value::log_level::parse(value)?),
        Id::MountAuto => {
            let mut auto = s.mounts.auto.clone();
            value::mount_auto::add(&mut auto, value)?;
            auto.origin = origin.clone();
            s.mounts.auto = auto;
        }
        Id::MountEntry => s.mounts.entries.push(Item { value: value.to_owned(), origin: origin.clone() }),
        Id::NamespaceClone => {
            exclusive(s.namespaces.keep.is_some(), "lxc.namespace.keep")?;
            add_namespaces(&mut s.namespaces.clone, value)?;
        }
        Id::NamespaceKeep => {
            exclusive(s.namespaces.clone.is_some(), "lxc.namespace.clone")?;
            add_namespaces(&mut s.namespaces.keep, value)?;
        }
        Id::NamespaceShare => {
            if let Some(ns) = value::ns::word(line.rest) {
                s.namespaces.share[ns as usize] =
                    Some(Item { value: value.to_owned(), origin: origin.clone() });
            }
        }
        Id::TimeOffsetBoot => s.time.boot = value::time::parse(value)?,
        Id::TimeOffsetMonotonic => s.time.monotonic = value::time::parse(value)?,
        Id::Prlimit => {
            family_member(line)?;
            let (soft, hard) = value::prlimit::parse(value)?;
            let name = line.rest.to_owned();
            let limit = Prlimit { name, soft, hard, single: soft == hard, origin: origin.clone() };
            put(&mut s.prlimits, limit, |p| p.name == line.rest);
        }
        Id::RootfsPath => s.rootfs.path = Some(value::rootfs::parse_path(value)?),
        Id::SeccompNotifyProxy => s.seccomp.notify_proxy = Some(value::seccomp::parse_proxy(value)?),
        Id::StartOrder => s.start.order = number::int(value)?,
        Id::Sysctl | Id::Proc => {
            family_member(line)?;
            let list = if id == Id::Sysctl { &mut s.sysctls } else { &mut s.procs };
            let setting =
                KernelSetting { key: line.rest.to_owned(), value: value.to_owned(), origin: origin.clone() };
            put(list, setting, |k| k.key == line.rest);
        }
        // Includes are read by the loader; the slots above and `apply_nic` take the rest.
        _ => {}
    }
    Ok(())
}

/// `lxc.autodev.tmpfs.size` when it is given without a usable number.
const TMPFS_SIZE: i32 = 500_000;

fn family_member(line: &Match<'_>) -> Result<()> {
    if line.rest.is_empty() { Err(ConfErrorKind::MustBeEmpty) } else { Ok(()) }
}

fn exclusive(other_is_set: bool, other: &'static str) -> Result<()> {
    if other_is_set { Err(ConfErrorKind::Excludes { other }) } else { Ok(()) }
}

fn add_namespaces(slot: &mut Option<Vec<crate::model::Ns>>, value: &str) -> Result<()> {
    let mut list = slot.clone().unwrap_or_default();
    value::ns::add(&mut list, value)?;
    *slot = Some(list);
    Ok(())
}

/// Replaces the item that matches, or adds one.
fn put<T>(list: &mut Vec<T>, item: T, same: impl Fn(&T) -> bool) {
    match list.iter_mut().find(|old| same(old)) {
        Some(old) => *old = item,
        None => list.push(item),
    }
}

fn apply_caps(s: &mut Settings, id: Id, value: &str, source: &dyn Source) -> Result<()> {
    let keep = id == Id::CapKeep;
    let mut list = match (&s.capabilities, keep) {
        (Capabilities::Untouched, _) => Vec::new(),
        (Capabilities::Drop(list), false) | (Capabilities::Keep(list), true) => list.clone(),
        (Capabilities::Drop(_), true) => return Err(ConfErrorKind::Excludes { other: "lxc.cap.drop" }),
        (Capabilities::Keep(_), false) => return Err(ConfErrorKind::Excludes { other: "lxc.cap.keep" }),
    };
    let last = source.last_capability();
    for (at, word) in value::words(value) {
        if keep && word == "none" {
            list.clear();
        } else {
            list.push(value::caps::parse(word, last).map_err(|e| e.at(at))?);
        }
    }
    s.capabilities = if keep { Capabilities::Keep(list) } else { Capabilities::Drop(list) };
    Ok(())
}

fn environment(value: &str, source: &dyn Source) -> Result<EnvVar> {
    let (key, text) = match value.split_once('=') {
        Some((key, text)) => (key, text.to_owned()),
        None => {
            let missing = || ConfErrorKind::NotInEnvironment { variable: value.into() };
            let text = source.env(value).ok_or_else(missing)?;
            if text.contains(crate::BREAKS) {
                return Err(ConfErrorKind::LineBreak);
            }
            (value, text)
        }
    };
    if key.is_empty() {
        return Err(ValueError::new(format!("{value:?} has no variable name")).into());
    }
    Ok(EnvVar { key: key.to_owned(), value: text })
}
