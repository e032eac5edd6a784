//! `mounts::one` and `mounts::run`: every kind of operation on a real kernel. (Hostile trees: see `symlinks.rs`.)
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod world;

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;

use lxc_child::mounts;
use lxc_child::script::{Create, MountKind, MountOp, Param, Propagation, Resolve};
use lxc_child::sync::{Msg, Step, Talk, hear};
use lxc_sys::mount::{MountAttr, attr};
use lxc_sys::rustix::io::Errno;
use lxc_sys::rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use world::{directory, in_world, mountinfo, op, text, tmpfs};

const MS_PRIVATE: u64 = 1 << 18;
const MS_SLAVE: u64 = 1 << 19;
const MS_SHARED: u64 = 1 << 20;
const MS_UNBINDABLE: u64 = 1 << 17;
const MS_RDONLY: u64 = 1;
const MS_MOVE: u64 = 1 << 13;

#[test]
fn a_new_file_system_gets_its_parameters_and_its_attributes() {
    in_world(|world| {
        world.mkdir_inside("tmp");
        let params =
            [Param::String(c"size", c"64k"), Param::String(c"mode", c"0711"), Param::Flag(c"noswap")];
        let attributes = MountAttr::setting(attr::NOSUID | attr::NODEV | attr::NOEXEC | attr::NODIRATIME);
        // `noswap` came with Linux 6.4; the words that matter here are older.
        let known = world.one(&MountOp { attr: attributes, ..op(tmpfs(&params), c"tmp") });
        if known == Err(Errno::INVAL) {
            world.one(&MountOp { attr: attributes, ..op(tmpfs(&params[..2]), c"tmp") }).unwrap();
        }
        let mount = world.mount_on("tmp");
        assert_eq!((mount.fstype.as_str(), mount.source.as_str()), ("tmpfs", "from-test"));
        for option in ["rw", "nosuid", "nodev", "noexec", "nodiratime"] {
            assert!(mount.has(option), "{option} in {mount:?}");
        }
        assert!(mount.super_options.contains("size=64k"), "{mount:?}");
        assert!(mount.super_options.contains("mode=711"), "{mount:?}");
    });
}

#[test]
fn a_read_only_file_system_is_read_only_as_a_whole() {
    in_world(|world| {
        world.mkdir_inside("ro");
        let kind = MountKind::Fs { fstype: c"tmpfs", source: c"x", params: &[], read_only: true };
        world.one(&op(kind, c"ro")).unwrap();
        let mount = world.mount_on("ro");
        assert!(mount.super_options.starts_with("ro"), "{mount:?}");
        assert!(fs::write(world.inside("ro/f"), "x").is_err());
    });
}

#[test]
fn unknown_flags_are_errors_and_unknown_words_are_left_out() {
    in_world(|world| {
        world.mkdir_inside("a");
        assert_eq!(world.one(&op(tmpfs(&[Param::Flag(c"bogus")]), c"a")), Err(Errno::INVAL));
        assert_eq!(world.one(&op(tmpfs(&[Param::String(c"bogus", c"1")]), c"a")), Err(Errno::INVAL));
        assert!(world.is_empty(), "a failed mount leaves nothing behind");
        let params = [Param::Word(c"bogus"), Param::String(c"size", c"8k"), Param::Word(c"inode64")];
        world.one(&op(tmpfs(&params), c"a")).unwrap();
        assert!(world.mount_on("a").super_options.contains("size=8k"));
    });
}

#[test]
fn an_unknown_type_is_enodev() {
    in_world(|world| {
        let kind = MountKind::Fs { fstype: c"no-such-fs", source: c"x", params: &[], read_only: false };
        assert_eq!(world.one(&op(kind, c"")), Err(Errno::NODEV));
    });
}

