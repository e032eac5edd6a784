//! The links of a running container: what the command socket is asked about, and their end.

use std::os::fd::BorrowedFd;

use crate::error::Error;

use super::script::Scripts;
use super::undo::{self, Undo};

/// One link as it was made.
#[derive(Clone, Debug)]
pub struct Link {
    /// N of `lxc.net.N`.
    pub index: u32,
    /// `lxc.net.N.type`.
    pub type_word: &'static str,
    /// veth: the host end; phys: the device's name on the host; others: none.
    pub host_name: Option<String>,
    /// Index of `host_name` (phys: the one it had before it left).
    pub host_ifindex: Option<u32>,
    /// Name inside when the container started; it may rename its devices. Empty for type `empty`.
    pub container_name: String,
    /// Index inside; 0 for type `empty`.
    pub container_ifindex: u32,
    pub(super) undo: Vec<Undo>,
}

/// All links of one container, by ascending N.
#[derive(Clone, Debug, Default)]
#[must_use = "links not torn down stay on the host"]
pub struct Links {
    pub(super) links: Vec<Link>,
}

impl Links {
    /// Every link.
    pub fn iter(&self) -> impl Iterator<Item = &Link> {
        self.links.iter()
    }

    /// The link of `lxc.net.N`.
    pub fn get(&self, index: u32) -> Option<&Link> {
        self.links.iter().find(|link| link.index == index)
    }

    /// Live host name of a veth, as `lxc.net.N.veth.pair` of the running configuration shows it.
    pub fn veth_pair(&self, index: u32) -> Option<&str> {
        self.get(index).filter(|link| link.type_word == "veth").and_then(|link| link.host_name.as_deref())
    }

    /// Gives physical devices back, runs the down scripts, removes what is left on the host and looks whether it is
    /// gone.
    ///
    /// - Context: monitor, in the host's network namespace, after init ended; `netns` is what keeps the container's
    ///   namespace alive. Visits it with the calling thread.
    /// - Errors: all of them; every step is tried.
    pub fn teardown(self, netns: BorrowedFd<'_>, scripts: &dyn Scripts) -> Vec<Error> {
        let undo: Vec<_> = self.links.into_iter().map(|link| link.undo).collect();
        undo::replay(&undo, netns, scripts)
    }
}
