//! The ttys of a container and who has borrowed which.

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;

use super::Pty;

/// `lxc.tty.max` terminals, numbered from 1.
#[derive(Debug, Default)]
pub struct Ttys {
    slots: Vec<Slot>,
}

#[derive(Debug)]
struct Slot {
    pty: Pty,
    lent: bool,
}

impl Ttys {
    pub fn new(ptys: Vec<Pty>) -> Ttys {
        Ttys { slots: ptys.into_iter().map(|pty| Slot { pty, lent: false }).collect() }
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Names of the terminals, for `container_ttys`.
    pub fn names(&self) -> Vec<String> {
        self.slots.iter().map(|slot| slot.pty.name.to_string_lossy().into_owned()).collect()
    }

    /// Lends terminal `number`, or any free one for a negative number: its number and a copy of its ptx.
    ///
    /// - Errors: `BADF` when it is lent or does not exist, as the original answers.
    pub fn lend(&mut self, number: i32) -> Result<(i32, OwnedFd), Errno> {
        let index = match usize::try_from(number) {
            Ok(number) => number.checked_sub(1).ok_or(Errno::BADF)?,
            Err(_) => self.slots.iter().position(|slot| !slot.lent).ok_or(Errno::BADF)?,
        };
        let slot = self.slots.get_mut(index).filter(|slot| !slot.lent).ok_or(Errno::BADF)?;
        let ptx = slot.pty.ptx.as_fd().try_clone_to_owned().map_err(|_| Errno::MFILE)?;
        slot.lent = true;
        Ok((i32::try_from(index + 1).unwrap_or(i32::MAX), ptx))
    }

    /// The borrower of terminal `number` is gone.
    pub fn take_back(&mut self, number: i32) {
        let index = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        if let Some(slot) = index.and_then(|index| self.slots.get_mut(index)) {
            slot.lent = false;
        }
    }
}
