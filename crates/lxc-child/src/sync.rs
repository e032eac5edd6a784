//! One end of the handshake between a monitor and the init it cloned.
//!
//! A SOCK_SEQPACKET pair, one fixed-size message a packet, descriptors attached where the milestone says so. Both ends
//! include this file; docs/start-protocol.md has the table.

use lxc_sys::fd::{receive, send};
use lxc_sys::rustix::fd::{BorrowedFd, OwnedFd};
use lxc_sys::rustix::io::Errno;

/// Points at which child and monitor meet, in the order in which they are passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Milestone {
    /// Child: exists, has set its death signal. Monitor then writes id maps and moves it into its cgroups; answers.
    Cloned = 1,
    /// Child: is root of its namespaces, sends its netlink socket if links are to be configured. No answer.
    Mapped = 2,
    /// Monitor: links are configured. The child waits for it before its first hook, or before `Mounted`.
    Configured = 3,
    /// Child: root file system, mounts, /dev, confinement and start hooks are done; sends devpts, tty and console
    /// descriptors. Monitor then applies device rules and runs start-host hooks; answers.
    Mounted = 4,
    /// Child: about to execute the program; everything that can fail but the exec itself is behind it. No answer;
    /// end-of-file on the socket after this is success, a fault is not.
    Ready = 5,
}

/// What the child was doing when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Step {
    Protocol = 1,
    DieWithMonitor,
    SignalMask,
    JoinNamespace,
    UnshareNamespaces,
    TimeOffsets,
    BecomeRoot,
    NetlinkSocket,
    Loopback,
    MakeSlave,
    PreMountHook,
    Rootfs,
    RootfsOptions,
    Hostname,
    Keyring,
    DevTmpfs,
    Mount,
    MountHook,
    AutodevHook,
    DevNode,
    DevSymlink,
    Devpts,
    Console,
    Tty,
    Pivot,
    BootId,
    Personality,
    Sysctl,
    Capabilities,
    LsmLabel,
    NoNewPrivs,
    Seccomp,
    StartHook,
    Stdio,
    Session,
    Cwd,
    Groups,
    Ids,
    Exec,
    StartHookMissing,
    Cgroup,
    RootfsLayer,
    /// Of the process that joins namespaces for init.
    Clone,
}

impl Step {
    const ALL: [Step; 43] = [
        Step::Protocol,
        Step::DieWithMonitor,
        Step::SignalMask,
        Step::JoinNamespace,
        Step::UnshareNamespaces,
        Step::TimeOffsets,
        Step::BecomeRoot,
        Step::NetlinkSocket,
        Step::Loopback,
        Step::MakeSlave,
        Step::PreMountHook,
        Step::Rootfs,
        Step::RootfsOptions,
        Step::Hostname,
        Step::Keyring,
        Step::DevTmpfs,
        Step::Mount,
        Step::MountHook,
        Step::AutodevHook,
        Step::DevNode,
        Step::DevSymlink,
        Step::Devpts,
        Step::Console,
        Step::Tty,
        Step::Pivot,
        Step::BootId,
        Step::Personality,
        Step::Sysctl,
        Step::Capabilities,
        Step::LsmLabel,
        Step::NoNewPrivs,
        Step::Seccomp,
        Step::StartHook,
        Step::Stdio,
        Step::Session,
        Step::Cwd,
        Step::Groups,
        Step::Ids,
        Step::Exec,
        Step::StartHookMissing,
        Step::Cgroup,
        Step::RootfsLayer,
        Step::Clone,
    ];

    fn from_number(number: u32) -> Option<Step> {
        Step::ALL.iter().copied().find(|step| *step as u32 == number)
    }
}

/// Why a start ended in the child: the step, the item of the plan it was at, and the errno (0 = none belongs to it).
///
/// For hooks `errno` is the wait status of the hook instead, negated (see [`crate::hook::run`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    pub step: Step,
    pub item: u32,
    pub errno: i32,
}

impl Fault {
    pub fn new(step: Step, item: u32, errno: Errno) -> Fault {
        Fault { step, item, errno: errno.raw_os_error() }
    }
}

/// One packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Msg {
    Reached(Milestone),
    Go(Milestone),
    Fault(Fault),
    /// A step that may fail did, and the start goes on (an `optional` mount, say). For the log only.
    Note(Fault),
    /// Descriptors for the monitor, attached to this packet; comes before `Mounted`.
    Sent(Parcel),
    /// Child: what only the monitor has the privilege for, please; comes between `Mapped` and `Mounted`.
    Ask(Favour, u32),
    /// Monitor: the answer to an `Ask`, an errno or 0.
    Done(i32),
    /// Joiner, on a socket of its own: init exists; its pidfd comes with it.
    Born {
        pid: i32,
        in_cgroup: bool,
    },
}

