//! Root file systems that try to lead mounts astray: symlinks and dots in every place of a target and of a source.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod world;

use std::fs;
use std::os::unix::fs::symlink;

use lxc_child::script::{Create, MountKind, MountOp, Resolve};
use lxc_sys::rustix::io::Errno;

use world::{in_world, mountinfo, op, text, tmpfs};

/// Links a hostile root file system may hold: `(place, link text, path that goes through it)`.
const PLANTED: [(&str, &str, &std::ffi::CStr); 6] = [
    ("abs", "/target", c"abs"),
    ("rel", "target", c"rel"),
    ("up", "../../../../../../target", c"up"),
    ("mid", "/", c"mid/target"),
    ("midup", "..", c"midup/target"),
    ("d/deep", "../../..", c"d/deep/target"),
];

#[test]
fn planted_symlinks_never_lead_out_of_the_root() {
    in_world(|world| {
        world.mkdir_inside("target");
        world.mkdir_inside("d");
        for (place, link, _) in PLANTED {
            symlink(link, world.inside(place)).unwrap();
        }
        let before = mountinfo().len();
        for (count, (place, _, path)) in PLANTED.iter().enumerate() {
            world.one(&op(tmpfs(&[]), path)).unwrap_or_else(|errno| panic!("{place}: {errno}"));
            assert_eq!(world.mounts_on("target").len(), count + 1, "{place}");
        }
        assert_eq!(mountinfo().len(), before + PLANTED.len(), "and nothing was mounted anywhere else");
    });
}

#[test]
fn where_symlinks_are_refused_they_are_refused_in_every_place() {
    in_world(|world| {
        world.mkdir_inside("target");
        world.mkdir_inside("d");
        for (place, link, path) in PLANTED {
            symlink(link, world.inside(place)).unwrap();
            let strict = MountOp { resolve: Resolve::NoSymlinks, ..op(tmpfs(&[]), path) };
            assert_eq!(world.one(&strict), Err(Errno::LOOP), "{place}");
            for create in [Create::Dir, Create::File] {
                assert_eq!(world.one(&MountOp { create, ..strict }), Err(Errno::LOOP), "{place} {create:?}");
            }
        }
        let out = MountOp { resolve: Resolve::NoSymlinks, ..op(tmpfs(&[]), c"d/../../host") };
        assert_eq!(world.one(&out), Err(Errno::XDEV));
        assert!(world.is_empty());
    });
}

#[test]
fn dots_are_clamped_at_the_root() {
    in_world(|world| {
        world.mkdir_inside("host");
        world.one(&op(tmpfs(&[]), c"../../host")).unwrap();
        world.mount_on("host");
        world.one(&MountOp { create: Create::Dir, ..op(tmpfs(&[]), c"../../fresh/x") }).unwrap();
        world.mount_on("fresh/x");
        assert!(!world.host("../fresh").exists());
    });
}

#[test]
fn creation_follows_symlinks_inside_the_root_only() {
    in_world(|world| {
        world.mkdir_inside("run");
        world.mkdir_inside("var");
        symlink("/run", world.inside("var/run")).unwrap();
        symlink("/dangling/place", world.inside("loose")).unwrap();
        world.one(&MountOp { create: Create::Dir, ..op(tmpfs(&[]), c"var/run/new") }).unwrap();
        world.mount_on("run/new");
        fs::write(world.host("f"), "x").unwrap();
        let source = text(&world.host("f"));
        let bind = MountKind::Bind { source: &source, recursive: false };
        world.one(&MountOp { create: Create::File, ..op(bind, c"var/run/file") }).unwrap();
        assert_eq!(fs::read_to_string(world.inside("run/file")).unwrap(), "x");
        // A dangling link is not filled in: neither a file nor a directory appears where it points.
        let dangling = world.one(&MountOp { create: Create::File, ..op(bind, c"loose") });
        assert_eq!(dangling, Err(Errno::NOENT));
        assert!(!world.inside("dangling").exists());
    });
}

#[test]
fn the_source_of_an_inner_bind_stays_inside() {
    in_world(|world| {
        world.source("secret");
        world.mkdir_inside("secret");
        fs::write(world.inside("secret/marker"), "inner").unwrap();
        symlink(world.host("secret"), world.inside("out")).unwrap();
        symlink("../../../../secret", world.inside("up")).unwrap();
        for dir in ["a", "b"] {
            world.mkdir_inside(dir);
        }
        let bind = |source| MountKind::BindInside { source, recursive: false };
        assert_eq!(
            world.one(&op(bind(c"out"), c"a")),
            Err(Errno::NOENT),
            "the host's path means nothing inside"
        );
        world.one(&op(bind(c"up"), c"b")).unwrap();
        assert_eq!(world.marker("b").as_deref(), Some("inner"));
        let strict = MountOp { resolve: Resolve::NoSymlinks, ..op(bind(c"up"), c"a") };
        assert_eq!(world.one(&strict), Err(Errno::LOOP));
    });
}

#[test]
fn magic_links_are_no_way_out() {
    in_world(|world| {
        world.mkdir_inside("proc");
        let proc = MountKind::Fs { fstype: c"proc", source: c"proc", params: &[], read_only: false };
        world.one(&op(proc, c"proc")).unwrap();
        for target in [c"proc/self/root/tmp", c"proc/self/cwd"] {
            assert_eq!(world.one(&op(tmpfs(&[]), target)), Err(Errno::LOOP), "{target:?}");
        }
    });
}
