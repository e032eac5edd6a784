//! The container's /dev on a real kernel: tmpfs, nodes, devpts, console, ttys, symlinks; as root and in a user namespace.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod world;

use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};

use lxc_child::dev::{self, Made};
use lxc_child::script::{Console, Dev, DevNode, Param};
use lxc_child::sync::Step;
use lxc_sys::clone::{CloneArgs, SingleThreaded, exit_now, into};
use lxc_sys::pidfd::{Exit, reap};
use lxc_sys::rustix::io::Errno;
use lxc_sys::rustix::pipe::{PipeFlags, pipe_with};

use world::{World, directory, in_world};

const NODES: [DevNode<'static>; 2] = [
    DevNode { name: c"null", major: 1, minor: 3, mode: 0o666, host: c"/dev/null" },
    DevNode { name: c"zero", major: 1, minor: 5, mode: 0o640, host: c"/dev/zero" },
];

const DEVPTS: [Param<'static>; 4] = [
    Param::Flag(c"newinstance"),
    Param::String(c"ptmxmode", c"0666"),
    Param::String(c"mode", c"0620"),
    Param::String(c"max", c"9"),
];

fn plain() -> Dev<'static> {
    Dev {
        tmpfs_size: Some(c"65536"),
        nodes: &NODES,
        symlinks: &[(c"/proc/self/fd", c"fd"), (c"/proc/self/fd/0", c"stdin")],
        devpts: Some(&DEVPTS),
        console: Console::Inside,
        tty_dir: None,
        ttys: 0,
        has_rootfs: true,
    }
}

fn nothing() -> Made {
    Made { devpts: None, console: None, ttys: [const { None }; _] }
}

/// tmpfs and devpts are there; returns /dev.
fn with_devpts(world: &World, made: &mut Made) -> OwnedFd {
    dev::mount_tmpfs(world.root(), &plain()).unwrap();
    let dir = directory(&world.inside("dev"));
    made.devpts = Some(dev::mount_devpts(dir.as_fd(), &DEVPTS).unwrap());
    dir
}

fn is_char_device(world: &World, path: &str, major: u32, minor: u32) -> bool {
    let meta = fs::metadata(world.inside(path)).unwrap();
    meta.file_type().is_char_device() && meta.rdev() == lxc_sys::rustix::fs::makedev(major, minor)
}

/// What is written to `ptx` comes out of the file `path`, so that file is this pty.
fn are_connected(world: &World, path: &str, pty: &(OwnedFd, OwnedFd)) {
    let mut pts = fs::OpenOptions::new().write(true).open(world.inside(path)).unwrap();
    pts.write_all(path.as_bytes()).unwrap();
    let mut ptx = fs::File::from(pty.0.try_clone().unwrap());
    let mut buffer = [0; 64];
    let count = ptx.read(&mut buffer).unwrap();
    assert_eq!(&buffer[..count], path.as_bytes());
}

#[test]
fn dev_is_a_tmpfs_of_the_size_asked_for() {
    in_world(|world| {
        dev::mount_tmpfs(world.root(), &plain()).unwrap();
        let mount = world.mount_on("dev");
        assert_eq!((mount.fstype.as_str(), mount.source.as_str()), ("tmpfs", "none"));
        assert!(
            mount.super_options.contains("size=64k") && mount.super_options.contains("mode=755"),
            "{mount:?}"
        );
        assert!(world.inside("dev/pts").is_dir());
    });
}

#[test]
fn without_autodev_dev_is_left_alone() {
    in_world(|world| {
        dev::mount_tmpfs(world.root(), &Dev { tmpfs_size: None, ..plain() }).unwrap();
        assert!(!world.inside("dev").exists() && world.is_empty());
    });
}

#[test]
fn a_planted_dev_is_not_followed() {
    in_world(|world| {
        symlink(world.host(""), world.inside("dev")).unwrap();
        let fault = dev::mount_tmpfs(world.root(), &plain()).unwrap_err();
        assert_eq!((fault.step, fault.errno), (Step::DevTmpfs, Errno::LOOP.raw_os_error()));
        assert!(world.is_empty());
    });
}

