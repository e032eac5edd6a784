//! What the attached process shall do: borrowed, flat, finished before the clone; and how it reports.
//!
//! Not here: the doing (`attach`, `transient`) and the deciding (`lxc_core::attach::plan`).

use core::ffi::CStr;

use lxc_sys::clone::CloneArgs;
use lxc_sys::cred::{Personality, SockFilter};
use lxc_sys::exec::Image;
use lxc_sys::proc::ProcFs;
use lxc_sys::rustix::fd::BorrowedFd;
use lxc_sys::rustix::io::Errno;
use lxc_sys::signal::Mask;

/// Where the attached process was when it failed. The order is the order of the steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum AttachStep {
    /// Write into `cgroup.procs` number `item`.
    Cgroup = 1,
    /// Set limit number `item`.
    Limit,
    /// Write procfs file number `item`.
    ProcWrite,
    /// Make a session keyring of its own.
    Keyring,
    /// Give up the caller's controlling terminal.
    DropTerminal,
    /// Open the LSM attribute file.
    OpenLabel,
    /// Join namespace (set) number `item`.
    Join,
    /// Clone out of the transient process.
    Clone,
    /// Close what belongs to the host.
    CloseForeign,
    /// Mount private `/proc` (item 0) or `/sys` (item 1).
    Remount,
    /// Join the container's core-scheduling domain.
    CoreScheduling,
    Personality,
    /// Drop capability number `item`.
    Capability,
    Groups,
    /// Become root of the user namespace.
    NamespaceRoot,
    /// Write the LSM label.
    Label,
    NoNewPrivs,
    /// Make the pseudo terminal the controlling terminal.
    Terminal,
    /// Set up descriptor number `item`.
    Stdio,
    Seccomp,
    Gid,
    Uid,
    SignalMask,
    Exec,
}

impl AttachStep {
    const ALL: [AttachStep; 24] = [
        AttachStep::Cgroup,
        AttachStep::Limit,
        AttachStep::ProcWrite,
        AttachStep::Keyring,
        AttachStep::DropTerminal,
        AttachStep::OpenLabel,
        AttachStep::Join,
        AttachStep::Clone,
        AttachStep::CloseForeign,
        AttachStep::Remount,
        AttachStep::CoreScheduling,
        AttachStep::Personality,
        AttachStep::Capability,
        AttachStep::Groups,
        AttachStep::NamespaceRoot,
        AttachStep::Label,
        AttachStep::NoNewPrivs,
        AttachStep::Terminal,
        AttachStep::Stdio,
        AttachStep::Seccomp,
        AttachStep::Gid,
        AttachStep::Uid,
        AttachStep::SignalMask,
        AttachStep::Exec,
    ];
}

/// A step that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttachFault {
    pub step: AttachStep,
    /// Which of several, counted from 0; its meaning is in [`AttachStep`].
    pub item: u16,
    pub errno: Errno,
}

/// Names the step of a failed call.
pub(crate) trait At<T> {
    fn at(self, step: AttachStep, item: usize) -> Result<T, AttachFault>;
}

impl<T> At<T> for Result<T, Errno> {
    fn at(self, step: AttachStep, item: usize) -> Result<T, AttachFault> {
        self.map_err(|errno| AttachFault { step, item: u16::try_from(item).unwrap_or(u16::MAX), errno })
    }
}

/// One message on the report socket (`SOCK_SEQPACKET`), 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachMessage {
    Fault(AttachFault),
    /// The transient process cloned the attached one: its pid as the caller sees it.
    Pid(i32),
    /// One descriptor comes with the message: the listener of the seccomp filter.
    SeccompListener,
}

const PID: u16 = 0xffff;
const LISTENER: u16 = 0xfffe;

impl AttachMessage {
    /// Size on the wire.
    pub const SIZE: usize = 8;

    pub fn encode(self) -> [u8; AttachMessage::SIZE] {
        let (kind, item, value) = match self {
            AttachMessage::Fault(fault) => (fault.step as u16, fault.item, fault.errno.raw_os_error()),
            AttachMessage::Pid(pid) => (PID, 0, pid),
            AttachMessage::SeccompListener => (LISTENER, 0, 0),
        };
        let ([a, b], [c, d], [e, f, g, h]) = (kind.to_ne_bytes(), item.to_ne_bytes(), value.to_ne_bytes());
        [a, b, c, d, e, f, g, h]
    }

