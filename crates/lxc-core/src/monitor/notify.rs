//! Relays calls that wait for a verdict between the kernel and the proxy of `lxc.seccomp.notify.proxy`.
//!
//! One task per listener, each with a connection of its own. Not here: the messages (`seccomp::notify`).

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use lxc_sys::notify::{Notification, Response, is_valid, receive, respond};
use lxc_sys::socket::{Wait, recv, send};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::time::timeout;

use super::watch::watch;
use crate::error::errno_text;
use crate::seccomp::notify::{Proxy, evidence, no_verdict, question, reply_room, verdict};

/// How long the proxy may take for each direction (config.md §8).
const PATIENCE: Duration = Duration::from_secs(30);

/// Serves one listener until the last process under its filter is gone.
///
/// - Shape: `init` is the pid of the container's init as this process sees it.
pub(super) async fn relay(listener: OwnedFd, proxy: Proxy, init: i32) {
    let listener = match watch(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!("watch the seccomp listener: {error}"),
    };
    let mut relay = Relay { listener, proxy, connection: None, init };
    while let Some(asked) = relay.next().await {
        let response = match relay.ask(&asked).await {
            Ok(Some(response)) => response,
            // The caller is gone; nobody waits.
            Ok(None) => continue,
            Err(errno) => {
                tracing::error!(
                    "ask the seccomp proxy about system call {} of {}: {errno}",
                    asked.call,
                    asked.pid
                );
                relay.connection = None;
                no_verdict(asked.id)
            }
        };
        if let Err(errno) = respond(relay.listener.get_ref(), response)
            && errno != Errno::NOENT
        {
            tracing::error!("answer system call {} of {}: {}", asked.call, asked.pid, errno_text(errno));
        }
    }
}

struct Relay {
    listener: AsyncFd<OwnedFd>,
    proxy: Proxy,
    connection: Option<AsyncFd<OwnedFd>>,
    init: i32,
}

impl Relay {
    /// The next call that waits; `None` when there will be no more.
    async fn next(&self) -> Option<Notification> {
        loop {
            let mut ready = self.listener.readable().await.ok()?;
            // ORDER: asked before receiving, which would block when nobody waits.
            let mut fds = [PollFd::new(self.listener.get_ref(), PollFlags::IN)];
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            match poll(&mut fds, Some(&now)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return None,
            }
            let events = fds.first().map_or(PollFlags::empty(), PollFd::revents);
            if events.contains(PollFlags::IN) {
                match receive(self.listener.get_ref()) {
                    Ok(asked) => return Some(asked),
                    // Killed between the two calls.
                    Err(Errno::NOENT | Errno::INTR) => {}
                    Err(errno) => {
                        tracing::error!("receive a seccomp notification: {}", errno_text(errno));
                        return None;
                    }
                }
            } else if events.intersects(PollFlags::HUP | PollFlags::ERR) {
                return None;
            } else {
                ready.clear_ready();
            }
        }
    }

    /// The proxy's verdict; `None` when the caller is gone.
    async fn ask(&mut self, asked: &Notification) -> Result<Option<Response>, Errno> {
        let Ok((directory, memory)) = evidence(asked.pid) else {
            return Ok(is_valid(self.listener.get_ref(), asked.id).then(|| no_verdict(asked.id)));
        };
        if !is_valid(self.listener.get_ref(), asked.id) {
            return Ok(None);
        }
        let monitor = rustix::process::getpid().as_raw_nonzero().get();
        let message = question(asked, monitor, self.init, self.proxy.cookie());
        let fresh = self.connection.is_none();
        let sent = self.send(&message, &directory, &memory).await;
        if let Err(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN) = sent
            && !fresh
        {
            // The proxy was started anew.
            self.connection = None;
            self.send(&message, &directory, &memory).await?;
        } else {
            sent?;
        }
        timeout(PATIENCE, self.hear(asked.id)).await.map_err(|_| Errno::TIMEDOUT)?.map(Some)
    }

