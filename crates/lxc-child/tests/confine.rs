//! Boot id, kernel settings, capabilities, working directory: what is done to a process just before exec.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod world;

use std::ffi::CStr;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;

use lxc_child::confine;
use lxc_child::script::{MountKind, MountOp};
use lxc_child::sync::Step;
use lxc_sys::mount::{MountAttr, attr};
use lxc_sys::proc::ProcFs;
use lxc_sys::rustix::io::Errno;

use world::{NEWNET, NEWUTS, World, in_namespaces, in_world, op, tmpfs};

const BOOT_ID: &str = "proc/sys/kernel/random/boot_id";

/// /proc and /dev of the container, the former as sealed as `lxc.mount.auto = proc:mixed` makes it.
fn with_proc(world: &World) {
    for dir in ["proc", "dev"] {
        world.mkdir_inside(dir);
    }
    let proc = MountKind::Fs { fstype: c"proc", source: c"proc", params: &[], read_only: false };
    world.one(&op(proc, c"proc")).unwrap();
    world.one(&op(tmpfs(&[]), c"dev")).unwrap();
    let seal = MountKind::BindInside { source: c"proc/sys", recursive: false };
    world.one(&MountOp { attr: MountAttr::setting(attr::RDONLY), ..op(seal, c"proc/sys") }).unwrap();
}

#[test]
fn the_boot_id_is_bound_over_the_machine_s() {
    in_world(|world| {
        with_proc(world);
        let of_the_machine = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        confine::bind_boot_id(world.root(), b"the-container-s-own\n").unwrap();
        assert_eq!(fs::read_to_string(world.inside(BOOT_ID)).unwrap(), "the-container-s-own\n");
        let mount = world.mount_on(BOOT_ID);
        for option in ["ro", "nosuid", "nodev", "noexec"] {
            assert!(mount.has(option), "{option} in {mount:?}");
        }
        assert!(fs::write(world.inside(BOOT_ID), "x").is_err());
        assert_eq!(fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap(), of_the_machine);
    });
}

#[test]
fn without_proc_there_is_no_boot_id_to_hide() {
    in_world(|world| {
        world.mkdir_inside("dev");
        confine::bind_boot_id(world.root(), b"x").unwrap();
        assert!(!world.inside("dev/.lxc-boot-id").exists());
    });
}

#[test]
fn a_planted_boot_id_file_is_not_written_through() {
    in_world(|world| {
        with_proc(world);
        fs::write(world.host("victim"), "v").unwrap();
        symlink(world.host("victim"), world.inside("dev/.lxc-boot-id")).unwrap();
        assert_eq!(confine::bind_boot_id(world.root(), b"x"), Ok(()));
        assert_eq!(fs::read_to_string(world.host("victim")).unwrap(), "v");
        assert_eq!(fs::read_to_string(world.inside("proc/sys/kernel/random/boot_id")).unwrap(), "x");
    });
    // A second name of a file, and a fifo, which would keep whoever writes waiting.
    in_world(|world| {
        with_proc(world);
        fs::write(world.inside("dev/victim"), "v").unwrap();
        fs::hard_link(world.inside("dev/victim"), world.inside("dev/.lxc-boot-id")).unwrap();
        assert_eq!(confine::bind_boot_id(world.root(), b"x"), Ok(()));
        assert_eq!(fs::read_to_string(world.inside("dev/victim")).unwrap(), "v");
    });
    in_world(|world| {
        with_proc(world);
        let fifo = std::process::Command::new("mkfifo").arg(world.inside("dev/.lxc-boot-id")).status();
        assert!(fifo.unwrap().success());
        assert_eq!(confine::bind_boot_id(world.root(), b"x"), Ok(()));
    });
}

