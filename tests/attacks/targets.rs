//! Places to mount on and to make things at that lead out of the container: links in every position, and links that come
//! and go while the start looks.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use testkit::{Guest, cases};

use crate::evidence::{MountWatch, Outside};

/// Starts a container whose file system was prepared by `plant`; whether it starts is its own business.
fn start_with(label: &str, conf: &str, plant: impl FnOnce(&Path, &Outside)) {
    let guest = Guest::build(label).conf(MountWatch::conf()).conf(conf).make();
    let outside = Outside::of(&guest);
    let watch = MountWatch::of(&guest);
    plant(&guest.rootfs(), &outside);
    let done = guest.try_start();
    outside.assert_untouched();
    watch.assert_nothing_outside();
    if done.code == 0 {
        guest.kill();
    }
    outside.assert_untouched();
    watch.assert_nothing_outside();
}

/// The link texts that lead from `depth` directories below the root to `to`.
fn ways_out(to: &Path, depth: usize) -> Vec<PathBuf> {
    let up = "../".repeat(depth + 12);
    let relative = PathBuf::from(up).join(to.strip_prefix("/").unwrap());
    vec![to.to_owned(), relative]
}

fn replace_by_link(place: &Path, to: &Path) {
    drop(fs::remove_dir_all(place));
    drop(fs::remove_file(place));
    symlink(to, place).unwrap();
}

const ENTRIES: [&str; 4] = [
    "lxc.mount.entry = tmpfs trap/x tmpfs rw,create=dir 0 0",
    "lxc.mount.entry = /etc/hostname trap/file none bind,create=file 0 0",
    "lxc.mount.entry = /home trap/new none bind,create=dir 0 0",
    "lxc.mount.entry = proc trap/proc proc create=dir 0 0",
];

