//! Ids, capabilities, securebits, no_new_privs, keyrings, personality, limits of the calling thread or a child.
//!
//! Raw per-thread system calls on purpose: glibc's wrappers would broadcast to threads that a child does not have.
//! All functions may be called between clone and exec; none allocates.

use rustix::io::Errno;

fn check(result: libc::c_long) -> Result<libc::c_long, Errno> {
    if result < 0 {
        Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
    } else {
        Ok(result)
    }
}

/// Real, effective and saved uid of the calling thread.
pub fn set_uids(uid: u32) -> Result<(), Errno> {
    // SAFETY: plain integers.
    check(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) }).map(drop)
}

/// Real, effective and saved gid of the calling thread.
pub fn set_gids(gid: u32) -> Result<(), Errno> {
    // SAFETY: plain integers.
    check(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) }).map(drop)
}

/// Replaces the supplementary groups of the calling thread.
pub fn set_groups(groups: &[u32]) -> Result<(), Errno> {
    // SAFETY: the pointer is valid for `len` gids of 32 bits.
    check(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) }).map(drop)
}

/// Capability sets as masks of `1 << number`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapSets {
    pub effective: u64,
    pub permitted: u64,
    pub inheritable: u64,
}

#[repr(C)]
struct CapHeader {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

/// capget(2) of the calling thread.
pub fn capabilities() -> Result<CapSets, Errno> {
    let header = CapHeader { version: CAPABILITY_VERSION_3, pid: 0 };
    let mut data = [CapData::default(); 2];
    // SAFETY: version 3 reads the header and fills two data structures.
    check(unsafe { libc::syscall(libc::SYS_capget, &raw const header, data.as_mut_ptr()) })?;
    let join = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    Ok(CapSets {
        effective: join(data[0].effective, data[1].effective),
        permitted: join(data[0].permitted, data[1].permitted),
        inheritable: join(data[0].inheritable, data[1].inheritable),
    })
}

/// capset(2) of the calling thread.
pub fn set_capabilities(sets: CapSets) -> Result<(), Errno> {
    let header = CapHeader { version: CAPABILITY_VERSION_3, pid: 0 };
    let half = |shift: u32| CapData {
        effective: (sets.effective >> shift) as u32,
        permitted: (sets.permitted >> shift) as u32,
        inheritable: (sets.inheritable >> shift) as u32,
    };
    let data = [half(0), half(32)];
    // SAFETY: version 3 reads the header and two data structures.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) }).map(drop)
}

/// Takes one capability out of the bounding set.
pub fn drop_bounding(capability: u8) -> Result<(), Errno> {
    prctl(libc::PR_CAPBSET_DROP, u64::from(capability), 0)
}

/// Empties the ambient set; kernels before 4.3 have none.
pub fn clear_ambient() -> Result<(), Errno> {
    match prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as u64, 0) {
        // Until Linux 4.3 is the floor: no ambient capabilities, nothing to clear.
        Err(Errno::INVAL) => Ok(()),
        other => other,
    }
}

/// Adds one capability to the ambient set.
pub fn raise_ambient(capability: u8) -> Result<(), Errno> {
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as u64, u64::from(capability))
}

/// `PR_SET_NO_NEW_PRIVS`.
pub fn set_no_new_privs() -> Result<(), Errno> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0)
}

/// `PR_SET_DUMPABLE`: whether other processes of the same uid may ptrace this one and open its /proc files.
pub fn set_dumpable(dumpable: bool) -> Result<(), Errno> {
    prctl(libc::PR_SET_DUMPABLE, u64::from(dumpable), 0)
}

/// `PR_SET_KEEPCAPS`: keep permitted capabilities over a change of all uids away from 0.
pub fn set_keep_capabilities(keep: bool) -> Result<(), Errno> {
    prctl(libc::PR_SET_KEEPCAPS, u64::from(keep), 0)
}

/// `PR_SET_PDEATHSIG`: the signal this process gets when the *thread* that made it ends; 0 = none.
pub fn set_parent_death_signal(signal: u32) -> Result<(), Errno> {
    prctl(libc::PR_SET_PDEATHSIG, u64::from(signal), 0)
}

/// `PR_SET_CHILD_SUBREAPER`.
pub fn set_child_subreaper(on: bool) -> Result<(), Errno> {
    prctl(libc::PR_SET_CHILD_SUBREAPER, u64::from(on), 0)
}

/// Gives `pid` a core-scheduling cookie of its own (`PR_SCHED_CORE_CREATE` for its thread group, Linux 5.14).
pub fn create_core_scheduling_domain(pid: i32) -> Result<(), Errno> {
    const PR_SCHED_CORE: i32 = 62;
    const CREATE: u64 = 1;
    const SCOPE_THREAD_GROUP: u64 = 1;
    // SAFETY: plain integers; the last argument (a pointer for GET only) is NULL.
    check(unsafe { libc::syscall(libc::SYS_prctl, PR_SCHED_CORE, CREATE, pid, SCOPE_THREAD_GROUP, 0) })
        .map(drop)
}

