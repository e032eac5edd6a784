//! Whether a container could write to the caller's program file, given the chance (CVE-2019-5736).
//!
//! Not here: the protection (`lxc_sys::seal`).

use lxc_conf::model::Ns;
use lxc_sys::seal;
use lxc_sys::signal::{self, Mask};

use super::context::AttachContext;
use super::facts::IdRanges;
use super::plan::AttachPlan;
use super::seal_self;
use crate::{Result, ResultExt};

/// Executes the program again under protection, with signal mask `mask`, if the container could write to its file.
pub(super) fn protect(context: &AttachContext, plan: &AttachPlan, mask: Mask) -> Result<()> {
    let what = || "look at the running program's file";
    if seal::is_ensured().what(what)? {
        return Ok(());
    }
    let file = seal::program_file().what(what)?;
    let namespace = plan.kinds & Ns::User.clone_flag() != 0;
    match namespace && !writable(file, &context.uid_map, &context.gid_map) {
        true => Ok(()),
        false => {
            // ORDER: the program that is executed again takes the mask it finds for the caller's.
            signal::set_mask(mask).what(|| "restore the signal mask")?;
            seal_self()
        }
    }
}

/// Whether any id of a user namespace may write to a file (owner, group, mode). Capabilities of the namespace do not
/// count where the owner is not mapped (user_namespaces(7)).
fn writable((uid, gid, mode): (u32, u32, u32), uids: &IdRanges, gids: &IdRanges) -> bool {
    const OTHERS_WRITE: u32 = 0o002;
    mode & OTHERS_WRITE != 0 || uids.inside(uid).is_some() || gids.inside(gid).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_owned_program_is_safe_from_namespaces_without_root() {
        let map = IdRanges::parse("0 100000 65536\n");
        assert!(!writable((0, 0, 0o755), &map, &map));
        assert!(writable((100_000, 0, 0o755), &map, &map), "owned by the container's root");
        assert!(writable((0, 100_005, 0o755), &map, &map), "of a group of the container");
        assert!(writable((0, 0, 0o757), &map, &map), "writable by everybody");
        let map = IdRanges::parse("0 0 4294967295\n");
        assert!(writable((0, 0, 0o755), &map, &map), "root is mapped");
    }
}
