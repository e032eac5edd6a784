//! Turns a child's fault into words: the step, the object, the errno, the configuration line and the cure.

use std::path::Path;

use lxc_child::{Fault, Step};
use lxc_conf::model::HookKind;
use rustix::io::Errno;

use crate::error::{Error, ErrorKind};
use crate::hooks::run::child_hook_failed;
use crate::mounts::MountKind;
use crate::plan::StartPlan;
use crate::rootfs::RootfsPlan;

/// The error a fault stands for.
pub(super) fn error(plan: &StartPlan, fault: Fault) -> Error {
    let hook = |kind: HookKind| match (plan.hooks_of(kind).get(fault.item as usize), fault.errno) {
        (Some(hook), status) if status <= 0 => child_hook_failed(hook, -status),
        (Some(hook), _) => {
            kernel(fault, format!("run lxc.hook.{} {}", kind.word(), hook.command)).at(&hook.origin)
        }
        (None, _) => kernel(fault, format!("run a lxc.hook.{} hook", kind.word())),
    };
    match fault.step {
        Step::PreMountHook => hook(HookKind::PreMount),
        Step::MountHook => hook(HookKind::Mount),
        Step::AutodevHook => hook(HookKind::Autodev),
        Step::StartHook => hook(HookKind::Start),
        Step::StartHookMissing => {
            let hook = plan.hooks_of(HookKind::Start).first();
            let program = hook.map_or("", |hook| crate::hooks::program(&hook.command));
            let error = kernel(fault, format!("find the start hook {program} inside the container"));
            match hook {
                Some(hook) => {
                    error.at(&hook.origin).cure("start hooks run inside the container: put the script there")
                }
                None => error,
            }
        }
        Step::Mount => mount(plan, fault),
        Step::Rootfs | Step::RootfsOptions => rootfs(plan, fault),
        Step::JoinNamespace => match plan
            .namespaces
            .join
            .iter()
            .find(|join| lxc_child::joiner::join_item(join.ns.clone_flag()) == fault.item)
        {
            Some(join) => {
                kernel(fault, format!("join the {} namespace of {}", join.ns.word(), join.target.value))
                    .at(&join.target.origin)
            }
            None => kernel(fault, "join a namespace"),
        },
        Step::Sysctl => match plan.sysctls.get(fault.item as usize) {
            Some((path, value, origin)) => kernel(
                fault,
                format!("write {:?} to /proc/{}", String::from_utf8_lossy(value), path.to_string_lossy()),
            )
            .at(origin),
            None => kernel(fault, "write a sysctl"),
        },
        Step::RootfsLayer => {
            let layer = match &plan.rootfs {
                RootfsPlan::Overlay { layers, .. } => layers.get(fault.item as usize),
                _ => None,
            };
            let layer = layer.map_or("a tmpfs".into(), |(_, source)| source.to_string_lossy());
            kernel(fault, format!("attach {layer} for the overlay root file system"))
        }
        Step::Clone => {
            let flags = plan.namespaces.clone_flags();
            kernel(fault, format!("clone init into new namespaces ({flags:#x}), from those it shares"))
        }
        Step::Exec => exec(plan, fault),
        Step::Cwd => {
            let cwd = plan.cwd.as_ref().map(|cwd| cwd.to_string_lossy().into_owned()).unwrap_or_default();
            kernel(fault, format!("enter the working directory {cwd} (lxc.init.cwd)"))
        }
        Step::Ids => kernel(fault, format!("become uid {} gid {}", plan.ids.0, plan.ids.1))
            .cure("lxc.init.uid and lxc.init.gid must be mapped by lxc.idmap"),
        Step::Hostname => {
            let name =
                plan.hostname.as_ref().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            kernel(fault, format!("set the host name {name}"))
        }
        Step::LsmLabel => {
            let label = plan.lsm.label.as_ref().map(|label| label.label.clone()).unwrap_or_default();
            kernel(fault, format!("set the security label {label:?}")).cure(
                "it must be known to the kernel (AppArmor: aa-status; SELinux: seinfo), and the starter's own label must \
                 allow the change",
            )
        }
        Step::Tty => kernel(fault, format!("make tty {}", fault.item)),
        Step::Capabilities if fault.item == 100 => kernel(fault, "make capabilities not inheritable"),
        Step::Capabilities if fault.item == 101 => kernel(fault, "pass capabilities on to hooks"),
        Step::Capabilities => kernel(fault, format!("drop capability number {}", fault.item)),
        step => kernel(fault, plain(step)),
    }
}

