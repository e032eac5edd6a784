//! Checks that need no side effect, made before anything is: the reasons most starts fail for.
//!
//! A pre-start hook may still create what is missing, so with one configured only the hook's own failure counts.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use lxc_conf::model::HookKind;
use lxc_sys::tree::{self, Resolve};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use super::reach;
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::net;
use crate::plan::StartPlan;
use crate::rootfs::RootfsPlan;
use lxc_conf::model::Settings;

/// Checks links, root file system, mount point and init program.
pub(super) fn check(plan: &StartPlan, settings: &Settings) -> Result<()> {
    if plan.core_scheduling {
        core_scheduling(settings)?;
    }
    if !plan.hooks_of(HookKind::PreStart).is_empty() {
        return Ok(());
    }
    net::preflight(&plan.network)?;
    let origin = settings.origin("lxc.rootfs.path").cloned().unwrap_or_default();
    match &plan.rootfs {
        RootfsPlan::Dir { source, mount, .. } => {
            refuse_link(Path::new(&*source.to_string_lossy())).map_err(|error| error.at(&origin))?;
            let root = open_dir(Path::new(&*source.to_string_lossy()), "the root file system")
                .map_err(|error| error.at(&origin).cure("set lxc.rootfs.path to an existing directory"))?;
            mount_point(&mount.to_string_lossy())?;
            // A mount hook or entry may bring the program; then its absence proves nothing.
            // lxc-execute reports a missing command as a shell would, through its init.
            if plan.kind == crate::plan::Kind::Start
                && plan.mounts.iter().all(|mount| !hides_programs(&mount.target.to_string_lossy()))
                && plan.hooks_of(HookKind::PreMount).is_empty()
                && plan.hooks_of(HookKind::Mount).is_empty()
            {
                program(plan, &root, settings)?;
            }
            Ok(())
        }
        RootfsPlan::Overlay { mount, lower, upper, work, .. } => {
            for dir in lower.split(':') {
                open_dir(Path::new(dir), "the lower directory").map_err(|error| error.at(&origin))?;
            }
            open_dir(Path::new(upper), "the upper directory").map_err(|error| error.at(&origin))?;
            reach::check(plan, lower.split(':').chain([upper.as_str(), work.as_str()]))
                .map_err(|error| error.at(&origin))?;
            mount_point(&mount.to_string_lossy())
        }
        RootfsPlan::HostRoot if boots_the_host(plan, settings) => Err(Error::new(
            ErrorKind::Config,
            "start the machine's own /sbin/init on the machine's own disks: no root file system is configured",
        )
        .cure("set lxc.rootfs.path, or name the program to run: lxc-start -n NAME -- PROGRAM")),
        RootfsPlan::HostRoot | RootfsPlan::Untouched => Ok(()),
    }
}

/// Asking for one's own cookie changes nothing, and fails where making one would.
fn core_scheduling(settings: &Settings) -> Result<()> {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let Err(errno) = lxc_sys::cred::core_scheduling_cookie(own) else { return Ok(()) };
    let error = Error::kernel(errno, "make a core scheduling domain (lxc.sched.core)");
    let error = match errno {
        Errno::INVAL => {
            error.cure("this kernel is built without CONFIG_SCHED_CORE: use another, or remove the line")
        }
        Errno::NODEV => error.cure("the cores of this machine run one thread each (no SMT): remove the line"),
        _ => error,
    };
    Err(error.at(&settings.origin("lxc.sched.core").cloned().unwrap_or_default()))
}

/// A container without a root file system shares the host's: an application is fine there, a second systemd is not (it
/// cleans /tmp, writes wtmp, starts the machine's services). The original starts it.
fn boots_the_host(plan: &StartPlan, settings: &Settings) -> bool {
    plan.kind == crate::plan::Kind::Start
        && settings.init.cmd.is_none()
        && plan.argv.len() == 1
        && plan.argv.first().is_some_and(|program| program.as_c_str() == c"/sbin/init")
}

/// Mounting here could bring or replace the program that is to run.
fn hides_programs(target: &str) -> bool {
    let first = target.split('/').next().unwrap_or("");
    matches!(first, "" | "bin" | "sbin" | "usr" | "lib" | "lib64" | "opt")
}