/// What a child in a user namespace cannot do itself. The number beside it is the mount's in the plan, or [`ROOTFS`],
/// [`ROOTFS_MOUNT`], [`LAYER`] and up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Favour {
    /// Give the detached mount attached to this packet the ids of the item's `idmap=`.
    MapIds = 1,
    /// Open the item's source, in the child's mount namespace; the descriptor comes with the answer.
    Open = 2,
}

/// The root file system's source.
pub const ROOTFS: u32 = u32::MAX;
/// The directory the root file system is mounted on.
pub const ROOTFS_MOUNT: u32 = u32::MAX - 1;
/// The first layer of an overlay; the others follow.
pub const LAYER: u32 = 1 << 31;

/// What the descriptors of a `Sent` packet are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Parcel {
    /// The mount of the container's devpts.
    Devpts = 1,
    /// The listener of a seccomp filter with `notify`.
    SeccompListener = 2,
    /// ptx and pts of a console opened inside.
    Console = 3,
    /// ptx and pts of some ttys, in order.
    Ttys = 4,
}

/// Size of a packet.
pub const MSG_SIZE: usize = 16;

impl Msg {
    pub fn encode(self) -> [u8; MSG_SIZE] {
        let words = match self {
            Msg::Reached(milestone) => [1, milestone as u32, 0, 0],
            Msg::Go(milestone) => [2, milestone as u32, 0, 0],
            Msg::Fault(fault) => [3, fault.step as u32, fault.item, fault.errno as u32],
            Msg::Note(fault) => [4, fault.step as u32, fault.item, fault.errno as u32],
            Msg::Sent(parcel) => [5, parcel as u32, 0, 0],
            Msg::Ask(favour, item) => [6, favour as u32, item, 0],
            Msg::Done(errno) => [7, 0, 0, errno as u32],
            Msg::Born { pid, in_cgroup } => [8, u32::from(in_cgroup), 0, pid as u32],
        };
        let mut bytes = [0; MSG_SIZE];
        for (chunk, word) in bytes.chunks_exact_mut(4).zip(words) {
            chunk.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    /// `None` for anything `encode` does not make.
    pub fn decode(bytes: &[u8]) -> Option<Msg> {
        if bytes.len() != MSG_SIZE {
            return None;
        }
        let mut words = [0u32; 4];
        for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = u32::from_ne_bytes(chunk.try_into().ok()?);
        }
        let [kind, a, item, errno] = words;
        let milestone = || match a {
            1 => Some(Milestone::Cloned),
            2 => Some(Milestone::Mapped),
            3 => Some(Milestone::Configured),
            4 => Some(Milestone::Mounted),
            5 => Some(Milestone::Ready),
            _ => None,
        };
        let fault = || Some(Fault { step: Step::from_number(a)?, item, errno: errno as i32 });
        match kind {
            1 => milestone().map(Msg::Reached),
            2 => milestone().map(Msg::Go),
            3 => fault().map(Msg::Fault),
            4 => fault().map(Msg::Note),
            5 => match a {
                1 => Some(Msg::Sent(Parcel::Devpts)),
                2 => Some(Msg::Sent(Parcel::SeccompListener)),
                3 => Some(Msg::Sent(Parcel::Console)),
                4 => Some(Msg::Sent(Parcel::Ttys)),
                _ => None,
            },
            6 => match a {
                1 => Some(Msg::Ask(Favour::MapIds, item)),
                2 => Some(Msg::Ask(Favour::Open, item)),
                _ => None,
            },
            7 => Some(Msg::Done(errno as i32)),
            8 => Some(Msg::Born { pid: errno as i32, in_cgroup: a != 0 }),
            _ => None,
        }
    }
}

/// Sends a message with descriptors.
pub fn tell(socket: BorrowedFd<'_>, msg: Msg, fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    send(socket, &msg.encode(), fds)
}

/// Receives a message; `Ok(None)` at end of file.
///
/// - Errors: `EPROTO` for a packet that is not a message.
pub fn hear(socket: BorrowedFd<'_>, take: impl FnMut(OwnedFd)) -> Result<Option<Msg>, Errno> {
    // One byte more than a message, so that an over-long packet is seen as such.
    let mut bytes = [0; MSG_SIZE + 1];
    let length = receive(socket, &mut bytes, take)?;
    if length == 0 {
        return Ok(None);
    }
    bytes.get(..length).and_then(Msg::decode).map(Some).ok_or(Errno::PROTO)
}

/// Says that `milestone` is reached and waits for the answer.
pub fn meet(socket: BorrowedFd<'_>, milestone: Milestone, fds: &[BorrowedFd<'_>]) -> Result<(), Fault> {
    tell(socket, Msg::Reached(milestone), fds)
        .map_err(|errno| Fault::new(Step::Protocol, milestone as u32, errno))?;
    await_go(socket, milestone)
}