/// Puts the calling thread under the core-scheduling cookie of `pid` (`PR_SCHED_CORE_SHARE_FROM`).
pub fn join_core_scheduling_domain(pid: i32) -> Result<(), Errno> {
    const PR_SCHED_CORE: i32 = 62;
    const SHARE_FROM: u64 = 3;
    const SCOPE_THREAD: u64 = 0;
    // SAFETY: plain integers.
    check(unsafe { libc::syscall(libc::SYS_prctl, PR_SCHED_CORE, SHARE_FROM, pid, SCOPE_THREAD, 0) })
        .map(drop)
}

/// The core-scheduling cookie of process `pid` (`PR_SCHED_CORE_GET`); 0 = none.
///
/// - Errors: `EINVAL` in kernels without core scheduling, `ESRCH`, `EPERM`.
pub fn core_scheduling_cookie(pid: i32) -> Result<u64, Errno> {
    const PR_SCHED_CORE: i32 = 62;
    const GET: u64 = 0;
    const SCOPE_THREAD: u64 = 0;
    let mut cookie = 0u64;
    // SAFETY: the last argument points to the 8 bytes the kernel writes.
    check(unsafe { libc::syscall(libc::SYS_prctl, PR_SCHED_CORE, GET, pid, SCOPE_THREAD, &raw mut cookie) })?;
    Ok(cookie)
}

fn prctl(option: i32, arg2: u64, arg3: u64) -> Result<(), Errno> {
    // SAFETY: every option used in this file takes integers only.
    check(unsafe { libc::syscall(libc::SYS_prctl, option, arg2, arg3, 0, 0) }).map(drop)
}

/// A new anonymous session keyring for the calling process (keyctl(2) `JOIN_SESSION_KEYRING`).
///
/// - Errors: `ENOSYS` in kernels without keys, `EDQUOT` when the user has too many.
pub fn new_session_keyring() -> Result<(), Errno> {
    const KEYCTL_JOIN_SESSION_KEYRING: i32 = 1;
    // SAFETY: a NULL name asks for an anonymous keyring.
    check(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0) }).map(drop)
}

/// Execution domain of the calling process, personality(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Personality {
    Linux,
    Linux32,
}

/// personality(2).
pub fn set_personality(personality: Personality) -> Result<(), Errno> {
    const PER_LINUX: libc::c_ulong = 0;
    const PER_LINUX32: libc::c_ulong = 8;
    let value = if personality == Personality::Linux32 { PER_LINUX32 } else { PER_LINUX };
    // SAFETY: a plain integer.
    check(unsafe { libc::syscall(libc::SYS_personality, value) }).map(drop)
}

/// prlimit(2) of another process: `resource` by number, `u64::MAX` = unlimited.
pub fn set_limit(pid: i32, resource: u32, soft: u64, hard: u64) -> Result<(), Errno> {
    let limit = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    // SAFETY: the structure is valid; the old limit is not asked for (NULL).
    check(unsafe { libc::syscall(libc::SYS_prlimit64, pid, resource, &raw const limit, 0) }).map(drop)
}

/// One instruction of a classic BPF program (`struct sock_filter`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SockFilter {
    pub code: u16,
    pub jump_true: u8,
    pub jump_false: u8,
    pub k: u32,
}

/// Installs a seccomp filter on the calling thread; with `notify`, returns the listener.
///
/// - Errors: `EACCES` without CAP_SYS_ADMIN or no_new_privs; `EINVAL` for a bad program; `EBUSY` for a second listener.
/// - Source: seccomp(2).
pub fn load_seccomp(program: &[SockFilter], notify: bool) -> Result<Option<std::os::fd::OwnedFd>, Errno> {
    use std::os::fd::FromRawFd;
    #[repr(C)]
    struct Program {
        len: u16,
        filter: *const SockFilter,
    }
    const SECCOMP_SET_MODE_FILTER: u32 = 1;
    const SECCOMP_FILTER_FLAG_NEW_LISTENER: u64 = 8;
    let len = u16::try_from(program.len()).map_err(|_| Errno::INVAL)?;
    let raw = Program { len, filter: program.as_ptr() };
    let flags = if notify { SECCOMP_FILTER_FLAG_NEW_LISTENER } else { 0 };
    // SAFETY: `raw` points to `len` instructions laid out as struct sock_filter; the kernel copies and checks them.
    let result =
        check(unsafe { libc::syscall(libc::SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &raw const raw) })?;
    if !notify {
        return Ok(None);
    }
    // SAFETY: with NEW_LISTENER the result is a new descriptor that nothing else owns.
    Ok(Some(unsafe { std::os::fd::OwnedFd::from_raw_fd(result as i32) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_of_this_thread_survive_a_round_trip() {
        let sets = capabilities().expect("capget");
        set_capabilities(sets).expect("capset");
        assert_eq!(capabilities().expect("capget"), sets);
    }

    #[test]
    fn a_filter_without_privilege_or_program_is_refused() {
        assert_eq!(load_seccomp(&[], false).map(|_| ()), Err(Errno::INVAL));
    }
}
