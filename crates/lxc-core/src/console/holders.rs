//! Whether anybody in a container uses one of its ttys: with nobody there, a console shows nothing and takes no key.
//!
//! Only looks, and only at the host's procfs. Not here: the ttys themselves.

use std::os::fd::{AsFd, OwnedFd};

use lxc_sys::proc::ProcFs;
use lxc_sys::tree::{self, Resolve};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fstat, openat, statat};
use rustix::io::Errno;

use crate::{Result, ResultExt};

const PATH: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The device in a container that `tty` is: `/dev/console` for 0, else `/dev/ttyN`.
pub fn device_name(tty: i32) -> String {
    if tty == 0 { "console".to_owned() } else { format!("tty{tty}") }
}

/// Whether a process in the pid namespace of `init` has tty number `tty` open.
///
/// - Shape: `init` as the caller's pid namespace numbers it.
/// - Errors: the container has no such device, or its processes may not be looked at.
pub fn anyone_has(init: i32, tty: i32) -> Result<bool> {
    let proc = ProcFs::open().what(|| "open /proc")?;
    let what = || format!("look at /dev/{} of the container", device_name(tty));
    let dir = proc.open_at(init.to_string(), PATH | OFlags::DIRECTORY).what(what)?;
    let root = openat(&dir, "root", PATH | OFlags::DIRECTORY, Mode::empty()).what(what)?;
    let path = format!("dev/{}", device_name(tty));
    let device = tree::open(root.as_fd(), &*path, PATH, Resolve::InRoot).what(what)?;
    let device = fstat(&device).what(what)?;
    let namespace = statat(&dir, "ns/pid", AtFlags::empty()).what(what)?;
    let processes = openat(&proc, ".", DIRECTORY, Mode::empty()).what(|| "read /proc")?;
    for entry in Dir::new(processes).what(|| "read /proc")? {
        let entry = entry.what(|| "read /proc")?;
        let Some(pid) = entry.file_name().to_str().ok().filter(|name| name.parse::<u32>().is_ok()) else {
            continue;
        };
        // Processes come and go while they are looked at; one that is gone holds nothing.
        let Ok(process) = proc.open_at(pid, PATH | OFlags::DIRECTORY) else { continue };
        let there = statat(&process, "ns/pid", AtFlags::empty());
        if there.is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (namespace.st_dev, namespace.st_ino))
            && has_open(&process, device.st_rdev).unwrap_or(false)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn has_open(process: &OwnedFd, device: u64) -> std::result::Result<bool, Errno> {
    let fds = openat(process, "fd", DIRECTORY, Mode::empty())?;
    let listing = Dir::read_from(&fds)?;
    for entry in listing {
        let entry = entry?;
        let Ok(stat) = statat(&fds, entry.file_name(), AtFlags::empty()) else { continue };
        if FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == device {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_0_is_the_console() {
        assert_eq!(device_name(0), "console");
        assert_eq!(device_name(3), "tty3");
    }

    #[test]
    fn an_open_device_is_found() {
        let proc = ProcFs::open().expect("proc");
        let me = proc.open_at("self", PATH | OFlags::DIRECTORY).expect("self");
        let zero =
            rustix::fs::open("/dev/zero", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).expect("open");
        let device = fstat(&zero).expect("stat").st_rdev;
        assert_eq!(has_open(&me, device), Ok(true));
        assert_eq!(has_open(&me, device + 77), Ok(false));
    }
}
