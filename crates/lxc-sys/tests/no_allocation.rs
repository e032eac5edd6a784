//! Between clone and exec nothing is allocated: an allocator that ends any process but the test's own watches whole starts.
//!
//! The child of a clone has one thread and a copy of the heap in whatever state the other threads' locks were; an
//! allocation there may hang for ever. So the rule of `lxc-child` is checked, not trusted. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::{CStr, CString};
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, Ordering};

use lxc_child::script::{
    Console, Create, Dev, DevNode, Groups, Hook, Hooks, InitScript, MountKind, MountOp, Network, Param,
    Program, Propagation, Resolve, Rootfs, Seccomp, Stdio,
};
use lxc_child::sync::{hear, tell};
use lxc_child::{Fault, Milestone, Msg, Step};
use lxc_sys::clone::{CloneArgs, SingleThreaded, exit_now, into};
use lxc_sys::cred::{Personality, SockFilter};
use lxc_sys::exec::Image;
use lxc_sys::mount::{MountAttr, attr};
use lxc_sys::pidfd::{Exit, reap};
use lxc_sys::proc::ProcFs;
use lxc_sys::rustix;
use lxc_sys::signal::Mask;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

/// How a process that allocated ends.
const ALLOCATED: i32 = 134;

/// The only process that may allocate; 0 before the first clone.
static ALLOWED: AtomicI32 = AtomicI32::new(0);

struct Watch;

fn check() {
    let allowed = ALLOWED.load(Ordering::Relaxed);
    if allowed != 0 && rustix::process::getpid().as_raw_nonzero().get() != allowed {
        exit_now(ALLOCATED);
    }
}

// SAFETY: every call is handed to `System` unchanged, or the process ends.
unsafe impl GlobalAlloc for Watch {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        check();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        check();
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        check();
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static WATCH: Watch = Watch;

fn watch() {
    ALLOWED.store(rustix::process::getpid().as_raw_nonzero().get(), Ordering::Relaxed);
}

const NEWNS: u64 = 0x0002_0000;
const NEWUTS: u64 = 0x0400_0000;
const NEWIPC: u64 = 0x0800_0000;
const NEWUSER: u64 = 0x1000_0000;
const NEWPID: u64 = 0x2000_0000;
const NEWNET: u64 = 0x4000_0000;
const NEWCGROUP: u64 = 0x0200_0000;
const NEWTIME: u64 = 0x80;

/// A root file system of one static busybox and a directory to mount it on; removed when dropped.
struct Tree {
    base: PathBuf,
    root: CString,
    mount: CString,
}

impl Tree {
    fn new(name: &str) -> Tree {
        let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        for dir in [
            "root/bin",
            "root/dev",
            "root/proc",
            "root/sys",
            "root/tmp",
            "root/etc",
            "mnt",
            "lower",
            "upper",
            "work",
        ] {
            fs::create_dir_all(base.join(dir)).unwrap();
        }
        let busybox = ["/usr/bin/busybox", "/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
        fs::copy(busybox.expect("busybox-static is installed"), base.join("root/bin/busybox")).unwrap();
        for applet in ["sh", "true"] {
            symlink("busybox", base.join("root/bin").join(applet)).unwrap();
        }
        let text = |path: &str| CString::new(base.join(path).to_str().unwrap()).unwrap();
        let (root, mount) = (text("root"), text("mnt"));
        Tree { base, root, mount }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.base);
    }
}

/// Descriptors every start needs.
struct Wires {
    ours: OwnedFd,
    theirs: OwnedFd,
    monitor: OwnedFd,
    proc: ProcFs,
    output: (OwnedFd, OwnedFd),
}

fn wires() -> Wires {
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
    let monitor =
        rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty()).unwrap();
    let output = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    Wires { ours, theirs, monitor, proc: ProcFs::open().unwrap(), output }
}

