//! The container's /dev: tmpfs, nodes, devpts, console, ttys, symlinks.

use core::ffi::CStr;

use lxc_sys::mount::{Depth, MountAttr, attr, set_attributes};
use lxc_sys::rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use lxc_sys::rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, fchmod, makedev, mknodat, openat, symlinkat, unlinkat,
};
use lxc_sys::rustix::io::Errno;
use lxc_sys::tree;

use crate::mounts::{attach, clone_tree, new_fs};
use crate::script::{Console, Dev, DevNode, MAX_TTYS, Param, Resolve};
use crate::sync::{Fault, Step};

/// Descriptors made here that the monitor gets with `Mounted`.
#[derive(Debug)]
pub struct Made {
    pub devpts: Option<OwnedFd>,
    /// Both ends of a console pty that was opened inside.
    pub console: Option<(OwnedFd, OwnedFd)>,
    /// `(ptx, pts)` of each tty.
    pub ttys: [Option<(OwnedFd, OwnedFd)>; MAX_TTYS],
}

/// Mounts a fresh tmpfs on /dev.
pub fn mount_tmpfs(root: BorrowedFd<'_>, dev: &Dev<'_>) -> Result<(), Fault> {
    let Some(size) = dev.tmpfs_size else { return Ok(()) };
    let fault = |item: u32| move |errno: Errno| Fault::new(Step::DevTmpfs, item, errno);
    tree::make_dir(root, c"dev").map_err(fault(0))?;
    let target = tree::find(root, c"dev", Resolve::NoSymlinks).map_err(fault(1))?;
    let params = [Param::String(c"mode", c"0755"), Param::String(c"size", size)];
    let tmpfs = new_fs(c"tmpfs", c"none", &params, false).map_err(fault(2))?;
    attach(tmpfs.as_fd(), target.as_fd()).map_err(fault(3))?;
    // COMPAT: devpts' mount point exists from the start, also for mount entries and hooks that look for it.
    tree::make_dir(tmpfs.as_fd(), c"pts").map_err(fault(4))
}

/// Device nodes; bound from the host where mknod(2) is not permitted (user namespaces).
pub fn make_nodes(dir: BorrowedFd<'_>, nodes: &[DevNode<'_>]) -> Result<(), Fault> {
    for (item, node) in nodes.iter().enumerate() {
        make_node(dir, node).map_err(|errno| Fault::new(Step::DevNode, item as u32, errno))?;
    }
    Ok(())
}

fn make_node(dir: BorrowedFd<'_>, node: &DevNode<'_>) -> Result<(), Errno> {
    let mode = Mode::from_raw_mode(node.mode);
    match mknodat(dir, node.name, FileType::CharacterDevice, mode, makedev(node.major, node.minor)) {
        Ok(()) => {
            // A node that cannot be opened is one the superblock forbids (SB_I_NODEV in a user namespace, Linux 4.18).
            let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::NOFOLLOW;
            match tree::open(dir, node.name, flags, Resolve::NoSymlinks) {
                Err(Errno::ACCESS) => {
                    unlinkat(dir, node.name, AtFlags::empty())?;
                    bind_node(dir, node)
                }
                _ => set_mode(dir, node.name, mode),
            }
        }
        Err(Errno::EXIST) => Ok(()),
        Err(Errno::PERM | Errno::ACCESS) => bind_node(dir, node),
        Err(errno) => Err(errno),
    }
}

/// mknodat's mode is cut by the umask; the node itself takes it as it is. By descriptor: chmod(2) follows symlinks.
fn set_mode(dir: BorrowedFd<'_>, name: &CStr, mode: Mode) -> Result<(), Errno> {
    let node = tree::find(dir, name, Resolve::NoSymlinks)?;
    let mut path = tree::FdPath::new();
    lxc_sys::rustix::fs::chmod(path.of(node.as_fd()), mode)
}

