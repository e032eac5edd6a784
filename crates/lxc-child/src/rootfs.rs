//! The root file system: mounting it, and making it the root.

use lxc_sys::mount::{Depth, MountAttr, set_attributes};
use lxc_sys::rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use lxc_sys::rustix::fs::{CWD, Mode, OFlags, openat};
use lxc_sys::rustix::io::Errno;
use lxc_sys::rustix::mount::{UnmountFlags, unmount};
use lxc_sys::rustix::process::{chdir, fchdir, pivot_root};

use crate::mounts::{attach, clone_tree};
use crate::script::Rootfs;
use crate::sync::{Fault, Step};

const MS_SLAVE: u64 = 1 << 19;
const MS_SHARED: u64 = 1 << 20;

/// Nothing that happens in the new mount namespace reaches the host from here on, but the host's mounts still come in.
pub fn make_slave() -> Result<(), Fault> {
    let root = open_dir(c"/").map_err(|errno| Fault::new(Step::MakeSlave, 0, errno))?;
    change_propagation(root.as_fd(), MS_SLAVE).map_err(|errno| Fault::new(Step::MakeSlave, 0, errno))
}

/// Mounts the root file system on its mount point and returns its root directory.
pub fn enter(rootfs: &Rootfs<'_>) -> Result<OwnedFd, Fault> {
    let fault = |errno| Fault::new(Step::Rootfs, 0, errno);
    match *rootfs {
        Rootfs::HostRoot | Rootfs::Untouched => open_dir(c"/").map_err(fault),
        Rootfs::Dir { source, mount, attr } => {
            let source =
                openat(CWD, source, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
                    .map_err(|errno| Fault::new(Step::Rootfs, 1, errno))?;
            let target = open_dir(mount).map_err(|errno| Fault::new(Step::Rootfs, 2, errno))?;
            let tree = clone_tree(source.as_fd(), true).map_err(fault)?;
            apply(tree.as_fd(), &attr)?;
            attach(tree.as_fd(), target.as_fd()).map_err(fault)?;
            Ok(tree)
        }
        Rootfs::Fs { source, fstype, flags, data, mount, attr } => {
            lxc_sys::mount::mount(source, mount, fstype, flags, data).map_err(fault)?;
            let root = open_dir(mount).map_err(|errno| Fault::new(Step::Rootfs, 2, errno))?;
            apply(root.as_fd(), &attr)?;
            Ok(root)
        }
    }
}

fn apply(mount: BorrowedFd<'_>, attr: &MountAttr) -> Result<(), Fault> {
    if attr.is_empty() {
        return Ok(());
    }
    set_attributes(mount, attr, Depth::Top).map_err(|errno| Fault::new(Step::RootfsOptions, 0, errno))
}

/// Makes `root` the root directory and puts the old one away.
///
/// The new root and all below it end up shared, as the original leaves them: nested containers rely on it.
pub fn pivot(root: BorrowedFd<'_>) -> Result<(), Fault> {
    let fault = |item: u32| move |errno: Errno| Fault::new(Step::Pivot, item, errno);
    let old = open_dir(c"/").map_err(fault(0))?;
    fchdir(root).map_err(fault(1))?;
    match pivot_root(c".", c".") {
        Ok(()) => {
            // ORDER: "." is now the old root stacked on the new one (pivot_root(2), NOTES). It becomes a slave before it
            // goes, or the unmounts would propagate to the host.
            fchdir(&old).map_err(fault(2))?;
            change_propagation(old.as_fd(), MS_SLAVE).map_err(fault(3))?;
            unmount(c".", UnmountFlags::DETACH).map_err(fault(4))?;
        }
        // The host's root is an initramfs, which cannot be pivoted away from (pivot_root(2), NOTES).
        Err(Errno::INVAL) => {
            lxc_sys::rustix::mount::mount_move(c".", c"/").map_err(fault(5))?;
            lxc_sys::rustix::process::chroot(c".").map_err(fault(6))?;
        }
        Err(errno) => return Err(fault(7)(errno)),
    }
    fchdir(root).map_err(fault(8))?;
    change_propagation(root, MS_SHARED).map_err(fault(9))?;
    chdir(c"/").map_err(fault(10))
}

fn open_dir(path: &core::ffi::CStr) -> Result<OwnedFd, Errno> {
    openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

fn change_propagation(mount: BorrowedFd<'_>, kind: u64) -> Result<(), Errno> {
    set_attributes(mount, &MountAttr::propagating(kind), Depth::Recursive)
}