#[test]
fn sysctls_are_written_to_the_namespaces_of_the_thread() {
    in_namespaces(NEWUTS | NEWNET, |world| {
        // A sealed or missing /proc inside does not matter: the writes go through one that is mounted nowhere.
        with_proc(world);
        let host = ProcFs::open().unwrap();
        let settings: [(&CStr, &[u8]); 2] =
            [(c"sys/kernel/hostname", b"of-the-test"), (c"sys/net/ipv4/ip_forward", b"1")];
        confine::write_sysctls(&host, &settings).unwrap();
        assert_eq!(lxc_sys::rustix::system::uname().nodename().to_str(), Ok("of-the-test"));
        let own = fs::read_to_string("/proc/thread-self/net/route").unwrap();
        assert!(own.lines().count() <= 1, "this thread's network namespace is a fresh one");
        let forward =
            std::process::Command::new("cat").arg("/proc/sys/net/ipv4/ip_forward").output().unwrap();
        assert_eq!(forward.stdout, b"1\n");
    });
}

#[test]
fn a_sysctl_that_fails_is_named_by_its_number() {
    in_namespaces(NEWUTS, |_| {
        let host = ProcFs::open().unwrap();
        for (path, errno) in [
            (c"sys/no/such/key", Errno::NOENT),
            (c"sys/../../etc/passwd", Errno::XDEV),
            (c"sys/kernel/ostype", Errno::ACCESS),
        ] {
            let settings: [(&CStr, &[u8]); 2] = [(c"sys/kernel/hostname", b"x"), (path, b"1")];
            let fault = confine::write_sysctls(&host, &settings).unwrap_err();
            assert_eq!((fault.step, fault.item), (Step::Sysctl, 1), "{path:?}");
            // Root may open a read-only sysctl for writing in some kernels; then the write itself fails.
            let allowed = [errno, Errno::PERM, Errno::INVAL];
            assert!(allowed.iter().any(|errno| errno.raw_os_error() == fault.errno), "{path:?}: {fault:?}");
        }
    });
}

/// A `Cap…` line of this thread.
fn capabilities(line: &str) -> u64 {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let hex = status.lines().find_map(|text| text.strip_prefix(line)).unwrap();
    u64::from_str_radix(hex.trim(), 16).unwrap()
}

#[test]
fn dropped_capabilities_leave_the_bounding_set_and_no_other() {
    in_world(|_| {
        let before = capabilities("CapBnd:");
        let mask = 1 << 16 | 1 << 25;
        assert_eq!(before & mask, mask, "the test needs what it drops");
        // Bits no kernel knows yet are nobody's problem.
        confine::drop_capabilities(mask | 1 << 63).unwrap();
        assert_eq!(capabilities("CapBnd:"), before & !mask);
    });
}

#[test]
fn nothing_is_inheritable_afterwards() {
    in_world(|_| {
        let mut sets = lxc_sys::cred::capabilities().unwrap();
        sets.inheritable = 1 << 7;
        lxc_sys::cred::set_capabilities(sets).unwrap();
        assert_eq!(capabilities("CapInh:"), 1 << 7);
        confine::clear_inheritable().unwrap();
        assert_eq!(capabilities("CapInh:"), 0);
        assert_eq!(capabilities("CapEff:"), sets.effective, "the rest stays");
    });
}

#[test]
fn the_working_directory_is_made_below_the_root() {
    in_world(|world| {
        world.one(&op(tmpfs(&[]), c"")).unwrap();
        let root = world::directory(&world.inside(""));
        lxc_child::rootfs::pivot(root.as_fd()).unwrap();
        confine::enter_cwd(c"/home/of/user").unwrap();
        assert_eq!(std::env::current_dir().unwrap().to_str(), Some("/home/of/user"));
        confine::enter_cwd(c"/home").unwrap();
        assert_eq!(std::env::current_dir().unwrap().to_str(), Some("/home"));
        fs::write("/file", "").unwrap();
        let fault = confine::enter_cwd(c"/file").unwrap_err();
        assert_eq!((fault.step, fault.errno), (Step::Cwd, Errno::NOTDIR.raw_os_error()));
    });
}