/// A script that does as little as possible.
fn least<'a>(wires: &'a Wires, rootfs: Rootfs<'a>, program: Program<'a>) -> InitScript<'a> {
    InitScript {
        sync: wires.theirs.as_fd(),
        monitor: wires.monitor.as_fd(),
        proc: &wires.proc,
        mask: Mask::EMPTY,
        cgroup_entries: &[],
        join: &[],
        unshare_late: 0,
        time_offsets: &[],
        become_root: None,
        network: Network { send_socket: false, raise_loopback: false },
        hooks: Hooks::default(),
        rootfs,
        hostname: None,
        new_session_keyring: false,
        keyring_label: None,
        dev: Dev {
            tmpfs_size: None,
            nodes: &[],
            symlinks: &[],
            devpts: None,
            console: Console::None,
            tty_dir: None,
            ttys: 0,
            has_rootfs: true,
        },
        mounts: &[],
        cgroup_mounts: &[],
        boot_id: None,
        personality: None,
        sysctls: &[],
        drop_capabilities: 0,
        lsm: None,
        no_new_privs: false,
        seccomp: None,
        stdio: Stdio::Null,
        cwd: None,
        groups: Groups::Keep,
        ids: (0, 0),
        death_signal: 9,
        program,
    }
}

/// Everything a start said, and how it ended.
#[derive(Debug)]
struct Story {
    said: Vec<Msg>,
    fds: usize,
    exit: Exit,
}

/// Plays the monitor for one start.
fn start(flags: u64, script: &InitScript<'_>, wires: &Wires) -> Story {
    watch();
    let child =
        into(&SingleThreaded::after_clone(), &CloneArgs { flags, cgroup: None }, lxc_child::init, script)
            .unwrap();
    let (mut said, mut fds) = (Vec::new(), 0);
    // The child's end is open here too (the script borrows it), so its death is what ends the conversation.
    loop {
        use rustix::event::{PollFd, PollFlags, poll};
        let mut polled = [PollFd::new(&wires.ours, PollFlags::IN), PollFd::new(&child.pidfd, PollFlags::IN)];
        poll(&mut polled, None).unwrap();
        if polled[0].revents().is_empty() {
            break;
        }
        let msg = hear(wires.ours.as_fd(), |_| fds += 1).unwrap().expect("the test holds the other end too");
        said.push(msg);
        let go = match msg {
            Msg::Reached(Milestone::Cloned) => {
                if flags & NEWUSER != 0 {
                    for map in ["uid_map", "gid_map"] {
                        fs::write(format!("/proc/{}/{map}", child.pid), "0 0 65536\n").unwrap();
                    }
                }
                Some(Milestone::Cloned)
            }
            Msg::Reached(Milestone::Mapped) => Some(Milestone::Configured),
            Msg::Reached(Milestone::Mounted) => Some(Milestone::Mounted),
            _ => None,
        };
        if let Some(milestone) = go {
            tell(wires.ours.as_fd(), Msg::Go(milestone), &[]).unwrap();
        }
    }
    Story { said, fds, exit: reap(child.pidfd.as_fd()).unwrap() }
}

fn op<'a>(kind: MountKind<'a>, target: &'a CStr) -> MountOp<'a> {
    MountOp {
        kind,
        target,
        resolve: Resolve::InRoot,
        create: Create::Dir,
        optional: false,
        attr: MountAttr::default(),
        propagation: Propagation::Default,
    }
}

fn shell(line: &CStr) -> Image {
    Image::new(vec![c"/bin/sh".into(), c"-c".into(), line.to_owned()], vec![c"PATH=/bin:/usr/bin".into()])
}