cases! {
    fn cve_2015_1335_symlinked_mount_target() {
        // The last component is a link.
        for way in 0..2 {
            for entry in ["tmpfs trap tmpfs rw 0 0", "/home trap none bind,create=dir 0 0"] {
                start_with("last", &format!("lxc.mount.entry = {entry}"), |root, outside| {
                    replace_by_link(&root.join("trap"), &ways_out(&outside.baited.join("x"), 0)[way]);
                });
            }
            start_with("lastfile", "lxc.mount.entry = /etc/hostname trap none bind,create=file 0 0", |root, outside| {
                replace_by_link(&root.join("trap"), &ways_out(&outside.baited.join("file"), 0)[way]);
            });
        }
    }

    fn cve_2015_1335_symlink_on_the_way_to_a_mount_target() {
        for way in 0..2 {
            for entry in ENTRIES {
                start_with("mid", entry, |root, outside| {
                    replace_by_link(&root.join("trap"), &ways_out(&outside.baited, 0)[way]);
                });
            }
        }
    }

    fn cve_2015_1335_mounts_that_are_asked_for_by_the_configuration_of_the_host_work() {
        // What is no attack: links inside the root that stay inside, as every distribution has them.
        let guest = Guest::build("inner").conf("lxc.mount.entry = tmpfs var/run tmpfs rw,create=dir,optional 0 0").start();
        guest.sh("true");
        guest.kill();
    }

    fn cve_2024_45310_nothing_is_made_outside_through_a_link() {
        for way in 0..2 {
            for entry in ENTRIES {
                start_with("make", entry, |root, outside| {
                    replace_by_link(&root.join("trap"), &ways_out(&outside.empty, 0)[way]);
                });
            }
            // Dangling: the place it names would be made.
            start_with("dangle", "lxc.mount.entry = /etc/hostname trap none bind,create=file 0 0", |root, outside| {
                replace_by_link(&root.join("trap"), &ways_out(&outside.empty.join("made"), 0)[way]);
            });
            start_with("dangledir", "lxc.mount.entry = tmpfs trap tmpfs create=dir 0 0", |root, outside| {
                replace_by_link(&root.join("trap"), &ways_out(&outside.empty.join("made"), 0)[way]);
            });
        }
    }

    fn cve_2015_1335_symlinked_proc() {
        for auto in ["proc:mixed", "proc:rw", "proc"] {
            start_with("proc", &format!("lxc.mount.auto =\nlxc.mount.auto = {auto}"), |root, outside| {
                replace_by_link(&root.join("proc"), &outside.baited.join("proc"));
            });
        }
    }

    fn cve_2015_1335_symlinked_sys() {
        for auto in ["sys:mixed", "sys:ro", "sys:rw cgroup:mixed", "sys:ro cgroup-full:mixed"] {
            start_with("sys", &format!("lxc.mount.auto =\nlxc.mount.auto = proc {auto}"), |root, outside| {
                replace_by_link(&root.join("sys"), &outside.baited.join("sys"));
            });
        }
    }

    fn cve_2019_19921_proc_that_leads_elsewhere_in_the_root_is_refused() {
        // A volume of the attacker's under the name of /proc, so that labels are written into it.
        let guest = Guest::build("procvol").conf("lxc.mount.auto =\nlxc.mount.auto = proc:mixed").make();
        fs::create_dir_all(guest.rootfs().join("evil/self/attr")).unwrap();
        replace_by_link(&guest.rootfs().join("proc"), Path::new("/evil"));
        let done = guest.try_start();
        assert_ne!(done.code, 0, "a start whose /proc is a link: {done}");
    }

    fn cve_2015_1335_symlinked_lxcpath_works() {
        let guest = Guest::build("lxcpath").make();
        let link = guest.lxcpath().join("link");
        symlink(guest.lxcpath(), &link).unwrap();
        let config = fs::read_to_string(guest.config()).unwrap();
        let through = config.replace(guest.lxcpath().to_str().unwrap(), link.to_str().unwrap());
        assert_ne!(config, through);
        fs::write(guest.config(), through).unwrap();
        guest.start();
        assert_eq!(guest.sh("echo inside"), "inside\n");
        guest.kill();
    }

    fn cve_2026_48749_a_rootfs_that_is_a_link_is_not_started() {
        // An image that was unpacked as a link to the host's root; with a hook, and without.
        for conf in ["", "lxc.hook.pre-start = /bin/true"] {
            let guest = Guest::build("rootfslink").conf(conf).conf("lxc.init.cmd = /bin/true").make();
            fs::remove_dir_all(guest.rootfs()).unwrap();
            let host = guest.lxcpath().join("host");
            testkit::rootfs::make(&host, testkit::rootfs::Init::Script);
            symlink(&host, guest.rootfs()).unwrap();
            let done = guest.tool("lxc-execute").args(["--", "/bin/touch", "/reached"]).done();
            assert!(done.code != 0 && !host.join("reached").exists(), "{done}");
            let done = guest.try_start();
            assert_ne!(done.code, 0, "{done}");
        }
    }

    fn cve_2015_1335_symlinks_on_the_way_to_cgroup_mounts() {
        for place in ["sys", "sys/fs", "sys/fs/cgroup"] {
            for auto in ["cgroup:mixed:force", "cgroup-full:ro:force"] {
                start_with("cglink", &format!("lxc.mount.auto =\nlxc.mount.auto = proc:mixed {auto}"), |root, outside| {
                    fs::create_dir_all(root.join(place)).unwrap();
                    replace_by_link(&root.join(place), &outside.baited.join(place.trim_start_matches("sys/")));
                });
            }
        }
    }

    fn cve_2021_30465_raced_removal() {
        // A directory of the container is a link now and then while its tree is removed.
        for round in 0..20 {
            let guest = Guest::build("racedrm").make();
            let outside = Outside::of(&guest);
            let root = guest.rootfs();
            for number in 0..40 {
                fs::create_dir_all(root.join(format!("trap/d{number}/e"))).unwrap();
                fs::write(root.join(format!("trap/d{number}/file")), "x").unwrap();
            }
            let link = if round % 2 == 0 { outside.baited.clone() } else { outside.baited.join("fs") };
            let places = (root.join("trap"), root.join("swap"));
            symlink(link, &places.1).unwrap();
            let stop = Arc::new(AtomicBool::new(false));
            let stopped = Arc::clone(&stop);
            let thread = std::thread::spawn(move || {
                // Ends when there is nothing left to exchange.
                while !stopped.load(Ordering::Relaxed)
                    && renameat_with(CWD, &places.0, CWD, &places.1, RenameFlags::EXCHANGE).is_ok()
                {}
            });
            let _ = guest.tool("lxc-destroy").done();
            stop.store(true, Ordering::Relaxed);
            thread.join().unwrap();
            // The original loses this race in some runs and not in others, which no list can say.
            if guest.subject().is_ours() {
                outside.assert_untouched();
            }
        }
    }

    fn cve_2026_48749_destroying_a_symlinked_rootfs_spares_what_it_leads_to() {
        let guest = Guest::build("rootlink").make();
        let outside = Outside::of(&guest);
        fs::remove_dir_all(guest.rootfs()).unwrap();
        symlink(&outside.baited, guest.rootfs()).unwrap();
        // Refused or done, but never done to what is behind the link.
        let _ = guest.tool("lxc-destroy").done();
        outside.assert_untouched();
    }

    fn cve_2021_30465_raced_mount_target() {
        let entries = ENTRIES.map(|entry| entry.replace("create=", "optional,create=")).join("\n");
        race("raced", &entries, "trap", STARTS);
    }

    fn cve_2024_45310_raced_creation() {
        let entries = "lxc.mount.entry = /etc/hostname trap/sub/a/file none bind,optional,create=file 0 0\n\
                       lxc.mount.entry = tmpfs trap/sub/b/c/d tmpfs optional,create=dir 0 0";
        race("racedmk", entries, "trap", STARTS / 4);
    }

    fn cve_2021_30465_raced_proc_and_sys() {
        race("racedpr", "lxc.mount.auto =\nlxc.mount.auto = proc:mixed sys:mixed", "proc", STARTS / 8);
        race("racedsy", "lxc.mount.auto =\nlxc.mount.auto = proc:mixed sys:mixed", "sys", STARTS / 8);
    }
}