    async fn send(&mut self, message: &[u8], directory: &OwnedFd, memory: &OwnedFd) -> Result<(), Errno> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => watch(self.proxy.take_connection()?).map_err(|_| Errno::IO)?,
        };
        let connection = self.connection.insert(connection);
        let fds = [directory.as_fd(), memory.as_fd(), self.listener.get_ref().as_fd()];
        let sending = async {
            loop {
                let mut ready = connection.writable().await.map_err(|_| Errno::IO)?;
                match send(connection.get_ref(), message, &fds, false, Wait::No) {
                    Ok(_) => return Ok(()),
                    Err(Errno::AGAIN) => ready.clear_ready(),
                    Err(errno) => return Err(errno),
                }
            }
        };
        timeout(PATIENCE, sending).await.map_err(|_| Errno::TIMEDOUT)?
    }

    /// The answer to question `id`; late answers to earlier ones are passed over.
    async fn hear(&self, id: u64) -> Result<Response, Errno> {
        let connection = self.connection.as_ref().ok_or(Errno::NOTCONN)?;
        let mut buffer = vec![0; reply_room(self.proxy.cookie())];
        loop {
            let mut ready = connection.readable().await.map_err(|_| Errno::IO)?;
            match recv(connection.get_ref(), &mut buffer, 0, Wait::No) {
                Ok(got) if got.len == 0 => return Err(Errno::CONNRESET),
                Ok(got) => {
                    if let Some(response) = buffer.get(..got.len).and_then(|reply| verdict(reply, id)) {
                        return Ok(response);
                    }
                    tracing::warn!("the seccomp proxy sent {} bytes that answer no question", got.len);
                }
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(errno) => return Err(errno),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::mpsc;
    use std::thread;

    use lxc_conf::model::{NotifyProxy, Settings};
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    use rustix::net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen, socket_with,
    };

    use super::*;
    use crate::seccomp::notify::reply_room;
    use crate::seccomp::{SeccompFacts, compile};

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("lxc-rs-notify-{}-{name}", std::process::id()))
    }

    /// A proxy that hands each question to `answer` and sends back what that returns; `None` hangs up.
    fn proxy(name: &str, answer: impl Fn(&mut Vec<u8>) -> Option<()> + Send + 'static) -> Settings {
        let address = path(name);
        let _ = std::fs::remove_file(&address);
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .expect("socket");
        bind(&socket, &SocketAddrUnix::new(&address).expect("address")).expect("bind");
        listen(&socket, 4).expect("listen");
        thread::spawn(move || {
            while let Ok(connection) = accept_with(&socket, SocketFlags::CLOEXEC) {
                loop {
                    let mut buffer = vec![0; 4096];
                    let got = recv(&connection, &mut buffer, 3, Wait::Yes).expect("receive a question");
                    if got.len == 0 {
                        break;
                    }
                    assert_eq!(got.fds.len(), 3, "directory, memory, listener");
                    buffer.truncate(got.len);
                    if answer(&mut buffer).is_none() {
                        break;
                    }
                    send(&connection, &buffer, &[], false, Wait::Yes).expect("answer");
                }
            }
        });
        let mut settings = Settings::default();
        settings.seccomp.notify_proxy = Some(NotifyProxy::Path(address.to_string_lossy().into_owned()));
        settings.seccomp.notify_cookie = Some("c1".into());
        settings
    }

    /// What `calls` guarded calls, made by a thread under the filter, end with; `None` where filters cannot be had.
    fn guarded(name: &str, settings: &Settings, calls: usize) -> Option<Vec<Errno>> {
        let policy = path(&format!("{name}.policy"));
        std::fs::write(&policy, "2\ndenylist\nmknod notify\nmknodat notify\n").expect("write the policy");
        let program =
            compile(&policy, settings, SeccompFacts::default()).expect("compiles").expect("applies");
        std::fs::remove_file(&policy).expect("remove");
        let (hand, take) = mpsc::channel();
        let caller = thread::spawn(move || {
            if !rustix::process::geteuid().is_root() {
                lxc_sys::cred::set_no_new_privs().expect("no_new_privs");
            }
            hand.send(lxc_sys::cred::load_seccomp(&program.filter, program.notify)).expect("hand over");
            let call = || mknodat(CWD, "/no/such/dir/node", FileType::RegularFile, Mode::empty(), 0);
            (0..calls).map(|_| call().expect_err("the directory is missing")).collect::<Vec<_>>()
        });
        let listener = match take.recv().expect("the thread lives") {
            Ok(listener) => listener.expect("a listener was asked for"),
            Err(errno) => {
                println!("skipped: cannot install a filter here: {errno}");
                return None;
            }
        };
        let proxy = Proxy::connect(settings).expect("the proxy is there").expect("configured");
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().expect("runtime");
        // It returns when the caller, the last one under the filter, is gone.
        runtime.block_on(relay(listener, proxy, 1));
        let _ = std::fs::remove_file(path(name));
        Some(caller.join().expect("the caller"))
    }

    #[test]
    fn the_verdict_of_the_proxy_is_what_the_caller_gets() {
        let settings = proxy("verdict", |message| {
            assert_eq!(message.len(), reply_room(b"c1"));
            assert!(message.ends_with(b"c1"));
            let at = message.len() - 2 - 8;
            message[at..at + 4].copy_from_slice(&(-77_i32).to_ne_bytes());
            message.truncate(message.len() - 2);
            Some(())
        });
        if let Some(got) = guarded("verdict", &settings, 3) {
            assert_eq!(got, [Errno::from_raw_os_error(77); 3]);
        }
    }

    #[test]
    fn a_proxy_that_hangs_up_costs_one_call_and_is_asked_again() {
        let settings = proxy("moody", move |message| {
            static ASKED: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
            let first = ASKED.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
            let at = message.len() - 2 - 8;
            message[at..at + 4].copy_from_slice(&(-1_i32).to_ne_bytes());
            (!first).then_some(())
        });
        if let Some(got) = guarded("moody", &settings, 2) {
            assert_eq!(got, [Errno::NOSYS, Errno::PERM]);
        }
    }
}
