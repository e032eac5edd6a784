//! The clone of init: the plan and the armed descriptors are lent to the child, then cloned away.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use lxc_child::Msg;
use lxc_child::joiner::{self, CLONE_PARENT, Joiner};
use lxc_child::script::{self, Console, Dev, Groups, Hook, InitScript, LsmLabel, Network, Program, Seccomp};
use lxc_child::sync::hear;
use lxc_conf::model::{HookKind, Ns};
use lxc_sys::clone::{Child, CloneArgs, SingleThreaded, into};
use lxc_sys::exec::Image;
use lxc_sys::pidfd;
use lxc_sys::signal::Mask;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::arm::{Armed, PtyMount, missing, stdio};
use super::report;
use crate::error::{Result, ResultExt, cstring};
use crate::hooks::program;
use crate::plan::script::{ChildHooks, devpts_params, nodes, symlinks};
use crate::plan::{ConsolePlan, Kind, StartPlan};

/// Clones init.
///
/// - Shape: `cgroup` is the unified payload cgroup to be born in; `entries` the files of the others.
/// - Context: monitor, single-threaded; payload cgroups exist.
pub(super) fn spawn(
    plan: &StartPlan,
    armed: &Armed,
    hooks: &ChildHooks,
    mask: Mask,
    cgroup: Option<BorrowedFd<'_>>,
    entries: &[OwnedFd],
) -> Result<Child> {
    let image = Image::new(plan.argv.clone(), plan.environment.clone());
    let start_program = plan.hooks_of(HookKind::Start).first().map(|hook| program(&hook.command));
    let start_program = start_program.map(|path| cstring(path.trim_start_matches('/'))).transpose()?;
    let mount_params: Vec<_> = plan.mounts.iter().map(crate::mounts::MountPlan::params).collect();
    let mounts: Vec<_> =
        plan.mounts.iter().zip(&mount_params).map(|(mount, params)| mount.op(params)).collect();
    let cgroup_params: Vec<_> = plan.cgroup_mounts.iter().map(crate::mounts::MountPlan::params).collect();
    let cgroup_mounts: Vec<_> =
        plan.cgroup_mounts.iter().zip(&cgroup_params).map(|(mount, params)| mount.op(params)).collect();
    let sysctls: Vec<_> =
        plan.sysctls.iter().map(|(path, value, _)| (path.as_c_str(), value.as_slice())).collect();
    let nodes = nodes(&plan.dev);
    let devpts = devpts_params(&plan.dev);
    let layers = plan.rootfs.layers();
    let (early, late) = armed.join_lists(plan);
    let entries: Vec<BorrowedFd<'_>> = entries.iter().map(AsFd::as_fd).collect();
    let pre_mount = lend(&hooks.pre_mount);
    let mount = lend(&hooks.mount);
    let autodev = lend(&hooks.autodev);
    let start = lend(&hooks.start);
    let console = match plan.dev.console {
        ConsolePlan::None => Console::None,
        ConsolePlan::Inside => Console::Inside,
        ConsolePlan::Host => {
            let pty = armed.console.as_ref().ok_or_else(|| missing("the console's pty was not opened"))?;
            match &pty.mount {
                PtyMount::Cloned(mount) => Console::Host { tty: pty.pts.as_fd(), mount: mount.as_fd() },
                PtyMount::Path(path) => Console::HostPath { tty: pty.pts.as_fd(), path },
            }
        }
    };
    let script = InitScript {
        sync: armed.sync.1.as_fd(),
        monitor: armed.monitor.as_fd(),
        proc: &armed.proc,
        mask,
        cgroup_entries: &entries,
        join: &late,
        unshare_late: plan.namespaces.late.iter().fold(0, |flags, ns| flags | ns.clone_flag()),
        time_offsets: &plan.time_offsets,
        become_root: plan.become_root,
        network: Network {
            send_socket: plan.network.needs_netlink(),
            raise_loopback: plan.network.child_raises_loopback(),
        },
        hooks: script::Hooks {
            pre_mount: &pre_mount,
            mount: &mount,
            autodev: &autodev,
            start: &start,
            output: armed.hook_output.as_ref().map(|(_, write)| write.as_fd()),
            start_program: start_program.as_deref(),
        },
        rootfs: plan.rootfs.script(&layers),
        hostname: plan.hostname.as_deref(),
        new_session_keyring: plan.new_session_keyring,
        keyring_label: plan
            .keyring_label
            .as_ref()
            .map(|label| LsmLabel { file: label.file, label: label.label.as_bytes() }),
        dev: Dev {
            tmpfs_size: plan.dev.tmpfs_size.as_deref(),
            nodes: &nodes,
            symlinks: symlinks(&plan.dev),
            devpts: devpts.as_ref().map(<[lxc_child::script::Param<'_>; 5]>::as_slice),
            console,
            tty_dir: plan.dev.tty_dir.as_deref(),
            ttys: plan.dev.ttys,
            has_rootfs: plan.rootfs.is_own(),
        },
        mounts: &mounts,
        cgroup_mounts: &cgroup_mounts,
        boot_id: plan.boot_id.as_deref(),
        personality: plan.personality,
        sysctls: &sysctls,
        drop_capabilities: plan.drop_capabilities,
        lsm: plan
            .lsm
            .label
            .as_ref()
            .map(|label| LsmLabel { file: label.file, label: label.label.as_bytes() }),
        no_new_privs: plan.no_new_privs,
        seccomp: armed
            .seccomp
            .as_ref()
            .map(|program| Seccomp { program: program.filter.as_slice(), notify: program.notify }),
        stdio: stdio(plan),
        cwd: plan.cwd.as_deref(),
        groups: match &plan.groups {
            Some(groups) => Groups::Set(groups),
            None => Groups::Keep,
        },
        ids: plan.ids,
        death_signal: plan.death_signal,
        program: match plan.kind {
            Kind::Start => Program::Exec(&image),
            Kind::Execute => Program::UnderMiniInit(&image),
        },
    };
    let token = SingleThreaded::check().what(|| "clone init from a process with several threads")?;
    let args = CloneArgs { flags: plan.namespaces.clone_flags(), cgroup };
    if early.is_empty() {
        return into(&token, &args, lxc_child::init, &script)
            .what(|| format!("clone init into new namespaces ({:#x})", args.flags));
    }
    let shared_cgroup = early.iter().any(|(_, kind)| *kind == Ns::Cgroup.clone_flag());
    let clone = CloneArgs {
        flags: args.flags | CLONE_PARENT,
        // Seen from another cgroup namespace the cgroup may be out of bounds; the monitor moves init then.
        cgroup: cgroup.filter(|_| !shared_cgroup),
    };
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .what(|| "make a socket pair to join namespaces")?;
    let joiner = Joiner { report: theirs.as_fd(), joins: &early, clone, init: &script };
    let transient = into(&token, &CloneArgs::default(), joiner::joiner, &joiner)
        .what(|| "clone a process to join namespaces")?;
    drop(theirs);
    let born = await_birth(plan, &ours);
    pidfd::reap(transient.pidfd.as_fd()).what(|| "wait for the process that joined namespaces")?;
    born
}

/// Hears of init from the process that joined namespaces for it.
fn await_birth(plan: &StartPlan, socket: &OwnedFd) -> Result<Child> {
    let mut fds = Vec::new();
    let heard = hear(socket.as_fd(), |fd| fds.push(fd)).what(|| "hear of the container's init")?;
    match (heard, fds.pop()) {
        (Some(Msg::Born { pid, in_cgroup }), Some(pidfd)) => Ok(Child { pid, pidfd, in_cgroup }),
        (Some(Msg::Fault(fault)), _) => Err(report::error(plan, fault)),
        _ => Err(missing("the process that joins namespaces died")),
    }
}

fn lend(images: &[Image]) -> Vec<Hook<'_>> {
    images.iter().map(|image| Hook { image }).collect()
}
