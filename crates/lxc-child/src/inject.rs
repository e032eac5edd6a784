//! The short-lived process that changes the mounts of a running container: joins its mount namespace, does one thing.
//!
//! Context: a fresh clone with one thread, in the caller's pid namespace, so that the container never sees it. Does not
//! allocate. Not here: making the mount, finding the target (`lxc_core::inject`).

use core::ffi::CStr;

use lxc_sys::clone::exit_now;
use lxc_sys::ns;
use lxc_sys::rustix::fd::BorrowedFd;
use lxc_sys::rustix::io::Errno;
use lxc_sys::rustix::mount::{MoveMountFlags, UnmountFlags, move_mount, unmount};
use lxc_sys::rustix::process::fchdir;

/// The one thing to do. All descriptors were opened, and checked, from outside.
#[derive(Clone, Copy, Debug)]
pub enum InjectOp<'a> {
    /// Put a mount (detached, or one of this namespace) onto `target`.
    Attach { mount: BorrowedFd<'a>, target: BorrowedFd<'a> },
    /// Take the mount on `name` in directory `parent` away. By name: a descriptor of the mount would keep it busy.
    Detach { parent: BorrowedFd<'a>, name: &'a CStr, flags: UnmountFlags },
}

/// What [`inject`] follows.
#[derive(Clone, Copy, Debug)]
pub struct InjectScript<'a> {
    /// Pidfd of the container's init.
    pub init: BorrowedFd<'a>,
    pub op: InjectOp<'a>,
}

const CLONE_NEWNS: u64 = 0x2_0000;
/// Exit code for an errno that does not fit into one.
const UNKNOWN: i32 = 255;

/// Runs the script; entry point of a clone. The exit code is 0 or the errno.
pub extern "C" fn inject(script: &InjectScript<'_>) -> ! {
    match run(script) {
        Ok(()) => exit_now(0),
        Err(errno) => exit_now(match errno.raw_os_error() {
            code @ 1..UNKNOWN => code,
            _ => UNKNOWN,
        }),
    }
}

fn run(script: &InjectScript<'_>) -> Result<(), Errno> {
    ns::join(script.init, CLONE_NEWNS)?;
    match script.op {
        InjectOp::Attach { mount, target } => {
            let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
            move_mount(mount, c"", target, c"", flags)
        }
        InjectOp::Detach { parent, name, flags } => {
            fchdir(parent)?;
            unmount(name, flags | UnmountFlags::NOFOLLOW)
        }
    }
}
