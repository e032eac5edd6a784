//! The text a key reads as (`get_config_item`, `lxc-info -c`), and the lists of key names.

use std::fmt::Write;

use crate::apply;
use crate::error::ConfErrorKind;
use crate::keys::{self, Getter, Id, KEYS, Match};
use crate::model::{Capabilities, EnvVar, Nic, NicType, NotifyProxy, Ns, Settings, UntaggedVlan};
use crate::value::{self, net};

type Result<T> = std::result::Result<T, ConfErrorKind>;

/// Default of `lxc.rootfs.mount`, set when the suite is built.
pub const ROOTFS_MOUNT: &str = match option_env!("LXC_ROOTFS_MOUNT") {
    Some(path) => path,
    None => "/usr/lib/x86_64-linux-gnu/lxc/rootfs",
};

/// The text of a key; unset ones are empty unless the table says otherwise.
pub(crate) fn get(s: &Settings, line: &Match<'_>) -> Result<String> {
    if line.key.getter == Getter::Refused {
        return Err(ConfErrorKind::NotReadable);
    }
    if line.key.form == keys::Form::Nic {
        let nic = s.nics.get(&line.nic).ok_or(ConfErrorKind::NoSuchNic { index: line.nic })?;
        apply::check_type(nic.kind, line.key.id)?;
        return Ok(get_nic(nic, line.key.id));
    }
    Ok(get_value(s, line))
}

