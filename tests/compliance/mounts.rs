//! What is mounted inside: lxc.mount.auto, lxc.mount.entry, lxc.mount.fstab, the root file system itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use testkit::guest::Mount;
use testkit::{Guest, GuestBuilder, cases};

/// A guest whose only automatic mounts are those of `words`.
fn auto(words: &str) -> GuestBuilder {
    Guest::build("mounts").conf(&format!("lxc.mount.auto =\nlxc.mount.auto = proc:rw {words}"))
}

/// The mounts below a directory as lines `TARGET FSTYPE ro|rw`, in mount order.
fn below(guest: &Guest, dir: &str) -> Vec<String> {
    let inside = |mount: &Mount| mount.target == dir || mount.target.starts_with(&format!("{dir}/"));
    let word = |mount: &Mount| if mount.is_read_only() { "ro" } else { "rw" };
    guest
        .mountinfo()
        .iter()
        .filter(|mount| inside(mount) && mount.target != "/proc/sys/kernel/random/boot_id")
        .map(|mount| format!("{} {} {}", mount.target, mount.fstype, word(mount)))
        .collect()
}

/// The effective mount on a directory: the last one.
fn on(guest: &Guest, target: &str) -> Option<Mount> {
    guest.mountinfo().into_iter().rev().find(|mount| mount.target == target)
}

fn flags(mount: &Mount) -> Vec<&str> {
    let mut words: Vec<_> = mount.options.split(',').collect();
    words.sort_unstable();
    words
}

/// A directory on the host with one file in it, inside the container's own directory.
fn source(guest: &Guest, name: &str) -> PathBuf {
    let dir = guest.lxcpath().join(name);
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("file"), name).unwrap();
    dir
}

/// v1 hierarchies of this machine, by the name of their mount point.
fn hierarchies() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir("/sys/fs/cgroup")
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// A summary of the cgroup mounts: hierarchy → the read-only flags of its mounts, top down.
fn cgroups(guest: &Guest) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for mount in guest.mountinfo() {
        let Some(rest) = mount.target.strip_prefix("/sys/fs/cgroup") else { continue };
        let name = rest.trim_start_matches('/').split('/').next().unwrap().to_owned();
        let depth = rest.matches('/').count();
        let word = if mount.is_read_only() { "ro" } else { "rw" };
        let root = mount.root.replace(guest.name(), "C");
        found.entry(name).or_default().push(format!("{depth} {} {word} {root}", mount.fstype));
    }
    found
}

