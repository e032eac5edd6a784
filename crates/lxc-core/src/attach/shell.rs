//! Which shell the target user has, by the container's own account of it.
//!
//! The caller reads the container's `/etc/passwd` as data, through its root directory; nothing of the container is
//! loaded or run for it. Not here: running it.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

use lxc_conf::model::Ns;
use lxc_sys::tree::{self, Resolve};
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;

use super::context::AttachContext;
use super::plan::AttachPlan;

/// A password file larger than this is not read.
const LIMIT: usize = 4 << 20;

/// The shell of the plan's uid from the password file.
///
/// - Errors: `None` when there is no such file, user or shell.
pub(super) fn from_passwd(context: &AttachContext, plan: &AttachPlan) -> Option<CString> {
    let text = passwd(context, plan).ok()?;
    let line = text.split(|byte| *byte == b'\n').find(|line| uid_of(line) == Some(plan.uid))?;
    shell_of(line)
}

/// The shell in one line of passwd(5), as `getent passwd` prints it.
pub(super) fn shell_of(line: &[u8]) -> Option<CString> {
    let shell = line.split(|byte| *byte == b':').nth(6)?;
    let shell = shell.strip_suffix(b"\r").unwrap_or(shell);
    // Only an absolute path is a shell; a bare name would be searched along the caller's PATH.
    shell.starts_with(b"/").then(|| CString::new(shell).ok())?
}

fn uid_of(line: &[u8]) -> Option<u32> {
    std::str::from_utf8(line.split(|byte| *byte == b':').nth(2)?).ok()?.parse().ok()
}

fn passwd(context: &AttachContext, plan: &AttachPlan) -> Result<Vec<u8>, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root: OwnedFd = match plan.kinds & Ns::Mnt.clone_flag() {
        0 => rustix::fs::open("/", flags, Mode::empty())?,
        _ => openat(&context.dir, "root", flags, Mode::empty())?,
    };
    // A fifo or a device in its place is not opened at all.
    let file = tree::open_file(root.as_fd(), "etc/passwd", Resolve::InRoot)?;
    let mut text = Vec::new();
    let mut bytes = [0; 8192];
    while text.len() < LIMIT {
        match rustix::io::read(&file, &mut bytes) {
            Ok(0) => break,
            Ok(count) => text.extend_from_slice(bytes.get(..count).unwrap_or_default()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seventh_field_is_the_shell_if_it_is_a_path() {
        assert_eq!(shell_of(b"root:x:0:0:root:/root:/bin/ash"), Some(c"/bin/ash".to_owned()));
        assert_eq!(shell_of(b"root:x:0:0:root:/root:/bin/ash\r"), Some(c"/bin/ash".to_owned()));
        assert_eq!(shell_of(b"root:x:0:0:root:/root:"), None);
        assert_eq!(shell_of(b"root:x:0:0:root:/root:sh"), None);
        assert_eq!(shell_of(b"root:x:0"), None);
        assert_eq!(uid_of(b"a:x:12:0"), Some(12));
        assert_eq!(uid_of(b"a:x:-1:0"), None);
    }
}
