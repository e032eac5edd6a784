//! The seal where ours does more than Debian's original.

use std::ffi::OsString;
use std::fs;

use testkit::netns::Netns;
use testkit::{Guest, Run, cases};

/// See `tests/compliance/seal.rs`.
const SECRET: &str = r#"syscall(250, 1, 0) >= 0 or die "join: $!";
    my ($type, $name, $data) = ("user\0", "lxc-secret\0", "x");
    my $id = syscall(248, $type, $name, $data, 1, -3);
    $id > 0 or die "add: $!";
    syscall(250, 5, $id, 0x3f000000) == 0 or die "permissions: $!";
    exec @ARGV or die"#;

/// How many keys of the caller an attached command sees.
fn secrets_of_attached(lines: &str, options: &[&str]) -> usize {
    let guest = Guest::build("seal").conf(lines).start();
    let prefix = ["perl", "-e", SECRET, "--"].map(OsString::from);
    let run = Run::under(&prefix, guest.subject().tool("lxc-attach")).arg("-P").arg(guest.lxcpath());
    let done = run.args(["-n", guest.name()]).args(options).args(["--", "cat", "/proc/keys"]).done();
    done.ok().matches("lxc-secret").count()
}

/// A tool that shows addresses, behind strace with further options: what it prints, and its trace.
fn traced(guest: &Guest, netns: &Netns, tool: &str, options: &[String]) -> (String, String) {
    let file = guest.dir().join("trace");
    let run = Run::under(&netns.prefix(), "strace")
        .args(["-f", "-e", "trace=socket,setsockopt,setns,clone,clone3,fork,vfork,unshare"])
        .args(options)
        .arg("-o")
        .arg(&file)
        .arg(guest.subject().tool(tool))
        .arg("-P")
        .arg(guest.lxcpath());
    let done = match tool {
        "lxc-info" => run.args(["-n", guest.name(), "-iH"]).done(),
        _ => run.args(["-f", "-F", "NAME,INTERFACE,IPV4,IPV6"]).done(),
    };
    (done.ok(), fs::read_to_string(file).unwrap())
}

cases! {
    fn the_callers_keys_do_not_come_along_with_an_attached_command() {
        if fs::read_to_string("/proc/keys").is_err() {
            return;
        }
        assert_eq!(secrets_of_attached("", &[]), 0);
        assert_eq!(secrets_of_attached("lxc.keyring.session = 1", &[]), 1);
        assert_eq!(secrets_of_attached("", &["-e", "-s", "MOUNT"]), 1);
    }

    fn addresses_are_read_without_entering_the_container() {
        let netns = Netns::new();
        netns.bridge("br0", "10.96.0.1/24");
        let lines = "lxc.net.0.type = veth\nlxc.net.0.link = br0\nlxc.net.0.flags = up\nlxc.net.0.name = eth0\n\
                     lxc.net.0.ipv4.address = 10.96.0.2/24\nlxc.net.0.ipv6.address = 2001:db8::2/64";
        for lines in [lines, ""] {
            let guest = Guest::build("seal").conf(lines).under(netns.prefix()).start();
            if lines.is_empty() {
                // A namespace that shares no link with ours has no id here yet.
                guest.sh("ip link set lo up; ip link add eth0 type veth peer name eth1; ip addr add 10.96.0.2/24 dev eth0; \
                          ip addr add 2001:db8::2/64 dev eth0; ip link del eth1 2>/dev/null; true");
            }
            for tool in ["lxc-info", "lxc-ls"] {
                let (text, trace) = traced(&guest, &netns, tool, &[]);
                let count = |what: &str| trace.lines().filter(|line| line.contains(what)).count();
                assert_eq!((count("setns("), count("clone"), count("fork"), count("unshare(")), (0, 0, 0, 0), "{trace}");
                assert_eq!((count("AF_NETLINK"), count("NETLINK_GET_STRICT_CHK")), (1, 1), "{trace}");
                if !lines.is_empty() {
                    assert!(text.contains("10.96.0.2") && text.contains("2001:db8::2"), "{text}");
                }
                // Until Linux 4.20 is the floor: the same by visiting the namespace.
                let options = trace.lines().filter(|line| line.contains("setsockopt("));
                let which = options.into_iter().position(|line| line.contains("STRICT_CHK")).unwrap() + 1;
                let fail = format!("inject=setsockopt:error=ENOPROTOOPT:when={which}");
                let (visited, trace) = traced(&guest, &netns, tool, &["-e".to_owned(), fail]);
                assert_eq!(text, visited, "{trace}");
                assert!(trace.contains("setns("), "{trace}");
            }
        }
    }
}