#[test]
fn mount2_takes_data_that_fsconfig_cannot_and_its_attributes_follow() {
    in_world(|world| {
        let (lower, upper) = (world.source("lower"), world.host("upper"));
        for dir in ["upper", "work"] {
            fs::create_dir(world.host(dir)).unwrap();
        }
        world.mkdir_inside("merged");
        // Long enough that fsconfig(2) would refuse it.
        let many = (0..12).map(|_| lower.to_str().unwrap()).collect::<Vec<_>>();
        let long = [many[0], &format!("{}{}", many[0], "/.".repeat(150))].join(":");
        let data =
            format!("lowerdir={long},upperdir={},workdir={}", upper.display(), world.host("work").display());
        let data = std::ffi::CString::new(data).unwrap();
        let kind = MountKind::Classic { fstype: c"overlay", source: c"over", flags: 0, data: &data };
        let one = MountOp {
            attr: MountAttr::setting(attr::NOEXEC),
            propagation: Propagation::Top(MS_SHARED),
            ..op(kind, c"merged")
        };
        match world.one(&one) {
            // One lower directory twice is refused by new kernels; the length is what matters here.
            Err(Errno::INVAL | Errno::LOOP) => {
                let data = format!(
                    "lowerdir={}{},upperdir={},workdir={}",
                    many[0],
                    "/.".repeat(150),
                    upper.display(),
                    world.host("work").display()
                );
                let data = std::ffi::CString::new(data).unwrap();
                let kind = MountKind::Classic { fstype: c"overlay", source: c"over", flags: 0, data: &data };
                world.one(&MountOp { kind, ..one }).unwrap();
            }
            other => other.unwrap(),
        }
        assert_eq!(world.marker("merged").as_deref(), Some("lower"));
        let mount = world.mount_on("merged");
        assert!(mount.has("noexec") && mount.propagation.starts_with("shared:"), "{mount:?}");
        fs::write(world.inside("merged/new"), "x").unwrap();
        assert!(upper.join("new").exists());
    });
}

#[test]
fn a_mount_moves() {
    in_world(|world| {
        for dir in ["from", "to"] {
            world.mkdir_inside(dir);
        }
        world.one(&op(tmpfs(&[]), c"from")).unwrap();
        fs::write(world.inside("from/file"), "x").unwrap();
        let source = text(&world.inside("from"));
        let kind = MountKind::Classic { fstype: c"none", source: &source, flags: MS_MOVE, data: c"" };
        world.one(&op(kind, c"to")).unwrap();
        assert!(world.inside("to/file").exists());
        assert!(world.mounts_on("from").is_empty());
    });
}

#[test]
fn a_bind_shows_the_source_with_or_without_what_is_mounted_below() {
    in_world(|world| {
        let source = world.source("data");
        fs::create_dir(world.host("data/sub")).unwrap();
        mounts::one(directory(&world.host("data")).as_fd(), &op(tmpfs(&[]), c"sub")).unwrap();
        fs::write(world.host("data/sub/deep"), "x").unwrap();
        for (target, recursive) in [(c"plain", false), (c"all", true)] {
            let path = target.to_str().unwrap();
            world.mkdir_inside(path);
            let kind = MountKind::Bind { source: &source, recursive };
            world.one(&MountOp { attr: MountAttr::setting(attr::RDONLY), ..op(kind, target) }).unwrap();
            assert_eq!(world.marker(path).as_deref(), Some("data"));
            assert_eq!(world.inside(path).join("sub/deep").exists(), recursive);
            assert!(world.mount_on(path).has("ro"));
            assert!(fs::write(world.inside(path).join("f"), "x").is_err());
        }
        // As with mount(8), the attributes concern the top only.
        fs::write(world.inside("all/sub/f"), "x").unwrap();
        fs::write(world.host("data/f"), "x").expect("the source itself stays writable");
    });
}

#[test]
fn attributes_are_cleared_one_by_one_and_the_rest_is_kept() {
    in_world(|world| {
        world.mkdir_inside("a");
        let sealed = attr::RDONLY | attr::NOSUID | attr::NODEV | attr::NOATIME;
        let mut clear_times = MountAttr::setting(sealed);
        clear_times.clear = attr::ATIME_MASK;
        world.one(&MountOp { attr: clear_times, ..op(tmpfs(&[]), c"a") }).unwrap();
        let mount = world.mount_on("a");
        assert!(mount.has("ro") && mount.has("noatime"), "{mount:?}");
        let bind = MountKind::BindInside { source: c"a", recursive: false };
        world.mkdir_inside("b");
        world.one(&MountOp { attr: MountAttr::clearing(attr::RDONLY), ..op(bind, c"b") }).unwrap();
        let mount = world.mount_on("b");
        assert!(
            mount.has("rw") && mount.has("nosuid") && mount.has("nodev") && mount.has("noatime"),
            "{mount:?}"
        );
        assert!(world.mount_on("a").has("ro"), "the source keeps its own");
    });
}

#[test]
fn what_hides_a_part_can_be_made_of_the_part_itself() {
    in_world(|world| {
        world.mkdir_inside("p/sys/net");
        world.one(&op(tmpfs(&[]), c"p")).unwrap();
        world.mkdir_inside("p/sys/net");
        for (path, attributes) in
            [(c"p/sys", MountAttr::setting(attr::RDONLY)), (c"p/sys/net", MountAttr::clearing(attr::RDONLY))]
        {
            let kind = MountKind::BindInside { source: path, recursive: false };
            world.one(&MountOp { resolve: Resolve::NoSymlinks, attr: attributes, ..op(kind, path) }).unwrap();
        }
        assert!(fs::write(world.inside("p/sys/f"), "x").is_err());
        fs::write(world.inside("p/sys/net/f"), "x").unwrap();
    });
}

