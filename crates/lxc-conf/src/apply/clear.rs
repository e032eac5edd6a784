//! Empty values, and putting keys back to their defaults.

use super::{Result, TMPFS_SIZE, bool_slot, env_slot, hook_kind, signal_slot, text_slot, uint_slot};
use crate::error::ConfErrorKind;
use crate::keys::{Form, Id, Match};
use crate::model::{Capabilities, Nic, NicType, Settings};
use crate::value;

/// An empty value.
pub(super) fn apply_empty(s: &mut Settings, line: &Match<'_>) -> Result<()> {
    match line.key.id {
        Id::Arch | Id::MountFstab => Err(ConfErrorKind::MustNotBeEmpty),
        Id::Autodev => {
            s.autodev = false;
            Ok(())
        }
        Id::AutodevTmpfsSize => {
            s.autodev_tmpfs_size = TMPFS_SIZE;
            Ok(())
        }
        Id::NetNic => {
            s.nics.remove(&line.nic);
            Ok(())
        }
        _ if line.key.form == Form::Nic => match s.nics.get_mut(&line.nic) {
            None => Err(ConfErrorKind::NoSuchNic { index: line.nic }),
            Some(nic) => {
                clear_nic(nic, line.key.id);
                Ok(())
            }
        },
        _ => {
            clear(s, line);
            Ok(())
        }
    }
}

/// Puts a key back to its default (`clear_config_item`).
pub(crate) fn clear(s: &mut Settings, line: &Match<'_>) {
    let id = line.key.id;
    let fresh = &mut Settings::default();
    if let (Some(slot), Some(default)) = (text_slot(s, id), text_slot(fresh, id)) {
        *slot = default.take();
    } else if let (Some(slot), Some(default)) = (bool_slot(s, id), bool_slot(fresh, id)) {
        *slot = *default;
    } else if let (Some(slot), Some(default)) = (uint_slot(s, id), uint_slot(fresh, id)) {
        *slot = *default;
    } else if let Some(slot) = signal_slot(s, id) {
        *slot = None;
    } else if let Some(slot) = env_slot(s, id) {
        slot.clear();
    } else if let Some(kind) = hook_kind(id) {
        s.hooks.commands[kind as usize].clear();
    } else {
        clear_structured(s, line);
    }
}

fn clear_structured(s: &mut Settings, line: &Match<'_>) {
    let all = line.rest.is_empty();
    match line.key.id {
        Id::Arch => s.arch = None,
        Id::ApparmorRaw => s.apparmor.raw.clear(),
        Id::AutodevTmpfsSize => s.autodev_tmpfs_size = 0,
        // One list in the original: emptying either key empties both.
        Id::CapDrop | Id::CapKeep => s.capabilities = Capabilities::Untouched,
        Id::Cgroup1 => s.cgroup1.retain(|c| !all && c.file != line.rest),
        Id::Cgroup2 => s.cgroup2.retain(|c| !all && c.file != line.rest),
        Id::ConsoleBufferSize => s.console.buffer_size = 0,
        Id::ConsoleSize => s.console.size = 0,
        Id::Group => s.groups.clear(),
        Id::HookVersion => s.hooks.version = 0,
        Id::Hook => s.hooks.commands.iter_mut().for_each(Vec::clear),
        Id::Idmap => s.idmap.clear(),
        Id::InitGroups => s.init.groups.clear(),
        Id::LogLevel => s.log.level = None,
        Id::MountAuto => s.mounts.auto = Default::default(),
        Id::MountEntry => s.mounts.entries.clear(),
        Id::NamespaceClone => s.namespaces.clone = None,
        Id::NamespaceKeep => s.namespaces.keep = None,
        Id::NamespaceShare => {
            if let Some(ns) = value::ns::word(line.rest) {
                s.namespaces.share[ns as usize] = None;
            }
        }
        Id::TimeOffsetBoot => s.time.boot = 0,
        Id::TimeOffsetMonotonic => s.time.monotonic = 0,
        Id::Net => s.nics.clear(),
        Id::NetNic => {
            s.nics.remove(&line.nic);
        }
        Id::Prlimit => s.prlimits.retain(|p| !all && p.name != line.rest),
        Id::RootfsPath => s.rootfs.path = None,
        Id::SeccompNotifyProxy => s.seccomp.notify_proxy = None,
        Id::StartOrder => s.start.order = 0,
        Id::Sysctl => s.sysctls.retain(|k| !all && k.key != line.rest),
        Id::Proc => s.procs.retain(|k| !all && k.key != line.rest),
        id => {
            if let Some(nic) = s.nics.get_mut(&line.nic) {
                clear_nic(nic, id);
            }
        }
    }
}

/// Puts one sub-key of an interface back to its default.
fn clear_nic(nic: &mut Nic, id: Id) {
    match id {
        Id::NicType => nic.kind = NicType::default(),
        Id::NicLink => nic.link = None,
        Id::NicFlags => nic.up = false,
        Id::NicName => nic.name = None,
        Id::NicHwaddr => nic.hwaddr = None,
        Id::NicMtu => nic.mtu = None,
        Id::NicIpv4Address => nic.ipv4.clear(),
        Id::NicIpv4Gateway => nic.ipv4_gateway = None,
        Id::NicIpv6Address => nic.ipv6.clear(),
        Id::NicIpv6Gateway => nic.ipv6_gateway = None,
        Id::NicL2proxy => nic.l2proxy = false,
        Id::NicScriptUp => nic.script_up = None,
        Id::NicScriptDown => nic.script_down = None,
        Id::NicMacvlanMode => nic.macvlan_mode = Default::default(),
        Id::NicIpvlanMode => nic.ipvlan_mode = None,
        Id::NicIpvlanIsolation => nic.ipvlan_isolation = None,
        Id::NicVlanId => nic.vlan_id = 0,
        Id::NicVethMode => nic.veth_mode = Default::default(),
        Id::NicVethRxQueues => nic.veth_rx_queues = None,
        Id::NicVethTxQueues => nic.veth_tx_queues = None,
        Id::NicVethPair => nic.veth_pair = None,
        Id::NicVethIpv4Route => nic.veth_routes4.clear(),
        Id::NicVethIpv6Route => nic.veth_routes6.clear(),
        Id::NicVethVlanId => nic.veth_vlan = None,
        Id::NicVethVlanTaggedId => nic.veth_vlan_tagged.clear(),
        _ => {}
    }
}