fn bind_node(dir: BorrowedFd<'_>, node: &DevNode<'_>) -> Result<(), Errno> {
    let host = openat(CWD, node.host, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    // CVE-2025-31133: what is bound must be the device that was asked for, not what someone put at its path.
    let stat = lxc_sys::rustix::fs::fstat(&host)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::CharacterDevice
        || stat.st_rdev != makedev(node.major, node.minor)
    {
        return Err(Errno::NODEV);
    }
    let target = tree::file_to_mount_on(dir, node.name, 0)?;
    let mount = clone_tree(host.as_fd(), false)?;
    attach(mount.as_fd(), target.as_fd())
}

/// A private devpts on `pts`, and `ptmx` bound from it.
pub fn mount_devpts(dir: BorrowedFd<'_>, params: &[Param<'_>]) -> Result<OwnedFd, Fault> {
    let fault = |item: u32| move |errno: Errno| Fault::new(Step::Devpts, item, errno);
    tree::make_dir(dir, c"pts").map_err(fault(0))?;
    let target = tree::find(dir, c"pts", Resolve::NoSymlinks).map_err(fault(1))?;
    let devpts = match new_fs(c"devpts", c"devpts", params, false) {
        // gid=5 may not be mapped in a user namespace: the terminal group is a convenience, not a need.
        Err(Errno::INVAL) => {
            let mut rest = [Param::Flag(c"newinstance"); 8];
            let mut count = 0;
            for param in
                params.iter().filter(|param| !matches!(param, Param::String(key, _) if *key == c"gid"))
            {
                if let Some(slot) = rest.get_mut(count) {
                    *slot = *param;
                    count += 1;
                }
            }
            new_fs(c"devpts", c"devpts", rest.get(..count).unwrap_or(&rest), false)
        }
        other => other,
    }
    .map_err(fault(2))?;
    let attributes = MountAttr::setting(attr::NOSUID | attr::NOEXEC);
    set_attributes(devpts.as_fd(), &attributes, Depth::Top).map_err(fault(3))?;
    attach(devpts.as_fd(), target.as_fd()).map_err(fault(4))?;
    let ptmx = tree::find(devpts.as_fd(), c"ptmx", Resolve::NoSymlinks).map_err(fault(5))?;
    let place = tree::file_to_mount_on(dir, c"ptmx", 0).map_err(fault(6))?;
    let mount = clone_tree(ptmx.as_fd(), false).map_err(fault(7))?;
    attach(mount.as_fd(), place.as_fd()).map_err(fault(8))?;
    Ok(devpts)
}

