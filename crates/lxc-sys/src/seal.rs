//! Running from a copy of the program that nobody can write to.
//!
//! A process that enters a container lends it `/proc/self/exe`, the host's program file, which root in a privileged
//! container could overwrite (CVE-2019-5736). So such a program first executes itself again through a detached read-only
//! mount of its own file, or, where it may not mount, from a sealed memfd. Not here: who has to do so.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags, StatVfsMountFlags};
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};

use crate::exec::{Image, exec_fd};
use crate::mount::{Depth, MountAttr, attr, set_attributes};

/// Returns when the running program's file cannot be written through `/proc/self/exe`; executes it again otherwise.
///
/// The read-only mount belongs to no mount namespace once this descriptor is closed by the exec, so that nobody can
/// make it writable again: mount_setattr(2) and open_tree(2) refuse it (see the tests of lxc-attach).
///
/// - Context: start of a program, one thread; descriptors opened before must be close-on-exec.
/// - Errors: neither way is open, for example without memory or without `/proc`.
/// - Source: open_tree(2) (Linux 5.2), mount_setattr(2) (5.12), memfd_create(2).
pub fn ensure() -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let exe = rustix::fs::open("/proc/self/exe", flags, Mode::empty())?;
    if is_sealed(exe.as_fd())? {
        name_process();
        return Ok(());
    }
    // EPERM: not privileged. ENOSYS, EINVAL: an old kernel, or a file in a foreign mount namespace.
    let copy = match read_only_mount(exe.as_fd()) {
        Ok(mount) => mount,
        Err(_) => sealed_copy(exe.as_fd())?,
    };
    let argv = std::env::args_os().filter_map(|word| CString::new(word.into_vec()).ok()).collect();
    let envp = std::env::vars_os()
        .filter_map(|(key, value)| CString::new([key.into_vec(), vec![b'='], value.into_vec()].concat()).ok())
        .collect();
    Err(exec_fd(copy.as_fd(), &Image::new(argv, envp)))
}

/// Whether [`ensure`] would return at once.
pub fn is_ensured() -> Result<bool, Errno> {
    let exe = rustix::fs::open("/proc/self/exe", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    is_sealed(exe.as_fd())
}

/// Owner, group and mode of the running program's file.
pub fn program_file() -> Result<(u32, u32, u32), Errno> {
    let stat = rustix::fs::stat("/proc/self/exe")?;
    Ok((stat.st_uid, stat.st_gid, stat.st_mode))
}

const SEALS: SealFlags =
    SealFlags::SEAL.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::WRITE);

fn is_sealed(exe: BorrowedFd<'_>) -> Result<bool, Errno> {
    if is_read_only(exe)? {
        return Ok(true);
    }
    // Only memfds have seals; for other files this is EINVAL.
    Ok(rustix::fs::fcntl_get_seals(exe).is_ok_and(|seals| seals.contains(SEALS)))
}

fn is_read_only(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    Ok(rustix::fs::fstatvfs(fd)?.f_flag.contains(StatVfsMountFlags::RDONLY))
}

fn read_only_mount(exe: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let mount = open_tree(exe, "", flags)?;
    set_attributes(mount.as_fd(), &MountAttr::setting(attr::RDONLY), Depth::Top)?;
    // Executing a mount that is not read-only after all would go on for ever.
    if is_read_only(mount.as_fd())? { Ok(mount) } else { Err(Errno::INVAL) }
}

fn sealed_copy(exe: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let copy = match rustix::fs::memfd_create("lxc", flags | MemfdFlags::EXEC) {
        // Until Linux 6.3 is the floor (MFD_EXEC): every memfd is executable.
        Err(Errno::INVAL) => rustix::fs::memfd_create("lxc", flags)?,
        other => other?,
    };
    let mut left = rustix::fs::fstat(exe)?.st_size as u64;
    while left > 0 {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(1 << 30);
        let sent = rustix::io::retry_on_intr(|| rustix::fs::sendfile(&copy, exe, None, count))?;
        if sent == 0 {
            return Err(Errno::IO);
        }
        left = left.saturating_sub(sent as u64);
    }
    rustix::fs::fcntl_add_seals(&copy, SEALS)?;
    Ok(copy)
}

/// Executing a descriptor names the process after its number; gives it the program's name again.
fn name_process() {
    let Some(program) = std::env::args_os().next() else { return };
    let bytes = program.into_vec();
    let base = bytes.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    if let Ok(name) = CString::new(base) {
        // A name is decoration.
        let _ = rustix::thread::set_name(&name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_copy_is_equal_and_cannot_be_written() {
        let exe =
            rustix::fs::open("/proc/self/exe", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).expect("exe");
        let copy = sealed_copy(exe.as_fd()).expect("copy");
        assert!(is_sealed(copy.as_fd()).expect("stat"));
        assert_eq!(
            rustix::fs::fstat(&copy).expect("stat").st_size,
            rustix::fs::fstat(&exe).expect("stat").st_size
        );
        assert_eq!(rustix::io::pwrite(&copy, b"x", 0), Err(Errno::PERM));
    }

    #[test]
    fn a_read_only_mount_refuses_writers() {
        use std::os::fd::AsRawFd;
        let path = std::env::temp_dir().join(format!("attach-seal-{}", std::process::id()));
        std::fs::write(&path, "x").expect("write");
        let file = rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).expect("open");
        std::fs::remove_file(&path).expect("remove");
        // An unlinked file cannot be mounted on older kernels, nor any file by a caller without privilege; then there is
        // a copy. Where it can, the mount is as read-only as any.
        match read_only_mount(file.as_fd()) {
            Ok(mount) => assert!(is_read_only(mount.as_fd()).expect("statfs")),
            Err(errno) => assert!(matches!(errno, Errno::NOENT | Errno::PERM), "{errno}"),
        }
        std::fs::write(&path, "x").expect("write");
        let file = rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).expect("open");
        let mount = read_only_mount(file.as_fd());
        std::fs::remove_file(&path).expect("remove");
        if !rustix::process::geteuid().is_root() {
            assert_eq!(mount.map(drop), Err(Errno::PERM));
            return;
        }
        let mount = mount.expect("mount");
        let path = format!("/proc/self/fd/{}", mount.as_raw_fd());
        assert_eq!(rustix::fs::open(path, OFlags::WRONLY, Mode::empty()).map(drop), Err(Errno::ROFS));
    }
}
