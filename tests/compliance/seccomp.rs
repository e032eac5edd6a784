//! Seccomp policies at work, watched by programs of a few bytes that make one call through a chosen entry of the kernel.
//!
//! Written for x86_64, whose kernel has three: its own, that of 32-bit programs and x32. Each verdict is an errno that the
//! call does not have by itself, so that a container without a filter fails every test.

use std::fs;
use std::io::{IoSliceMut, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType, accept, bind, listen, recvmsg, send, socket_with,
};
use testkit::{Guest, Run, Subject, cases};

/// An entry of the kernel for system calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Native,
    /// A 32-bit program.
    I386,
    /// A 64-bit program that asks for an x32 call.
    X32,
}
use Entry::{I386, Native, X32};

const LSEEK: (u32, u32) = (8, 19);
const FSYNC: (u32, u32) = (74, 118);
const FDATASYNC: (u32, u32) = (75, 148);
const FTRUNCATE: (u32, u32) = (77, 93);
const FCHDIR: (u32, u32) = (81, 133);
const RENAME: (u32, u32) = (82, 38);
const MKDIR: (u32, u32) = (83, 39);
const RMDIR: (u32, u32) = (84, 40);
const SYMLINK: (u32, u32) = (88, 83);
const FCHMOD: (u32, u32) = (91, 94);
const FCHOWN: (u32, u32) = (93, 95);
const FSTATFS: (u32, u32) = (138, 100);
const UMOUNT2: (u32, u32) = (166, 52);

const EBADF: i32 = 9;
const EACCES: i32 = 13;
const EFAULT: i32 = 14;
const ENOSYS: i32 = 38;
/// A shell's word for death by SIGSYS.
const SIGSYS: i32 = 128 + 31;

/// No descriptor has this number.
const NO_FD: u64 = 5000;

/// A program that makes one call and exits with the errno it got, 0 for none.
fn program(entry: Entry, call: (u32, u32), args: [u64; 6]) -> Vec<u8> {
    let mut code = Vec::new();
    match entry {
        Native | X32 => {
            let number = if entry == X32 { call.0 | 0x4000_0000 } else { call.0 };
            for (register, value) in
                [[0x48, 0xbf], [0x48, 0xbe], [0x48, 0xba], [0x49, 0xba], [0x49, 0xb8], [0x49, 0xb9]]
                    .iter()
                    .zip(args)
            {
                code.extend(register);
                code.extend(value.to_le_bytes());
            }
            code.push(0xb8);
            code.extend(number.to_le_bytes());
            // syscall; mov edi, eax; neg edi; mov eax, 60; syscall
            code.extend([0x0f, 0x05, 0x89, 0xc7, 0xf7, 0xdf, 0xb8, 60, 0, 0, 0, 0x0f, 0x05]);
        }
        I386 => {
            for (register, value) in [0xbb, 0xb9, 0xba, 0xbe, 0xbf, 0xbd].iter().zip(args) {
                code.push(*register);
                code.extend(u32::try_from(value).expect("a 32-bit register").to_le_bytes());
            }
            code.push(0xb8);
            code.extend(call.1.to_le_bytes());
            // int 0x80; mov ebx, eax; neg ebx; mov eax, 1; int 0x80
            code.extend([0xcd, 0x80, 0x89, 0xc3, 0xf7, 0xdb, 0xb8, 1, 0, 0, 0, 0xcd, 0x80]);
        }
    }
    elf(entry == I386, &code)
}

/// The smallest static executable around some code (elf(5)).
fn elf(narrow: bool, code: &[u8]) -> Vec<u8> {
    const BASE: u32 = 0x1_0000;
    let header: u32 = if narrow { 84 } else { 120 };
    let size = header + u32::try_from(code.len()).unwrap();
    let word = |value: u32| match narrow {
        true => value.to_le_bytes().to_vec(),
        false => u64::from(value).to_le_bytes().to_vec(),
    };
    let half = |value: u16| value.to_le_bytes();
    let mut file = b"\x7fELF".to_vec();
    file.extend([if narrow { 1 } else { 2 }, 1, 1]);
    file.resize(16, 0);
    file.extend(half(2));
    file.extend(half(if narrow { 3 } else { 62 }));
    file.extend(1_u32.to_le_bytes());
    for value in [BASE + header, if narrow { 52 } else { 64 }, 0] {
        file.extend(word(value));
    }
    file.extend(0_u32.to_le_bytes());
    for value in [if narrow { 52 } else { 64 }, if narrow { 32 } else { 56 }, 1, 0, 0, 0] {
        file.extend(half(value));
    }
    // One segment: everything, readable and executable.
    file.extend(1_u32.to_le_bytes());
    if !narrow {
        file.extend(5_u32.to_le_bytes());
    }
    for value in [0, BASE, BASE, size, size] {
        file.extend(word(value));
    }
    if narrow {
        file.extend(5_u32.to_le_bytes());
    }
    file.extend(word(0x1000));
    file.extend(code);
    file
}

