//! The handshake under a peer that is confused, malicious or dead: no packet but the right one lets the child go on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::os::fd::{AsFd, OwnedFd};

use lxc_child::sync::{MSG_SIZE, await_go, hear, meet, tell};
use lxc_child::{Fault, Milestone, Msg, Parcel, Step};
use lxc_sys::fd::send;
use lxc_sys::rustix::io::Errno;
use lxc_sys::rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use proptest::prelude::*;

const MILESTONES: [Milestone; 5] =
    [Milestone::Cloned, Milestone::Mapped, Milestone::Configured, Milestone::Mounted, Milestone::Ready];

fn pair() -> (OwnedFd, OwnedFd) {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap()
}

fn milestones() -> impl Strategy<Value = Milestone> {
    prop::sample::select(MILESTONES.to_vec())
}

/// What may arrive: any message, cut off or too long, or bytes of no meaning.
fn packets() -> impl Strategy<Value = Vec<u8>> {
    let fault =
        (any::<u32>(), any::<i32>()).prop_map(|(item, errno)| Fault { step: Step::Mount, item, errno });
    let message = prop_oneof![
        milestones().prop_map(Msg::Go),
        milestones().prop_map(Msg::Reached),
        fault.clone().prop_map(Msg::Fault),
        fault.prop_map(Msg::Note),
        Just(Msg::Sent(Parcel::Ttys)),
    ]
    .prop_map(|msg| msg.encode().to_vec());
    prop_oneof![
        4 => message.clone(),
        1 => (message.clone(), 1..MSG_SIZE).prop_map(|(mut bytes, length)| { bytes.truncate(length); bytes }),
        1 => (message, 1..20usize).prop_map(|(mut bytes, more)| { bytes.extend(vec![0; more]); bytes }),
        1 => prop::collection::vec(any::<u8>(), 1..64),
    ]
}

fn protocol(milestone: Milestone) -> Fault {
    Fault::new(Step::Protocol, milestone as u32, Errno::PROTO)
}

proptest! {
    #[test]
    fn only_the_expected_go_lets_the_child_on(milestone in milestones(), first in packets(), second in packets()) {
        let (child, monitor) = pair();
        send(monitor.as_fd(), &first, &[]).unwrap();
        send(monitor.as_fd(), &second, &[]).unwrap();
        let expected = if first == Msg::Go(milestone).encode() { Ok(()) } else { Err(protocol(milestone)) };
        prop_assert_eq!(await_go(child.as_fd(), milestone), expected);
        // Exactly one packet is consumed, whatever its length: the next one is read from its start.
        prop_assert_eq!(hear(child.as_fd(), drop).ok().flatten(), Msg::decode(&second));
    }

    #[test]
    fn what_is_heard_is_what_was_encoded_or_eproto(bytes in packets()) {
        let (child, monitor) = pair();
        send(monitor.as_fd(), &bytes, &[]).unwrap();
        match (Msg::decode(&bytes), hear(child.as_fd(), drop)) {
            (Some(sent), Ok(Some(heard))) => {
                prop_assert_eq!(sent, heard);
                // Words a message does not use are not looked at; those it uses survive.
                prop_assert_eq!(Msg::decode(&heard.encode()), Some(sent));
            }
            (None, Err(Errno::PROTO)) => {}
            (sent, heard) => prop_assert!(false, "{:?} was heard as {:?}", sent, heard),
        }
    }

    #[test]
    fn a_whole_handshake_survives_no_injected_packet(at in 0..3usize, injected in packets()) {
        // The child's answers-wanted milestones in their order; the monitor puts one packet before its `at`-th answer.
        let order = [Milestone::Cloned, Milestone::Configured, Milestone::Mounted];
        let (child, monitor) = pair();
        for (index, milestone) in order.into_iter().enumerate() {
            if index == at {
                send(monitor.as_fd(), &injected, &[]).unwrap();
            }
            tell(monitor.as_fd(), Msg::Go(milestone), &[]).unwrap();
        }
        let result: Result<Vec<()>, Fault> =
            order.into_iter().map(|milestone| await_go(child.as_fd(), milestone)).collect();
        let next = order[at];
        if injected == Msg::Go(next).encode() {
            // A doubled answer is taken for the next milestone's and refused there, or left over at the end.
            let expected = if at == 2 { Ok(vec![(); 3]) } else { Err(protocol(order[at + 1])) };
            prop_assert_eq!(result, expected);
        } else {
            prop_assert_eq!(result, Err(protocol(next)));
        }
    }
}

#[test]
fn a_monitor_that_is_gone_ends_the_child() {
    for milestone in MILESTONES {
        let (child, monitor) = pair();
        drop(monitor);
        assert_eq!(hear(child.as_fd(), drop), Ok(None));
        assert_eq!(await_go(child.as_fd(), milestone), Err(protocol(milestone)));
        // No SIGPIPE: the fault says what happened.
        let fault = meet(child.as_fd(), milestone, &[]).unwrap_err();
        assert_eq!((fault.step, fault.errno), (Step::Protocol, Errno::PIPE.raw_os_error()));
    }
}

#[test]
fn meeting_says_what_was_reached_and_waits() {
    let (child, monitor) = pair();
    tell(monitor.as_fd(), Msg::Go(Milestone::Mounted), &[]).unwrap();
    meet(child.as_fd(), Milestone::Mounted, &[]).unwrap();
    assert_eq!(hear(monitor.as_fd(), drop), Ok(Some(Msg::Reached(Milestone::Mounted))));
}

#[test]
fn descriptors_arrive_in_order_and_close_on_exec() {
    let (child, monitor) = pair();
    let files: Vec<OwnedFd> = (0..lxc_sys::fd::MAX_FDS)
        .map(|n| {
            let (read, write) = lxc_sys::rustix::pipe::pipe().unwrap();
            lxc_sys::rustix::io::write(write, &[n as u8]).unwrap();
            read
        })
        .collect();
    let fds: Vec<_> = files.iter().map(AsFd::as_fd).collect();
    tell(child.as_fd(), Msg::Sent(Parcel::Ttys), &fds).unwrap();
    let mut taken = Vec::new();
    assert_eq!(hear(monitor.as_fd(), |fd| taken.push(fd)), Ok(Some(Msg::Sent(Parcel::Ttys))));
    assert_eq!(taken.len(), files.len());
    for (n, fd) in taken.iter().enumerate() {
        let mut byte = [0];
        lxc_sys::rustix::io::read(fd, &mut byte).unwrap();
        assert_eq!(usize::from(byte[0]), n);
        let flags = lxc_sys::rustix::io::fcntl_getfd(fd).unwrap();
        assert!(flags.contains(lxc_sys::rustix::io::FdFlags::CLOEXEC));
    }
}

#[test]
fn descriptors_nobody_asked_for_are_closed() {
    let (child, monitor) = pair();
    let (read, write) = lxc_sys::rustix::pipe::pipe().unwrap();
    tell(monitor.as_fd(), Msg::Go(Milestone::Cloned), &[write.as_fd()]).unwrap();
    drop(write);
    await_go(child.as_fd(), Milestone::Cloned).unwrap();
    // End of file: no copy of the write end is left in this process.
    assert_eq!(lxc_sys::rustix::io::read(&read, &mut [0u8; 1]), Ok(0));
}