cases! {
    fn proc_mixed_is_what_proc_alone_means() {
        for word in ["proc", "proc:mixed"] {
            let guest = Guest::build("mounts").conf(&format!("lxc.mount.auto =\nlxc.mount.auto = {word}")).start();
            assert_eq!(flags(&on(&guest, "/proc").unwrap()), ["nodev", "noexec", "nosuid", "relatime", "rw"], "{word}");
            assert!(on(&guest, "/proc/sys").unwrap().is_read_only(), "{word}");
            assert!(!on(&guest, "/proc/sys/net").unwrap().is_read_only(), "{word}");
            if std::path::Path::new("/proc/sysrq-trigger").exists() {
                assert!(on(&guest, "/proc/sysrq-trigger").unwrap().is_read_only(), "{word}");
            }
            guest.attach(["sh", "-c", "echo 1 > /proc/sys/kernel/panic"]).exits(1).ok_on_stdout();
            guest.sh("echo 1 > /proc/sys/net/ipv4/ip_forward");
        }
    }

    fn the_boot_id_is_the_containers_own() {
        let guest = Guest::build("mounts").start();
        let read = "cat /proc/sys/kernel/random/boot_id";
        let host = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let inside = guest.sh(read);
        assert_ne!(inside, host);
        assert_eq!(inside.trim().len(), host.trim().len());
        assert_eq!(guest.sh(read), inside);
    }

    fn proc_rw() {
        let guest = auto("").start();
        assert_eq!(below(&guest, "/proc"), ["/proc proc rw"]);
    }

    fn sys_mixed() {
        for word in ["sys", "sys:mixed"] {
            let guest = auto(word).start();
            assert_eq!(below(&guest, "/sys"), [
                "/sys sysfs ro",
                "/sys/devices/virtual/net sysfs rw",
            ], "{word}");
        }
    }

    fn sys_ro() {
        let guest = auto("sys:ro").start();
        assert_eq!(below(&guest, "/sys"), ["/sys sysfs ro"]);
    }

    fn sys_rw() {
        let guest = auto("sys:rw").start();
        assert_eq!(below(&guest, "/sys"), ["/sys sysfs rw"]);
    }

    fn nothing_automatic() {
        let guest = Guest::build("mounts").conf("lxc.mount.auto =").start();
        let out = guest.tool("lxc-attach").args(["--", "ls", "/proc", "/sys"]).done();
        assert_eq!(out.stdout, "/proc:\n\n/sys:\n", "{out}");
    }

    fn cgroup_words_do_nothing_with_a_cgroup_namespace() {
        for word in ["cgroup", "cgroup:mixed", "cgroup:ro", "cgroup:rw", "cgroup-full", "cgroup-full:mixed",
                     "cgroup-full:ro", "cgroup-full:rw"] {
            let guest = auto(&format!("sys:rw {word}")).start();
            assert_eq!(cgroups(&guest), BTreeMap::new(), "{word}");
        }
    }

    fn cgroup_mixed_forced() {
        for word in ["cgroup:mixed:force", "cgroup:rw:force", "cgroup:ro:force", "cgroup:force",
                     "cgroup-full:mixed:force", "cgroup-full:rw:force", "cgroup-full:ro:force", "cgroup-full:force"] {
            let guest = auto(&format!("sys:rw {word}")).start();
            let found = cgroups(&guest);
            let names: Vec<&String> = found.keys().filter(|name| !name.is_empty()).collect();
            assert_eq!(names, hierarchies().iter().collect::<Vec<_>>(), "{word}");
            let top = &found[""];
            assert_eq!(top.len(), 1, "{word}: {top:?}");
            assert!(top[0].starts_with("0 tmpfs"), "{word}: {top:?}");
        }
    }

    fn cgroup_mounts_without_a_cgroup_namespace() {
        // Word, and whether the container's own cgroup, its parent and the tmpfs above can be written to.
        for (word, own, parent) in [
            ("cgroup", true, true),
            ("cgroup:mixed", true, false),
            ("cgroup:ro", false, false),
            ("cgroup:rw", true, true),
            ("cgroup-full", true, true),
            // Its manual says the rest is read-only; the original leaves it writable.
            ("cgroup-full:mixed", true, true),
            ("cgroup-full:ro", false, false),
            ("cgroup-full:rw", true, true),
        ] {
            let guest = auto(&format!("sys:rw {word}")).conf("lxc.namespace.keep = cgroup user time").start();
            assert!(cgroups(&guest).contains_key("freezer"), "{word}");
            let hierarchy = "/sys/fs/cgroup/freezer";
            let writable = |dir: &str| guest.attach(["sh", "-c", &format!("mkdir {dir}/x-$$ && rmdir {dir}/x-$$")]).code == 0;
            assert_eq!(writable(&format!("{hierarchy}/lxc.payload.{}", guest.name())), own, "{word}: own");
            if word != "cgroup-full:mixed" {
                assert_eq!(writable(hierarchy), parent, "{word}: parent");
            }
        }
    }

    fn an_unknown_word_fails_the_load() {
        let guest = Guest::build("mounts").conf("lxc.mount.auto = proc nonsense").make();
        guest.tool("lxc-start").done().exits(1).ok_on_stdout();
    }

    fn entries_with_the_options_of_lxc() {
        let guest = Guest::build("mounts").make();
        let (dir, file) = (source(&guest, "dir"), source(&guest, "other").join("file"));
        guest.append(&format!(
            "lxc.mount.entry = {} mnt/made/dir none bind,create=dir 0 0\n\
             lxc.mount.entry = {} mnt/made2/file none bind,create=file 0 0\n\
             lxc.mount.entry = /no/such/source mnt none bind,optional 0 0\n\
             lxc.mount.entry = {} mnt/absent none bind,optional 0 0\n\
             lxc.mount.entry = etc mnt/etc none bind,relative,create=dir 0 0\n\
             lxc.mount.entry = tmpfs mnt/tmp tmpfs size=64k,mode=0711,nosuid,nodev,noexec,create=dir 0 0",
            dir.display(), file.display(), dir.display(),
        ));
        guest.start();
        assert_eq!(guest.sh("cat /mnt/made/dir/file /mnt/made2/file"), "dirother");
        assert_eq!(guest.sh("stat -c '%a %F' /mnt/made /mnt/made/dir"), "755 directory\n755 directory\n");
        assert!(guest.sh("cat /mnt/etc/passwd").contains("root"));
        let tmpfs = on(&guest, "/mnt/tmp").unwrap();
        assert_eq!(tmpfs.fstype, "tmpfs");
        assert_eq!(flags(&tmpfs), ["nodev", "noexec", "nosuid", "relatime", "rw"]);
        assert!(tmpfs.super_options.contains("size=64k") && tmpfs.super_options.contains("mode=711"), "{tmpfs:?}");
        assert_eq!(guest.sh("ls -d /mnt/absent 2>/dev/null || echo none"), "none\n");
    }

    fn bind_flags() {
        let guest = Guest::build("mounts").make();
        let dir = source(&guest, "dir");
        fs::create_dir(dir.join("sub")).unwrap();
        for (index, options) in ["bind,ro", "rbind,ro", "bind", "rbind"].iter().enumerate() {
            guest.append(&format!("lxc.mount.entry = {} mnt/m{index} none {options},create=dir 0 0", dir.display()));
        }
        guest.start();
        let of = |index: usize| on(&guest, &format!("/mnt/m{index}")).unwrap();
        assert!(of(0).is_read_only());
        assert!(of(1).is_read_only());
        assert_eq!(flags(&of(2)), ["relatime", "rw"]);
        assert_eq!(flags(&of(3)), ["relatime", "rw"]);
    }

    fn mounts_inside_are_shared_among_themselves_only() {
        let guest = Guest::build("mounts").start();
        for mount in guest.mountinfo() {
            assert_eq!(mount.propagation, "shared", "{mount:?}");
        }
        let host = fs::read_to_string("/proc/self/mountinfo").unwrap();
        guest.sh("mkdir /mnt/x; mount -t tmpfs tmpfs /mnt/x");
        assert_eq!(fs::read_to_string("/proc/self/mountinfo").unwrap(), host);
    }

    fn absolute_targets_are_below_the_rootfs() {
        let guest = Guest::build("mounts").make();
        let dir = source(&guest, "dir");
        guest.append(&format!(
            "lxc.mount.entry = {} {}/mnt none bind 0 0\nlxc.mount.entry = {} /nowhere none bind,create=dir 0 0",
            dir.display(), guest.rootfs().display(), dir.display(),
        ));
        guest.start();
        assert_eq!(guest.sh("cat /mnt/file"), "dir");
        assert_eq!(guest.sh("ls -d /nowhere 2>/dev/null || echo none"), "none\n");
    }

    fn escapes_in_entries() {
        let guest = Guest::build("mounts").make();
        let dir = source(&guest, "with space");
        let text = dir.to_str().unwrap().replace(' ', "\\040");
        guest.append(&format!("lxc.mount.entry = {text} mnt/a\\040b none bind,create=dir 0 0"));
        guest.start();
        assert_eq!(guest.sh("cat '/mnt/a b/file'"), "with space");
    }

    fn an_fstab_file() {
        let guest = Guest::build("mounts").make();
        let (dir, fstab) = (source(&guest, "dir"), guest.lxcpath().join("fstab"));
        fs::write(&fstab, format!("# a comment\n\n{} mnt none bind,ro 0 0\n", dir.display())).unwrap();
        guest.append(&format!("lxc.mount.fstab = {}", fstab.display()));
        guest.start();
        assert_eq!(guest.sh("cat /mnt/file"), "dir");
        assert!(on(&guest, "/mnt").unwrap().is_read_only());
    }

    fn a_missing_source_fails_the_start_and_leaves_nothing() {
        let guest = Guest::build("mounts").conf("lxc.mount.entry = /no/such/source mnt none bind 0 0").make();
        guest.try_start().exits(1).ok_on_stdout();
        guest.assert_nothing_left();
    }

    fn a_link_cannot_lead_out_of_the_rootfs() {
        let guest = Guest::build("mounts").make();
        let (dir, outside) = (source(&guest, "dir"), source(&guest, "outside"));
        std::os::unix::fs::symlink(&outside, guest.rootfs().join("mnt/link")).unwrap();
        guest.append(&format!("lxc.mount.entry = {} mnt/link none bind,optional 0 0", dir.display()));
        guest.try_start();
        assert_eq!(fs::read_to_string(outside.join("file")).unwrap(), "outside");
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(outside.to_str().unwrap()));
    }

    fn shmounts_propagate_into_the_container() {
        let guest = Guest::build("mounts").make();
        let dir = guest.lxcpath().join("shared");
        fs::create_dir(&dir).unwrap();
        guest.append(&format!("lxc.mount.auto = shmounts:{}", dir.display()));
        let started = guest.try_start();
        assert_eq!(started.code, 0, "{started}\n{}", guest.why());
        let target = on(&guest, "/dev/.lxc-mounts").unwrap();
        assert!(target.root.ends_with("/shared") || target.fstype == "tmpfs", "{target:?}");
    }

    fn the_root_is_the_rootfs_and_the_old_one_is_gone() {
        let guest = Guest::build("mounts").start();
        let all = guest.mountinfo();
        assert_eq!(all.iter().filter(|mount| mount.target == "/").count(), 1);
        assert!(all.iter().all(|mount| !mount.target.contains("rootfs")), "{all:#?}");
        guest.sh("touch /written");
        assert!(guest.rootfs().join("written").exists());
    }

    fn a_read_only_rootfs() {
        let guest = Guest::build("mounts").conf("lxc.rootfs.options = ro").start();
        assert!(on(&guest, "/").unwrap().is_read_only());
        guest.attach(["touch", "/x"]).exits(1).ok_on_stdout();
    }

    fn an_overlay_rootfs_keeps_the_lower_one_clean() {
        let guest = Guest::build("mounts").make();
        let text = fs::read_to_string(guest.config()).unwrap();
        let lower = guest.lxcpath().join("lower");
        fs::rename(guest.rootfs(), &lower).unwrap();
        fs::create_dir_all(guest.dir().join("overlay/delta")).unwrap();
        fs::create_dir_all(guest.dir().join("overlay/work")).unwrap();
        fs::create_dir_all(guest.rootfs()).unwrap();
        let old = format!("dir:{}", guest.rootfs().display());
        let new = format!("overlay:{}:{}", lower.display(), guest.dir().join("overlay/delta").display());
        fs::write(guest.config(), text.replace(&old, &new)).unwrap();
        guest.start();
        assert_eq!(on(&guest, "/").unwrap().fstype, "overlay");
        guest.sh("echo changed > /written");
        assert!(!lower.join("written").exists());
        assert_eq!(fs::read_to_string(guest.dir().join("overlay/delta/written")).unwrap(), "changed\n");
    }

    fn mounts_of_the_container_do_not_reach_the_host() {
        let guest = Guest::build("mounts").start();
        let before = fs::read_to_string("/proc/self/mountinfo").unwrap();
        guest.sh("mount -t tmpfs tmpfs /mnt");
        assert_eq!(fs::read_to_string("/proc/self/mountinfo").unwrap(), before);
    }
}
