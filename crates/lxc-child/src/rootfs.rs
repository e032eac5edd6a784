//! The root file system: mounting it, and making it the root.

use core::ffi::CStr;

use lxc_sys::mount::{Depth, MountAttr, set_attributes};
use lxc_sys::rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use lxc_sys::rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
use lxc_sys::rustix::io::Errno;
use lxc_sys::rustix::mount::{UnmountFlags, unmount};
use lxc_sys::rustix::process::{chdir, fchdir, pivot_root};

use crate::mounts::{attach, clone_tree, new_fs, open_source};
use crate::script::{Layer, Rootfs};
use crate::sync::{Fault, LAYER, ROOTFS, ROOTFS_MOUNT, Step, Talk};

const MS_SLAVE: u64 = 1 << 19;
const MS_SHARED: u64 = 1 << 20;

/// Nothing that happens in the new mount namespace reaches the host from here on, but the host's mounts still come in.
pub fn make_slave() -> Result<(), Fault> {
    let root = open_dir(c"/").map_err(|errno| Fault::new(Step::MakeSlave, 0, errno))?;
    change_propagation(root.as_fd(), MS_SLAVE).map_err(|errno| Fault::new(Step::MakeSlave, 0, errno))
}

/// Mounts the root file system on its mount point and returns its root directory.
pub fn enter(rootfs: &Rootfs<'_>, talk: &mut Talk<'_>) -> Result<OwnedFd, Fault> {
    let fault = |errno| Fault::new(Step::Rootfs, 0, errno);
    match *rootfs {
        Rootfs::HostRoot | Rootfs::Untouched => open_dir(c"/").map_err(fault),
        Rootfs::Dir { source, mount, attr } => {
            let source =
                open_or_ask(source, ROOTFS, talk).map_err(|errno| Fault::new(Step::Rootfs, 1, errno))?;
            let target = open_mount_point(mount, talk)?;
            let tree = clone_tree(source.as_fd(), true).map_err(fault)?;
            apply(tree.as_fd(), &attr, Depth::Top)?;
            attach(tree.as_fd(), target.as_fd()).map_err(fault)?;
            Ok(tree)
        }
        Rootfs::IdmappedDir { source, mount, attr } => {
            let source =
                open_or_ask(source, ROOTFS, talk).map_err(|errno| Fault::new(Step::Rootfs, 1, errno))?;
            let target = open_mount_point(mount, talk)?;
            let tree = clone_tree(source.as_fd(), true).map_err(fault)?;
            // ORDER: while the tree is attached nowhere, or the kernel refuses (mount_setattr(2)).
            talk.map_ids(ROOTFS, tree.as_fd()).map_err(fault)?;
            apply(tree.as_fd(), &attr, Depth::Recursive)?;
            attach(tree.as_fd(), target.as_fd()).map_err(fault)?;
            Ok(tree)
        }
        Rootfs::IdmappedOverlay { layers, data, mount, attr } => {
            attach_layers(layers, mount, talk)?;
            lxc_sys::mount::mount(c"overlay", mount, c"overlay", 0, data).map_err(fault)?;
            let root = open_dir(mount).map_err(|errno| Fault::new(Step::Rootfs, 2, errno))?;
            apply(root.as_fd(), &attr, Depth::Top)?;
            Ok(root)
        }
        Rootfs::Fs { source, fstype, flags, data, mount, attr } => {
            lxc_sys::mount::mount(source, mount, fstype, flags, data).map_err(fault)?;
            let root = open_dir(mount).map_err(|errno| Fault::new(Step::Rootfs, 2, errno))?;
            apply(root.as_fd(), &attr, Depth::Top)?;
            Ok(root)
        }
    }
}

fn open_or_ask(path: &CStr, item: u32, talk: &mut Talk<'_>) -> Result<OwnedFd, Errno> {
    // An image that is unpacked as a link to `/` would be the host (CVE-2026-48749).
    let links = if item == ROOTFS { OFlags::NOFOLLOW } else { OFlags::empty() };
    open_source(path, OFlags::DIRECTORY | links, &mut Some((item, talk)))
}

fn open_mount_point(path: &CStr, talk: &mut Talk<'_>) -> Result<OwnedFd, Fault> {
    open_or_ask(path, ROOTFS_MOUNT, talk).map_err(|errno| Fault::new(Step::Rootfs, 2, errno))
}

/// Attaches the layers of an overlay, with their ids mapped, to directories of a tmpfs on `mount`.
///
/// The overlay made of them covers that tmpfs, and what is below the new root goes with the old one.
fn attach_layers(layers: &[Layer<'_>], mount: &CStr, talk: &mut Talk<'_>) -> Result<(), Fault> {
    let fault = |item: u32| move |errno| Fault::new(Step::RootfsLayer, item, errno);
    let target = open_mount_point(mount, talk)?;
    let place = new_fs(c"tmpfs", c"lxc", &[], false).map_err(fault(u32::MAX))?;
    attach(place.as_fd(), target.as_fd()).map_err(fault(u32::MAX))?;
    for (item, layer) in (0u32..).zip(layers) {
        let source = open_or_ask(layer.source, LAYER + item, talk).map_err(fault(item))?;
        let tree = clone_tree(source.as_fd(), false).map_err(fault(item))?;
        talk.map_ids(LAYER + item, tree.as_fd()).map_err(fault(item))?;
        mkdirat(&place, layer.name, Mode::from_raw_mode(0o755)).map_err(fault(item))?;
        let on = openat(
            &place,
            layer.name,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(fault(item))?;
        attach(tree.as_fd(), on.as_fd()).map_err(fault(item))?;
    }
    Ok(())
}

fn apply(mount: BorrowedFd<'_>, attr: &MountAttr, depth: Depth) -> Result<(), Fault> {
    if attr.is_empty() {
        return Ok(());
    }
    set_attributes(mount, attr, depth).map_err(|errno| Fault::new(Step::RootfsOptions, 0, errno))
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

fn open_dir(path: &CStr) -> Result<OwnedFd, Errno> {
    openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

fn change_propagation(mount: BorrowedFd<'_>, kind: u64) -> Result<(), Errno> {
    set_attributes(mount, &MountAttr::propagating(kind), Depth::Recursive)
}
