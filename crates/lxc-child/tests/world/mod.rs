//! A mount namespace for one test: a thread of its own, in which only this test's mounts exist besides the machine's.
//!
//! unshare(2) with CLONE_NEWNS concerns the calling thread alone, so tests run in parallel. Everything the test creates is
//! on a tmpfs that nobody else sees and that goes with the thread. Needs CAP_SYS_ADMIN (root, or `unshare -rmn`).
#![allow(dead_code, reason = "each test binary uses its part")]

use std::ffi::CString;
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use lxc_child::mounts;
use lxc_child::script::{Create, MountKind, MountOp, Param, Propagation, Resolve};
use lxc_sys::mount::MountAttr;
use lxc_sys::ns;
use lxc_sys::rustix::fs::{CWD, Mode, OFlags, openat};
use lxc_sys::rustix::io::Errno;
use lxc_sys::rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};

pub(crate) const NEWNS: u64 = 0x0002_0000;
pub(crate) const NEWUTS: u64 = 0x0400_0000;
pub(crate) const NEWNET: u64 = 0x4000_0000;

/// A directory that is a container's root (`root`), and one that is the host's (`host`), on a fresh tmpfs.
pub(crate) struct World {
    base: PathBuf,
    root: OwnedFd,
}

/// Runs `test` in a thread with new namespaces `kinds`; mounts in them are private.
pub(crate) fn in_namespaces(kinds: u64, test: impl FnOnce(&World) + Send + 'static) {
    let name = std::thread::current().name().unwrap_or("test").to_owned();
    let run = move || {
        ns::unshare(kinds | NEWNS)
            .expect("these tests need CAP_SYS_ADMIN: run them as root or under `unshare -rmn`");
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
            .expect("make / private");
        test(&World::new());
    };
    let thread = std::thread::Builder::new().name(name).spawn(run).expect("thread");
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// As [`in_namespaces`] with a mount namespace only.
pub(crate) fn in_world(test: impl FnOnce(&World) + Send + 'static) {
    in_namespaces(0, test);
}

impl World {
    fn new() -> World {
        let base = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        mount("tmpfs", &base, "tmpfs", MountFlags::empty(), None).expect("mount the test's tmpfs");
        for dir in ["root", "host"] {
            fs::create_dir(base.join(dir)).expect("mkdir");
        }
        let root = directory(&base.join("root"));
        World { base, root }
    }

    /// The container's root directory.
    pub(crate) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// A path below the container's root, as the host sees it.
    pub(crate) fn inside(&self, path: &str) -> PathBuf {
        self.base.join("root").join(path)
    }

    /// A path of the test's host.
    pub(crate) fn host(&self, path: &str) -> PathBuf {
        self.base.join("host").join(path)
    }

    pub(crate) fn mkdir_inside(&self, path: &str) {
        fs::create_dir_all(self.inside(path)).expect("mkdir");
    }

    /// A directory of the host with one file `marker`.
    pub(crate) fn source(&self, name: &str) -> CString {
        let dir = self.host(name);
        fs::create_dir_all(&dir).expect("mkdir");
        fs::write(dir.join("marker"), name).expect("write");
        text(&dir)
    }

    /// What `marker` in a directory inside says: which source is mounted there.
    pub(crate) fn marker(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.inside(path).join("marker")).ok()
    }

    /// The mounts of this thread on a path below the container's root, oldest first.
    pub(crate) fn mounts_on(&self, path: &str) -> Vec<Mount> {
        let point = self.inside(path);
        mountinfo().into_iter().filter(|mount| Path::new(&mount.point) == point).collect()
    }

    /// The one mount on a path; panics unless it is exactly one.
    pub(crate) fn mount_on(&self, path: &str) -> Mount {
        let mut mounts = self.mounts_on(path);
        assert_eq!(mounts.len(), 1, "mounts on {path}: {mounts:?}");
        mounts.remove(0)
    }

    /// No mount is below the container's root at all.
    pub(crate) fn is_empty(&self) -> bool {
        let root = self.base.join("root");
        mountinfo().iter().all(|mount| !Path::new(&mount.point).starts_with(&root))
    }

    pub(crate) fn one(&self, op: &MountOp<'_>) -> Result<(), Errno> {
        mounts::one(self.root(), op)
    }
}

/// One line of mountinfo.
#[derive(Debug)]
pub(crate) struct Mount {
    pub(crate) point: String,
    pub(crate) options: String,
    pub(crate) propagation: String,
    pub(crate) fstype: String,
    pub(crate) source: String,
    pub(crate) super_options: String,
}

impl Mount {
    pub(crate) fn has(&self, option: &str) -> bool {
        self.options.split(',').any(|word| word == option)
    }
}

/// The mounts of the calling thread's namespace (`/proc/self` is the main thread's).
pub(crate) fn mountinfo() -> Vec<Mount> {
    let text = fs::read_to_string("/proc/thread-self/mountinfo").expect("mountinfo");
    let parse = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let before: Vec<&str> = before.split(' ').collect();
        let after: Vec<&str> = after.split(' ').collect();
        Some(Mount {
            point: (*before.get(4)?).to_owned(),
            options: (*before.get(5)?).to_owned(),
            propagation: before.get(6..)?.join(" "),
            fstype: (*after.first()?).to_owned(),
            source: (*after.get(1)?).to_owned(),
            super_options: (*after.get(2)?).to_owned(),
        })
    };
    text.lines().map(|line| parse(line).expect("a mountinfo line")).collect()
}

pub(crate) fn directory(path: &Path) -> OwnedFd {
    openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .expect("open directory")
}

pub(crate) fn text(path: &Path) -> CString {
    CString::new(path.to_str().expect("utf-8")).expect("no NUL")
}

/// An operation with nothing special about it.
pub(crate) fn op<'a>(kind: MountKind<'a>, target: &'a std::ffi::CStr) -> MountOp<'a> {
    MountOp {
        kind,
        target,
        resolve: Resolve::InRoot,
        create: Create::No,
        optional: false,
        attr: MountAttr::default(),
        propagation: Propagation::Default,
    }
}

/// A tmpfs.
pub(crate) fn tmpfs<'a>(params: &'a [Param<'a>]) -> MountKind<'a> {
    MountKind::Fs { fstype: c"tmpfs", source: c"from-test", params, read_only: false }
}