fn put(path: &Path, program: &[u8]) {
    fs::write(path, program).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

type Probe = (Entry, (u32, u32), [u64; 6]);

/// A call with nothing in its registers but a descriptor that is none.
fn call(entry: Entry, numbers: (u32, u32)) -> Probe {
    (entry, numbers, [NO_FD, 0, 0, 0, 0, 0])
}

/// A call on no path.
fn path(entry: Entry, numbers: (u32, u32)) -> Probe {
    (entry, numbers, [0; 6])
}

fn with_policy(policy: &str) -> Guest {
    let guest = Guest::build("sec").make();
    let file = policy_file(&guest);
    fs::write(&file, policy).unwrap();
    guest.append(&format!("lxc.seccomp.profile = {}", file.display()));
    guest
}

fn policy_file(guest: &Guest) -> PathBuf {
    guest.lxcpath().join("policy")
}

/// Puts the programs where [`CODES`] finds them.
fn install(guest: &Guest, probes: &[Probe]) {
    fs::create_dir(guest.rootfs().join("p")).unwrap();
    for (number, (entry, numbers, args)) in probes.iter().enumerate() {
        put(&guest.rootfs().join(format!("p/{number:03}")), &program(*entry, *numbers, *args));
    }
}

/// A line of shell that prints how each program ended.
const CODES: &str = "for p in /p/*; do $p 2>/dev/null; echo $?; done 2>/dev/null";

fn codes(text: &str) -> Vec<i32> {
    text.lines().map(|line| line.parse().unwrap_or_else(|_| panic!("{line:?} in {text}"))).collect()
}

/// How the calls end under a policy: as attached processes, and again as children of init.
fn verdicts(policy: &str, probes: &[Probe]) -> Vec<i32> {
    let guest = with_policy(policy);
    install(&guest, probes);
    let rc = guest.rootfs().join("etc/rc");
    testkit::rootfs::write_script(&rc, &format!("#!/bin/sh\n({CODES}) >/tmp/codes\n: >/tmp/ended\n"));
    guest.start();
    let attached = codes(&guest.sh(CODES));
    let ended = guest.rootfs().join("tmp/ended");
    assert!(
        testkit::eventually(std::time::Duration::from_secs(20), || ended.exists()),
        "init's programs did not end"
    );
    assert_eq!(
        codes(&fs::read_to_string(guest.rootfs().join("tmp/codes")).unwrap()),
        attached,
        "init and attached differ"
    );
    assert_eq!(attached.len(), probes.len());
    attached
}

/// A start that must fail and leave nothing; gives what it says and its log.
fn refused(policy: &str) -> (Guest, String) {
    let guest = with_policy(policy);
    let done = guest.try_start();
    assert_ne!(done.code, 0, "{policy:?} is accepted: {done}");
    assert_eq!(guest.state(), "STOPPED");
    guest.assert_nothing_left();
    let text = format!("{}\n{}", done.stderr, guest.why());
    (guest, text)
}

/// The filters of init: mode and, where the kernel counts them, how many.
fn filters(guest: &Guest) -> String {
    guest.sh("sed -n 's/^Seccomp[_a-z]*:.//p' /proc/1/status | tr '\\n' ' '")
}

cases! {
    fn the_programs_work_without_a_policy() {
        let guest = Guest::build("sec").make();
        install(&guest, &[call(Native, LSEEK), call(I386, LSEEK), path(Native, MKDIR), path(I386, MKDIR), call(X32, LSEEK)]);
        guest.start();
        let codes = codes(&guest.sh(CODES));
        assert_eq!(codes[..4], [EBADF, EBADF, EFAULT, EFAULT]);
        assert!([EBADF, ENOSYS].contains(&codes[4]), "x32: {codes:?}");
        assert!(filters(&guest).starts_with('0'), "{}", filters(&guest));
    }

    fn a_rule_for_all_bites_at_every_entry() {
        let policy = "2\ndenylist\n[all]\nlseek errno 77\n";
        let probes = [call(Native, LSEEK), call(I386, LSEEK), call(X32, LSEEK), call(Native, FSYNC), call(I386, FSYNC)];
        assert_eq!(verdicts(policy, &probes), [77, 77, 77, EBADF, EBADF]);
    }

    fn a_section_of_this_machine_bites_and_a_foreign_one_is_skipped() {
        let policy = "2\ndenylist\n[x86]\nlseek errno 77\n[x86_64]\nfsync errno 78\n[x32]\nfchdir errno 79\n[arm64]\nmkdir errno 80\n";
        let probes = [call(I386, LSEEK), call(Native, FSYNC), call(X32, FCHDIR), path(Native, MKDIR), path(I386, MKDIR)];
        assert_eq!(verdicts(policy, &probes), [77, 78, 79, EFAULT, EFAULT]);
    }

    fn version_1_is_numbers_of_this_architecture() {
        let mut policy = "1\nallowlist\n".to_owned();
        for number in (0..470).filter(|number| *number != MKDIR.0) {
            policy.push_str(&format!("{number}\n"));
        }
        let probes = [call(Native, LSEEK), path(Native, MKDIR), call(I386, LSEEK)];
        assert_eq!(verdicts(&policy, &probes), [EBADF, SIGSYS, SIGSYS]);
    }

    fn every_action() {
        let policy = "2\nblacklist\nmkdir errno 77\nrmdir trap\nrename kill\nsymlink\nlseek errno 0\n";
        let probes = [path(Native, MKDIR), path(Native, RMDIR), path(Native, RENAME), path(I386, SYMLINK), call(Native, LSEEK), call(I386, FSYNC)];
        assert_eq!(verdicts(policy, &probes), [77, SIGSYS, SIGSYS, SIGSYS, 0, EBADF]);
    }

    fn a_default_action_and_rules_that_allow() {
        // Everything a shell needs is in the list; what it asks for beyond it only fails.
        let policy = "2\nwhitelist errno 77\nread\nwrite\nopen\nopenat\nclose\nstat\nnewfstatat\nfstat\nlstat\nmmap\nmmap2\nmprotect\nmunmap\nbrk\n\
            rt_sigaction\nrt_sigprocmask\nrt_sigreturn\nioctl\naccess\npipe\npipe2\ndup\ndup2\ngetpid\nclone\nfork\nvfork\n\
            execve\nexecveat\nexit\nexit_group\nwait4\nuname\nfcntl\nfcntl64\ngetdents\ngetdents64\ngetcwd\nrename\ngetuid\ngetgid\n\
            geteuid\ngetegid\nsetpgid\ngetppid\ngetpgrp\nsetsid\narch_prctl\nset_tid_address\nset_robust_list\nprlimit64\ngetrandom\n\
            rseq\nreadlink\nfsync\nnanosleep\nclock_nanosleep\nsocket\nconnect\nsendmsg\nrecvmsg\nsetns\nsetuid\nsetgid\nsetgroups\n\
            prctl\nseccomp\nchdir\nfchdir\nsched_yield\nkill\ntgkill\ngettid\ncapset\ncapget\nsetresuid\nsetresgid\npoll\nsendto\nrecvfrom\n";
        let probes = [call(Native, FSYNC), call(I386, FSYNC), call(Native, LSEEK), call(I386, LSEEK), call(X32, LSEEK)];
        assert_eq!(verdicts(policy, &probes), [EBADF, EBADF, 77, 77, 77]);
    }

    fn arguments_are_compared_every_way() {
        let policy = "2\ndenylist\nlseek errno 77 [3,5,==]\nfchmod errno 77 [3,5,SCMP_CMP_NE]\nfsync errno 77 [3,5,<]\n\
            fdatasync errno 77 [3,5,SCMP_CMP_LE]\nfchdir errno 77 [3,5,>]\nfchown errno 77 [3,5,SCMP_CMP_GE]\n\
            fstatfs errno 77 [3,8192,SCMP_CMP_MASKED_EQ,61440]\nftruncate errno 77 [3,1,==][4,0x2,==]\n";
        let mut probes = Vec::new();
        let mut expected = Vec::new();
        let holds = |yes: bool| if yes { 77 } else { EBADF };
        for entry in [Native, I386] {
            for value in [4, 5, 6] {
                for (numbers, verdict) in [
                    (LSEEK, value == 5), (FCHMOD, value != 5), (FSYNC, value < 5), (FDATASYNC, value <= 5),
                    (FCHDIR, value > 5), (FCHOWN, value >= 5),
                ] {
                    probes.push((entry, numbers, [NO_FD, 0, 0, value, 0, 0]));
                    expected.push(holds(verdict));
                }
            }
            for (value, verdict) in [(0x2004, true), (0x12fff, true), (0x6004, false), (0, false)] {
                probes.push((entry, FSTATFS, [NO_FD, 0, 0, value, 0, 0]));
                expected.push(holds(verdict));
            }
            for (third, fourth, verdict) in [(1, 2, true), (1, 3, false), (2, 2, false)] {
                probes.push((entry, FTRUNCATE, [NO_FD, 0, 0, third, fourth, 0]));
                expected.push(holds(verdict));
            }
        }
        assert_eq!(verdicts(policy, &probes), expected);
    }

    fn arguments_have_64_bits() {
        let policy = "2\ndenylist\nlseek errno 77 [4,0x100000005,==]\n";
        let probe = |value| (Native, LSEEK, [NO_FD, 0, 0, 0, value, 0]);
        assert_eq!(verdicts(policy, &[probe(0x1_0000_0005), probe(5), probe(0x1_0000_0000)]), [77, EBADF, EBADF]);
    }

    fn a_forced_unmount_is_rejected() {
        let policy = "2\ndenylist\nreject_force_umount  # comment this to allow umount -f;  not recommended\n";
        let probe = |entry, flags| (entry, UMOUNT2, [0, flags, 0, 0, 0, 0]);
        let probes = [probe(Native, 1), probe(I386, 1), probe(X32, 1), probe(Native, 3), probe(Native, 0), probe(I386, 2)];
        let got = verdicts(policy, &probes);
        assert_eq!(got[..4], [EACCES; 4]);
        assert_ne!(got[4..], [EACCES; 2], "{got:?}");
    }

    fn calls_nobody_knows_are_skipped() {
        let policy = "2\ndenylist\nno_such_call errno 1\n# a remark\n\nlseek errno 77\n";
        assert_eq!(verdicts(policy, &[call(Native, LSEEK), call(I386, LSEEK)]), [77, 77]);
    }

    fn a_call_of_32_bit_programs_only_opens_nothing() {
        // umount is one. libseccomp, given it for all architectures at once, lets the 64-bit programs go.
        let policy = "2\ndenylist\nlseek errno 77\numount errno 78\n";
        let probes = [call(Native, LSEEK), call(I386, LSEEK), call(X32, LSEEK), path(I386, (0, 22))];
        assert_eq!(verdicts(policy, &probes), [77, 77, 77, 78]);
    }

    fn a_policy_with_a_mistake_starts_nothing() {
        for (policy, line) in [
            ("", 1),
            ("3\ndenylist\n", 1),
            ("2\n", 2),
            ("2\nsomelist\nlseek errno 1\n", 2),
            ("2\ndenylist\n[bogus]\nlseek errno 1\n", 3),
            ("2\ndenylist\nlseek nonsense\n", 3),
            ("2\ndenylist\n[all]\nlseek errno 1 [9,1,==]\n", 4),
            ("2\ndenylist\n[all]\nlseek errno 1 [0,1,=~]\n", 4),
            ("1\nwhitelist\n0\n", 2),
            ("1\nallowlist\nread\n", 3),
        ] {
            let (guest, text) = refused(policy);
            if Subject::current().is_ours() {
                let place = format!("{}:{line}", policy_file(&guest).display());
                assert!(text.contains(&place), "{policy:?} does not say {place}: {text}");
            }
        }
    }

    fn actions_of_our_own() {
        let policy = "2\ndenylist\nmkdir kill_process\nlseek log\nfsync trace 9\n";
        if Subject::current().is_ours() {
            let probes = [path(Native, MKDIR), path(I386, MKDIR), call(Native, LSEEK), call(Native, FSYNC)];
            assert_eq!(verdicts(policy, &probes), [SIGSYS, SIGSYS, EBADF, ENOSYS]);
        } else {
            refused(policy);
        }
    }

    fn rules_whose_conditions_begin_alike() {
        // libseccomp 2.5 never comes back from these two, and with it the original's monitor: nothing to run there.
        if !Subject::current().is_ours() {
            return;
        }
        let policy = "2\ndenylist\nfsync errno 77 [1,5,<][2,7,<=]\nfsync errno 78 [1,5,<][3,7,<=]\n";
        let probe = |entry, first, second, third| (entry, FSYNC, [NO_FD, first, second, third, 0, 0]);
        for entry in [Native, I386, X32] {
            let probes = [probe(entry, 4, 7, 7), probe(entry, 4, 8, 7), probe(entry, 5, 0, 0)];
            let got = verdicts(policy, &probes);
            assert_eq!(got[..2], [77, 78], "{entry:?}");
            assert_ne!(got[2], 77, "{entry:?}");
        }
    }

    fn an_emptied_profile_is_none() {
        let guest = with_policy("2\ndenylist\nlseek errno 77\n");
        guest.append("lxc.seccomp.profile =");
        install(&guest, &[call(Native, LSEEK)]);
        guest.start();
        assert_eq!(codes(&guest.sh(CODES)), [EBADF]);
        assert!(filters(&guest).starts_with('0'), "{}", filters(&guest));
    }

    fn attach_is_under_the_policy_unless_it_is_elevated() {
        let guest = with_policy("2\ndenylist\nlseek errno 77\n");
        install(&guest, &[call(Native, LSEEK)]);
        guest.start();
        assert_eq!(guest.attach(["/p/000"]).code, 77);
        assert_eq!(guest.tool("lxc-attach").args(["-e", "--", "/p/000"]).done().code, EBADF);
        assert_eq!(guest.tool("lxc-attach").args(["-eLSM", "--", "/p/000"]).done().code, EBADF);
    }

    fn a_change_of_the_file_counts_at_the_next_start() {
        let guest = with_policy("2\ndenylist\nlseek errno 77\n");
        install(&guest, &[call(Native, LSEEK)]);
        guest.start();
        assert_eq!(codes(&guest.sh(CODES)), [77]);
        guest.tool("lxc-stop").arg("-k").done().ok();
        guest.await_gone();
        fs::write(policy_file(&guest), "2\ndenylist\nlseek errno 78\n").unwrap();
        guest.start();
        assert_eq!(codes(&guest.sh(CODES)), [78]);
    }

    fn below_a_filter_a_policy_waits_for_allow_nesting() {
        for (lines, expected) in [("", "2 1 "), ("lxc.seccomp.allow_nesting = 0", "2 1 "), ("lxc.seccomp.allow_nesting = 1", "2 2 ")] {
            let guest = with_policy("2\ndenylist\nlseek errno 77\n");
            guest.append(lines);
            let filter = guest.lxcpath().join("filter");
            put(&filter, &under_a_filter());
            let tool = |name: &str| format!("{} -P {} -n {}", guest.subject().tool(name).display(), guest.lxcpath().display(), guest.name());
            // A pid 1 with a filter of its own, and under it a whole life.
            let script = format!(
                "{} -d && {} -- sed -n 's/^Seccomp[_a-z]*:.//p' /proc/1/status; {} -k",
                tool("lxc-start"), tool("lxc-attach"), tool("lxc-stop")
            );
            let done = Run::new("unshare").args(["-p", "-f", "--mount-proc"]).arg(&filter).args(["/bin/sh", "-c", &script]).done();
            assert_eq!(done.stdout.replace('\n', " "), expected, "{lines}: {done}");
        }
    }

    fn a_proxy_decides() {
        let guest = with_policy("2\ndenylist\nmkdir notify\nrmdir notify\nlseek errno 77\n");
        let proxy = Proxy::new(&guest);
        guest.append(&format!("lxc.seccomp.notify.proxy = unix:{}\nlxc.seccomp.notify.cookie = biscuit", proxy.address.display()));
        install(&guest, &[path(Native, MKDIR), path(Native, RMDIR), call(Native, LSEEK), path(I386, MKDIR)]);
        let rc = guest.rootfs().join("etc/rc");
        testkit::rootfs::write_script(&rc, &format!("#!/bin/sh\n({CODES}) >/tmp/new; cat /tmp/new >/tmp/codes\n"));
        guest.start();
        // Of init's own filter the monitor has the listener; of an attached process it is handed to the monitor.
        let expected = [66, 0, 77, 66];
        let file = guest.rootfs().join("tmp/codes");
        let done = || fs::read_to_string(&file).is_ok_and(|text| text.lines().count() == 4);
        assert!(testkit::eventually(std::time::Duration::from_secs(20), done), "init's programs did not end: {}", guest.why());
        assert_eq!(codes(&fs::read_to_string(&file).unwrap()), expected);
        assert_eq!(codes(&guest.sh(CODES)), expected);

        let asked: Vec<Asked> = proxy.asked.try_iter().collect();
        assert_eq!(asked.len(), 6, "{asked:?}");
        for asked in &asked {
            assert_eq!(asked.descriptors, 3, "{asked:?}");
            assert_eq!(asked.cookie, "biscuit");
            assert_eq!((asked.monitor, asked.init), (guest.monitor(), guest.pid()));
            assert!(asked.proc_is_of_caller, "{asked:?}");
        }
    }

    fn a_proxy_makes_the_node_a_container_may_not_make() {
        let guest = with_policy("2\ndenylist\nmknod notify [1,8192,SCMP_CMP_MASKED_EQ,61440]\nmknodat notify [2,8192,SCMP_CMP_MASKED_EQ,61440]\n");
        let proxy = Proxy::new(&guest);
        guest.append(&format!("lxc.cap.drop = mknod\nlxc.seccomp.notify.proxy = unix:{}", proxy.address.display()));
        guest.start();
        // A fifo is none of the policy's business, and a block device neither: no capability, no node.
        guest.sh("mkfifo /tmp/fifo");
        guest.attach(["mknod", "/tmp/disk", "b", "7", "0"]).exits(1).says("not permitted").ok_on_stdout();
        guest.sh("mknod /tmp/null c 1 3 && echo gone > /tmp/null");
        assert_eq!(guest.sh("stat -c '%F %t:%T' /tmp/null"), "character special file 1:3\n");
    }

    fn without_a_proxy_nobody_answers() {
        let guest = with_policy("2\ndenylist\nmkdir notify\n");
        install(&guest, &[path(Native, MKDIR), call(Native, LSEEK)]);
        guest.start();
        // The original runs the command and then says that it failed: its monitor took no listener.
        let done = guest.attach(["/bin/sh", "-c", CODES]);
        assert_eq!(codes(&done.stdout), [ENOSYS, EBADF], "{done}");
    }

    fn a_proxy_that_is_not_there_ends_the_start() {
        let guest = with_policy("2\ndenylist\nmkdir notify\n");
        guest.append(&format!("lxc.seccomp.notify.proxy = unix:{}/nobody", guest.lxcpath().display()));
        // The original lets it run for a moment.
        let done = guest.try_start();
        assert!(done.code != 0 || !Subject::current().is_ours(), "{done}");
        guest.await_state("STOPPED");
        guest.await_gone();
    }
}

/// A program that puts itself under a filter that allows everything and becomes the command of its arguments.
fn under_a_filter() -> Vec<u8> {
    // mov edi, PR_SET_SECCOMP; mov esi, SECCOMP_MODE_FILTER; lea rdx, [rip + program]; mov eax, prctl; syscall
    let mut code = vec![0xbf, 22, 0, 0, 0, 0xbe, 2, 0, 0, 0, 0x48, 0x8d, 0x15];
    let rest: &[u8] = &[
        0xb8, 157, 0, 0, 0, 0x0f, 0x05,
        // mov rdi, [rsp+16]; lea rsi, [rsp+16]; mov rax, [rsp]; lea rdx, [rsp+rax*8+16]; mov eax, execve; syscall
        0x48, 0x8b, 0x7c, 0x24, 0x10, 0x48, 0x8d, 0x74, 0x24, 0x10, 0x48, 0x8b, 0x04, 0x24, 0x48, 0x8d, 0x54,
        0xc4, 0x10, 0xb8, 59, 0, 0, 0, 0x0f, 0x05, // mov edi, 99; mov eax, exit; syscall
        0xbf, 99, 0, 0, 0, 0xb8, 60, 0, 0, 0, 0x0f, 0x05,
    ];
    let data = code.len() + 4 + rest.len();
    code.extend(u32::try_from(rest.len()).unwrap().to_le_bytes());
    code.extend(rest);
    // struct sock_fprog: one instruction, which follows: return SECCOMP_RET_ALLOW.
    code.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    code.extend((0x1_0000_u64 + 120 + data as u64 + 16).to_le_bytes());
    code.extend([6, 0, 0, 0, 0, 0, 0xff, 0x7f]);
    elf(false, &code)
}

/// What the proxy was asked.
#[derive(Clone, Debug)]
struct Asked {
    monitor: u32,
    init: u32,
    descriptors: usize,
    cookie: String,
    proc_is_of_caller: bool,
}

/// Listens for the monitors of one guest: mkdir fails with errno 66, rmdir succeeds, mknod makes /tmp/null.
struct Proxy {
    address: PathBuf,
    asked: Receiver<Asked>,
}

impl Proxy {
    fn new(guest: &Guest) -> Proxy {
        // Without the guest's name: a socket with it is something a tool left behind.
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let address = std::env::temp_dir().join(format!("lxc-rs-proxy-{}-{number}", std::process::id()));
        let listener =
            socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        bind(&listener, &SocketAddrUnix::new(&address).unwrap()).unwrap();
        listen(&listener, 8).unwrap();
        let (sender, asked) = channel();
        let node = guest.rootfs().join("tmp/null");
        // It ends with the test program: a test has nobody to tell it.
        std::thread::spawn(move || {
            while let Ok(connection) = accept(&listener) {
                let (sender, node) = (sender.clone(), node.clone());
                std::thread::spawn(move || serve(&connection, &node, |asked| sender.send(asked).is_ok()));
            }
        });
        Proxy { address, asked }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.address);
    }
}

