//! Bytes on their way to a descriptor that may not take them at once.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;

use rustix::io::Errno;

/// A first-in first-out buffer.
#[derive(Debug, Default)]
pub struct Queue {
    bytes: VecDeque<u8>,
}

impl Queue {
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    /// Adds bytes and forgets the oldest beyond `most`.
    pub fn push_dropping(&mut self, bytes: &[u8], most: usize) {
        self.push(bytes);
        self.bytes.drain(..self.bytes.len().saturating_sub(most));
    }

    /// Writes until the queue is empty or the descriptor is full.
    ///
    /// - Errors: anything but `AGAIN`; what was written before is gone from the queue.
    pub fn write_to(&mut self, fd: BorrowedFd<'_>) -> Result<(), Errno> {
        while !self.is_empty() {
            let (front, _) = self.bytes.as_slices();
            match rustix::io::write(fd, front) {
                Ok(written) => drop(self.bytes.drain(..written)),
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }
}
