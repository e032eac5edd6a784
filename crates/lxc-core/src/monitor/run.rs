//! The event loop of a running container.
//!
//! - Context: monitor process, single-threaded, all signals but BUS, ILL, SEGV and WINCH blocked. The runtime is built
//!   here and gone again on return, so that the process may clone afterwards.

use std::cell::RefCell;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use lxc_sys::pidfd::{self, Exit};
use lxc_sys::signal::{self, Mask, decode_signalfd};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

use super::Running;
use super::connections::Table;
use super::notify::relay;
use super::pump::pump;
use super::state::{Effect, Event, Machine, Outcome};
use super::tasks::Server;
use super::watch::watch;
use crate::console::set_nonblocking;
use crate::error::{Result, ResultExt};
use crate::seccomp::notify::Proxy;

const SIGWINCH: i32 = 28;

/// Pause after accept failed for want of descriptors.
const BREATHER: Duration = Duration::from_millis(50);

/// Serves the container until its init has ended and is reaped.
///
/// Connections that wait for the end stay open afterwards, in `running.announcer`; `running.console.finish()` has been
/// called. Announces no state.
///
/// - Errors: the loop could not be set up; the container still runs then.
pub fn run(running: &mut Running) -> Result<Outcome> {
    let resized = match running.console.has_peer() {
        true => Some(Resized::watch().what(|| "watch the terminal's size")?),
        false => None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let runtime = runtime.what(|| "set up the event loop of the monitor")?;
    let outcome = runtime.block_on(supervise(running, resized.as_ref()))?;
    drop(runtime);
    drop(resized);
    running.console.drain();
    running.console.finish();
    Ok(outcome)
}

async fn supervise(running: &mut Running, resized: Option<&Resized>) -> Result<Outcome> {
    let what = || "watch the descriptors of the monitor";
    let listener = running.listener.try_clone().what(what)?;
    set_nonblocking(&listener).what(what)?;
    let listener = watch(listener).what(what)?;
    let signals = watch(running.signals.try_clone().what(what)?).what(what)?;
    let init = watch(running.init_pidfd.try_clone().what(what)?).what(what)?;
    let resized = match resized {
        Some(resized) => Some(watch(resized.signals.try_clone().what(what)?).what(what)?),
        None => None,
    };
    let init_pid = running.init_pid;
    let held = running.announcer.held();
    let supervised = match (&running.seccomp_notify, &mut running.seccomp_proxy) {
        (Some(listener), Some(proxy)) => {
            let sibling = proxy.sibling();
            Some((listener.try_clone().what(what)?, std::mem::replace(proxy, sibling)))
        }
        _ => None,
    };
    let server = Server {
        running: RefCell::new(running),
        table: RefCell::new(Table::new(most_connections())),
        console_changed: Notify::new(),
        new_listeners: RefCell::new(Vec::new()),
        listener_added: Notify::new(),
    };
    let mut machine = Machine::default();
    let mut tasks = FuturesUnordered::new();
    for socket in held {
        tasks.push(server.resume(socket).boxed_local());
    }
    if let Some((listener, proxy)) = supervised {
        tasks.push(relay(listener, proxy, init_pid).boxed_local());
    }
    let outcome = {
        let pump = pump(&server, resized.as_ref());
        let mut pump = std::pin::pin!(pump);
        loop {
            let event = tokio::select! {
                exit = ended(&init) => Event::InitExited(exit.what(|| format!("wait for init {init_pid}"))?),
                signal = next_signal(&signals) => signal.what(|| "read signals")?,
                accepted = server.accept(&listener) => {
                    match accepted {
                        Ok(socket) => tasks.push(server.serve(socket).boxed_local()),
                        Err(errno) => {
                            tracing::debug!("accept on the command socket: {errno}");
                            server.table.borrow_mut().evict_one();
                            tasks.push(tokio::time::sleep(BREATHER).boxed_local());
                            // Let the evicted one go before the next attempt.
                            tasks.next().await;
                        }
                    }
                    continue;
                }
                () = server.listener_added.notified() => {
                    for listener in server.new_listeners.take() {
                        if let Some(proxy) = server.running.borrow().seccomp_proxy.as_ref().map(Proxy::sibling) {
                            tasks.push(relay(listener, proxy, init_pid).boxed_local());
                        }
                    }
                    continue;
                }
                Some(()) = tasks.next(), if !tasks.is_empty() => continue,
                () = &mut pump => continue,
            };
            match machine.step(event) {
                Some(Effect::Leave(outcome)) => break outcome,
                Some(Effect::SignalInit(number)) => {
                    let running = server.running.borrow();
                    tracing::debug!("forward signal {number} to init {init_pid}");
                    if let Err(errno) = pidfd::send_signal(running.init_pidfd.as_fd(), number) {
                        tracing::debug!("signal {number} to init {init_pid}: {errno}");
                    }
                }
                Some(Effect::ReapStrays) => reap_strays(init_pid),
                None => {}
            }
        }
    };
    // Whoever has connected and said nothing waits for the very end.
    let idle = server.table.borrow().idle();
    drop(tasks);
    let running = server.running.into_inner();
    for socket in &idle {
        running.announcer.park(socket);
    }
    Ok(outcome)
}

/// Connections may take half of the descriptors this process may have; the rest is the container's.
fn most_connections() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(4096);
    usize::try_from(limit / 2).unwrap_or(usize::MAX).clamp(super::connections::STRANGERS * 2, 1024)
}

/// Waits for init and reaps it.
async fn ended(init: &AsyncFd<OwnedFd>) -> std::result::Result<Exit, Errno> {
    init.readable().await.map_err(|_| Errno::IO)?.retain_ready();
    pidfd::reap(init.get_ref().as_fd())
}

async fn next_signal(signals: &AsyncFd<OwnedFd>) -> std::result::Result<Event, Errno> {
    loop {
        let mut ready = signals.readable().await.map_err(|_| Errno::IO)?;
        let mut bytes = [0; 128];
        match rustix::io::read(signals.get_ref(), &mut bytes) {
            Ok(128) => {
                let received = decode_signalfd(&bytes);
                let number = i32::try_from(received.signal).unwrap_or(0);
                return Ok(Event::Signal { number, own: received.pid == std::process::id() });
            }
            Ok(_) => return Err(Errno::PROTO),
            Err(Errno::AGAIN) => ready.clear_ready(),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Reaps children other than init, which its pidfd takes care of. Helpers that outlived their parent end up here.
fn reap_strays(init_pid: i32) {
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    while let Ok(status) = waitid(Id::All, look) {
        let pid = match status {
            WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..) => pid,
            _ => return,
        };
        if pid.as_raw() == init_pid || waitpid(pid, Some(WaitPidFlag::WNOHANG)).is_err() {
            return;
        }
        tracing::debug!("reaped process {pid}");
    }
}

/// SIGWINCH as a descriptor, for as long as it lives.
struct Resized {
    signals: OwnedFd,
    before: Mask,
}

impl Resized {
    fn watch() -> std::result::Result<Resized, Errno> {
        let winch = Mask::of(&[SIGWINCH]);
        let signals = signal::signalfd(winch)?;
        let before = signal::set_mask(Mask(0))?;
        signal::set_mask(Mask(before.0 | winch.0))?;
        Ok(Resized { signals, before })
    }
}

impl Drop for Resized {
    fn drop(&mut self) {
        let _ = signal::set_mask(self.before);
    }
}
