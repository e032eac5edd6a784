//! Reads the facts of a running container: its monitor is asked for what only it knows, procfs for the rest.
//!
//! Context: caller. Not here: decisions (`plan`).

use std::os::fd::{AsFd, OwnedFd};

use lxc_conf::model::{Arch, Ns};
use lxc_sys::proc::ProcFs;
use lxc_sys::{cred, pidfd};
use rustix::fs::{AtFlags, Mode, OFlags, openat, statat};
use rustix::io::Errno;

use super::facts::{Facts, IdRanges, Label, Status, parse_label};
use super::{Elevated, Request};
use crate::command::Client;
use crate::host::{self, Lsm};
use crate::{Error, ErrorKind, Result, ResultExt};

/// A running init: proven alive after everything about it was read.
#[derive(Debug)]
pub struct AttachContext {
    /// As the caller's pid namespace numbers it.
    pub pid: i32,
    pub pidfd: OwnedFd,
    /// The host's procfs.
    pub proc: ProcFs,
    /// `/proc/PID` of init.
    pub dir: OwnedFd,
    pub uid_map: IdRanges,
    pub gid_map: IdRanges,
    pub facts: Facts,
}

impl AttachContext {
    /// Asks and reads.
    ///
    /// - Errors: `NotRunning` without a monitor; `Permission` when it refuses; `Kernel` when procfs is not what it
    ///   should be.
    pub fn open(client: &Client, request: &Request) -> Result<AttachContext> {
        let proc = ProcFs::open()
            .what(|| "open /proc")
            .map_err(|error| error.cure("mount procfs on /proc; attach reads the container's facts there"))?;
        let pidfd = init_pidfd(client, &request.name)?;
        let pid = pid_of(&proc, &pidfd)?;
        let dir = proc
            .open_at(pid.to_string(), OFlags::PATH | OFlags::DIRECTORY)
            .what(|| format!("open /proc/{pid} of the container's init"))?;
        let status = Status::parse(&read(&dir, "status")?).ok_or_else(|| {
            Error::new(ErrorKind::Kernel, format!("read /proc/{pid}/status: fields missing"))
        })?;
        let foreign = foreign_namespaces(&proc, &dir)?;
        let (uid_map, gid_map) = match foreign & Ns::User.clone_flag() {
            0 => (IdRanges::default(), IdRanges::default()),
            _ => (IdRanges::parse(&read(&dir, "uid_map")?), IdRanges::parse(&read(&dir, "gid_map")?)),
        };
        let facts = Facts {
            pid,
            foreign,
            owned: owned_namespaces(client, request, foreign)?,
            root_uid: uid_map.root(status.uid),
            root_gid: gid_map.root(status.gid),
            bounding: status.bounding,
            no_new_privs: no_new_privs(client, &status)?,
            own_keyring: own_keyring(client, request)?,
            arch: arch(client, &proc, &dir)?,
            seccomp_profile: seccomp_profile(client, request, &status)?,
            label: label(request, &dir)?,
            // EINVAL is a kernel without core scheduling, EPERM somebody else's process: neither has a domain to join.
            core_scheduling: cred::core_scheduling_cookie(pid).is_ok_and(|cookie| cookie != 0),
            ns_pid: status.ns_pid,
        };
        // ORDER: last. A dead init's pid may have been given to another process while its files were read.
        pidfd::send_signal(pidfd.as_fd(), 0).map_err(|_| {
            Error::new(ErrorKind::NotRunning, format!("container {} ended meanwhile", request.name))
        })?;
        Ok(AttachContext { pid, pidfd, proc, dir, uid_map, gid_map, facts })
    }
}

impl AttachContext {
    /// A file of `/proc/PID` of init.
    pub fn text(&self, name: &str) -> Result<String> {
        read(&self.dir, name)
    }
}

fn init_pidfd(client: &Client, name: &str) -> Result<OwnedFd> {
    match client.init_pidfd() {
        Ok(fd) => Ok(fd),
        Err(error) if matches!(error.kind(), ErrorKind::NotRunning | ErrorKind::Permission) => Err(error),
        // Monitors before 4.0.3 do not know the request; their answer to the older one is checked by `send_signal`.
        Err(_) => {
            let pid = client.init_pid()?;
            let pid = rustix::process::Pid::from_raw(pid)
                .ok_or_else(|| Error::new(ErrorKind::NotRunning, format!("container {name} has no init")))?;
            pidfd::pidfd_open(pid, pidfd::PidfdFlags::empty())
                .what(|| format!("open init of container {name}"))
        }
    }
}

/// The pid a pidfd refers to, from its fdinfo.
fn pid_of(proc: &ProcFs, fd: &OwnedFd) -> Result<i32> {
    use std::os::fd::AsRawFd;
    let path = format!("self/fdinfo/{}", fd.as_raw_fd());
    let file = proc.open_at(path.as_str(), OFlags::RDONLY).what(|| format!("open /proc/{path}"))?;
    let text = read_all(&file).what(|| format!("read /proc/{path}"))?;
    let pid = text.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok()).unwrap_or(-1);
    match pid {
        1.. => Ok(pid),
        0 => {
            Err(Error::new(ErrorKind::NotFound, "find the container's init: it is in another pid namespace")
                .cure("run lxc-attach in the pid namespace of the container's monitor"))
        }
        _ => Err(Error::new(ErrorKind::NotRunning, "find the container's init: it has ended")),
    }
}

