//! The command socket in hostile hands: every command of every user, and bytes that are no request.

use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::{Duration, Instant};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use testkit::{Guest, Run, cases};

use crate::probe;

/// Numbers of the commands, 0 to 26.
const COMMANDS: std::ops::RangeInclusive<i32> = 0..=26;
const STOP: i32 = 2;
const FREEZE: i32 = 15;
const UNFREEZE: i32 = 16;
const SERVE_STATE_CLIENTS: i32 = 12;

fn address(guest: &Guest) -> String {
    let literal = format!("{}/{}/command", guest.lxcpath().display(), guest.name());
    assert!(literal.len() <= 105, "{literal}: longer ones are hashed");
    literal
}

fn connect(guest: &Guest) -> UnixStream {
    let stream = UnixStream::connect_addr(&SocketAddr::from_abstract_name(address(guest)).unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(3))).unwrap();
    stream
}

fn header(command: i32, length: i32, data: u64) -> Vec<u8> {
    [command.to_ne_bytes().to_vec(), length.to_ne_bytes().to_vec(), data.to_ne_bytes().to_vec()].concat()
}

/// Sends bytes and reads what comes, if anything; whatever happens is right as long as the monitor stays.
fn throw(guest: &Guest, bytes: &[u8]) {
    let mut stream = connect(guest);
    stream.set_read_timeout(Some(Duration::from_millis(30))).unwrap();
    if stream.write_all(bytes).is_ok() {
        drop(stream.shutdown(std::net::Shutdown::Write));
        drop(stream.read(&mut [0; 4096]));
    }
}

/// What the monitor holds: descriptors, and kB of memory.
fn held(guest: &Guest) -> (usize, usize) {
    let pid = guest.monitor();
    let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    (fds, resident.trim().trim_end_matches(" kB").parse().unwrap())
}

/// The monitor is the one it was, answers, and has given back what the attack made it take.
fn assert_well(guest: &Guest, monitor: u32, before: (usize, usize)) {
    assert_eq!(guest.state(), "RUNNING");
    assert_eq!(guest.monitor(), monitor);
    let mut after = held(guest);
    let end = Instant::now() + Duration::from_secs(10);
    while after.0 > before.0 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(50));
        after = held(guest);
    }
    assert!(after.0 <= before.0, "descriptors: {} before, {} after", before.0, after.0);
    assert!(after.1 <= before.1 + 8192, "memory: {} kB before, {} kB after", before.1, after.1);
}

/// Lengths a header may announce.
const LENGTHS: [i32; 9] = [-1, i32::MIN, 0, 1, 7, 40, 8192, 8193, i32::MAX];

fn one_of_each_malformed(guest: &Guest, command: i32) {
    let text = b"lxc.uts.name";
    for length in LENGTHS {
        // Nothing follows; less follows than was announced; something without an end follows.
        throw(guest, &header(command, length, u64::MAX));
        throw(guest, &[header(command, length, 0), text.to_vec()].concat());
        let exact = usize::try_from(length).unwrap_or(0).min(9000);
        throw(guest, &[header(command, length, 0), vec![b'A'; exact]].concat());
        throw(guest, &[header(command, length, 0), vec![0xff; exact + 500]].concat());
    }
    // Half a header.
    throw(guest, &header(command, 0, 0)[..9]);
}