/// An image that is unpacked as a link to `/` would be the host (CVE-2026-48749).
fn refuse_link(path: &Path) -> Result<()> {
    // What is missing or out of reach is for whoever opens it to say.
    let Ok(stat) = rustix::fs::lstat(path) else { return Ok(()) };
    match rustix::fs::FileType::from_raw_mode(stat.st_mode) {
        rustix::fs::FileType::Symlink => Err(Error::kernel(
            Errno::NOTDIR,
            format!(
                "open the root file system {}: it is a symbolic link, which is not followed",
                path.display()
            ),
        )
        .cure("set lxc.rootfs.path to the directory itself; links on the way to it are followed")),
        _ => Ok(()),
    }
}

fn open_dir(path: &Path, what: &str) -> Result<OwnedFd> {
    openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .what(|| format!("open {what} {}", path.display()))
}

fn mount_point(path: &str) -> Result<()> {
    open_dir(Path::new(path), "the mount point (lxc.rootfs.mount)")
        .map(drop)
        .map_err(|error| error.cure("create the directory, or set lxc.rootfs.mount to an existing one"))
}

/// Looks for init in the root file system and, for an ELF file, at the machine it is for.
fn program(plan: &StartPlan, root: &OwnedFd, settings: &Settings) -> Result<()> {
    let Some(program) = plan.argv.first().map(|word| word.to_string_lossy().into_owned()) else {
        return Ok(());
    };
    // A bare name is searched along PATH by the child.
    if !program.starts_with('/') {
        return Ok(());
    }
    let origin = settings.origin("lxc.init.cmd").cloned().unwrap_or_default();
    // Not opened unless it is a regular file: the image decides what is there.
    let opened = tree::open_file(root.as_fd(), program.as_str(), Resolve::InRoot);
    let file = match opened {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::NOTDIR) => {
            return Err(Error::kernel(
                Errno::NOENT,
                format!("execute {program}: not in the root file system"),
            )
            .at(&origin)
            .cure("set lxc.init.cmd to the container's init program, or check lxc.rootfs.path"));
        }
        // Unreadable, or something else that only the exec itself can judge.
        Err(_) => return Ok(()),
    };
    let mut header = [0; 20];
    let Ok(20) = rustix::io::pread(file.as_fd(), &mut header, 0) else { return Ok(()) };
    let Some(machine) = elf_machine(&header) else { return Ok(()) };
    if runs_here(machine) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Config,
        format!(
            "execute {program}: it is built for {}, this machine is {}",
            machine_name(machine),
            std::env::consts::ARCH
        ),
    )
    .at(&origin)
    .cure("use a root file system of this architecture, or install qemu-user-static with binfmt support"))
}

/// The `e_machine` of an ELF header.
fn elf_machine(header: &[u8; 20]) -> Option<u16> {
    if !header.starts_with(b"\x7fELF") {
        return None;
    }
    let bytes = [header[18], header[19]];
    Some(if header[5] == 2 { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
}

/// Machines this kernel executes itself; with a binfmt_misc handler registered anything may run.
fn runs_here(machine: u16) -> bool {
    let own: &[u16] = match std::env::consts::ARCH {
        "x86_64" => &[62, 3],
        "x86" => &[3],
        "aarch64" => &[183, 40],
        "arm" => &[40],
        "riscv64" => &[243],
        "powerpc64" => &[21, 20],
        "s390x" => &[22],
        "loongarch64" => &[258],
        _ => return true,
    };
    own.contains(&machine) || emulated()
}

fn emulated() -> bool {
    std::fs::read_dir("/proc/sys/fs/binfmt_misc").is_ok_and(|entries| {
        entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("qemu"))
    })
}

fn machine_name(machine: u16) -> &'static str {
    match machine {
        3 => "x86",
        8 => "mips",
        20 => "powerpc",
        21 => "powerpc64",
        22 => "s390",
        40 => "arm",
        62 => "x86_64",
        183 => "aarch64",
        243 => "riscv",
        258 => "loongarch",
        _ => "another machine",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_read_in_the_file_s_own_byte_order() {
        let mut header = [0; 20];
        header[..4].copy_from_slice(b"\x7fELF");
        header[5] = 1;
        header[18] = 183;
        assert_eq!(elf_machine(&header), Some(183));
        header[5] = 2;
        header[18..].copy_from_slice(&[0, 22]);
        assert_eq!(elf_machine(&header), Some(22));
        assert_eq!(elf_machine(&[0; 20]), None);
    }

    #[test]
    fn only_mounts_over_program_directories_make_the_check_pointless() {
        assert!(hides_programs("usr/bin"));
        assert!(!hides_programs("dev/shm"));
    }
}