/// Waits for the monitor's `Go`.
pub fn await_go(socket: BorrowedFd<'_>, milestone: Milestone) -> Result<(), Fault> {
    match hear(socket, drop) {
        Ok(Some(Msg::Go(m))) if m == milestone => Ok(()),
        Ok(_) => Err(Fault::new(Step::Protocol, milestone as u32, Errno::PROTO)),
        Err(errno) => Err(Fault::new(Step::Protocol, milestone as u32, errno)),
    }
}

/// The child's end, with what the monitor still owes it.
#[derive(Debug)]
pub struct Talk<'a> {
    socket: BorrowedFd<'a>,
    /// `Configured` has not come yet.
    owed: bool,
}

impl<'a> Talk<'a> {
    /// `owed` once `Mapped` was told with a socket.
    pub fn new(socket: BorrowedFd<'a>, owed: bool) -> Talk<'a> {
        Talk { socket, owed }
    }

    /// Waits for `Configured` if it is due.
    pub fn settle(&mut self) -> Result<(), Fault> {
        if core::mem::take(&mut self.owed) { await_go(self.socket, Milestone::Configured) } else { Ok(()) }
    }

    /// Tells of a failure that does not end the start.
    pub fn note(&self, fault: Fault) -> Result<(), Fault> {
        tell(self.socket, Msg::Note(fault), &[])
            .map_err(|errno| Fault::new(Step::Protocol, fault.item, errno))
    }

    /// Has the monitor give the detached mount `tree` the ids that `item` asks for.
    ///
    /// - Errors: the monitor's; `EPROTO` when it says anything else.
    pub fn map_ids(&mut self, item: u32, tree: BorrowedFd<'_>) -> Result<(), Errno> {
        self.ask(Favour::MapIds, item, &[tree]).map(drop)
    }

    /// Has the monitor open the source of `item`, for paths the child's user may not traverse.
    ///
    /// - Errors: as `map_ids`.
    pub fn open(&mut self, item: u32) -> Result<OwnedFd, Errno> {
        self.ask(Favour::Open, item, &[])?.ok_or(Errno::PROTO)
    }

    fn ask(&mut self, favour: Favour, item: u32, fds: &[BorrowedFd<'_>]) -> Result<Option<OwnedFd>, Errno> {
        tell(self.socket, Msg::Ask(favour, item), fds)?;
        loop {
            let mut answer = None;
            match hear(self.socket, |fd| answer = Some(fd))? {
                // The links were made while we mounted.
                Some(Msg::Go(Milestone::Configured)) if self.owed => self.owed = false,
                Some(Msg::Done(0)) => return Ok(answer),
                Some(Msg::Done(errno @ 1..4096)) => return Err(Errno::from_raw_os_error(errno)),
                _ => return Err(Errno::PROTO),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_survives_the_wire_and_junk_does_not() {
        for step in Step::ALL {
            let fault = Fault { step, item: 7, errno: -3 };
            for msg in [Msg::Fault(fault), Msg::Note(fault)] {
                assert_eq!(Msg::decode(&msg.encode()), Some(msg));
            }
        }
        for milestone in [
            Milestone::Cloned,
            Milestone::Mapped,
            Milestone::Configured,
            Milestone::Mounted,
            Milestone::Ready,
        ] {
            assert_eq!(Msg::decode(&Msg::Reached(milestone).encode()), Some(Msg::Reached(milestone)));
            assert_eq!(Msg::decode(&Msg::Go(milestone).encode()), Some(Msg::Go(milestone)));
        }
        for parcel in [Parcel::Devpts, Parcel::SeccompListener, Parcel::Console, Parcel::Ttys] {
            assert_eq!(Msg::decode(&Msg::Sent(parcel).encode()), Some(Msg::Sent(parcel)));
        }
        for msg in [
            Msg::Ask(Favour::MapIds, ROOTFS),
            Msg::Ask(Favour::Open, 3),
            Msg::Done(0),
            Msg::Done(22),
            Msg::Born { pid: 7, in_cgroup: true },
        ] {
            assert_eq!(Msg::decode(&msg.encode()), Some(msg));
        }
        assert_eq!(Msg::decode(&[0; MSG_SIZE]), None);
        assert_eq!(Msg::decode(&[1; MSG_SIZE]), None);
        assert_eq!(Msg::decode(&Msg::Go(Milestone::Ready).encode()[..15]), None);
    }
}
