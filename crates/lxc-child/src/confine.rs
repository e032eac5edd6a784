//! The last steps before exec: kernel settings, capabilities, label, seccomp, ids, in the order the kernel needs.

use core::ffi::CStr;

use lxc_sys::mount::{Depth, MountAttr, attr, set_attributes};
use lxc_sys::proc::{ProcFs, write_all};
use lxc_sys::rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use lxc_sys::rustix::fs::{AtFlags, CWD, Mode, OFlags, fchmod, openat, unlinkat};
use lxc_sys::rustix::io::Errno;
use lxc_sys::{cred, tree};

use crate::mounts::{attach, clone_tree, new_fs};
use crate::script::{Groups, LsmLabel, Resolve, Seccomp};
use crate::sync::{Fault, Step};

/// A boot id of the container's own over `/proc/sys/kernel/random/boot_id`; quietly nothing where /proc is not mounted.
pub fn bind_boot_id(root: BorrowedFd<'_>, text: &[u8]) -> Result<(), Errno> {
    let target = match tree::find(root, c"proc/sys/kernel/random/boot_id", Resolve::NoSymlinks) {
        Err(Errno::NOENT) => return Ok(()),
        other => other?,
    };
    let dev = tree::find(root, c"dev", Resolve::NoSymlinks)?;
    // What an image may have there (a device, a fifo, a second name of some file) is not written to.
    match unlinkat(&dev, c".lxc-boot-id", AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno),
    }
    let file = tree::make_file(dev.as_fd(), c".lxc-boot-id", 0o644)?;
    write_all(file.as_fd(), text)?;
    fchmod(&file, Mode::from_raw_mode(0o444))?;
    let path = tree::find(dev.as_fd(), c".lxc-boot-id", Resolve::NoSymlinks)?;
    let mount = clone_tree(path.as_fd(), false)?;
    let sealed = MountAttr::setting(attr::RDONLY | attr::NOSUID | attr::NODEV | attr::NOEXEC);
    set_attributes(mount.as_fd(), &sealed, Depth::Top)?;
    attach(mount.as_fd(), target.as_fd())
}

/// Writes `lxc.sysctl.*` through a procfs of the container's own that is mounted nowhere.
///
/// A detached procfs cannot be shadowed by anything in the rootfs, and is writable whatever `lxc.mount.auto` made of
/// the visible one.
pub fn write_sysctls(host: &ProcFs, sysctls: &[(&CStr, &[u8])]) -> Result<(), Fault> {
    if sysctls.is_empty() {
        return Ok(());
    }
    let own = new_fs(c"proc", c"proc", &[], false).and_then(ProcFs::verify);
    // A procfs that is partly hidden on the host (nested containers) may not be mounted anew; then the host's serves:
    // /proc/sys shows the opener's namespaces.
    let proc = own.as_ref().unwrap_or(host);
    for (item, (path, value)) in sysctls.iter().enumerate() {
        proc.write_at(*path, value).map_err(|errno| Fault::new(Step::Sysctl, item as u32, errno))?;
    }
    Ok(())
}

/// Lets programs that a starter other than root executes (hooks) have the capabilities the starter has.
///
/// On the host that is those he has inherited: what a program file gives him is not for scripts of his choice. In a user
/// namespace of the container it is all; root has them anyway, but there may be no such id.
pub fn raise_ambient(in_user_namespace: bool) -> Result<(), Fault> {
    if lxc_sys::rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let fault = |errno| Fault::new(Step::Capabilities, 101, errno);
    let sets = cred::capabilities().map_err(fault)?;
    let raised = if in_user_namespace { sets.permitted } else { sets.permitted & sets.inheritable };
    if raised == 0 {
        return Ok(());
    }
    cred::set_capabilities(cred::CapSets { inheritable: raised, ..sets }).map_err(fault)?;
    for number in (0..64u8).filter(|number| raised & 1 << number != 0) {
        match cred::raise_ambient(number) {
            // Until Linux 4.3 is the floor (EINVAL); EPERM: the caller's securebits forbid it.
            Ok(()) | Err(Errno::INVAL | Errno::PERM) => {}
            Err(errno) => return Err(fault(errno)),
        }
    }
    Ok(())
}

/// Takes capabilities out of the bounding set, and out of the inheritable set so that exec cannot bring them back.
pub fn drop_capabilities(mask: u64) -> Result<(), Fault> {
    for number in 0..64u8 {
        if mask & 1 << number == 0 {
            continue;
        }
        match cred::drop_bounding(number) {
            // Capabilities this kernel does not know.
            Ok(()) | Err(Errno::INVAL) => {}
            Err(errno) => return Err(Fault::new(Step::Capabilities, u32::from(number), errno)),
        }
    }
    keep_inheritable(!mask)
}

/// Ambient capabilities go with the inheritable ones (capabilities(7)).
fn keep_inheritable(mask: u64) -> Result<(), Fault> {
    let fault = |errno| Fault::new(Step::Capabilities, 100, errno);
    let sets = cred::capabilities().map_err(fault)?;
    match sets.inheritable & mask {
        same if same == sets.inheritable => Ok(()),
        inheritable => cred::set_capabilities(cred::CapSets { inheritable, ..sets }).map_err(fault),
    }
}

/// No capability is inheritable over exec (CVE-2022-29162).
pub fn clear_inheritable() -> Result<(), Fault> {
    keep_inheritable(0)
}

/// Writes the label: AppArmor's takes effect at once, SELinux's at the next exec.
pub fn set_label(proc: &ProcFs, label: &LsmLabel<'_>) -> Result<(), Fault> {
    proc.write_at(label.file, label.label).map_err(|errno| Fault::new(Step::LsmLabel, 0, errno))
}

/// Installs the filter; returns the notify listener if one was asked for.
pub fn load_seccomp(seccomp: &Seccomp<'_>) -> Result<Option<OwnedFd>, Fault> {
    cred::load_seccomp(seccomp.program, seccomp.notify).map_err(|errno| Fault::new(Step::Seccomp, 0, errno))
}

/// Supplementary groups, then gid, then uid: each needs the privilege the next one gives up.
pub fn become_user(groups: &Groups<'_>, (uid, gid): (u32, u32)) -> Result<(), Fault> {
    if let Groups::Set(groups) = groups {
        match cred::set_groups(groups) {
            Ok(()) => {}
            // setgroups is denied in user namespaces an unprivileged user made; there is nothing to drop then.
            Err(Errno::PERM) if groups.is_empty() => {}
            Err(errno) => return Err(Fault::new(Step::Groups, 0, errno)),
        }
    }
    cred::set_gids(gid).map_err(|errno| Fault::new(Step::Ids, 1, errno))?;
    cred::set_uids(uid).map_err(|errno| Fault::new(Step::Ids, 0, errno))
}

/// chdir, making what is missing.
pub fn enter_cwd(path: &CStr) -> Result<(), Fault> {
    use lxc_sys::rustix::process::chdir;
    let fault = |errno| Fault::new(Step::Cwd, 0, errno);
    match chdir(path) {
        Err(Errno::NOENT) => {}
        other => return other.map_err(fault),
    }
    let root = openat(CWD, c"/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(fault)?;
    tree::make_dirs(root.as_fd(), path, Resolve::InRoot).map_err(fault)?;
    chdir(path).map_err(fault)
}