#[test]
fn a_bind_of_a_descriptor_needs_no_path() {
    in_world(|world| {
        world.source("gone");
        let fd = directory(&world.host("gone"));
        fs::rename(world.host("gone"), world.host("elsewhere")).unwrap();
        world.mkdir_inside("x");
        world.one(&op(MountKind::BindFd { source: fd.as_fd(), recursive: false }, c"x")).unwrap();
        assert_eq!(world.marker("x").as_deref(), Some("gone"));
    });
}

#[test]
fn a_file_is_bound_onto_a_file() {
    in_world(|world| {
        fs::write(world.host("hosts"), "from the host").unwrap();
        let source = text(&world.host("hosts"));
        let kind = MountKind::Bind { source: &source, recursive: false };
        world.one(&MountOp { create: Create::File, ..op(kind, c"etc/deep/hosts") }).unwrap();
        assert_eq!(fs::read_to_string(world.inside("etc/deep/hosts")).unwrap(), "from the host");
        // A directory cannot be mounted on a file, nor the other way round.
        let dir = world.source("dir");
        let kind = MountKind::Bind { source: &dir, recursive: false };
        assert_eq!(world.one(&op(kind, c"etc/deep/hosts")), Err(Errno::NOTDIR));
    });
}

#[test]
fn sources_on_the_host_may_be_symlinks() {
    in_world(|world| {
        world.source("real");
        symlink("real", world.host("link")).unwrap();
        let source = text(&world.host("link"));
        world.mkdir_inside("a");
        world.one(&op(MountKind::Bind { source: &source, recursive: false }, c"a")).unwrap();
        assert_eq!(world.marker("a").as_deref(), Some("real"));
    });
}

#[test]
fn a_change_touches_attributes_and_propagation_of_what_is_mounted() {
    in_world(|world| {
        world.mkdir_inside("m");
        world.one(&op(tmpfs(&[]), c"m")).unwrap();
        let change = MountOp {
            attr: MountAttr::setting(attr::NOSYMFOLLOW | attr::NOEXEC),
            propagation: Propagation::Top(MS_SHARED),
            ..op(MountKind::Change, c"m")
        };
        world.one(&change).unwrap();
        let mount = world.mount_on("m");
        assert!(mount.has("noexec") && mount.has("nosymfollow"), "{mount:?}");
        assert!(mount.propagation.starts_with("shared:"), "{mount:?}");
    });
}

#[test]
fn propagation_is_set_on_one_mount_or_on_all_below() {
    in_world(|world| {
        world.mkdir_inside("m");
        world.one(&op(tmpfs(&[]), c"m")).unwrap();
        world.mkdir_inside("m/n");
        world.one(&op(tmpfs(&[]), c"m/n")).unwrap();
        let set = |propagation| world.one(&MountOp { propagation, ..op(MountKind::Change, c"m") }).unwrap();
        let words = || [world.mount_on("m").propagation, world.mount_on("m/n").propagation];
        set(Propagation::Top(MS_SHARED));
        assert!(words()[0].starts_with("shared:") && words()[1].is_empty(), "{:?}", words());
        set(Propagation::Recursive(MS_SHARED));
        assert!(words().iter().all(|word| word.starts_with("shared:")), "{:?}", words());
        set(Propagation::Recursive(MS_PRIVATE));
        assert_eq!(words(), ["", ""]);
        set(Propagation::Top(MS_UNBINDABLE));
        assert_eq!(words(), ["unbindable", ""]);
    });
}

#[test]
fn a_slave_hears_of_its_master_and_not_the_other_way_round() {
    in_world(|world| {
        let source = world.source("shared");
        let root = directory(&world.host(""));
        mounts::one(root.as_fd(), &op(tmpfs(&[]), c"shared")).unwrap();
        mounts::one(
            root.as_fd(),
            &MountOp { propagation: Propagation::Top(MS_SHARED), ..op(MountKind::Change, c"shared") },
        )
        .unwrap();
        for dir in ["down", "up"] {
            fs::create_dir(world.host("shared").join(dir)).unwrap();
        }
        world.mkdir_inside("s");
        let bind = MountKind::Bind { source: &source, recursive: false };
        world.one(&MountOp { propagation: Propagation::Top(MS_SLAVE), ..op(bind, c"s") }).unwrap();
        assert!(world.mount_on("s").propagation.starts_with("master:"));
        mounts::one(root.as_fd(), &op(tmpfs(&[]), c"shared/down")).unwrap();
        assert_eq!(world.mounts_on("s/down").len(), 1, "the host's mount arrives");
        world.one(&op(tmpfs(&[]), c"s/up")).unwrap();
        let up = world.host("shared/up");
        assert!(mountinfo().iter().all(|mount| mount.point != up.to_str().unwrap()), "ours stays ours");
    });
}

