//! The console ring buffer of `lxc.console.buffer.size`: the newest bytes, oldest first.
//!
//! Pure.

use std::collections::VecDeque;

#[derive(Debug)]
pub(super) struct Ring {
    bytes: VecDeque<u8>,
    capacity: usize,
}

impl Ring {
    /// Memory is taken as output comes, not at once.
    pub(super) fn new(capacity: usize) -> Ring {
        Ring { bytes: VecDeque::new(), capacity }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Adds bytes; what does not fit pushes out the oldest.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let bytes = bytes.get(bytes.len().saturating_sub(self.capacity)..).unwrap_or_default();
        let excess = (self.bytes.len() + bytes.len()).saturating_sub(self.capacity);
        self.bytes.drain(..excess.min(self.bytes.len()));
        self.bytes.extend(bytes);
    }

    /// Takes the oldest bytes out, at most `most`.
    pub(super) fn read(&mut self, most: usize) -> Vec<u8> {
        self.bytes.drain(..most.min(self.bytes.len())).collect()
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }
}