/// What the steps that need nothing from the plan are called.
fn plain(step: Step) -> &'static str {
    match step {
        Step::Protocol => "talk to the monitor",
        Step::DieWithMonitor => "tie the container's life to the monitor's",
        Step::SignalMask => "set the signal mask",
        Step::UnshareNamespaces => "make the network, cgroup or time namespace",
        Step::TimeOffsets => "set the time namespace's offsets",
        Step::BecomeRoot => "become root of the user namespace",
        Step::NetlinkSocket => "open a netlink socket in the container",
        Step::Loopback => "bring up the loopback interface",
        Step::MakeSlave => "make the host's mounts slaves",
        Step::Keyring => "make a session keyring",
        Step::DevTmpfs => "mount a tmpfs on the container's /dev",
        Step::DevNode => "make the device nodes in /dev",
        Step::DevSymlink => "make the symlinks in /dev",
        Step::Devpts => "mount devpts on /dev/pts",
        Step::Console => "set up /dev/console",
        Step::Pivot => "make the container's root file system the root",
        Step::BootId => "give the container a boot id of its own",
        Step::Personality => "set the personality (lxc.arch)",
        Step::NoNewPrivs => "forbid new privileges",
        Step::Seccomp => "load the seccomp filter",
        Step::Stdio => "set up stdin, stdout and stderr",
        Step::Session => "start a new session",
        Step::Groups => "set the supplementary groups",
        Step::Cgroup => "enter the container's cgroups",
        _ => "start the container",
    }
}

fn kernel(fault: Fault, what: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    match fault.errno {
        errno if errno > 0 => Error::kernel(Errno::from_raw_os_error(errno), what),
        _ => Error::new(ErrorKind::Internal, what),
    }
}

/// A failed mount, or one that was optional.
pub(super) fn mount(plan: &StartPlan, fault: Fault) -> Error {
    let index = fault.item as usize;
    let Some(mount) = plan.mounts.iter().chain(&plan.cgroup_mounts).nth(index) else {
        return kernel(fault, "mount");
    };
    let error = kernel(fault, mount.to_string()).at(&mount.origin);
    let uncovers = matches!(
        mount.kind,
        MountKind::Bind { recursive: false, .. } | MountKind::Idmapped { recursive: false, .. }
    );
    if uncovers && fault.errno == Errno::INVAL.raw_os_error() && plan.become_root.is_some() {
        return error.cure(
            "use rbind if something is mounted below the source: a user namespace may not see what it covers",
        );
    }
    if fault.errno != Errno::NOENT.raw_os_error() {
        return error;
    }
    // The child cannot say which of the two paths it was; the host's is easy to look at from here.
    match &mount.kind {
        MountKind::Bind { source, .. } | MountKind::Idmapped { source, inside: false, .. } if !Path::new(&*source.to_string_lossy()).exists() => {
            error.cure(format!("the source {} does not exist on the host", source.to_string_lossy()))
        }
        MountKind::Bind { .. }
        | MountKind::Idmapped { .. }
        | MountKind::Fs { .. }
        | MountKind::Classic { .. } => error.cure(format!(
            "/{} does not exist in the container: make it there or add create=dir (or create=file) to the entry",
            mount.target.to_string_lossy()
        )),
        _ => error,
    }
}

fn rootfs(plan: &StartPlan, fault: Fault) -> Error {
    match (&plan.rootfs, fault.item, fault.step) {
        (RootfsPlan::Dir { mount, .. } | RootfsPlan::Overlay { mount, .. }, 2, Step::Rootfs) => {
            kernel(fault, format!("open the mount point {}", mount.to_string_lossy()))
                .cure("set lxc.rootfs.mount to an existing directory")
        }
        (RootfsPlan::Dir { source, .. }, 1, Step::Rootfs) => {
            kernel(fault, format!("open the root file system {}", source.to_string_lossy()))
                .cure("set lxc.rootfs.path to an existing directory")
        }
        (RootfsPlan::Overlay { data, .. }, _, _) => {
            kernel(fault, format!("mount the overlay root file system ({})", data.to_string_lossy()))
        }
        (rootfs, _, _) => kernel(fault, format!("mount the root file system ({rootfs})")),
    }
}

fn exec(plan: &StartPlan, fault: Fault) -> Error {
    let program = plan.argv.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    let error = kernel(fault, format!("execute {program}"));
    match Errno::from_raw_os_error(fault.errno) {
        Errno::NOENT => error.cure(
            "the program, or the loader or interpreter it names, is missing in the container's root file system; \
             set lxc.init.cmd",
        ),
        Errno::NOEXEC => error.cure("the program is for another architecture, or no program at all"),
        Errno::ACCESS => error.cure("the program is not executable for the container's user"),
        _ => error,
    }
}
