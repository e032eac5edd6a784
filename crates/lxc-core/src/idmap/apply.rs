//! Writing id maps of a child that waits for them.
//!
//! Root writes `/proc/PID/{uid,gid}_map` itself; others go through the setuid helpers newuidmap(1) and newgidmap(1).

use std::process::Command;

use lxc_conf::model::{IdKind, IdMap};
use lxc_sys::cred;
use lxc_sys::proc::ProcFs;

use crate::error::{Error, ErrorKind, Result, ResultExt};

const CAP_SETGID: u64 = 1 << 6;
const CAP_SETUID: u64 = 1 << 7;

/// Writes both maps of `pid`.
///
/// - Errors: names the map, the file or helper, and for helpers what they said.
pub fn write(proc: &ProcFs, pid: i32, maps: &[IdMap]) -> Result<()> {
    let able = cred::capabilities().what(|| "read capabilities")?.effective;
    for (kind, file, helper, capability) in [
        (IdKind::User, "uid_map", "newuidmap", CAP_SETUID),
        (IdKind::Group, "gid_map", "newgidmap", CAP_SETGID),
    ] {
        let text = super::map_text(maps, kind);
        if text.is_empty() {
            continue;
        }
        if able & capability != 0 {
            proc.write_at(format!("{pid}/{file}"), text.as_bytes())
                .what(|| format!("write \"{}\" to /proc/{pid}/{file}", text.trim().replace('\n', ", ")))?;
        } else {
            run_helper(helper, pid, &text)?;
        }
    }
    Ok(())
}

fn run_helper(helper: &str, pid: i32, text: &str) -> Result<()> {
    let output = Command::new(helper).arg(pid.to_string()).args(text.split_whitespace()).output();
    let output = output.what(|| format!("run {helper}")).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            error.cure("install the package that has newuidmap and newgidmap (Debian: uidmap)")
        }
        _ => error,
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::new(
        ErrorKind::Permission,
        format!("{helper} refused the map {:?}: {}", text.trim(), said.trim()),
    )
    .cure("compare lxc.idmap with the caller's lines in /etc/subuid and /etc/subgid"))
}
