//! A plan as text: the numbered list that golden files hold and `--log-priority TRACE` prints.

use std::fmt;

use lxc_conf::model::{HookKind, IdKind, Ns, Origin};

use super::{ConsolePlan, Kind, Mode, StartPlan};
use crate::lsm::apparmor::Policy;

impl fmt::Display for StartPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = Lines { f, number: 0 };
        let kind = if self.kind == Kind::Execute { "execute" } else { "start" };
        let mode = if self.mode == Mode::Foreground { "foreground" } else { "daemon" };
        list.line(format_args!("{kind} {} in {mode} mode", self.name), None)?;
        self.hook_environments(&mut list)?;
        self.hooks(&mut list, HookKind::PreStart)?;
        list.block(&self.cgroups)?;
        list.line(
            format_args!(
                "namespaces: clone {} late {}",
                words(&self.namespaces.at_clone),
                words(&self.namespaces.late)
            ),
            None,
        )?;
        for join in &self.namespaces.join {
            list.line(
                format_args!("join {} of {}", join.ns.word(), join.target.value),
                Some(&join.target.origin),
            )?;
        }
        for map in &self.idmap {
            let kind = if map.kind == IdKind::User { "u" } else { "g" };
            list.line(format_args!("idmap {kind} {} {} {}", map.ns_id, map.host_id, map.count), None)?;
        }
        if let Some((uid, gid)) = self.become_root {
            list.line(format_args!("become root of the user namespace: uid {uid} gid {gid}"), None)?;
        }
        self.limits(&mut list)?;
        list.block(&self.network)?;
        if !self.time_offsets.is_empty() {
            let text = String::from_utf8_lossy(&self.time_offsets).trim_end().replace('\n', ", ");
            list.line(format_args!("time offsets {text}"), None)?;
        }
        self.hooks(&mut list, HookKind::PreMount)?;
        list.line(format_args!("{}", self.rootfs), None)?;
        if let Some(name) = &self.hostname {
            list.line(format_args!("hostname {}", name.to_string_lossy()), None)?;
        }
        if self.new_session_keyring {
            match &self.keyring_label {
                Some(label) => {
                    list.line(format_args!("new session keyring labelled {:?}", label.label), None)?;
                }
                None => list.line(format_args!("new session keyring"), None)?,
            }
        }
        if let Some(size) = &self.dev.tmpfs_size {
            list.line(format_args!("tmpfs on /dev size={}", size.to_string_lossy()), None)?;
        }
        for mount in self.mounts.iter().chain(&self.cgroup_mounts) {
            list.line(format_args!("{mount}"), Some(&mount.origin))?;
        }
        self.hooks(&mut list, HookKind::Mount)?;
        self.hooks(&mut list, HookKind::Autodev)?;
        self.terminals(&mut list)?;
        if self.rootfs.is_own() {
            list.line(format_args!("pivot into the root file system"), None)?;
        }
        if self.boot_id.is_some() {
            list.line(format_args!("boot id of its own"), None)?;
        }
        if let Some(personality) = self.personality {
            list.line(format_args!("personality {personality:?}"), None)?;
        }
        for (path, value, origin) in &self.sysctls {
            let value = String::from_utf8_lossy(value);
            list.line(format_args!("write {value:?} to /proc/{}", path.to_string_lossy()), Some(origin))?;
        }
        self.confinement(&mut list)?;
        for kind in [HookKind::Start, HookKind::StartHost, HookKind::Stop, HookKind::PostStop] {
            self.hooks(&mut list, kind)?;
        }
        if let Some(cwd) = &self.cwd {
            list.line(format_args!("working directory {}", cwd.to_string_lossy()), None)?;
        }
        let (uid, gid) = self.ids;
        match &self.groups {
            Some(groups) => list.line(format_args!("uid {uid} gid {gid} groups {groups:?}"), None)?,
            None => list.line(format_args!("uid {uid} gid {gid}"), None)?,
        }
        if self.death_signal != 9 {
            list.line(format_args!("signal {} when the monitor dies", self.death_signal), None)?;
        }
        for variable in &self.environment {
            list.line(format_args!("environment {}", variable.to_string_lossy()), None)?;
        }
        let argv: Vec<_> = self.argv.iter().map(|word| word.to_string_lossy()).collect();
        list.line(format_args!("exec {argv:?}"), None)?;
        // Those of the cgroups are listed with them.
        for notice in self.notices.iter().filter(|notice| !self.cgroups.notices.contains(notice)) {
            list.line(format_args!("notice: {notice}"), None)?;
        }
        Ok(())
    }
}

impl StartPlan {
    fn hooks(&self, list: &mut Lines<'_, '_>, kind: HookKind) -> fmt::Result {
        for hook in self.hooks_of(kind) {
            list.line(
                format_args!("hook {} v{} {}", kind.word(), self.hook_version, hook.command),
                Some(&hook.origin),
            )?;
        }
        Ok(())
    }

