//! Settings that do not take effect in this container, each with its reason, for the log.

use lxc_conf::model::{HookKind, Ns, Settings, TimeOffsets};

use super::NamespacePlan;
use crate::rootfs::RootfsPlan;

/// One notice per setting or group of settings; `data` are the words of `lxc.rootfs.options` for a file system.
pub(super) fn notices(
    settings: &Settings,
    namespaces: &NamespacePlan,
    rootfs: &RootfsPlan,
    data: &[String],
) -> Vec<String> {
    let mut notices = Vec::new();
    let mut say = |keys: &str, why: &str| {
        let place = settings.origin(keys).filter(|origin| origin.file.is_some());
        let place = place.map(|origin| format!("{origin}: ")).unwrap_or_default();
        notices.push(format!("{place}{keys} has no effect: {why}"));
    };
    if settings.uts_name.is_some() && !namespaces.owns(Ns::Uts) {
        say("lxc.uts.name", "the container has no uts namespace of its own");
    }
    if !namespaces.owns(Ns::Time) && settings.time != TimeOffsets::default() {
        let key = if settings.time.boot != 0 { "lxc.time.offset.boot" } else { "lxc.time.offset.monotonic" };
        say(key, "the container has no time namespace of its own");
    }
    if !settings.autodev && !settings.hooks.of(HookKind::Autodev).is_empty() {
        say("lxc.hook.autodev", "lxc.autodev is 0");
    }
    if settings.rootfs.options.is_some() && !rootfs.is_own() {
        say("lxc.rootfs.options", "the container has no root file system of its own");
    } else if let (RootfsPlan::Dir { .. }, false) = (rootfs, data.is_empty()) {
        say(
            "lxc.rootfs.options",
            &format!("{} is for file systems, and a directory is bound", data.join(",")),
        );
    }
    if namespaces.owns(Ns::Mnt) {
        return notices;
    }
    let why = "the container has no mount namespace of its own";
    let auto = &settings.mounts.auto;
    for (set, key) in [
        (settings.rootfs.path.is_some(), "lxc.rootfs.path"),
        (
            auto.proc.is_some() || auto.sys.is_some() || auto.cgroup.is_some() || auto.shmounts.is_some(),
            "lxc.mount.auto",
        ),
        (!settings.mounts.entries.is_empty(), "lxc.mount.entry"),
        (settings.mounts.fstab.is_some(), "lxc.mount.fstab"),
        (settings.pty_max > 0, "lxc.pty.max"),
    ] {
        if set {
            say(key, why);
        }
    }
    notices
}