#[test]
fn nodes_have_their_numbers_and_modes_whatever_the_umask() {
    in_world(|world| {
        lxc_sys::rustix::process::umask(lxc_sys::rustix::fs::Mode::from_raw_mode(0o077));
        dev::mount_tmpfs(world.root(), &plain()).unwrap();
        let dir = directory(&world.inside("dev"));
        dev::make_nodes(dir.as_fd(), &NODES).unwrap();
        lxc_sys::rustix::process::umask(lxc_sys::rustix::fs::Mode::from_raw_mode(0o022));
        for (path, minor, mode) in [("dev/null", 3, 0o666), ("dev/zero", 5, 0o640)] {
            assert!(is_char_device(world, path, 1, minor), "{path}");
            assert_eq!(
                fs::metadata(world.inside(path)).unwrap().permissions().mode() & 0o7777,
                mode,
                "{path}"
            );
        }
        assert!(world.mounts_on("dev/null").is_empty(), "root needs no bind");
        dev::make_nodes(dir.as_fd(), &NODES).expect("nodes that are there already stay");
    });
}

#[test]
fn a_symlink_in_the_place_of_a_node_is_left_alone() {
    in_world(|world| {
        fs::write(world.host("victim"), "v").unwrap();
        world.mkdir_inside("dev");
        symlink(world.host("victim"), world.inside("dev/null")).unwrap();
        dev::make_nodes(directory(&world.inside("dev")).as_fd(), &NODES).unwrap();
        let meta = fs::metadata(world.host("victim")).unwrap();
        assert_eq!((meta.len(), meta.permissions().mode() & 0o7777), (1, 0o644));
    });
}

#[test]
fn devpts_is_private_and_ptmx_is_its_own() {
    in_world(|world| {
        let mut made = nothing();
        let _dir = with_devpts(world, &mut made);
        let mount = world.mount_on("dev/pts");
        assert_eq!(mount.fstype, "devpts");
        for option in ["mode=620", "ptmxmode=666", "max=9"] {
            assert!(mount.super_options.contains(option), "{option} in {mount:?}");
        }
        assert!(mount.has("nosuid") && mount.has("noexec"), "{mount:?}");
        let (ours, its) = (
            fs::metadata(world.inside("dev/ptmx")).unwrap(),
            fs::metadata(world.inside("dev/pts/ptmx")).unwrap(),
        );
        assert_eq!((ours.dev(), ours.ino()), (its.dev(), its.ino()));
        // Opening ptmx through the bind makes a pty of this instance.
        let ptx = fs::OpenOptions::new().read(true).write(true).open(world.inside("dev/ptmx")).unwrap();
        assert!(world.inside("dev/pts/0").exists());
        drop(ptx);
    });
}

#[test]
fn a_ptmx_symlink_of_the_rootfs_is_refused() {
    in_world(|world| {
        world.mkdir_inside("dev/pts");
        fs::write(world.host("victim"), "").unwrap();
        symlink(world.host("victim"), world.inside("dev/ptmx")).unwrap();
        let fault = dev::mount_devpts(directory(&world.inside("dev")).as_fd(), &DEVPTS).unwrap_err();
        assert_eq!((fault.step, fault.errno), (Step::Devpts, Errno::LOOP.raw_os_error()));
    });
}

#[test]
fn the_console_comes_first_and_the_ttys_follow() {
    in_world(|world| {
        let mut made = nothing();
        let dir = with_devpts(world, &mut made);
        dev::make_terminals(dir.as_fd(), &Dev { ttys: 2, ..plain() }, &mut made).unwrap();
        let pts = |path: &str| fs::metadata(world.inside(path)).unwrap().rdev();
        for (path, number) in [("dev/console", 0), ("dev/tty1", 1), ("dev/tty2", 2)] {
            assert_eq!(
                pts(path),
                pts(&format!("dev/pts/{number}")),
                "{path} is pts/{number}: container_ttys says so"
            );
        }
        assert_eq!(fs::metadata(world.inside("dev/console")).unwrap().permissions().mode() & 0o777, 0o620);
        are_connected(world, "dev/console", made.console.as_ref().unwrap());
        are_connected(world, "dev/tty1", made.ttys[0].as_ref().unwrap());
        are_connected(world, "dev/tty2", made.ttys[1].as_ref().unwrap());
        assert!(made.ttys[2].is_none() && !world.inside("dev/tty3").exists());
    });
}