    /// What the hooks that are configured find in their environment besides what the caller had.
    fn hook_environments(&self, list: &mut Lines<'_, '_>) -> fmt::Result {
        let ours = HookKind::ALL.iter().filter(|kind| !matches!(kind, HookKind::Clone | HookKind::Destroy));
        let scripts =
            self.network.links.iter().any(|link| link.script_up.is_some() || link.script_down.is_some());
        if ours.fold(!scripts, |none, kind| none && self.hooks_of(*kind).is_empty()) {
            return Ok(());
        }
        for (key, value) in self.hook_environment.iter() {
            let key = key.to_string_lossy();
            if key.starts_with("LXC_") {
                list.line(format_args!("environment of hooks {key}={}", value.to_string_lossy()), None)?;
            }
        }
        let on_host = |entry| self.hook_environment.iter().any(|other| other == entry);
        for entry in self.child_hook_environment.iter().filter(|entry| !on_host(*entry)) {
            let (key, value) = (entry.0.to_string_lossy(), entry.1.to_string_lossy());
            list.line(format_args!("environment of hooks in the child {key}={value}"), None)?;
        }
        Ok(())
    }

    fn limits(&self, list: &mut Lines<'_, '_>) -> fmt::Result {
        for (path, value, origin) in &self.procs {
            list.line(format_args!("write {value:?} to /proc/PID/{path}"), Some(origin))?;
        }
        for limit in &self.limits {
            let text =
                |value: u64| if value == u64::MAX { "unlimited".to_owned() } else { value.to_string() };
            list.line(
                format_args!("limit {} {}:{}", limit.name, text(limit.soft), text(limit.hard)),
                Some(&limit.origin),
            )?;
        }
        Ok(())
    }

    fn terminals(&self, list: &mut Lines<'_, '_>) -> fmt::Result {
        if self.dev.populate {
            list.line(format_args!("device nodes in /dev"), None)?;
        }
        if let Some(max) = &self.dev.devpts_max {
            list.line(format_args!("devpts max={}", max.to_string_lossy()), None)?;
        }
        match self.dev.console {
            ConsolePlan::None => {}
            ConsolePlan::Host => list.line(format_args!("console from the host's devpts"), None)?,
            ConsolePlan::Inside => list.line(format_args!("console from the container's devpts"), None)?,
        }
        if self.dev.ttys > 0 {
            let dir = self.dev.tty_dir.as_ref().map(|dir| format!(" in /dev/{}", dir.to_string_lossy()));
            list.line(format_args!("{} ttys{}", self.dev.ttys, dir.unwrap_or_default()), None)?;
        }
        if self.dev.symlinks {
            list.line(format_args!("symlinks in /dev"), None)?;
        }
        Ok(())
    }

    fn confinement(&self, list: &mut Lines<'_, '_>) -> fmt::Result {
        if self.drop_capabilities != 0 {
            let numbers: Vec<String> = (0..64)
                .filter(|n| self.drop_capabilities & 1 << n != 0)
                .map(|n: u32| n.to_string())
                .collect();
            list.line(format_args!("drop capabilities {}", numbers.join(" ")), None)?;
        }
        match &self.lsm.apparmor {
            Some(Policy::Generated(profile)) => {
                let namespace = profile.namespace.as_deref().unwrap_or("none");
                list.line(
                    format_args!(
                        "AppArmor profile {:?} of {} lines, namespace {namespace:?}, source {}/{}",
                        profile.name,
                        profile.text.text.lines().count(),
                        profile.dir.display(),
                        profile.file
                    ),
                    Some(&profile.origin),
                )?;
            }
            Some(Policy::Named { profile, origin }) => {
                list.line(format_args!("AppArmor profile {profile:?} must be loaded"), Some(origin))?;
            }
            None => {}
        }
        if let Some(label) = &self.lsm.label {
            let file = label.file.to_string_lossy();
            list.line(format_args!("label {:?} through /proc/{file}", label.label), None)?;
        }
        if self.no_new_privs {
            list.line(format_args!("no new privileges"), None)?;
        }
        if self.core_scheduling {
            list.line(format_args!("core scheduling domain of its own"), None)?;
        }
        if let Some((profile, origin)) = &self.seccomp {
            list.line(format_args!("seccomp policy {profile}"), Some(origin))?;
        }
        Ok(())
    }
}

fn words(namespaces: &[Ns]) -> String {
    if namespaces.is_empty() {
        return "none".to_owned();
    }
    namespaces.iter().map(|ns| ns.word()).collect::<Vec<_>>().join("+")
}

struct Lines<'a, 'f> {
    f: &'a mut fmt::Formatter<'f>,
    number: usize,
}

impl Lines<'_, '_> {
    fn line(&mut self, text: fmt::Arguments<'_>, origin: Option<&Origin>) -> fmt::Result {
        self.number += 1;
        write!(self.f, "{:3}. {text}", self.number)?;
        if let Some(origin) = origin.filter(|origin| origin.file.is_some()) {
            // Golden files must not depend on where the tree is checked out.
            let file = origin.file.as_deref().unwrap_or_default();
            let name = file.rsplit('/').next().unwrap_or(file);
            write!(self.f, "    [{name}:{}]", origin.line)?;
        }
        writeln!(self.f)
    }

    fn block(&mut self, text: &impl fmt::Display) -> fmt::Result {
        for line in text.to_string().lines() {
            self.line(format_args!("{line}"), None)?;
        }
        Ok(())
    }
}