    /// - Errors: `None` for what no attached process sends.
    pub fn decode(bytes: [u8; AttachMessage::SIZE]) -> Option<AttachMessage> {
        let [a, b, c, d, e, f, g, h] = bytes;
        let kind = u16::from_ne_bytes([a, b]);
        let value = i32::from_ne_bytes([e, f, g, h]);
        match kind {
            PID => Some(AttachMessage::Pid(value)),
            LISTENER => Some(AttachMessage::SeccompListener),
            _ => {
                let step = AttachStep::ALL.into_iter().find(|step| *step as u16 == kind)?;
                if !(1..4096).contains(&value) {
                    return None;
                }
                let errno = Errno::from_raw_os_error(value);
                Some(AttachMessage::Fault(AttachFault { step, item: u16::from_ne_bytes([c, d]), errno }))
            }
        }
    }
}

/// One namespace descriptor to join, or a pidfd with several kinds.
#[derive(Clone, Copy, Debug)]
pub struct JoinOp<'a> {
    pub fd: BorrowedFd<'a>,
    /// `CLONE_NEW*` bits.
    pub kinds: u64,
}

/// One resource limit: number, soft and hard value (`u64::MAX` = unlimited).
#[derive(Clone, Copy, Debug)]
pub struct LimitOp {
    pub resource: u32,
    pub soft: u64,
    pub hard: u64,
}

/// One file below `/proc/self` to write.
#[derive(Clone, Copy, Debug)]
pub struct ProcWriteOp<'a> {
    /// `thread-self/…`
    pub path: &'a CStr,
    pub value: &'a [u8],
}

/// The LSM label to take on.
#[derive(Clone, Copy, Debug)]
pub struct LabelOp<'a> {
    /// Attribute file below the host's procfs, `thread-self/attr/…`.
    pub path: &'a CStr,
    pub text: &'a [u8],
}

/// The seccomp filter to load.
#[derive(Clone, Copy, Debug)]
pub struct SeccompOp<'a> {
    pub program: &'a [SockFilter],
    /// The filter has notify actions: send its listener to the caller.
    pub notify: bool,
}

/// Everything the attached process does, in order of use.
#[derive(Debug)]
pub struct AttachScript<'a> {
    /// Where faults go; its end of file tells the caller that the command runs.
    pub report: BorrowedFd<'a>,
    /// `cgroup.procs` files of the container.
    pub cgroups: &'a [BorrowedFd<'a>],
    pub limits: &'a [LimitOp],
    /// The host's procfs.
    pub proc: &'a ProcFs,
    pub proc_writes: &'a [ProcWriteOp<'a>],
    pub label: Option<LabelOp<'a>>,
    /// Leave the caller's session keyring behind.
    pub new_session_keyring: bool,
    /// Whether `/dev/tty` must not lead back to the caller's terminal.
    pub drop_terminal: bool,
    pub joins: &'a [JoinOp<'a>],
    /// Directory to start in, if it exists in the container.
    pub cwd: Option<&'a CStr>,
    /// Mount a private `/proc` and `/sys` that fit the joined namespaces.
    pub remount: bool,
    /// A process (as its pid namespace numbers it) whose core-scheduling domain to join.
    pub core_of: Option<i32>,
    pub personality: Option<Personality>,
    /// Capabilities to drop from the bounding set, as bits.
    pub drop_bounding: u64,
    pub groups: &'a [u32],
    /// Root's uid and gid in the joined user namespace.
    pub namespace_root: Option<(u32, u32)>,
    pub no_new_privs: bool,
    /// The pseudo terminal to become the controlling terminal.
    pub terminal: Option<BorrowedFd<'a>>,
    /// What descriptors 0, 1 and 2 become; `None` leaves one alone.
    pub stdio: [Option<BorrowedFd<'a>>; 3],
    pub seccomp: Option<SeccompOp<'a>>,
    pub uid: u32,
    pub gid: u32,
    pub mask: Mask,
    pub image: &'a Image,
    /// Executed when `image` cannot be.
    pub fallback: Option<&'a Image>,
    /// For the transient process: how to clone the attached one.
    pub clone: CloneArgs<'a>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_the_wire() {
        let messages = AttachStep::ALL
            .into_iter()
            .map(|step| AttachMessage::Fault(AttachFault { step, item: 513, errno: Errno::PERM }))
            .chain([AttachMessage::Pid(123_456), AttachMessage::SeccompListener]);
        for message in messages {
            assert_eq!(AttachMessage::decode(message.encode()), Some(message));
        }
        assert_eq!(AttachMessage::decode([0; 8]), None);
    }

    #[test]
    fn steps_are_numbered_without_a_gap() {
        for (index, step) in AttachStep::ALL.into_iter().enumerate() {
            assert_eq!(step as usize, index + 1);
        }
    }
}