#[test]
fn a_tty_directory_holds_them_and_dev_has_symlinks() {
    in_world(|world| {
        let mut made = nothing();
        let dir = with_devpts(world, &mut made);
        dev::make_terminals(dir.as_fd(), &Dev { ttys: 2, tty_dir: Some(c"lxc"), ..plain() }, &mut made)
            .unwrap();
        are_connected(world, "dev/lxc/tty2", made.ttys[1].as_ref().unwrap());
        are_connected(world, "dev/lxc/console", made.console.as_ref().unwrap());
        are_connected(world, "dev/console", made.console.as_ref().unwrap());
        assert_eq!(fs::read_link(world.inside("dev/tty1")).unwrap().to_str(), Some("lxc/tty1"));
    });
}

#[test]
fn two_digit_ttys_have_their_names() {
    in_world(|world| {
        let mut made = nothing();
        dev::mount_tmpfs(world.root(), &plain()).unwrap();
        let dir = directory(&world.inside("dev"));
        let params = [Param::Flag(c"newinstance"), Param::String(c"ptmxmode", c"0666")];
        made.devpts = Some(dev::mount_devpts(dir.as_fd(), &params).unwrap());
        let most = lxc_child::script::MAX_TTYS;
        dev::make_terminals(dir.as_fd(), &Dev { ttys: most, ..plain() }, &mut made).unwrap();
        for number in 1..=most {
            assert!(world.inside(&format!("dev/tty{number}")).exists(), "tty{number}");
        }
        assert_eq!(made.ttys.iter().flatten().count(), most);
    });
}

#[test]
fn more_ttys_than_the_devpts_allows_are_a_fault_with_their_number() {
    in_world(|world| {
        let mut made = nothing();
        let dir = with_devpts(world, &mut made);
        let fault = dev::make_terminals(dir.as_fd(), &Dev { ttys: 20, ..plain() }, &mut made).unwrap_err();
        // max=9: the console and eight ttys.
        assert_eq!((fault.step, fault.item, fault.errno), (Step::Tty, 9, Errno::NOSPC.raw_os_error()));
    });
}

#[test]
fn planted_links_in_the_place_of_terminals_are_refused() {
    in_world(|world| {
        fs::write(world.host("victim"), "v").unwrap();
        for (name, tty_dir, step) in [
            ("console", None, Step::Console),
            ("tty1", None, Step::Tty),
            ("lxc", Some(c"lxc"), Step::Console),
        ] {
            let mut made = nothing();
            let dir = with_devpts(world, &mut made);
            let to = if name == "lxc" { world.host("") } else { world.host("victim") };
            symlink(to, world.inside("dev").join(name)).unwrap();
            let fault = dev::make_terminals(dir.as_fd(), &Dev { ttys: 1, tty_dir, ..plain() }, &mut made)
                .unwrap_err();
            assert_eq!(fault.step, step, "{name}");
            assert!(
                [Errno::LOOP, Errno::NOTDIR].iter().any(|e| e.raw_os_error() == fault.errno),
                "{name}: {fault:?}"
            );
        }
        assert_eq!(fs::read_to_string(world.host("victim")).unwrap(), "v");
        assert_eq!(fs::metadata(world.host("victim")).unwrap().permissions().mode() & 0o777, 0o644);
    });
}

#[test]
fn without_a_rootfs_the_ttys_are_opened_but_bound_nowhere() {
    in_world(|world| {
        let mut made = nothing();
        let dev = Dev { ttys: 1, has_rootfs: false, console: Console::None, ..plain() };
        dev::make_terminals(world.root(), &dev, &mut made).unwrap();
        assert!(made.ttys[0].is_some() && made.console.is_none());
        assert!(world.is_empty() && fs::read_dir(world.inside("")).unwrap().next().is_none());
    });
}

#[test]
fn symlinks_of_the_rootfs_win() {
    in_world(|world| {
        world.mkdir_inside("dev");
        symlink("/elsewhere", world.inside("dev/stdin")).unwrap();
        dev::make_symlinks(directory(&world.inside("dev")).as_fd(), plain().symlinks).unwrap();
        let link = |name: &str| fs::read_link(world.inside("dev").join(name)).unwrap();
        assert_eq!(link("fd").to_str(), Some("/proc/self/fd"));
        assert_eq!(link("stdin").to_str(), Some("/elsewhere"));
    });
}

/// What a child in a user namespace does; it may not allocate (it is a clone of one thread of many).
struct UserNamespace<'a> {
    wait: BorrowedFd<'a>,
    /// By path: a descriptor of the parent's would be of the parent's mount namespace.
    root: &'a std::ffi::CStr,
    steps: fn(BorrowedFd<'_>) -> Result<(), lxc_child::Fault>,
}

