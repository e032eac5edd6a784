//! Puts a fault of the attached process into words.
//!
//! Not here: the steps themselves (`lxc_child::attach`).

use lxc_child::attach_script::{AttachFault, AttachStep};
use rustix::io::Errno;

use super::plan::AttachPlan;
use super::{Request, cgroup};
use crate::{Error, ErrorKind};

/// What to tell the user.
pub(super) fn explain(request: &Request, plan: &AttachPlan, program: &str, fault: AttachFault) -> Error {
    let AttachFault { step, item, errno } = fault;
    let index = usize::from(item);
    let kernel = |what: String| Error::kernel(errno, what);
    let settings = &request.settings;
    match step {
        AttachStep::Cgroup => cgroup::refused(item, errno),
        AttachStep::Limit => {
            let name = plan.limits.get(index).map_or("", |limit| limit.name.as_str());
            let error = kernel(format!("set limit lxc.prlimit.{name}"));
            settings.prlimits.get(index).map_or(error.clone(), |limit| error.at(&limit.origin))
        }
        AttachStep::ProcWrite => {
            let setting = settings.procs.get(index);
            let error =
                kernel(format!("write lxc.proc.{}", setting.map_or("", |setting| setting.key.as_str())));
            setting.map_or(error.clone(), |setting| error.at(&setting.origin))
        }
        AttachStep::Keyring => kernel("make a session keyring".into()).cure(
            "keys: /proc/key-users shows what is used of /proc/sys/kernel/keys/maxkeys; -eLSM goes without",
        ),
        AttachStep::DropTerminal => kernel("give up the controlling terminal".into()),
        AttachStep::OpenLabel => kernel("open the LSM attribute file".into()),
        AttachStep::Join => join(errno),
        AttachStep::Clone => kernel("clone into the container's pid namespace".into()),
        AttachStep::CloseForeign => kernel("close descriptors of the host".into()),
        AttachStep::Remount => {
            let what = ["mount /proc", "mount /sys", "make a mount namespace", "make the mounts private"];
            kernel((*what.get(index).unwrap_or(&"remount")).to_owned())
        }
        AttachStep::CoreScheduling => kernel("join the container's core-scheduling domain".into()),
        AttachStep::Personality => kernel("set the personality".into()),
        AttachStep::Capability => kernel(format!("drop capability {item}")),
        AttachStep::Groups => kernel("set supplementary groups".into()),
        AttachStep::NamespaceRoot => kernel("become root of the container's user namespace".into()),
        AttachStep::Label => kernel("take on the container's LSM label".into())
            .cure("the label must be known to the host; -eLSM attaches without it"),
        AttachStep::NoNewPrivs => kernel("set no_new_privs".into()),
        AttachStep::Terminal => kernel("make the pseudo terminal the controlling terminal".into()),
        AttachStep::Stdio => kernel(format!("set up descriptor {item}")),
        AttachStep::Seccomp => kernel("load the container's seccomp filter".into()),
        AttachStep::Gid => unmapped("gid", plan.gid, errno),
        AttachStep::Uid => unmapped("uid", plan.uid, errno),
        AttachStep::SignalMask => kernel("restore the signal mask".into()),
        AttachStep::Exec => kernel(format!("execute {program:?}")),
    }
}

fn join(errno: Errno) -> Error {
    let error = Error::kernel(errno, "enter the container's namespaces");
    match errno {
        Errno::PERM => error.cure("attach as the user who started the container, or as root"),
        _ => error,
    }
}

fn unmapped(kind: &str, id: u32, errno: Errno) -> Error {
    let error = Error::kernel(errno, format!("become {kind} {id}"));
    match errno {
        Errno::INVAL => error
            .with_kind(ErrorKind::Config)
            .cure(format!("the container's lxc.idmap has no such {kind}; choose a mapped one")),
        _ => error,
    }
}