/// Opens a new pty of `devpts`.
fn open_pty(devpts: BorrowedFd<'_>) -> Result<(OwnedFd, OwnedFd), Errno> {
    use lxc_sys::rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
    let ptx = openat(devpts, c"ptmx", OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    unlockpt(&ptx)?;
    let pts = ioctl_tiocgptpeer(&ptx, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    Ok((ptx, pts))
}

/// Binds a pty onto a file of /dev.
///
/// An open pty refers to an inode of its devpts, so its own descriptor can be cloned as a mount: no path is involved.
fn bind_pty(dir: BorrowedFd<'_>, name: &CStr, pts: BorrowedFd<'_>) -> Result<(), Errno> {
    let target = tree::file_to_mount_on(dir, name, 0)?;
    let mount = clone_tree(pts, false)?;
    attach(mount.as_fd(), target.as_fd())
}

/// Console and ttys. `dir` is the container's /dev.
pub fn make_terminals(dir: BorrowedFd<'_>, dev: &Dev<'_>, made: &mut Made) -> Result<(), Fault> {
    let console_fault = |item: u32| move |errno: Errno| Fault::new(Step::Console, item, errno);
    let tty_dir = match dev.tty_dir {
        Some(name) if dev.has_rootfs => Some(open_tty_dir(dir, name).map_err(console_fault(0))?),
        _ => None,
    };
    if dev.has_rootfs {
        let inside;
        let console = match dev.console {
            Console::None => None,
            Console::Host { tty, mount } => Some((tty, mount)),
            Console::HostPath { tty, path } => {
                let node =
                    openat(CWD, path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
                inside = node.and_then(|node| clone_tree(node.as_fd(), false)).map_err(console_fault(10))?;
                Some((tty, inside.as_fd()))
            }
            Console::Inside => {
                let devpts = made.devpts.as_ref().ok_or(Fault::new(Step::Console, 1, Errno::NOENT))?;
                let pty = made.console.insert(open_pty(devpts.as_fd()).map_err(console_fault(2))?);
                inside = clone_tree(pty.1.as_fd(), false).map_err(console_fault(6))?;
                Some((pty.1.as_fd(), inside.as_fd()))
            }
        };
        if let Some((pts, mount)) = console {
            fchmod(pts, Mode::from_raw_mode(0o620)).map_err(console_fault(3))?;
            let place = tree::file_to_mount_on(dir, c"console", 0).map_err(console_fault(4))?;
            attach(mount, place.as_fd()).map_err(console_fault(5))?;
            if let Some(tty_dir) = &tty_dir {
                let place =
                    tree::file_to_mount_on(tty_dir.as_fd(), c"console", 0).map_err(console_fault(7))?;
                let again = clone_tree(mount, false).map_err(console_fault(8))?;
                attach(again.as_fd(), place.as_fd()).map_err(console_fault(9))?;
            }
        }
    }
    for (index, slot) in made.ttys.iter_mut().take(dev.ttys).enumerate() {
        let fault = |errno: Errno| Fault::new(Step::Tty, index as u32 + 1, errno);
        let pair = match &made.devpts {
            Some(devpts) => open_pty(devpts.as_fd()),
            None => open_host_pty(),
        }
        .map_err(fault)?;
        if dev.has_rootfs {
            let mut name = TtyName::new(index + 1);
            match (&tty_dir, dev.tty_dir) {
                (Some(tty_dir), Some(dir_name)) => {
                    bind_pty(tty_dir.as_fd(), name.plain(), pair.1.as_fd()).map_err(fault)?;
                    let mut to = [0; 300];
                    let to = join(dir_name, name.plain(), &mut to).map_err(fault)?;
                    replace_by_symlink(dir, name.plain(), to).map_err(fault)?;
                }
                _ => bind_pty(dir, name.plain(), pair.1.as_fd()).map_err(fault)?,
            }
        }
        *slot = Some(pair);
    }
    Ok(())
}

fn open_host_pty() -> Result<(OwnedFd, OwnedFd), Errno> {
    use lxc_sys::rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
    let ptx = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    unlockpt(&ptx)?;
    let pts = ioctl_tiocgptpeer(&ptx, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    Ok((ptx, pts))
}

fn open_tty_dir(dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    tree::make_dir(dir, name)?;
    tree::open(dir, name, OFlags::PATH | OFlags::DIRECTORY, Resolve::NoSymlinks)
}

fn replace_by_symlink(dir: BorrowedFd<'_>, name: &CStr, to: &CStr) -> Result<(), Errno> {
    match unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => symlinkat(to, dir, name),
        Err(errno) => Err(errno),
    }
}

/// Symlinks like /dev/fd; one that is there already stays.
pub fn make_symlinks(dir: BorrowedFd<'_>, symlinks: &[(&CStr, &CStr)]) -> Result<(), Fault> {
    for (item, (to, name)) in symlinks.iter().enumerate() {
        match symlinkat(*to, dir, *name) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(Fault::new(Step::DevSymlink, item as u32, errno)),
        }
    }
    Ok(())
}

/// `ttyN` without allocating.
struct TtyName([u8; 8]);

impl TtyName {
    fn new(number: usize) -> TtyName {
        let mut name = *b"tty\0\0\0\0\0";
        let digits = [(number / 10) as u8, (number % 10) as u8];
        if number >= 10 {
            name[3] = b'0' + digits[0];
            name[4] = b'0' + digits[1];
        } else {
            name[3] = b'0' + digits[1];
        }
        TtyName(name)
    }

    fn plain(&mut self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or(c"tty")
    }
}

fn join<'b>(dir: &CStr, name: &CStr, buffer: &'b mut [u8; 300]) -> Result<&'b CStr, Errno> {
    let text = dir.to_bytes().iter().chain(b"/").chain(name.to_bytes()).copied();
    let mut length = 0;
    for byte in text {
        *buffer.get_mut(length).ok_or(Errno::NAMETOOLONG)? = byte;
        length += 1;
    }
    *buffer.get_mut(length).ok_or(Errno::NAMETOOLONG)? = 0;
    CStr::from_bytes_until_nul(buffer).map_err(|_| Errno::INVAL)
}