cases! {
    fn cve_2026_command_socket_frames_with_wrong_lengths() {
        let guest = Guest::build("frames").start();
        let (monitor, before) = (guest.monitor(), held(&guest));
        // STOP stops whatever comes with it, and these two are orders, too.
        for command in COMMANDS.filter(|command| ![STOP, FREEZE, UNFREEZE, SERVE_STATE_CLIENTS].contains(command)) {
            one_of_each_malformed(&guest, command);
            assert_eq!(guest.monitor(), monitor, "after command {command}");
        }
        assert_well(&guest, monitor, before);
        guest.kill();
    }

    fn cve_2026_command_socket_orders_with_wrong_lengths() {
        let guest = Guest::build("orders").start();
        let (monitor, before) = (guest.monitor(), held(&guest));
        for command in [FREEZE, UNFREEZE] {
            one_of_each_malformed(&guest, command);
        }
        let mut thaw = connect(&guest);
        thaw.write_all(&header(UNFREEZE, 0, 5)).unwrap();
        drop(thaw.read(&mut [0; 16]));
        let _ = guest.tool("lxc-unfreeze").done();
        assert_eq!(guest.sh("echo alive"), "alive\n");
        assert_well(&guest, monitor, before);
        guest.kill();
    }

    fn cve_2026_command_socket_unknown_commands() {
        let guest = Guest::build("unknown").start();
        let (monitor, before) = (guest.monitor(), held(&guest));
        for command in [-1, 27, 28, 255, 65536, i32::MIN, i32::MAX] {
            one_of_each_malformed(&guest, command);
        }
        // A header of every byte.
        for byte in 0..=255_u8 {
            throw(&guest, &[byte; 16]);
        }
        assert_well(&guest, monitor, before);
        guest.kill();
    }

    fn command_socket_descriptors_nobody_asked_for() {
        let guest = Guest::build("gifts").start();
        let (monitor, before) = (guest.monitor(), held(&guest));
        let null = std::fs::File::open("/dev/null").unwrap();
        for command in COMMANDS.filter(|command| *command != STOP && *command != FREEZE && *command != SERVE_STATE_CLIENTS) {
            for count in [1, 2, 100, 253] {
                let fds: Vec<BorrowedFd<'_>> = (0..count).map(|_| null.as_fd()).collect();
                let stream = connect(&guest);
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
                let mut control = SendAncillaryBuffer::new(&mut space);
                assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
                let bytes = header(command, 0, 0);
                let _ = sendmsg(&stream, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL);
                stream.set_read_timeout(Some(Duration::from_millis(30))).unwrap();
                drop((&stream).read(&mut [0; 64]));
            }
        }
        assert_well(&guest, monitor, before);
        guest.kill();
    }

    fn command_socket_slow_writers_hold_up_nobody() {
        let guest = Guest::build("slow").start();
        let (monitor, before) = (guest.monitor(), held(&guest));
        let mut slow: Vec<UnixStream> = (0..100).map(|_| connect(&guest)).collect();
        for (number, stream) in slow.iter_mut().enumerate() {
            // One byte, half a header, a header without its payload.
            let whole = header(7, 4096, 0);
            stream.write_all(&whole[..[1, 9, 16][number % 3]]).unwrap();
        }
        let done = guest.tool("lxc-info").args(["-s", "-H"]).limit(Duration::from_secs(5)).done();
        assert_eq!(done.stdout, "RUNNING\n", "{done}");
        drop(slow);
        assert_well(&guest, monitor, before);
        guest.kill();
    }

    fn command_socket_thousands_of_connections() {
        let guest = Guest::build("many").start();
        let (monitor, before) = (guest.monitor(), held(&guest));
        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
        for _ in 0..4 {
            let mut open = Vec::new();
            for number in 0..2500 {
                // The queue of the listener may be full for a moment; a refusal is an answer as well.
                let name = SocketAddr::from_abstract_name(address(&guest)).unwrap();
                let Ok(mut stream) = UnixStream::connect_addr(&name) else { continue };
                if number % 2 == 0 {
                    drop(stream.write_all(&header(3, 0, 0)));
                }
                open.push(stream);
            }
            assert!(open.len() > 1000, "only {} connections", open.len());
            let started = Instant::now();
            assert_eq!(guest.state(), "RUNNING");
            assert!(started.elapsed() < Duration::from_secs(4), "an answer took {:?}", started.elapsed());
            assert!(held(&guest).1 < before.1 + 32768, "memory: {} kB, then {} kB", before.1, held(&guest).1);
        }
        assert_well(&guest, monitor, before);
        guest.kill();
    }

    fn lxc_pr_2994_the_command_socket_answers_root_and_nobody_else() {
        let guest = Guest::build("creds").conf("lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536\nlxc.mount.auto =\nlxc.mount.auto = proc:mixed").under(["/usr/bin/env", "PATH=/nonexistent"].map(Into::into).to_vec()).make();
        Run::new("/bin/chown").args(["-R", "100000:100000"]).arg(guest.rootfs()).done().exits(0).ok();
        guest.start();
        let init = guest.pid();
        let program = probe::program();
        let copy = guest.lxcpath().join("probe");
        std::fs::copy(program, &copy).unwrap();
        // Root of the container, a stranger, a stranger in root's group, and a stranger with root among his groups.
        let users = [["100000", "100000", "--clear-groups"], ["12345", "12345", "--clear-groups"], ["12345", "0", "--clear-groups"], ["12345", "12345", "--groups=0"]];
        for [uid, gid, groups] in users {
            for command in COMMANDS {
                let text = match command {
                    7 => "lxc.uts.name",
                    6 | 19 | 24 | 25 => "freezer",
                    _ => "",
                };
                let run = Run::new("/usr/bin/setpriv").args(["--reuid", uid, "--regid", gid, groups, "--"]).arg(&copy);
                let done = run.args(["ask", &address(&guest), &command.to_string(), text]).done().exits(0);
                // COMPAT: to whom it may not speak the original says -1, without a word of data.
                let refused = done.stdout.starts_with("ret -") && done.stdout.contains(" length 0 ") && done.stdout.contains(" rights 0")
                    || done.stdout == "closed\n" || done.stdout.starts_with("write: ") || done.stdout.contains("reset by peer");
                assert!(refused, "user {uid}:{gid} {groups}, command {command}: {done}");
            }
        }
        assert_eq!(guest.pid(), init);
        assert_eq!(guest.state(), "RUNNING");
        // Root of the host, whatever group it has.
        let run = Run::new("/usr/bin/setpriv").args(["--regid", "12345", "--clear-groups", "--"]).arg(&copy);
        let done = run.args(["ask", &address(&guest), "4", ""]).done();
        assert!(done.stdout.contains(&format!(" data {init} ")) || done.stdout.contains(&format!("ret {init} ")), "{done}");
        guest.kill();
    }
}
