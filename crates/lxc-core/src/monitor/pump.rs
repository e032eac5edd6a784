//! Moves the bytes of the console between the container, the host's terminal and a borrower.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

use super::tasks::Server;
use super::watch::watch;
use crate::console::Endpoints;

type End = AsyncFd<Arc<OwnedFd>>;

/// How long a console that failed is left alone; it happens only when nobody keeps its pts open.
const PAUSE: Duration = Duration::from_millis(200);

/// One step of the pump.
enum Step<'e> {
    Changed,
    Resized,
    Output(AsyncFdReadyGuard<'e, Arc<OwnedFd>>),
    Input(Source, AsyncFdReadyGuard<'e, Arc<OwnedFd>>),
    Room(Sink, AsyncFdReadyGuard<'e, Arc<OwnedFd>>),
}

#[derive(Clone, Copy)]
enum Source {
    Peer,
    Loan,
}

#[derive(Clone, Copy)]
enum Sink {
    Console,
    Peer,
    Loan,
}

/// Runs until dropped. `resized` is a signalfd of SIGWINCH when there is a peer.
pub(super) async fn pump(server: &Server<'_>, resized: Option<&AsyncFd<OwnedFd>>) {
    loop {
        let ends = server.running.borrow().console.endpoints();
        let Endpoints { console, peer, loan } = ends;
        let Some(console) = console.and_then(|fd| watch(fd).ok()) else {
            // Nothing to pump until the end of this run.
            std::future::pending::<()>().await;
            continue;
        };
        // A peer that is a regular file cannot be watched; it takes everything at once.
        let (plain_peer, peer) = match peer {
            Some(fd) => match watch(Arc::clone(&fd)) {
                Ok(end) => (None, Some(end)),
                Err(_) => (Some(fd), None),
            },
            None => (None, None),
        };
        let loan = loan.and_then(|fd| watch(fd).ok());
        if pump_until_changed(server, resized, &console, peer.as_ref(), loan.as_ref(), plain_peer.as_ref())
            .await
            .is_err()
        {
            drop((console, peer, loan));
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// - Errors: the console itself failed.
async fn pump_until_changed(
    server: &Server<'_>,
    resized: Option<&AsyncFd<OwnedFd>>,
    console: &End,
    peer: Option<&End>,
    loan: Option<&End>,
    plain_peer: Option<&Arc<OwnedFd>>,
) -> Result<(), Errno> {
    let mut buffer = [0; 4096];
    loop {
        let (wants_output, wants_input, input, to_peer, to_loan) = {
            let mut running = server.running.borrow_mut();
            let (wants_output, wants_input) = (running.console.wants_output(), running.console.wants_input());
            let queues = running.console.queues();
            if let (Some(fd), Some(queue)) = (plain_peer, queues.peer) {
                let _ = queue.write_to(fd.as_fd());
            }
            let queues = running.console.queues();
            let waiting =
                |queue: Option<&mut crate::console::Queue>| queue.is_some_and(|queue| !queue.is_empty());
            let (peer, loan) = (waiting(queues.peer), waiting(queues.loan));
            (wants_output, wants_input, !queues.console.is_empty(), peer, loan)
        };
        let step = tokio::select! {
            () = server.console_changed.notified() => Step::Changed,
            ready = readable_signal(resized) => match ready {
                Ok(()) => Step::Resized,
                Err(errno) => return Err(errno),
            },
            ready = console.readable(), if wants_output => Step::Output(ready.map_err(|_| Errno::IO)?),
            ready = console.writable(), if input => Step::Room(Sink::Console, ready.map_err(|_| Errno::IO)?),
            Some(ready) = readable(peer), if wants_input => Step::Input(Source::Peer, ready),
            Some(ready) = readable(loan), if wants_input => Step::Input(Source::Loan, ready),
            Some(ready) = writable(peer), if to_peer => Step::Room(Sink::Peer, ready),
            Some(ready) = writable(loan), if to_loan => Step::Room(Sink::Loan, ready),
        };
        match step {
            Step::Changed => return Ok(()),
            Step::Resized => server.running.borrow().console.resize_from_peer(),
            Step::Output(mut ready) => match rustix::io::read(console.get_ref(), &mut buffer) {
                Ok(0) => return Err(Errno::IO),
                Ok(read) => {
                    let bytes = buffer.get(..read).unwrap_or_default();
                    server.running.borrow_mut().console.output(bytes);
                }
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            },
            Step::Input(source, mut ready) => {
                let read = rustix::io::read(ready.get_inner(), &mut buffer);
                let mut running = server.running.borrow_mut();
                match read {
                    Err(Errno::AGAIN) => ready.clear_ready(),
                    Err(Errno::INTR) => {}
                    Ok(read) if read > 0 => {
                        if matches!(source, Source::Loan) {
                            running.console.resize_from_loan();
                        }
                        running.console.type_in(buffer.get(..read).unwrap_or_default());
                    }
                    // Hung up.
                    _ => {
                        match source {
                            Source::Peer => running.console.drop_peer(),
                            Source::Loan => running.console.take_back(),
                        }
                        return Ok(());
                    }
                }
            }
            Step::Room(sink, mut ready) => {
                let fd = Arc::clone(ready.get_inner());
                let mut running = server.running.borrow_mut();
                let queues = running.console.queues();
                let queue = match sink {
                    Sink::Console => Some(queues.console),
                    Sink::Peer => queues.peer,
                    Sink::Loan => queues.loan,
                };
                let Some(queue) = queue else { continue };
                let result = queue.write_to(fd.as_fd());
                if !queue.is_empty() {
                    ready.clear_ready();
                }
                match (result, sink) {
                    (Ok(()), _) => {}
                    (Err(errno), Sink::Console) => return Err(errno),
                    (Err(_), Sink::Peer) => {
                        running.console.drop_peer();
                        return Ok(());
                    }
                    (Err(_), Sink::Loan) => {
                        running.console.take_back();
                        return Ok(());
                    }
                }
            }
        }
    }
}

async fn readable(end: Option<&End>) -> Option<AsyncFdReadyGuard<'_, Arc<OwnedFd>>> {
    end?.readable().await.ok()
}

async fn writable(end: Option<&End>) -> Option<AsyncFdReadyGuard<'_, Arc<OwnedFd>>> {
    end?.writable().await.ok()
}

/// Waits for a signal and takes all that have come.
async fn readable_signal(signals: Option<&AsyncFd<OwnedFd>>) -> Result<(), Errno> {
    let Some(signals) = signals else { return std::future::pending().await };
    let mut seen = false;
    loop {
        let mut ready = signals.readable().await.map_err(|_| Errno::IO)?;
        match rustix::io::read(signals.get_ref(), &mut [0; 128]) {
            Ok(_) => seen = true,
            Err(Errno::AGAIN) if seen => return Ok(()),
            Err(Errno::AGAIN) => ready.clear_ready(),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}