fn get_value(s: &Settings, line: &Match<'_>) -> String {
    let all = line.rest.is_empty();
    let text = |t: &Option<String>| t.clone().unwrap_or_default();
    let or_null = |t: &Option<String>| t.clone().unwrap_or_else(|| "(null)".to_owned());
    let bit = |b: bool| u8::from(b).to_string();
    match line.key.id {
        Id::Arch => s.arch.map_or("", value::arch::name).to_owned(),
        Id::ApparmorProfile => text(&s.apparmor.profile),
        Id::ApparmorAllowIncomplete => bit(s.apparmor.allow_incomplete),
        Id::ApparmorAllowNesting => bit(s.apparmor.allow_nesting),
        Id::ApparmorRaw => each(&s.apparmor.raw),
        Id::AutodevTmpfsSize => s.autodev_tmpfs_size.to_string(),
        Id::Autodev => bit(s.autodev),
        Id::CapDrop => match &s.capabilities {
            Capabilities::Drop(list) => each(list.iter().map(|c| &c.name)),
            _ => String::new(),
        },
        Id::CapKeep => match &s.capabilities {
            Capabilities::Keep(list) => each(list.iter().map(|c| &c.name)),
            _ => String::new(),
        },
        Id::Cgroup1 | Id::Cgroup2 => {
            let list = if line.key.id == Id::Cgroup1 { &s.cgroup1 } else { &s.cgroup2 };
            if all {
                each(list.iter().map(|c| format!("{}.{} = {}", line.key.name, c.file, c.value)))
            } else {
                each(list.iter().filter(|c| c.file == line.rest).map(|c| &c.value))
            }
        }
        Id::CgroupDirMonitorPivot => or_null(&s.cgroup.monitor_pivot),
        Id::CgroupDirMonitor => or_null(&s.cgroup.monitor),
        Id::CgroupDirContainerInner => or_null(&s.cgroup.container_inner),
        Id::CgroupDirContainer => or_null(&s.cgroup.container),
        Id::CgroupDir => or_null(&s.cgroup.dir),
        Id::CgroupRelative => bit(s.cgroup.relative),
        Id::ConsoleBufferSize => s.console.buffer_size.to_string(),
        Id::ConsoleLogfile => text(&s.console.logfile),
        Id::ConsolePath => text(&s.console.path),
        Id::ConsoleRotate => bit(s.console.rotate),
        Id::ConsoleSize => s.console.size.to_string(),
        Id::SchedCore => bit(s.sched_core),
        Id::EnvironmentRuntime => environment(&s.environment_runtime),
        Id::EnvironmentHooks => environment(&s.environment_hooks),
        Id::Environment => environment(&s.environment),
        Id::Ephemeral => bit(s.ephemeral),
        Id::ExecuteCmd => text(&s.execute_cmd),
        Id::Group => each(&s.groups),
        Id::HookVersion => s.hooks.version.to_string(),
        Id::Idmap => joined(s.idmap.iter().map(value::idmap::format), "\n"),
        Id::InitCmd => text(&s.init.cmd),
        Id::InitGid => s.init.gid.to_string(),
        Id::InitGroups => joined(&s.init.groups, ","),
        Id::InitUid => s.init.uid.to_string(),
        Id::InitCwd => text(&s.init.cwd),
        Id::KeyringSession => bit(s.keyring_session),
        Id::LogFile => text(&s.log.file),
        Id::LogLevel => value::log_level::name(s.log.level).to_owned(),
        Id::LogSyslog => text(&s.log.syslog),
        Id::MonitorUnshare => s.monitor.unshare.to_string(),
        Id::MonitorSignalPdeath => s.monitor.pdeath_signal.unwrap_or(SIGKILL).to_string(),
        Id::MountAuto => value::mount_auto::format(&s.mounts.auto),
        Id::MountEntry => each(s.mounts.entries.iter().map(|i| &i.value)),
        Id::MountFstab => text(&s.mounts.fstab),
        Id::NamespaceClone => each(s.namespaces.clone.iter().flatten().map(|ns| ns.word())),
        Id::NamespaceKeep => each(s.namespaces.keep.iter().flatten().map(|ns| ns.word())),
        Id::NamespaceShare => or_null(&shared(s, line.rest)),
        Id::TimeOffsetBoot => value::time::format(s.time.boot),
        Id::TimeOffsetMonotonic => value::time::format(s.time.monotonic),
        Id::Net => each(s.nics.values().map(|n| net::word_of(&net::TYPES, &n.kind))),
        Id::NoNewPrivs => bit(s.no_new_privs),
        Id::Prlimit if all => {
            each(s.prlimits.iter().map(|p| format!("lxc.prlimit.{} = {}", p.name, limit(p))))
        }
        Id::Prlimit => s.prlimits.iter().find(|p| p.name == line.rest).map(limit).unwrap_or_default(),
        Id::PtyMax => s.pty_max.to_string(),
        Id::RootfsManaged => bit(s.rootfs.managed),
        Id::RootfsMount => s.rootfs.mount.as_deref().unwrap_or(ROOTFS_MOUNT).to_owned(),
        Id::RootfsOptions => text(&s.rootfs.options),
        Id::RootfsPath => s.rootfs.path.as_ref().map(|p| p.path.clone()).unwrap_or_default(),
        Id::SeccompAllowNesting => bit(s.seccomp.allow_nesting),
        Id::SeccompNotifyCookie => text(&s.seccomp.notify_cookie),
        Id::SeccompNotifyProxy => proxy(s.seccomp.notify_proxy.as_ref()),
        Id::SeccompProfile => text(&s.seccomp.profile),
        Id::SelinuxContextKeyring => text(&s.selinux.keyring),
        Id::SelinuxContext => text(&s.selinux.context),
        Id::SignalHalt => s.signals.halt.unwrap_or(0).to_string(),
        Id::SignalReboot => s.signals.reboot.unwrap_or(0).to_string(),
        Id::SignalStop => s.signals.stop.unwrap_or(0).to_string(),
        Id::StartAuto => bit(s.start.auto),
        Id::StartDelay => s.start.delay.to_string(),
        Id::StartOrder => s.start.order.to_string(),
        Id::TtyDir => text(&s.tty_dir),
        Id::TtyMax => s.tty_max.to_string(),
        Id::UtsName => text(&s.uts_name),
        Id::Sysctl | Id::Proc => {
            let list = if line.key.id == Id::Sysctl { &s.sysctls } else { &s.procs };
            if all {
                each(list.iter().map(|k| format!("{}.{} = {}", line.key.name, k.key, k.value)))
            } else {
                list.iter().find(|k| k.key == line.rest).map(|k| k.value.clone()).unwrap_or_default()
            }
        }
        id => match apply::hook_kind(id) {
            Some(kind) => each(s.hooks.of(kind).iter().map(|i| &i.value)),
            None => String::new(),
        },
    }
}

const SIGKILL: u32 = 9;