extern "C" fn in_user_namespace(job: &UserNamespace<'_>) -> ! {
    // The parent writes a byte when it has written the maps (the child has a copy of its end, so no end of file).
    let _ = lxc_sys::rustix::io::read(job.wait, &mut [0u8; 1]);
    let Ok(root) = open(lxc_sys::rustix::fs::CWD, job.root, lxc_sys::rustix::fs::OFlags::PATH) else {
        exit_now(101)
    };
    let status = match (job.steps)(root.as_fd()) {
        Ok(()) => 0,
        Err(fault) => fault.step as i32,
    };
    exit_now(status)
}

/// Runs `steps` as root of a user namespace with maps for uid 0 only (gid 5 stays unmapped).
fn unprivileged(world: &World, steps: fn(BorrowedFd<'_>) -> Result<(), lxc_child::Fault>) -> Exit {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let root = world::text(&world.inside(""));
    let job = UserNamespace { wait: read.as_fd(), root: &root, steps };
    let args = CloneArgs { flags: 0x1000_0000 | world::NEWNS, cgroup: None };
    let child = into(&SingleThreaded::after_clone(), &args, in_user_namespace, &job).unwrap();
    for map in ["uid_map", "gid_map"] {
        fs::write(format!("/proc/{}/{map}", child.pid), "0 0 1\n").unwrap();
    }
    lxc_sys::rustix::io::write(&write, b".").unwrap();
    reap(child.pidfd.as_fd()).unwrap()
}

#[test]
fn in_a_user_namespace_nodes_are_bound_from_the_host() {
    in_world(|world| {
        let steps: fn(BorrowedFd<'_>) -> Result<(), lxc_child::Fault> = |root| {
            dev::mount_tmpfs(root, &plain())?;
            let dir = open_dev(root);
            dev::make_nodes(dir.as_fd(), &NODES)?;
            let null = open(dir.as_fd(), c"null", lxc_sys::rustix::fs::OFlags::WRONLY);
            match null.and_then(|null| lxc_sys::rustix::io::write(null, b"x")) {
                Ok(1) => Ok(()),
                _ => Err(lxc_child::Fault::new(Step::Protocol, 0, Errno::IO)),
            }
        };
        assert_eq!(unprivileged(world, steps), Exit::Code(0));
    });
}

#[test]
fn in_a_user_namespace_devpts_goes_without_the_terminal_group() {
    in_world(|world| {
        let steps: fn(BorrowedFd<'_>) -> Result<(), lxc_child::Fault> = |root| {
            dev::mount_tmpfs(root, &plain())?;
            let dir = open_dev(root);
            let params = [
                Param::Flag(c"newinstance"),
                Param::String(c"ptmxmode", c"0666"),
                Param::String(c"gid", c"5"),
            ];
            let mut made = nothing();
            made.devpts = Some(dev::mount_devpts(dir.as_fd(), &params)?);
            dev::make_terminals(dir.as_fd(), &Dev { ttys: 1, ..plain() }, &mut made)
        };
        assert_eq!(unprivileged(world, steps), Exit::Code(0));
    });
}

#[test]
fn a_host_node_that_is_not_the_device_is_not_bound() {
    in_world(|world| {
        let steps: fn(BorrowedFd<'_>) -> Result<(), lxc_child::Fault> = |root| {
            dev::mount_tmpfs(root, &plain())?;
            // CVE-2025-31133: /dev/zero under the name of /dev/null.
            let swapped = [DevNode { host: c"/dev/zero", ..NODES[0] }];
            dev::make_nodes(open_dev(root).as_fd(), &swapped)
        };
        assert_eq!(unprivileged(world, steps), Exit::Code(Step::DevNode as i32));
    });
}

fn open(
    dir: BorrowedFd<'_>,
    name: &std::ffi::CStr,
    flags: lxc_sys::rustix::fs::OFlags,
) -> Result<OwnedFd, Errno> {
    lxc_sys::rustix::fs::openat(dir, name, flags, lxc_sys::rustix::fs::Mode::empty())
}

fn open_dev(root: BorrowedFd<'_>) -> OwnedFd {
    match open(root, c"dev", lxc_sys::rustix::fs::OFlags::PATH) {
        Ok(dir) => dir,
        Err(_) => exit_now(100),
    }
}
