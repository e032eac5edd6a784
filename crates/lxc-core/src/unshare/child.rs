//! The child of `unshare`: a straight line down to exec. No allocation, no decision.

use std::os::fd::{AsRawFd, BorrowedFd};

use lxc_sys::clone::exit_now;
use lxc_sys::exec::Image;
use lxc_sys::{cred, mount};
use rustix::io::Errno;

/// Ids the command gets.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ids {
    Kept,
    User(u32),
    /// Uid and gid, and no other groups.
    Both(u32, u32),
}

#[derive(Debug)]
pub(super) struct Script<'a> {
    /// Read end: a byte once everything outside is done.
    pub(super) wait: BorrowedFd<'a>,
    /// Its write end, to be closed here.
    pub(super) go: BorrowedFd<'a>,
    pub(super) tell: BorrowedFd<'a>,
    pub(super) ids: Ids,
    pub(super) hostname: Option<&'a [u8]>,
    pub(super) slave: bool,
    pub(super) remount: bool,
    pub(super) image: &'a Image,
}

/// What the child was at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Step {
    Wait = 1,
    Groups,
    Gid,
    Uid,
    Hostname,
    Slave,
    Proc,
    Shm,
    Mqueue,
    Exec,
}

impl Step {
    const ALL: [Step; 10] = [
        Step::Wait,
        Step::Groups,
        Step::Gid,
        Step::Uid,
        Step::Hostname,
        Step::Slave,
        Step::Proc,
        Step::Shm,
        Step::Mqueue,
        Step::Exec,
    ];

    pub(super) fn from(number: u32) -> Step {
        Step::ALL.into_iter().find(|step| *step as u32 == number).unwrap_or(Step::Wait)
    }

    pub(super) fn describe(self, image: &Image) -> String {
        match self {
            Step::Wait => "wait for the id maps".to_owned(),
            Step::Groups => "drop supplementary groups".to_owned(),
            Step::Gid => "switch the gid".to_owned(),
            Step::Uid => "switch the uid".to_owned(),
            Step::Hostname => "set the hostname".to_owned(),
            Step::Slave => "make the mounts dependent ones".to_owned(),
            Step::Proc => "mount /proc".to_owned(),
            Step::Shm => "mount /dev/shm".to_owned(),
            Step::Mqueue => "mount /dev/mqueue".to_owned(),
            Step::Exec => format!("execute {}", image.program().to_string_lossy()),
        }
    }
}

pub(super) extern "C" fn run(script: &Script<'_>) -> ! {
    let (step, errno) = steps(script);
    let mut message = [0; 8];
    let (head, tail) = message.split_at_mut(4);
    head.copy_from_slice(&(step as u32).to_ne_bytes());
    tail.copy_from_slice(&errno.raw_os_error().to_ne_bytes());
    let _ = rustix::io::write(script.tell, &message);
    exit_now(1)
}

/// Returns only with what failed.
fn steps(script: &Script<'_>) -> (Step, Errno) {
    match prepare(script) {
        Ok(()) => (Step::Exec, script.image.exec()),
        Err(failed) => failed,
    }
}

const SLAVE: u64 = 1 << 19;
const REC: u64 = 1 << 14;
/// nosuid, nodev, noexec.
const SAFE: u64 = 2 | 4 | 8;

fn prepare(script: &Script<'_>) -> Result<(), (Step, Errno)> {
    let at = |step: Step| move |errno: Errno| (step, errno);
    let own = script.go.as_raw_fd().cast_unsigned();
    lxc_sys::fd::close_between(own, own).map_err(at(Step::Wait))?;
    let mut byte = [0; 1];
    match rustix::io::retry_on_intr(|| rustix::io::read(script.wait, &mut byte)) {
        Ok(1) => {}
        // The parent gave up and says why itself.
        Ok(_) => exit_now(1),
        Err(errno) => return Err((Step::Wait, errno)),
    }
    // ORDER: ids first, for mounts and names belong to root of the namespace.
    match script.ids {
        Ids::Kept => {}
        Ids::User(uid) => cred::set_uids(uid).map_err(at(Step::Uid))?,
        Ids::Both(uid, gid) => {
            cred::set_groups(&[]).map_err(at(Step::Groups))?;
            cred::set_gids(gid).map_err(at(Step::Gid))?;
            cred::set_uids(uid).map_err(at(Step::Uid))?;
        }
    }
    if let Some(name) = script.hostname {
        rustix::system::sethostname(name).map_err(at(Step::Hostname))?;
    }
    if script.slave {
        mount::mount(c"", c"/", c"", SLAVE | REC, c"").map_err(at(Step::Slave))?;
    }
    if script.remount {
        mount::mount(c"proc", c"/proc", c"proc", SAFE, c"").map_err(at(Step::Proc))?;
        mount::mount(c"tmpfs", c"/dev/shm", c"tmpfs", SAFE & !8, c"mode=1777").map_err(at(Step::Shm))?;
        match mount::mount(c"mqueue", c"/dev/mqueue", c"mqueue", SAFE, c"") {
            // Few have the directory.
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err((Step::Mqueue, errno)),
        }
    }
    Ok(())
}
