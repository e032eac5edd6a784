//! Mounting a root file system and pivoting into it, each in a mount namespace of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod world;

use std::fs;
use std::os::fd::{AsFd, OwnedFd};

use lxc_child::script::{MountKind, Propagation, Rootfs};
use lxc_child::sync::{Fault, Step, Talk};
use lxc_child::{mounts, rootfs};
use lxc_sys::mount::{MountAttr, attr};
use lxc_sys::rustix::fs::OFlags;
use lxc_sys::rustix::io::Errno;
use lxc_sys::rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use world::{World, directory, in_world, mountinfo, op, text, tmpfs};

const MS_SHARED: u64 = 1 << 20;

fn dir<'a>(source: &'a std::ffi::CStr, mount: &'a std::ffi::CStr, set: u64) -> Rootfs<'a> {
    Rootfs::Dir { source, mount, attr: MountAttr::setting(set) }
}

/// Without a monitor: nobody is asked anything.
fn enter(rootfs: &Rootfs<'_>) -> Result<OwnedFd, Fault> {
    let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
    let (_, theirs) = pair.unwrap();
    rootfs::enter(rootfs, &mut Talk::new(theirs.as_fd(), false))
}

/// A root file system on the test's host with `/proc`, `/etc/name` and `/sub` with a mount on it.
fn tree(world: &World) -> std::ffi::CString {
    let source = world.source("tree");
    for sub in ["proc", "sub", "etc"] {
        fs::create_dir(world.host("tree").join(sub)).unwrap();
    }
    fs::write(world.host("tree/etc/name"), "inside").unwrap();
    mounts::one(directory(&world.host("tree")).as_fd(), &op(tmpfs(&[]), c"sub")).unwrap();
    source
}

#[test]
fn a_directory_is_bound_with_all_below_and_its_attributes() {
    in_world(|world| {
        let source = tree(world);
        world.mkdir_inside("mnt");
        let mount = text(&world.inside("mnt"));
        let root = enter(&dir(&source, &mount, attr::RDONLY | attr::NODEV)).unwrap();
        let top = world.mount_on("mnt");
        assert!(top.has("ro") && top.has("nodev"), "{top:?}");
        assert!(world.mount_on("mnt/sub").has("rw"), "what is below keeps its own");
        // The descriptor is of the new mount, not of what it covers.
        let marker =
            lxc_sys::rustix::fs::openat(&root, "marker", OFlags::RDONLY, lxc_sys::rustix::fs::Mode::empty());
        marker.unwrap();
    });
}

#[test]
fn what_is_missing_is_told_apart() {
    in_world(|world| {
        let (there, file) = (world.source("there"), text(&world.host("there/marker")));
        for (source, mount, item, errno) in [
            (c"/nonexistent/rootfs", there.as_c_str(), 1, Errno::NOENT),
            (file.as_c_str(), there.as_c_str(), 1, Errno::NOTDIR),
            (there.as_c_str(), c"/nonexistent/mount", 2, Errno::NOENT),
            (there.as_c_str(), file.as_c_str(), 2, Errno::NOTDIR),
        ] {
            let fault = enter(&dir(source, mount, 0)).unwrap_err();
            assert_eq!(
                (fault.step, fault.item, fault.errno),
                (Step::Rootfs, item, errno.raw_os_error()),
                "{source:?}"
            );
        }
    });
}

#[test]
fn impossible_options_are_a_fault_of_their_own() {
    in_world(|world| {
        let source = world.source("tree");
        world.mkdir_inside("mnt");
        let mount = text(&world.inside("mnt"));
        let fault = enter(&dir(&source, &mount, 1 << 40)).unwrap_err();
        assert_eq!((fault.step, fault.errno), (Step::RootfsOptions, Errno::INVAL.raw_os_error()));
        assert!(world.is_empty(), "and nothing is left mounted");
    });
}

