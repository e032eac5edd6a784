//! What rustix::mount lacks: mount_setattr(2), and fsconfig with a runtime key.
//!
//! Functions may be called between clone and exec; none allocates.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

/// `MOUNT_ATTR_*` bits.
pub mod attr {
    pub const RDONLY: u64 = 0x1;
    pub const NOSUID: u64 = 0x2;
    pub const NODEV: u64 = 0x4;
    pub const NOEXEC: u64 = 0x8;
    /// Mask of the access-time choices.
    pub const ATIME_MASK: u64 = 0x70;
    pub const RELATIME: u64 = 0x0;
    pub const NOATIME: u64 = 0x10;
    pub const STRICTATIME: u64 = 0x20;
    pub const NODIRATIME: u64 = 0x80;
    pub const IDMAP: u64 = 0x0010_0000;
    pub const NOSYMFOLLOW: u64 = 0x0020_0000;
}

/// `struct mount_attr`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MountAttr {
    pub set: u64,
    pub clear: u64,
    /// `MS_PRIVATE`, `MS_SHARED`, `MS_SLAVE`, `MS_UNBINDABLE` or 0.
    pub propagation: u64,
    /// A user namespace for `attr::IDMAP`; `fd_of` sets it.
    userns: u64,
}

impl MountAttr {
    /// Attribute bits to set.
    pub const fn setting(set: u64) -> MountAttr {
        MountAttr { set, clear: 0, propagation: 0, userns: 0 }
    }

    /// Attribute bits to clear.
    pub const fn clearing(clear: u64) -> MountAttr {
        MountAttr { set: 0, clear, propagation: 0, userns: 0 }
    }

    /// A change of propagation alone.
    pub const fn propagating(propagation: u64) -> MountAttr {
        MountAttr { set: 0, clear: 0, propagation, userns: 0 }
    }

    /// With the id map of the user namespace `userns`.
    #[must_use]
    pub fn idmapped(mut self, userns: BorrowedFd<'_>) -> MountAttr {
        self.set |= attr::IDMAP;
        self.userns = userns.as_raw_fd() as u64;
        self
    }

    /// Nothing to change.
    pub fn is_empty(&self) -> bool {
        self.set == 0 && self.clear == 0 && self.propagation == 0
    }
}

/// The words of mount(8), each after a blank; `-WORD` for what is cleared.
impl std::fmt::Display for MountAttr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (bit, word) in [
            (attr::RDONLY, "ro"),
            (attr::NOSUID, "nosuid"),
            (attr::NODEV, "nodev"),
            (attr::NOEXEC, "noexec"),
            (attr::NOATIME, "noatime"),
            (attr::STRICTATIME, "strictatime"),
            (attr::NODIRATIME, "nodiratime"),
            (attr::NOSYMFOLLOW, "nosymfollow"),
            (attr::IDMAP, "idmapped"),
        ] {
            if self.set & bit != 0 {
                write!(f, " {word}")?;
            } else if bit & attr::ATIME_MASK == 0 && self.clear & bit != 0 {
                write!(f, " -{word}")?;
            }
        }
        if self.clear & attr::ATIME_MASK != 0 && self.set & attr::ATIME_MASK == attr::RELATIME {
            f.write_str(" relatime")?;
        }
        for (bit, word) in
            [(1 << 18, "private"), (1 << 20, "shared"), (1 << 19, "slave"), (1 << 17, "unbindable")]
        {
            if self.propagation & bit != 0 {
                write!(f, " propagation={word}")?;
            }
        }
        Ok(())
    }
}

/// Whether a change covers the mounts below as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    Top,
    Recursive,
}

/// Changes the mount `fd` is on (or the detached mount it is): mount_setattr(2) with an empty path, Linux 5.12.
pub fn set_attributes(fd: BorrowedFd<'_>, attributes: &MountAttr, depth: Depth) -> Result<(), Errno> {
    let recursive = if depth == Depth::Recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a static string, the structure is valid for the size passed.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | recursive,
            std::ptr::from_ref(attributes),
            size_of::<MountAttr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(last()) }
}

/// mount(2) by strings, for what the file-descriptor API cannot say (data longer than 255 bytes a parameter).
pub fn mount(source: &CStr, target: &CStr, fstype: &CStr, flags: u64, data: &CStr) -> Result<(), Errno> {
    // SAFETY: all pointers are NUL-terminated strings that live through the call.
    let result = unsafe {
        libc::mount(
            source.as_ptr(),
            target.as_ptr(),
            fstype.as_ptr(),
            flags as libc::c_ulong,
            data.as_ptr().cast(),
        )
    };
    if result == 0 { Ok(()) } else { Err(last()) }
}

fn last() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