fn get_nic(nic: &Nic, id: Id) -> String {
    let text = |t: &Option<String>| t.clone().unwrap_or_default();
    let number = |n: Option<u32>| n.map(|n| n.to_string()).unwrap_or_default();
    match id {
        Id::NicType => net::word_of(&net::TYPES, &nic.kind).to_owned(),
        Id::NicLink => text(&nic.link),
        Id::NicFlags => if nic.up { "up" } else { "" }.to_owned(),
        Id::NicName => text(&nic.name),
        Id::NicHwaddr => text(&nic.hwaddr),
        Id::NicMtu => text(&nic.mtu),
        Id::NicIpv4Address => joined(nic.ipv4.iter().map(net::format_net), "\n"),
        Id::NicIpv4Gateway => nic.ipv4_gateway.as_ref().map(net::format_gateway).unwrap_or_default(),
        Id::NicIpv6Address => joined(nic.ipv6.iter().map(net::format_net), "\n"),
        Id::NicIpv6Gateway => nic.ipv6_gateway.as_ref().map(net::format_gateway).unwrap_or_default(),
        Id::NicL2proxy => u8::from(nic.l2proxy).to_string(),
        Id::NicScriptUp => text(&nic.script_up),
        Id::NicScriptDown => text(&nic.script_down),
        Id::NicMacvlanMode => net::word_of(&net::MACVLAN_MODES, &nic.macvlan_mode).to_owned(),
        Id::NicIpvlanMode => {
            nic.ipvlan_mode.map_or("l2", |m| net::word_of(&net::IPVLAN_MODES, &m)).to_owned()
        }
        Id::NicIpvlanIsolation => {
            nic.ipvlan_isolation.map_or("bridge", |i| net::word_of(&net::IPVLAN_ISOLATIONS, &i)).to_owned()
        }
        Id::NicVlanId => nic.vlan_id.to_string(),
        Id::NicVethMode => net::word_of(&net::VETH_MODES, &nic.veth_mode).to_owned(),
        Id::NicVethRxQueues => number(nic.veth_rx_queues),
        Id::NicVethTxQueues => number(nic.veth_tx_queues),
        Id::NicVethPair => text(&nic.veth_pair),
        Id::NicVethIpv4Route => joined(nic.veth_routes4.iter().map(net::format_net), "\n"),
        Id::NicVethIpv6Route => joined(nic.veth_routes6.iter().map(net::format_net), "\n"),
        Id::NicVethVlanId => match nic.veth_vlan {
            None => String::new(),
            Some(UntaggedVlan::None) => "-1".to_owned(),
            Some(UntaggedVlan::Id(id)) => id.to_string(),
        },
        Id::NicVethVlanTaggedId => joined(&nic.veth_vlan_tagged, "\n"),
        _ => String::new(),
    }
}

/// Every item followed by a newline.
fn each<T: std::fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().fold(String::new(), |mut out, item| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{item}");
        out
    })
}

/// Items with `separator` between them.
fn joined<T: std::fmt::Display>(items: impl IntoIterator<Item = T>, separator: &str) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(separator)
}

fn environment(list: &[EnvVar]) -> String {
    each(list.iter().map(|v| format!("{}={}", v.key, v.value)))
}

fn limit(p: &crate::model::Prlimit) -> String {
    value::prlimit::format(p.soft, p.hard)
}

fn shared(s: &Settings, word: &str) -> Option<String> {
    let ns: Ns = value::ns::word(word)?;
    s.namespaces.share[ns as usize].as_ref().map(|item| item.value.clone())
}

fn proxy(proxy: Option<&NotifyProxy>) -> String {
    proxy.map(value::seccomp::name).unwrap_or_default().to_owned()
}

/// The names below `prefix`, without it; all supported names for `None`. `None` when there are none.
pub(crate) fn names(s: &Settings, prefix: Option<&str>) -> Option<Vec<String>> {
    let Some(prefix) = prefix else {
        let rows = KEYS.iter().filter(|k| k.form != keys::Form::Nic && !k.name.ends_with('.'));
        return Some(rows.map(|k| k.name.to_owned()).collect());
    };
    if let Some(found) = keys::find(prefix)
        && found.key.id == Id::NetNic
    {
        return s.nics.get(&found.nic).map(|nic| nic_names(nic.kind));
    }
    let prefix = format!("{}.", prefix.trim_end_matches('.'));
    let below: Vec<String> = KEYS
        .iter()
        .filter(|k| k.form != keys::Form::Nic && prefix != "lxc.")
        .filter_map(|k| k.name.strip_prefix(&prefix))
        .filter(|rest| !rest.is_empty() && !rest.ends_with('.'))
        .map(str::to_owned)
        .collect();
    if below.is_empty() { None } else { Some(below) }
}

/// The sub-keys that make sense for a type of interface, those of every type first.
fn nic_names(kind: NicType) -> Vec<String> {
    const ALWAYS: [&str; 3] = ["type", "script.up", "script.down"];
    const DEVICE: [&str; 9] = [
        "flags",
        "link",
        "name",
        "hwaddr",
        "mtu",
        "ipv6.address",
        "ipv6.gateway",
        "ipv4.address",
        "ipv4.gateway",
    ];
    let mut names: Vec<&str> = ALWAYS.to_vec();
    if kind != NicType::Empty {
        names.extend(DEVICE);
        let own = KEYS.iter().filter(|k| apply::needed_type(k.id) == Some(kind)).map(keys::nic_sub);
        names.extend(own);
        names.push("l2proxy");
    }
    names.into_iter().map(str::to_owned).collect()
}