fn read(dir: &OwnedFd, name: &str) -> Result<String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file =
        openat(dir, name, flags, Mode::empty()).what(|| format!("open {name} of the container's init"))?;
    read_all(&file).what(|| format!("read {name} of the container's init"))
}

fn read_all(file: &OwnedFd) -> std::result::Result<String, Errno> {
    let mut bytes = vec![0; 4096];
    let mut used = 0;
    loop {
        let room = bytes.get_mut(used..).unwrap_or_default();
        match rustix::io::read(file, room) {
            Ok(0) => break,
            Ok(count) => used += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        if used == bytes.len() {
            bytes.resize(used * 2, 0);
        }
    }
    bytes.truncate(used);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn foreign_namespaces(proc: &ProcFs, dir: &OwnedFd) -> Result<u64> {
    let own = proc.open_at("self", OFlags::PATH | OFlags::DIRECTORY).what(|| "open /proc/self")?;
    let mut foreign = 0;
    for ns in Ns::ALL {
        let path = format!("ns/{}", ns.word());
        // A kind this kernel lacks is missing on both sides.
        let Ok(ours) = statat(&own, path.as_str(), AtFlags::empty()) else { continue };
        let theirs = statat(dir, path.as_str(), AtFlags::empty())
            .what(|| format!("look at the {} namespace of the container's init", ns.word()))?;
        if (ours.st_dev, ours.st_ino) != (theirs.st_dev, theirs.st_ino) {
            foreign |= ns.clone_flag();
        }
    }
    Ok(foreign)
}

/// Only needed when the cgroup namespace may have to be left out.
fn owned_namespaces(client: &Client, request: &Request, foreign: u64) -> Result<u64> {
    if request.elevated.contains(Elevated::Cgroup) && foreign & Ns::Cgroup.clone_flag() != 0 {
        return client.clone_flags();
    }
    Ok(foreign)
}

/// Once set, no_new_privs stays; so where init does not have it, the configuration does not ask for it.
fn no_new_privs(client: &Client, status: &Status) -> Result<bool> {
    Ok(status.no_new_privs && client.config_item("lxc.no_new_privs")?.as_deref() == Some("1"))
}

/// COMPAT: 1 is "keep the starter's", the inverse of what the manual page of the original says. Monitors before 4.0 have no
/// such key and make a keyring always.
fn own_keyring(client: &Client, request: &Request) -> Result<bool> {
    if request.elevated.contains(Elevated::Lsm) {
        return Ok(false);
    }
    Ok(client.config_item("lxc.keyring.session")?.as_deref() != Some("1"))
}

/// Likewise for filters: an init without one was not given any.
fn seccomp_profile(client: &Client, request: &Request, status: &Status) -> Result<Option<String>> {
    if status.seccomp == 0 || request.elevated.contains(Elevated::Lsm) {
        return Ok(None);
    }
    match client.config_item("lxc.seccomp.profile")? {
        Some(path) if !path.is_empty() => Ok(Some(path)),
        // The key's name before LXC 2.1.
        _ => Ok(client.config_item("lxc.seccomp")?.filter(|path| !path.is_empty())),
    }
}

/// `lxc.arch` of the running container, where init's personality shows that it matters.
fn arch(client: &Client, proc: &ProcFs, dir: &OwnedFd) -> Result<Option<Arch>> {
    let own = proc.open_at("self", OFlags::PATH | OFlags::DIRECTORY).what(|| "open /proc/self")?;
    if let (Ok(ours), Ok(theirs)) = (read(&own, "personality"), read(dir, "personality"))
        && ours == theirs
    {
        return Ok(None);
    }
    let Some(name) = client.config_item("lxc.arch")?.filter(|name| !name.is_empty()) else { return Ok(None) };
    let arch = lxc_conf::value::arch::parse(&name);
    arch.map(Some).map_err(|_| Error::new(ErrorKind::Protocol, format!("the monitor's lxc.arch is {name:?}")))
}

fn label(request: &Request, dir: &OwnedFd) -> Result<Option<Label>> {
    if request.elevated.contains(Elevated::Lsm) {
        return Ok(None);
    }
    let lsm = host::lsm();
    let (stacked, text) = match (lsm, &request.label) {
        (Lsm::None, None) => return Ok(None),
        // Whoever asks for a label wants the command confined by it: without one it does not run.
        (Lsm::None, Some(label)) => {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("run the command under the label {label:?}: this kernel has no AppArmor or SELinux enabled"),
            )
            .cure("leave out -c, or boot with the security module enabled"));
        }
        (Lsm::AppArmor, _) => match read(dir, "attr/apparmor/current") {
            Ok(text) => (true, text),
            // Until Linux 5.8 is the floor: there is one directory of attributes for all modules.
            Err(_) => (false, read(dir, "attr/current")?),
        },
        (Lsm::SeLinux, _) => (false, read(dir, "attr/current")?),
    };
    Ok(match &request.label {
        Some(text) => Some(Label { lsm, stacked, text: text.clone() }),
        None => parse_label(lsm, stacked, &text),
    })
}
