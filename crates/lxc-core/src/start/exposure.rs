//! Whether a container gets to see the starting program through `/proc/1/exe` and could write to it (CVE-2019-5736).
//!
//! Not here: the protection (`lxc_sys::seal`).

use lxc_conf::model::{HookKind, IdKind, IdMap, Ns};
use lxc_sys::{cred, seal};

use super::{Kind, Request};
use crate::error::{Result, ResultExt};
use crate::plan::StartPlan;

/// Executes the program again under protection if it must be.
///
/// Only where the caller is a tool that starts one container: others would do again what they have done before.
///
/// - Context: caller, before anything is made.
pub(super) fn protect(request: &Request, plan: &StartPlan) -> Result<()> {
    let what = || "look at the running program's file";
    if !request.caller_exits || !is_lent(plan) || seal::is_ensured().what(what)? {
        return Ok(());
    }
    if !plan.idmap.is_empty() && !writable(seal::program_file().what(what)?, &plan.idmap) {
        return Ok(());
    }
    if !request.config_file.is_file() {
        // Read from a pipe, it cannot be read again.
        tracing::warn!(
            "the container can see this program's file, which is not protected: {} is no regular file",
            request.config_file.display()
        );
        return Ok(());
    }
    if !keeps_capabilities()? {
        tracing::warn!(
            "the container can see this program's file, which is not protected: the capabilities it has by that file \
             would be lost"
        );
        return Ok(());
    }
    seal::ensure().what(|| "protect the running program from the container")
}

/// Whether executing a copy gives the capabilities again: root's are his, those of a file are not a copy's.
fn keeps_capabilities() -> Result<bool> {
    if rustix::process::geteuid().is_root() {
        return Ok(true);
    }
    let own = cred::capabilities().what(|| "read capabilities")?.permitted;
    let status = std::fs::read_to_string("/proc/self/status").what(|| "read /proc/self/status")?;
    let ambient = status.lines().find_map(|line| line.strip_prefix("CapAmb:"));
    let ambient = ambient.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or(0);
    Ok(own & !ambient == 0)
}

/// Programs of the container run beside an init that is still (or stays) this program.
fn is_lent(plan: &StartPlan) -> bool {
    plan.kind == Kind::Execute || !plan.hooks_of(HookKind::Start).is_empty() || !plan.namespaces.owns(Ns::Pid)
}

/// Whether an id of the container may write to a file (owner, group, mode). Its capabilities do not count where the
/// owner is not mapped (user_namespaces(7)).
fn writable((uid, gid, mode): (u32, u32, u32), maps: &[IdMap]) -> bool {
    const OTHERS_WRITE: u32 = 0o002;
    let maps_to = |kind, id: u32| {
        let covers =
            |map: &IdMap| map.kind == kind && id.checked_sub(map.host_id).is_some_and(|at| at < map.count);
        maps.iter().any(covers)
    };
    mode & OTHERS_WRITE != 0 || maps_to(IdKind::User, uid) || maps_to(IdKind::Group, gid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_owned_program_is_safe_from_maps_without_root() {
        let map = |host_id| {
            [IdKind::User, IdKind::Group].map(|kind| IdMap { kind, ns_id: 0, host_id, count: 65_536 })
        };
        assert!(!writable((0, 0, 0o755), &map(100_000)));
        assert!(writable((100_001, 0, 0o755), &map(100_000)), "owned by one of the container's");
        assert!(writable((0, 165_535, 0o755), &map(100_000)), "of a group of the container");
        assert!(!writable((0, 165_536, 0o755), &map(100_000)), "one too many");
        assert!(writable((0, 0, 0o757), &map(100_000)), "writable by everybody");
        assert!(writable((0, 0, 0o755), &map(0)), "root is mapped");
    }
}