/// Answers until the other side hangs up. The layout is that of `lxc_core::seccomp::notify`: 32 bytes of header, the
/// kernel's 80 of the notification, its 24 of the response, the cookie.
fn serve(connection: &OwnedFd, node: &Path, mut tell: impl FnMut(Asked) -> bool) {
    loop {
        let mut message = vec![0; 1024];
        let mut space = vec![std::mem::MaybeUninit::uninit(); 256];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut slices = [IoSliceMut::new(&mut message)];
        let Ok(got) = recvmsg(connection.as_fd(), &mut slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC)
        else {
            return;
        };
        if got.bytes < 136 {
            return;
        }
        let mut fds: Vec<OwnedFd> = Vec::new();
        for part in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = part {
                fds.extend(rights);
            }
        }
        message.truncate(got.bytes);
        let word = |at: usize| u32::from_le_bytes(message[at..at + 4].try_into().unwrap());
        let cookie = usize::try_from(u64::from_le_bytes(message[24..32].try_into().unwrap())).unwrap();
        let (caller, number) = (word(40), word(48));
        let pid_of_proc = fds.first().and_then(|dir| {
            let status =
                rustix::fs::openat(dir, "stat", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty())
                    .ok()?;
            let text = std::io::read_to_string(fs::File::from(status)).ok()?;
            text.split(' ').next()?.parse::<u32>().ok()
        });
        let asked = Asked {
            monitor: word(8),
            init: word(12),
            descriptors: fds.len(),
            cookie: String::from_utf8_lossy(&message[message.len() - cookie..]).into_owned(),
            proc_is_of_caller: pid_of_proc == Some(caller),
        };
        tell(asked);
        let error: i32 = match number {
            83 | 39 => -66,
            // mknod and mknodat of both entries.
            133 | 259 | 14 | 297 => {
                let (kind, mode) =
                    (rustix::fs::FileType::CharacterDevice, rustix::fs::Mode::from_raw_mode(0o666));
                let made = rustix::fs::mknodat(rustix::fs::CWD, node, kind, mode, rustix::fs::makedev(1, 3));
                made.map_or_else(|errno| -errno.raw_os_error(), |()| 0)
            }
            _ => 0,
        };
        message[128..132].copy_from_slice(&error.to_le_bytes());
        // Without the cookie: the original takes no longer answer.
        if send(connection, &message[..136], SendFlags::NOSIGNAL).is_err() {
            let _ = writeln!(std::io::stderr(), "the monitor hung up");
            return;
        }
    }
}
