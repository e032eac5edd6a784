//! Whether a caller without privilege will be granted a map: his allocation, and the set-uid programs that write it.
//!
//! Asked before anything is started, so that the answer can name file, line, user, range and cure: newuidmap(1) itself says
//! little. Not here: writing the map (`apply`).

use std::path::Path;

use lxc_conf::Config;
use lxc_conf::model::{IdKind, IdMap, Ns, Origin};
use lxc_sys::cred;
use rustix::fs::{StatVfsMountFlags, statvfs};

use super::subid::{Allocation, User, default_maps};
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::host;

const CAP_SETGID: u32 = 6;
const CAP_SETUID: u32 = 7;

const KINDS: [(IdKind, &str, u32); 2] =
    [(IdKind::User, "newuidmap", CAP_SETUID), (IdKind::Group, "newgidmap", CAP_SETGID)];

/// Checks maps that newuidmap(1) and newgidmap(1) will be asked to write for the calling process.
///
/// A caller who may write them himself is not checked, nor one whose allocations are not in files (`subid:` of
/// nsswitch.conf).
///
/// - Shape: `origin` is the line of `lxc.idmap`.
/// - Errors: `Permission` for ranges that are not his; `NotFound` or `Permission` for programs that cannot work.
pub fn check(maps: &[IdMap], origin: &Origin) -> Result<()> {
    let able = cred::capabilities().what(|| "read capabilities")?.effective;
    let mut asked = Vec::new();
    for (kind, program, capability) in KINDS {
        if able & 1 << capability == 0 && maps.iter().any(|map| map.kind == kind) {
            asked.push((kind, program, capability));
        }
    }
    if asked.is_empty() {
        return Ok(());
    }
    for (_, program, capability) in &asked {
        can_work(program, *capability)?;
    }
    if !allocations_are_in_files() {
        return Ok(());
    }
    let user = User::caller();
    let allocations =
        asked.iter().map(|(kind, ..)| Allocation::read(*kind, &user)).collect::<Result<Vec<_>>>()?;
    refusal(maps, &user, &allocations).map_or(Ok(()), |error| Err(error.at(origin)))
}

/// Sets `lxc.idmap` from the allocations of a caller who cannot do without: one without privilege, who has set none and
/// shares no user namespace.
///
/// - Errors: `Config`, saying what he has not been given and how to get it.
pub fn fill_in(config: &mut Config) -> Result<()> {
    let settings = config.settings();
    let namespaces = &settings.namespaces;
    let decided = !settings.idmap.is_empty()
        || namespaces.share[Ns::User as usize].is_some()
        || namespaces.keep.as_ref().is_some_and(|list| list.contains(&Ns::User));
    let able = cred::capabilities().what(|| "read capabilities")?.effective & 1 << CAP_SETUID != 0;
    if decided || able {
        return Ok(());
    }
    for map in derived()? {
        let letter = if map.kind == IdKind::User { "u" } else { "g" };
        let line = format!("{letter} {} {} {}", map.ns_id, map.host_id, map.count);
        tracing::info!("no lxc.idmap is set: using {line}, as {} says", super::subid::file(map.kind));
        config.set("lxc.idmap", &line).map_err(|error| {
            Error::new(ErrorKind::Internal, format!("set lxc.idmap: {}", error.message()))
        })?;
    }
    Ok(())
}

fn derived() -> Result<[IdMap; 2]> {
    let user = User::caller();
    let users = Allocation::read(IdKind::User, &user)?;
    let groups = Allocation::read(IdKind::Group, &user)?;
    if let Some(maps) = default_maps(&users, &groups) {
        return Ok(maps);
    }
    let lacking: Vec<String> = [users, groups]
        .iter()
        .filter(|allocation| allocation.ranges.is_empty())
        .map(|allocation| allocation.describe(&user))
        .collect();
    Err(Error::new(
        ErrorKind::Config,
        format!("no lxc.idmap is set, and none can be made for {}: {}", user.describe(), lacking.join("; ")),
    )
    .cure(format!(
        "as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {} (any ids nobody else has)",
        user.word()
    )))
}

/// All ranges that will be refused, in one error.
fn refusal(maps: &[IdMap], user: &User, allocations: &[Allocation]) -> Option<Error> {
    let mut said = Vec::new();
    let mut wanted = Vec::new();
    let mut instead = Vec::new();
    for allocation in allocations {
        let (word, letter, option) = match allocation.kind {
            IdKind::User => ("uids", "u", "--add-subuids"),
            IdKind::Group => ("gids", "g", "--add-subgids"),
        };
        let refused: Vec<String> = maps
            .iter()
            .filter(|map| map.kind == allocation.kind && !granted(map, user, allocation))
            .map(|map| format!("{}-{}", map.host_id, u64::from(map.host_id) + u64::from(map.count) - 1))
            .collect();
        if refused.is_empty() {
            continue;
        }
        said.push(format!("host {word} {}: {}", refused.join(", "), allocation.describe(user)));
        wanted.extend(refused.iter().map(|range| format!("{option} {range}")));
        if let Some(range) = allocation.ranges.iter().max_by_key(|range| range.count) {
            instead.push(format!("lxc.idmap = {letter} 0 {} {}", range.first, range.count));
        }
    }
    if said.is_empty() {
        return None;
    }
    let mut cure = format!("as root: usermod {} {}", wanted.join(" "), user.word());
    if instead.len() == said.len() {
        cure = format!("use what is his ({}), or {cure}", instead.join(", "));
    }
    let text = format!("lxc.idmap asks for ids that {} may not map: {}", user.describe(), said.join("; "));
    Some(Error::new(ErrorKind::Permission, text).cure(cure))
}