const NODES: [DevNode<'static>; 1] =
    [DevNode { name: c"null", major: 1, minor: 3, mode: 0o666, host: c"/dev/null" }];
const DEVPTS: [Param<'static>; 3] =
    [Param::Flag(c"newinstance"), Param::String(c"ptmxmode", c"0666"), Param::String(c"gid", c"5")];

fn dev() -> Dev<'static> {
    Dev {
        tmpfs_size: Some(c"65536"),
        nodes: &NODES,
        symlinks: &[(c"/proc/self/fd", c"fd")],
        devpts: Some(&DEVPTS),
        console: Console::Inside,
        tty_dir: Some(c"lxc"),
        ttys: 30,
        has_rootfs: true,
    }
}

#[test]
fn a_start_that_does_everything_allocates_nothing() {
    let (tree, wires) = (Tree::new("everything"), wires());
    let image = Image::new(vec![c"busybox".into(), c"true".into()], vec![c"PATH=/nowhere:/bin".into()]);
    let hook = shell(c"exit 0");
    let hooks = [Hook { image: &hook }, Hook { image: &hook }];
    let long =
        CString::new(format!("lowerdir={0}/lower,upperdir={0}/upper,workdir={0}/work", tree.base.display()))
            .unwrap();
    let proc = MountKind::Fs { fstype: c"proc", source: c"proc", params: &[], read_only: false };
    let tmpfs_params = [Param::String(c"size", c"64k"), Param::Word(c"bogus")];
    let tmpfs = MountKind::Fs { fstype: c"tmpfs", source: c"none", params: &tmpfs_params, read_only: false };
    let mounts = [
        MountOp { attr: MountAttr::setting(attr::NOSUID), resolve: Resolve::NoSymlinks, ..op(proc, c"proc") },
        op(tmpfs, c"run/deep/down"),
        MountOp {
            create: Create::File,
            ..op(MountKind::Bind { source: c"/etc/passwd", recursive: false }, c"etc/a/b")
        },
        MountOp {
            optional: true,
            ..op(MountKind::Bind { source: c"/nonexistent", recursive: true }, c"tmp")
        },
        op(MountKind::BindInside { source: c"bin", recursive: false }, c"usr/bin"),
        op(MountKind::Classic { fstype: c"overlay", source: c"o", flags: 0, data: &long }, c"over"),
        MountOp { propagation: Propagation::Top(1 << 18), ..op(MountKind::Change, c"over") },
        op(MountKind::Symlink { to: c"b" }, c"etc/link"),
        op(MountKind::Directory, c"made/here"),
    ];
    let ipc = fs::File::open("/proc/self/ns/ipc").unwrap();
    let join = [(ipc.as_fd(), NEWIPC)];
    let entry = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let entries = [entry.1.as_fd()];
    let sysctls: [(&CStr, &[u8]); 1] = [(c"sys/kernel/domainname", b"nothing")];
    let allow = [SockFilter { code: 6, jump_true: 0, jump_false: 0, k: 0x7fff_0000 }];
    let rootfs =
        Rootfs::Dir { source: &tree.root, mount: &tree.mount, attr: MountAttr::setting(attr::NODEV) };
    let script = InitScript {
        cgroup_entries: &entries,
        join: &join,
        unshare_late: NEWCGROUP | NEWTIME,
        time_offsets: b"boottime 7 0\n",
        network: Network { send_socket: true, raise_loopback: true },
        hooks: Hooks {
            pre_mount: &hooks,
            mount: &hooks,
            autodev: &hooks,
            start: &hooks,
            output: Some(wires.output.1.as_fd()),
            start_program: Some(c"bin/sh"),
        },
        hostname: Some(c"inside"),
        new_session_keyring: true,
        dev: dev(),
        mounts: &mounts,
        cgroup_mounts: &[],
        boot_id: Some(b"11111111-2222-4333-8444-555555555555\n"),
        personality: Some(Personality::Linux),
        sysctls: &sysctls,
        drop_capabilities: 1 << 16 | 1 << 25,
        no_new_privs: true,
        seccomp: Some(Seccomp { program: &allow, notify: false }),
        stdio: Stdio::Console,
        cwd: Some(c"/home/of/nobody"),
        groups: Groups::Set(&[4, 5]),
        ids: (1000, 1001),
        death_signal: 15,
        ..least(&wires, rootfs, Program::Exec(&image))
    };
    let story = start(NEWNS | NEWPID | NEWUTS | NEWNET, &script, &wires);
    assert_eq!(story.exit, Exit::Code(0), "{story:?}");
    let reached: Vec<Milestone> =
        story.said.iter().filter_map(|msg| if let Msg::Reached(m) = msg { Some(*m) } else { None }).collect();
    assert_eq!(
        reached,
        [Milestone::Cloned, Milestone::Mapped, Milestone::Mounted, Milestone::Ready],
        "{story:?}"
    );
    let notes: Vec<&Fault> = story
        .said
        .iter()
        .filter_map(|msg| if let Msg::Note(fault) = msg { Some(fault) } else { None })
        .collect();
    assert!(matches!(notes[..], [Fault { step: Step::Mount, item: 3, .. }]), "{notes:?}");
    // The route socket, devpts, both ends of the console and of every tty.
    assert_eq!(story.fds, 1 + 1 + 2 + 2 * 30, "{story:?}");
}

#[test]
fn a_start_in_a_user_namespace_allocates_nothing() {
    let (tree, wires) = (Tree::new("user"), wires());
    let image = Image::new(vec![c"/bin/true".into()], vec![]);
    let rootfs = Rootfs::Dir { source: &tree.root, mount: &tree.mount, attr: MountAttr::default() };
    let script = InitScript {
        become_root: Some((0, 0)),
        dev: dev(),
        groups: Groups::Set(&[]),
        cwd: Some(c"/"),
        ..least(&wires, rootfs, Program::UnderMiniInit(&image))
    };
    let story = start(NEWUSER | NEWNS | NEWPID | NEWUTS | NEWIPC | NEWNET, &script, &wires);
    assert_eq!(story.exit, Exit::Code(0), "{story:?}");
    assert_eq!(story.said.last(), Some(&Msg::Reached(Milestone::Ready)), "{story:?}");
}

#[test]
fn a_failing_start_allocates_nothing_either() {
    let (tree, wires) = (Tree::new("fault"), wires());
    let image = Image::new(vec![c"/bin/true".into()], vec![]);
    let bad_hook = shell(c"echo no; exit 3");
    let hooks = [Hook { image: &bad_hook }];
    let good = || Rootfs::Dir { source: &tree.root, mount: &tree.mount, attr: MountAttr::default() };
    let missing = Image::new(vec![c"/no/such/init".into()], vec![]);
    let nowhere = Rootfs::Dir { source: c"/nonexistent", mount: &tree.mount, attr: MountAttr::default() };
    let bad_mount = [op(MountKind::Bind { source: c"/nonexistent", recursive: false }, c"tmp")];
    let hook_run = Hooks { start: &hooks, output: Some(wires.output.1.as_fd()), ..Hooks::default() };
    for (step, script) in [
        (Step::Rootfs, least(&wires, nowhere, Program::Exec(&image))),
        (Step::Mount, InitScript { mounts: &bad_mount, ..least(&wires, good(), Program::Exec(&image)) }),
        (Step::StartHook, InitScript { hooks: hook_run, ..least(&wires, good(), Program::Exec(&image)) }),
        (Step::Exec, least(&wires, good(), Program::Exec(&missing))),
    ] {
        let story = start(NEWNS | NEWPID, &script, &wires);
        assert_eq!(story.exit, Exit::Code(1), "{step:?}: {story:?}");
        let Some(Msg::Fault(fault)) = story.said.last() else { panic!("{step:?}: {story:?}") };
        assert_eq!(fault.step, step);
    }
}

extern "C" fn allocate(words: &[&str; 2]) -> ! {
    let joined = words.join(" ");
    exit_now(i32::from(joined.is_empty()))
}

#[test]
fn the_watch_notices_an_allocation() {
    watch();
    let child =
        into(&SingleThreaded::after_clone(), &CloneArgs::default(), allocate, &["not", "allowed"]).unwrap();
    assert_eq!(reap(child.pidfd.as_fd()), Ok(Exit::Code(ALLOCATED)));
}
