//! Who called, and how this process turns from a set-uid program into a plain process of root with one capability.
//!
//! Not here: what the caller may do.

use lxc_sys::clone::SingleThreaded;
use lxc_sys::cred::{self, CapSets};
use lxc_sys::signal::{self, Mask};
use lxc_sys::{exec, fd, names, rustix};
use rustix::io::Errno;
use rustix::process::{Gid, Resource, Rlimit, Uid};
use rustix::thread::{set_thread_res_gid, set_thread_res_uid};

use crate::{Refusal, Result};

const CAP_DAC_OVERRIDE: u8 = 1;
const CAP_NET_ADMIN: u8 = 12;

/// The real user behind this process.
#[derive(Clone, Debug)]
pub struct Caller {
    pub uid: u32,
    pub user: String,
    /// The names rules may have for the caller: the login name, then `@` and each group.
    pub owners: Vec<String>,
}

/// Leaves nothing of what a caller can hand to a set-uid program: environment, descriptors, directory, mask, umask,
/// signal dispositions, limits.
///
/// - Context: first thing in `main`; descriptors 0 to 2 are open, std saw to that.
pub fn leave_inheritance() -> Result<()> {
    let failed = |what: &str, errno: Errno| Refusal::new(format!("{what}: {}", told(errno)));
    let single = SingleThreaded::check().map_err(|errno| failed("look at /proc/self/task", errno))?;
    exec::clear_environment(&single);
    // A number that is open and unknown could only be misused.
    fd::close_between(3, u32::MAX).map_err(|errno| failed("close descriptors", errno))?;
    signal::reset_dispositions();
    // A reader that went away and a full file are errors, not deaths.
    signal::ignore(libc_signal::SIGPIPE);
    signal::ignore(libc_signal::SIGXFSZ);
    // ^C, timers and the like must not end this between two writes; nothing here waits for long.
    signal::set_mask(Mask::all_but(&libc_signal::FAULTS)).map_err(|errno| failed("block signals", errno))?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    rustix::process::chdir("/").map_err(|errno| failed("change directory to /", errno))?;
    for limit in [Resource::Cpu, Resource::Fsize, Resource::As, Resource::Data] {
        // In a user namespace this needs a right that its root lacks; the limits are the container's then.
        let _ = rustix::process::setrlimit(limit, Rlimit { current: None, maximum: None });
    }
    cred::set_dumpable(false).map_err(|errno| failed("become undumpable", errno))
}

impl Caller {
    /// Finds the names of the real user and of the groups of this process.
    pub fn identify() -> Result<Caller> {
        if !rustix::process::geteuid().is_root() {
            return Err(Refusal::new("this program must be installed set-uid root"));
        }
        let uid = rustix::process::getuid().as_raw();
        let user = names::user(uid)
            .filter(|name| !name.is_empty() && !name.starts_with('@') && !name.contains(char::is_whitespace))
            .ok_or_else(|| {
                Refusal::new(format!("no user has the id {uid}; /etc/passwd lacks a line for it"))
            })?;
        let mut gids = vec![rustix::process::getgid().as_raw()];
        let more = rustix::process::getgroups()
            .map_err(|errno| Refusal::new(format!("list groups: {}", told(errno))))?;
        gids.extend(more.iter().map(|gid| gid.as_raw()));
        gids.dedup();
        let mut owners = vec![user.clone()];
        for name in gids.into_iter().filter_map(names::group) {
            let owner = format!("@{name}");
            if !owners.contains(&owner) {
                owners.push(owner);
            }
        }
        Ok(Caller { uid, user, owners })
    }

    /// Runs `body` with the effective ids, and so the rights to files and processes, of the caller.
    pub fn act<T>(&self, body: impl FnOnce() -> T) -> Result<T> {
        let failed = |errno: Errno| Refusal::new(format!("change the effective user: {}", told(errno)));
        // Group ids are still the caller's: only the set-uid bit is set.
        set_thread_res_uid(None, Uid::from_raw(self.uid), None).map_err(failed)?;
        let result = body();
        set_thread_res_uid(None, Uid::ROOT, None).map_err(failed)?;
        Ok(result)
    }
}

/// Gives up being the caller: all ids 0, so that the caller cannot send signals to whoever holds the lock, and no right
/// but the one over networks.
///
/// - Context: after everything that was the caller's has been opened.
pub fn become_root() -> Result<()> {
    let failed = |what: &str, errno: Errno| Refusal::new(format!("{what}: {}", told(errno)));
    if !rustix::process::getuid().is_root() {
        cred::set_groups(&[]).map_err(|errno| failed("drop groups", errno))?;
        set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT).map_err(|errno| failed("change group", errno))?;
        set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).map_err(|errno| failed("change user", errno))?;
    }
    // ovs-vsctl, run as root, gets what is left here: its socket may belong to another user.
    for capability in (0..64).filter(|number| ![CAP_NET_ADMIN, CAP_DAC_OVERRIDE].contains(number)) {
        match cred::drop_bounding(capability) {
            // The kernel knows fewer; a root that lacks CAP_SETPCAP has few rights to leave.
            Ok(()) | Err(Errno::INVAL | Errno::PERM) => {}
            Err(errno) => return Err(failed("drop a capability", errno)),
        }
    }
    let only = 1 << CAP_NET_ADMIN;
    let sets = CapSets { effective: only, permitted: only, inheritable: 0 };
    cred::set_capabilities(sets).map_err(|errno| failed("drop capabilities", errno))?;
    cred::clear_ambient().map_err(|errno| failed("drop ambient capabilities", errno))?;
    cred::set_no_new_privs().map_err(|errno| failed("set no_new_privs", errno))?;
    cred::set_dumpable(false).map_err(|errno| failed("become undumpable", errno))
}

pub(crate) fn told(errno: Errno) -> std::io::Error {
    std::io::Error::from_raw_os_error(errno.raw_os_error())
}

/// Signals by number, as lxc-sys takes them.
mod libc_signal {
    use lxc_sys::rustix::process::Signal;

    pub(super) const SIGPIPE: i32 = Signal::PIPE.as_raw();
    pub(super) const SIGXFSZ: i32 = Signal::XFSZ.as_raw();
    /// What a broken program gets from the kernel.
    pub(super) const FAULTS: [i32; 6] = [
        Signal::SEGV.as_raw(),
        Signal::BUS.as_raw(),
        Signal::ILL.as_raw(),
        Signal::FPE.as_raw(),
        Signal::ABORT.as_raw(),
        Signal::SYS.as_raw(),
    ];
}