/// How many starts a race gets to be lost in.
const STARTS: usize = 200;

/// Lets `place` be a directory and a link out of the root in turn, as fast as the kernel goes, during `starts` starts.
fn race(label: &str, conf: &str, place: &str, starts: usize) {
    let guest = Guest::build(label).conf(MountWatch::conf()).conf(conf).make();
    let outside = Outside::of(&guest);
    let watch = MountWatch::of(&guest);
    let root = guest.rootfs();
    for link in [&outside.baited, &outside.empty] {
        fs::create_dir_all(root.join(place)).unwrap();
        let start = || guest.tool("lxc-execute").args(["--", "/bin/true"]).done();
        // The race is lost on purpose often enough, by some in each of its starts; the configuration must be right.
        start().exits(0).ok();
        let swapper = Swapper::start(root.join(place), root.join("swap"), link.clone());
        for _ in 0..starts / 2 {
            start();
        }
        let swaps = swapper.stop();
        // A race nobody ran proves nothing.
        assert!(swaps > starts as u64 * 100, "only {swaps} exchanges");
        outside.assert_untouched();
        watch.assert_nothing_outside();
    }
    assert!(watch.starts() > 0, "no start came as far as its mounts");
}

/// Exchanges a directory and a link without pause (renameat2(2), `RENAME_EXCHANGE`).
struct Swapper {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
    places: (PathBuf, PathBuf),
}

impl Swapper {
    fn start(place: PathBuf, other: PathBuf, link: PathBuf) -> Swapper {
        drop(fs::remove_file(&other));
        symlink(link, &other).unwrap();
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counted, places) = (Arc::clone(&stop), Arc::clone(&count), (place, other));
        let (one, two) = places.clone();
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                renameat_with(CWD, &one, CWD, &two, RenameFlags::EXCHANGE).unwrap();
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        Swapper { stop, count, thread: Some(thread), places }
    }

    /// Ends with the directory in its place; gives the number of exchanges.
    fn stop(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        let (place, other) = &self.places;
        if place.is_symlink() {
            renameat_with(CWD, place, CWD, other, RenameFlags::EXCHANGE).unwrap();
        }
        fs::remove_file(other).unwrap();
        self.count.load(Ordering::Relaxed)
    }
}

impl Drop for Swapper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