#[test]
fn an_overlay_is_mounted_with_its_options() {
    in_world(|world| {
        let lower = world.source("lower");
        for dir in ["upper", "work"] {
            fs::create_dir(world.host(dir)).unwrap();
        }
        world.mkdir_inside("mnt");
        let mount = text(&world.inside("mnt"));
        let data = format!(
            "upperdir={},lowerdir={},workdir={}",
            world.host("upper").display(),
            lower.to_str().unwrap(),
            world.host("work").display()
        );
        let data = std::ffi::CString::new(data).unwrap();
        let plan = |data| Rootfs::Fs {
            source: c"overlay",
            fstype: c"overlay",
            flags: 0,
            data,
            mount: &mount,
            attr: MountAttr::setting(attr::NOSUID),
        };
        let fault = enter(&plan(c"lowerdir=/nonexistent")).unwrap_err();
        assert_eq!((fault.step, fault.item), (Step::Rootfs, 0));
        enter(&plan(&data)).unwrap();
        assert_eq!(world.marker("mnt").as_deref(), Some("lower"));
        assert!(world.mount_on("mnt").has("nosuid"));
        fs::write(world.inside("mnt/new"), "").unwrap();
        assert!(world.host("upper/new").exists());
    });
}

/// What the calling thread sees after the pivot; `/proc` is a fresh procfs inside.
fn pivot_in(world: &World) {
    let source = tree(world);
    world.mkdir_inside("mnt");
    let mount = text(&world.inside("mnt"));
    rootfs::make_slave().unwrap();
    let root = enter(&dir(&source, &mount, 0)).unwrap();
    let proc = MountKind::Fs { fstype: c"proc", source: c"proc", params: &[], read_only: false };
    mounts::one(root.as_fd(), &op(proc, c"proc")).unwrap();
    rootfs::pivot(root.as_fd()).unwrap();
}

#[test]
fn after_the_pivot_only_the_new_tree_is_there() {
    in_world(|world| {
        pivot_in(world);
        assert_eq!(fs::read_to_string("/etc/name").unwrap(), "inside");
        assert_eq!(std::env::current_dir().unwrap().to_str(), Some("/"));
        assert_eq!(fs::read_to_string("/../../marker").unwrap(), "tree", "there is nothing above");
        let mounts = mountinfo();
        let points: Vec<&str> = mounts.iter().map(|mount| mount.point.as_str()).collect();
        assert_eq!(points, ["/", "/sub", "/proc"]);
        // Nested containers rely on shared mounts.
        assert!(mounts.iter().all(|mount| mount.propagation.starts_with("shared:")), "{mounts:?}");
    });
}

#[test]
fn the_pivot_is_not_felt_outside_even_when_mounts_are_shared() {
    in_world(|world| {
        // Everything in this namespace is shared with the one made from it, as on a host run by systemd.
        let host = directory(std::path::Path::new("/"));
        let share = lxc_child::script::MountOp {
            propagation: Propagation::Recursive(MS_SHARED),
            ..op(MountKind::Change, c"")
        };
        mounts::one(host.as_fd(), &share).unwrap();
        let before: Vec<String> = mountinfo().into_iter().map(|mount| mount.point).collect();
        std::thread::scope(|scope| {
            let inner = scope.spawn(|| {
                lxc_sys::ns::unshare(world::NEWNS).unwrap();
                // The tree itself is made before the slave step, so its tmpfs does reach the outer namespace.
                pivot_in(world);
                assert_eq!(mountinfo().len(), 3);
            });
            inner.join().unwrap();
        });
        let sub = world.host("tree/sub");
        let after: Vec<String> = mountinfo()
            .into_iter()
            .map(|mount| mount.point)
            .filter(|point| *point != sub.to_str().unwrap())
            .collect();
        assert_eq!(before, after, "nothing was mounted or unmounted in the outer namespace");
        assert_eq!(fs::read_to_string(world.host("tree/marker")).unwrap(), "tree");
    });
}

#[test]
fn a_root_that_is_no_mount_cannot_be_pivoted_into() {
    in_world(|world| {
        world.mkdir_inside("plain");
        let fault = rootfs::pivot(directory(&world.inside("plain")).as_fd()).unwrap_err();
        assert_eq!(fault.step, Step::Pivot);
    });
}

#[test]
fn without_a_rootfs_the_host_s_root_is_used_as_it_is() {
    in_world(|_| {
        let before = mountinfo().len();
        for rootfs in [Rootfs::HostRoot, Rootfs::Untouched] {
            let root = enter(&rootfs).unwrap();
            let (here, there) =
                (lxc_sys::rustix::fs::fstat(&root).unwrap(), lxc_sys::rustix::fs::stat("/").unwrap());
            assert_eq!((here.st_dev, here.st_ino), (there.st_dev, there.st_ino));
        }
        assert_eq!(mountinfo().len(), before);
    });
}
