//! Who is connected to the command socket, and who has to go when there are too many.
//!
//! Pure but for the descriptors it holds. Connecting needs no permission, so the number of connections is bounded, and
//! strangers can never push out those who may give commands.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Notify;

/// Most connections of users who may not give commands.
pub(super) const STRANGERS: usize = 32;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Connected, nothing sent yet; some programs wait for the end of the container like this.
    Idle,
    /// Asking or being answered.
    Busy,
    /// Answered and kept open.
    Kept,
}

#[derive(Debug)]
struct Entry {
    socket: Arc<OwnedFd>,
    phase: Phase,
    trusted: bool,
    cancel: Rc<Notify>,
}

/// All connections, by age.
#[derive(Debug)]
pub(super) struct Table {
    entries: BTreeMap<u64, Entry>,
    next: u64,
    most: usize,
}

/// A connection's place in the table.
#[derive(Clone, Debug)]
pub(super) struct Ticket {
    pub(super) id: u64,
    /// Notified when the connection has to end.
    pub(super) cancel: Rc<Notify>,
}

impl Table {
    pub(super) fn new(most: usize) -> Table {
        Table { entries: BTreeMap::new(), next: 0, most }
    }

    /// Takes a connection in, at the expense of the oldest less worthy one; `None` when all others matter more.
    pub(super) fn admit(&mut self, socket: &Arc<OwnedFd>, trusted: bool, phase: Phase) -> Option<Ticket> {
        let strangers = self.entries.values().filter(|entry| !entry.trusted).count();
        if !trusted && strangers >= STRANGERS {
            self.evict(|entry| !entry.trusted);
        }
        if self.entries.len() >= self.most && !self.evict_one() {
            return None;
        }
        let id = self.next;
        self.next += 1;
        let cancel = Rc::new(Notify::new());
        let entry = Entry { socket: Arc::clone(socket), phase, trusted, cancel: Rc::clone(&cancel) };
        self.entries.insert(id, entry);
        Some(Ticket { id, cancel })
    }

    /// Ends the least worthy connection: a stranger's, then an idle one, oldest first. Kept ones stay.
    pub(super) fn evict_one(&mut self) -> bool {
        self.evict(|entry| !entry.trusted) || self.evict(|entry| entry.phase == Phase::Idle)
    }

    fn evict(&mut self, unworthy: impl Fn(&Entry) -> bool) -> bool {
        let Some(id) = self.entries.iter().find(|(_, entry)| unworthy(entry)).map(|(id, _)| *id) else {
            return false;
        };
        if let Some(entry) = self.entries.remove(&id) {
            entry.cancel.notify_one();
        }
        true
    }

    pub(super) fn set_phase(&mut self, id: u64, phase: Phase) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.phase = phase;
        }
    }

    pub(super) fn remove(&mut self, id: u64) {
        self.entries.remove(&id);
    }

    /// Connections that have not said anything.
    pub(super) fn idle(&self) -> Vec<Arc<OwnedFd>> {
        let idle = self.entries.values().filter(|entry| entry.phase == Phase::Idle);
        idle.map(|entry| Arc::clone(&entry.socket)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket() -> Arc<OwnedFd> {
        Arc::new(std::fs::File::open("/dev/null").unwrap().into())
    }

    #[test]
    fn strangers_only_push_out_strangers() {
        let mut table = Table::new(STRANGERS + 2);
        let ours = table.admit(&socket(), true, Phase::Idle).unwrap();
        for _ in 0..3 * STRANGERS {
            table.admit(&socket(), false, Phase::Idle).unwrap();
        }
        assert_eq!(table.entries.len(), STRANGERS + 1);
        assert_eq!(table.entries.keys().next(), Some(&ours.id));
    }

    #[test]
    fn when_full_the_oldest_idle_connection_goes_and_kept_ones_stay() {
        let mut table = Table::new(3);
        let tickets: Vec<Ticket> =
            (0..3).map(|_| table.admit(&socket(), true, Phase::Idle).unwrap()).collect();
        table.set_phase(tickets[0].id, Phase::Kept);
        let fourth = table.admit(&socket(), true, Phase::Idle).unwrap();
        let left: Vec<u64> = table.entries.keys().copied().collect();
        assert_eq!(left, [tickets[0].id, tickets[2].id, fourth.id]);
        for id in left {
            table.set_phase(id, Phase::Kept);
        }
        assert!(table.admit(&socket(), true, Phase::Idle).is_none());
        table.remove(fourth.id);
        assert!(table.admit(&socket(), true, Phase::Busy).is_some());
        assert!(table.idle().is_empty());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn whoever_has_to_go_is_told() {
        let mut table = Table::new(1);
        let first = table.admit(&socket(), true, Phase::Idle).unwrap();
        table.admit(&socket(), true, Phase::Idle).unwrap();
        first.cancel.notified().await;
    }
}