#[test]
fn missing_targets_are_made_only_on_request() {
    in_world(|world| {
        assert_eq!(world.one(&op(tmpfs(&[]), c"a/b")), Err(Errno::NOENT));
        assert!(!world.inside("a").exists());
        world.one(&MountOp { create: Create::Dir, ..op(tmpfs(&[]), c"a/b/c") }).unwrap();
        world.mount_on("a/b/c");
        world.one(&MountOp { create: Create::Dir, ..op(tmpfs(&[]), c"a/b//./d") }).unwrap();
        // An existing target is used as it is.
        world.mkdir_inside("there");
        fs::write(world.inside("there/kept"), "").unwrap();
        world.one(&MountOp { create: Create::Dir, ..op(MountKind::Directory, c"there") }).unwrap();
        assert!(world.inside("there/kept").exists());
    });
}

#[test]
fn a_failed_creation_says_why() {
    in_world(|world| {
        fs::write(world.inside("file"), "").unwrap();
        let make = |target| world.one(&MountOp { create: Create::Dir, ..op(tmpfs(&[]), target) });
        assert_eq!(make(c"file/below"), Err(Errno::NOTDIR));
        let long = std::ffi::CString::new("x".repeat(5000)).unwrap();
        assert_eq!(make(&long), Err(Errno::NAMETOOLONG));
        world
            .one(&op(MountKind::Fs { fstype: c"tmpfs", source: c"x", params: &[], read_only: true }, c""))
            .unwrap();
        // The descriptor of the root is of the directory below the read-only mount: no change there.
        assert!(!world.inside("new").exists());
    });
}

#[test]
fn directories_and_symlinks_are_made_without_mounting() {
    in_world(|world| {
        world.one(&op(MountKind::Directory, c"sys/fs/cgroup/cpu,cpuacct")).unwrap();
        let link = MountKind::Symlink { to: c"cpu,cpuacct" };
        for _ in 0..2 {
            world.one(&op(link, c"sys/fs/cgroup/cpu")).expect("one that is there already stays");
        }
        assert_eq!(fs::read_link(world.inside("sys/fs/cgroup/cpu")).unwrap().to_str(), Some("cpu,cpuacct"));
        assert_eq!(world.one(&op(link, c"missing/cpu")), Err(Errno::NOENT));
        assert!(world.is_empty());
    });
}

#[test]
fn an_optional_failure_is_noted_and_another_ends_the_run() {
    in_world(|world| {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        for dir in ["first", "last"] {
            world.mkdir_inside(dir);
        }
        let missing = MountKind::Bind { source: c"/nonexistent/source", recursive: false };
        let ops = [
            op(tmpfs(&[]), c"first"),
            MountOp { optional: true, ..op(missing, c"first") },
            op(tmpfs(&[]), c"last"),
            op(missing, c"last"),
            op(tmpfs(&[]), c"last"),
        ];
        let fault = mounts::run(world.root(), &ops, 10, &mut Talk::new(theirs.as_fd(), false)).unwrap_err();
        assert_eq!((fault.step, fault.item, fault.errno), (Step::Mount, 13, Errno::NOENT.raw_os_error()));
        let Some(Msg::Note(note)) = hear(ours.as_fd(), drop).unwrap() else { panic!("no note") };
        assert_eq!((note.step, note.item, note.errno), (Step::Mount, 11, Errno::NOENT.raw_os_error()));
        assert_eq!((world.mounts_on("first").len(), world.mounts_on("last").len()), (1, 1));
        drop(theirs);
        assert_eq!(hear(ours.as_fd(), drop), Ok(None), "one note only");
    });
}

#[test]
fn the_root_itself_can_be_a_target() {
    in_world(|world| {
        world.one(&op(tmpfs(&[]), c"")).unwrap();
        let mount = world.mount_on("");
        assert_eq!(mount.fstype, "tmpfs");
    });
}

#[test]
fn read_only_flags_of_mount2_reach_the_file_system() {
    in_world(|world| {
        world.mkdir_inside("c");
        let kind = MountKind::Classic { fstype: c"tmpfs", source: c"t", flags: MS_RDONLY, data: c"size=4k" };
        world.one(&op(kind, c"c")).unwrap();
        let mount = world.mount_on("c");
        assert!(mount.has("ro") && mount.super_options.contains("size=4k"), "{mount:?}");
    });
}
