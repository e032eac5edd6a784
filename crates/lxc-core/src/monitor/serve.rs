//! What each command does and answers. One function per reply, no waiting.
//!
//! Source: abi-and-wire.md B4; refusals observed on 5.0.2. Not here: reading and writing (`socket`), who may ask
//! (`socket::may_command`), commands that take time (`tasks`).

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;

use super::Running;
use crate::cgroup::devices::DeviceRule;
use crate::cgroup::freezer::{self, Motion};
use crate::cgroup::layout::LayoutKind;
use crate::cgroup::serve::{ControllerFd, Which};
use crate::command::wire::{CgroupCtx, CgroupFd, CgroupLayout, DeviceItem, MAX_FDS, WILL_NOTIFY, immediate};
use crate::command::{Refusal, Reply, Request};
use crate::state::State;
use crate::state::announce::Registered;

const SIGKILL: i32 = 9;

/// What becomes of the connection after the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    Close,
    /// Until the state comes or the client goes.
    Waiting,
    /// Until the client gives the terminal back: 0 the console, N that tty.
    Tty(i32),
    /// Until the container is gone: STOP is answered by the end of the connection.
    Stopping,
}

/// Reply (if any) and what follows.
pub(super) type Answer = Result<(Option<Reply>, After), Refusal>;

fn reply(reply: Reply) -> Answer {
    Ok((Some(reply), After::Close))
}

fn refuse(errno: Errno) -> Answer {
    Err(Refusal::Errno(errno))
}

/// Answers everything but FREEZE, UNFREEZE and SECCOMP_NOTIFY_ADD_LISTENER, which take time.
pub(super) fn answer(running: &mut Running, request: Request, socket: &Arc<OwnedFd>) -> Answer {
    match request {
        Request::GetState => reply(Reply::value(running.announcer.state().number())),
        Request::GetInitPid => reply(Reply::value(running.init_pid)),
        Request::GetCloneFlags => {
            let mask = u32::try_from(running.namespaces & 0xffff_ffff).unwrap_or(0);
            reply(Reply::value(mask.cast_signed()))
        }
        Request::GetName => reply(Reply::string(&running.name)),
        Request::GetLxcpath => reply(Reply::string(&running.lxcpath.to_string_lossy())),
        Request::GetConfigItem { key } => match config_item(running, &key) {
            Some(value) => reply(Reply::string(&value)),
            None => refuse(Errno::PERM),
        },
        Request::GetCgroup { controller } => path(running, controller.as_deref(), Which::Payload),
        Request::GetLimitCgroup { controller } => path(running, controller.as_deref(), Which::Limit),
        Request::GetCgroup2Fd => unified(running, Which::Payload),
        Request::GetLimitCgroup2Fd => unified(running, Which::Limit),
        Request::GetCgroupCtx { room } => context(running, room),
        // COMPAT: crossed in every release of the original.
        Request::GetCgroupFd { wanted, room } => controller(running, &wanted, room, Which::Limit),
        Request::GetLimitCgroupFd { wanted, room } => controller(running, &wanted, room, Which::Payload),
        Request::GetInitPidfd => copy_of(Some(&running.init_pidfd)),
        Request::GetDevptsFd => copy_of(running.devpts.as_ref()),
        Request::GetSeccompNotifyFd => copy_of(running.seccomp_notify.as_ref()),
        Request::GetSystemdScope => {
            match running.cgroups.as_ref().and_then(|tree| tree.plan().scope.as_deref()) {
                Some(scope) => reply(Reply::string(scope)),
                None => refuse(Errno::INVAL),
            }
        }
        Request::AddStateClient(interest) => Ok(match running.announcer.register(socket, interest) {
            Registered::Now(state) => {
                let number = state.number();
                (Some(Reply { ret: number, data: immediate(number), ..Reply::default() }), After::Close)
            }
            Registered::Later => {
                let reply = Reply { ret: WILL_NOTIFY, data: immediate(WILL_NOTIFY), ..Reply::default() };
                (Some(reply), After::Waiting)
            }
        }),
        Request::ServeStateClients { state } => match State::from_number(state) {
            Some(state) => {
                running.announcer.serve(state);
                reply(Reply::ok())
            }
            // The original indexes an array with the number, whatever it is.
            None => refuse(Errno::INVAL),
        },
        Request::ConsoleLog(wanted) => match running.console.log_request(wanted) {
            Ok(bytes) => reply(Reply { payload: bytes, ..Reply::default() }),
            Err(errno) => refuse(errno),
        },
        Request::GetTtyFd { tty } => {
            let (number, ptx) = match tty {
                0 => (0, running.console.lend().map_err(|_| Refusal::Errno(Errno::BADF))?),
                number => running.ttys.lend(number).map_err(Refusal::Errno)?,
            };
            let reply = Reply { data: immediate(number), fds: vec![ptx], ..Reply::default() };
            Ok((Some(reply), After::Tty(number)))
        }
        Request::Stop => stop(running),
        Request::AddBpfDeviceCgroup(item) => add_device_rule(running, &item),
        Request::TerminalWinch => Err(Refusal::Close),
        Request::Freeze { .. } | Request::Unfreeze { .. } | Request::SeccompNotifyAddListener => {
            refuse(Errno::NOSYS)
        }
    }
}