/// - Source: newuidmap(1), newgidmap(1): the allocation, or his own id alone.
fn granted(map: &IdMap, user: &User, allocation: &Allocation) -> bool {
    let own = match map.kind {
        IdKind::User => user.uid,
        IdKind::Group => user.gid,
    };
    map.count == 1 && map.host_id == own || allocation.covers(map.host_id, map.count)
}

/// Whether `program` is there and will gain the privilege it needs.
fn can_work(program: &str, capability: u32) -> Result<()> {
    let Some(path) = host::program(program) else {
        return Err(Error::new(ErrorKind::NotFound, format!("{program}: not found along PATH")).cure(
            "install the package that has newuidmap and newgidmap (Debian: uidmap; Fedora: shadow-utils)",
        ));
    };
    let what = || format!("look at {}", path.display());
    let stat = rustix::fs::stat(&path).what(what)?;
    let set_uid_root = stat.st_mode & 0o4000 != 0 && stat.st_uid == 0;
    if !set_uid_root && !has_file_capability(&path, capability) {
        let word = if capability == CAP_SETUID { "cap_setuid" } else { "cap_setgid" };
        return Err(Error::new(
            ErrorKind::Permission,
            format!("{} is neither set-uid root nor has it the file capability {word}", path.display()),
        )
        .cure(format!("as root: chmod u+s {0}, or setcap {word}=ep {0}", path.display())));
    }
    if statvfs(&path).what(what)?.f_flag.contains(StatVfsMountFlags::NOSUID) {
        return Err(Error::new(
            ErrorKind::Permission,
            format!("{} gains no privilege: its file system is mounted nosuid", path.display()),
        )
        .cure("remount the file system with suid"));
    }
    if rustix::thread::no_new_privs().what(|| "read no_new_privs")? {
        return Err(Error::new(
            ErrorKind::Permission,
            format!("{} gains no privilege: no_new_privs is set for this process", path.display()),
        )
        .cure("start it from a session or service without it (systemd: NoNewPrivileges=no)"));
    }
    Ok(())
}

/// - Source: capabilities(7), the extended attribute `security.capability`: magic, then permitted and inheritable words.
fn has_file_capability(path: &Path, capability: u32) -> bool {
    let mut value = [0; 24];
    let Ok(length) = rustix::fs::getxattr(path, "security.capability", &mut value) else { return false };
    let Some(permitted) = value.get(..length).and_then(|value| value.get(4..8)) else { return false };
    permitted.iter().rev().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) & 1 << capability != 0
}

/// Whether shadow's programs look into the files, as they do unless nsswitch.conf names something else.
fn allocations_are_in_files() -> bool {
    let text = std::fs::read_to_string("/etc/nsswitch.conf").unwrap_or_default();
    let source = text.lines().find_map(|line| line.trim().strip_prefix("subid:").map(str::trim));
    source.is_none_or(|source| source == "files")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alice() -> User {
        User { name: Some("alice".into()), uid: 1000, gid: 1001 }
    }

    fn allocations(users: &str, groups: &str) -> [Allocation; 2] {
        [Allocation::parse(IdKind::User, &alice(), users), Allocation::parse(IdKind::Group, &alice(), groups)]
    }

    fn map(kind: IdKind, host_id: u32, count: u32) -> IdMap {
        IdMap { kind, ns_id: 0, host_id, count }
    }

    #[test]
    fn all_refused_ranges_are_in_one_message_with_lines_and_cure() {
        let maps = [map(IdKind::User, 100_000, 65_536), map(IdKind::Group, 100_000, 65_536)];
        let given = allocations("bob:1:1\nalice:300000:65536\n", "alice:400000:10\n");
        let error = refusal(&maps, &alice(), &given).expect("refused");
        assert_eq!(
            error.to_string(),
            "lxc.idmap asks for ids that alice (uid 1000) may not map: host uids 100000-165535: /etc/subuid line 2 gives him \
             300000-365535; host gids 100000-165535: /etc/subgid line 1 gives him 400000-400009"
        );
        assert_eq!(
            error.cure_text(),
            Some(
                "use what is his (lxc.idmap = u 0 300000 65536, lxc.idmap = g 0 400000 10), or as root: usermod \
                 --add-subuids 100000-165535 --add-subgids 100000-165535 alice"
            )
        );
    }

    #[test]
    fn his_own_ids_need_no_line() {
        let maps = [map(IdKind::User, 1000, 1), map(IdKind::Group, 1001, 1)];
        assert!(refusal(&maps, &alice(), &allocations("", "")).is_none());
        assert!(refusal(&[map(IdKind::User, 1000, 2)], &alice(), &allocations("", "")).is_some());
        // The gid is not a uid.
        assert!(refusal(&[map(IdKind::User, 1001, 1)], &alice(), &allocations("", "")).is_some());
    }
}