fn config_item(running: &Running, key: &str) -> Option<String> {
    // Of a veth without configured name only the monitor knows what it is called.
    let index = key.strip_prefix("lxc.net.").and_then(|rest| rest.strip_suffix(".veth.pair"));
    if let Some(index) = index.and_then(|index| index.parse::<u32>().ok())
        && let Some((_, name)) = running.veth_pairs.iter().find(|(number, _)| *number == index)
    {
        return Some(name.clone());
    }
    running.config.get(key).ok().filter(|value| !value.is_empty() && !value.contains('\0'))
}

fn path(running: &Running, controller: Option<&str>, which: Which) -> Answer {
    let path = running.cgroups.as_ref().and_then(|tree| tree.path_of(controller, which));
    // COMPAT: an unknown controller is answered by hanging up.
    path.map_or(Err(Refusal::Close), |path| reply(Reply::string(&path)))
}

fn copy_of(fd: Option<&OwnedFd>) -> Answer {
    match fd.map(OwnedFd::try_clone) {
        None => refuse(Errno::BADF),
        Some(Ok(fd)) => reply(Reply::fd(fd)),
        Some(Err(_)) => refuse(Errno::MFILE),
    }
}

fn unified(running: &Running, which: Which) -> Answer {
    let tree = running.cgroups.as_ref().ok_or(Refusal::Errno(Errno::INVAL))?;
    let fd = tree.unified_fd(which).map_err(Refusal::Errno)?;
    let fd = fd.try_clone_to_owned().map_err(|_| Refusal::Errno(Errno::MFILE))?;
    reply(Reply::fd(fd))
}

fn wire_layout(kind: LayoutKind) -> CgroupLayout {
    match kind {
        LayoutKind::Legacy => CgroupLayout::Legacy,
        LayoutKind::Hybrid => CgroupLayout::Hybrid,
        LayoutKind::Unified => CgroupLayout::Unified,
    }
}

fn raw(fd: impl AsFd) -> i32 {
    use std::os::fd::AsRawFd;
    fd.as_fd().as_raw_fd()
}

fn context(running: &Running, room: usize) -> Answer {
    let tree = running.cgroups.as_ref().ok_or(Refusal::Errno(Errno::NOENT))?;
    let found = tree.context().map_err(Refusal::Errno)?;
    let mut fds = Vec::with_capacity(found.fds.len());
    let mut numbers = [0; MAX_FDS];
    for (fd, number) in found.fds.iter().zip(&mut numbers) {
        *number = raw(fd);
        fds.push(fd.try_clone_to_owned().map_err(|_| Refusal::Errno(Errno::MFILE))?);
    }
    let fd_len = u32::try_from(fds.len()).unwrap_or(0);
    let ctx =
        CgroupCtx { layout: wire_layout(found.layout), utilities: found.utilities, fd_len, fds: numbers };
    // A client of another version has room for more or less than we have to say.
    let mut payload = ctx.encode().to_vec();
    payload.truncate(room);
    reply(Reply { payload, fds, ..Reply::default() })
}

fn controller(running: &Running, wanted: &CgroupFd, room: usize, which: Which) -> Answer {
    let tree = running.cgroups.as_ref().ok_or(Refusal::Errno(Errno::NOENT))?;
    let found = tree.controller_fd(&wanted.controller, wanted.kind, which).map_err(Refusal::Errno)?;
    let ControllerFd { layout, utilities, version, fd } = found;
    let told = CgroupFd {
        layout: wire_layout(layout),
        utilities,
        kind: version.magic(),
        fd: raw(fd),
        controller: wanted.controller.clone(),
    };
    let mut payload = told.encode().to_vec();
    payload.truncate(room);
    let fd = fd.try_clone_to_owned().map_err(|_| Refusal::Errno(Errno::MFILE))?;
    reply(Reply { payload, fds: vec![fd], ..Reply::default() })
}

fn stop(running: &mut Running) -> Answer {
    let signal = running.config.settings().signals.stop.and_then(|number| i32::try_from(number).ok());
    let signal = signal.unwrap_or(SIGKILL);
    match lxc_sys::pidfd::send_signal(running.init_pidfd.as_fd(), signal) {
        // Already dead: the end is on its way.
        Ok(()) | Err(Errno::SRCH) => {}
        Err(errno) => return refuse(errno),
    }
    thaw(running);
    Ok((None, After::Stopping))
}

/// A frozen process does not take signals, not even SIGKILL on version 1 hierarchies.
fn thaw(running: &Running) {
    let Some(tree) = &running.cgroups else { return };
    if let Ok(found) = tree.controller_fd("freezer", 0, Which::Limit)
        && let Err(error) = freezer::set(found.fd, found.version, Motion::Running, Some(Duration::ZERO))
        && error.kind() != crate::ErrorKind::TimedOut
    {
        tracing::warn!("{error}");
    }
}

fn add_device_rule(running: &mut Running, item: &DeviceItem) -> Answer {
    let tree = running.cgroups.as_mut().ok_or(Refusal::Errno(Errno::PERM))?;
    let file = if item.allow { "devices.allow" } else { "devices.deny" };
    let number = |number: i32| if number < 0 { "*".to_owned() } else { number.to_string() };
    let access: String =
        item.access.iter().take_while(|byte| **byte != 0).map(|byte| char::from(*byte)).collect();
    let value = format!("{} {}:{} {access}", char::from(item.kind), number(item.major), number(item.minor));
    let rule = DeviceRule::parse(file, &value).map_err(|_| Refusal::Errno(Errno::INVAL))?;
    match tree.add_device_rule(&rule) {
        Ok(()) => reply(Reply::ok()),
        Err(error) => {
            tracing::error!("add {file} {value}: {error}");
            refuse(Errno::PERM)
        }
    }
}
