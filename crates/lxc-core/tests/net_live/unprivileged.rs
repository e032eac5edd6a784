//! veths made by lxc-user-nic, with a stand-in for it that speaks its protocol.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use lxc_conf::model::{Nic, NicType, VethMode};
use lxc_core::net::{NoScripts, Target, UserNic, configure_unprivileged};
use lxc_core::{Error, ErrorKind};
use lxc_sys::netlink;

use super::world::{World, has_flag, ip, local, net, nic, planned, world};

/// A helper that makes what it is asked for in the container's namespace, which init (a sleeper) keeps.
fn helper(script: &str) -> PathBuf {
    let thread = rustix::thread::gettid().as_raw_nonzero();
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("lxc-user-nic-{thread}"));
    fs::write(&path, script).expect("write");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
    path
}

/// Runs as `create LXCPATH NAME PID TYPE BRIDGE CONTNAME`.
const MAKES_VETH: &str = r#"#!/bin/sh
set -e
[ "$1 $2 $3 $5" = "create /lxc c1 veth" ]
ip link add name uservX type veth peer name "$7"
[ "$6" = none ] || ip link set uservX master "$6"
ip link set uservX up
ip link set "$7" netns "$4"
echo "$7:$(nsenter --net=/proc/$4/ns/net ip -o link show "$7" | cut -d: -f1):uservX:$(ip -o link show uservX | cut -d: -f1)"
"#;

/// A process in the container's namespace.
fn init(world: &World) -> std::process::Child {
    let netns = format!("--net=/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&world.container));
    // The descriptor is close-on-exec; nsenter opens the path before that matters only through the parent's table.
    let netns = netns.replace("self", &std::process::id().to_string());
    std::process::Command::new("nsenter").args([&netns, "sleep", "60"]).spawn().expect("nsenter")
}

fn run(world: &World, script: &str, nic: Nic) -> Result<lxc_core::net::Links, Error> {
    let mut init = init(world);
    // nsenter needs a moment to get there.
    let wanted =
        world.container.metadata().map(|data| std::os::unix::fs::MetadataExt::ino(&data)).expect("stat");
    let path = format!("/proc/{}/ns/net", init.id());
    while fs::metadata(&path).map(|data| std::os::unix::fs::MetadataExt::ino(&data)).expect("stat") != wanted
    {
        std::thread::yield_now();
    }
    let user = UserNic {
        helper: helper(script),
        lxcpath: "/lxc".into(),
        name: "c1".into(),
        init_pid: i32::try_from(init.id()).expect("pid"),
    };
    let socket = netlink::open_route_socket_in(world.container.as_fd()).expect("socket");
    let target = Target { netns: world.container.as_fd(), socket: Some(socket) };
    let result = configure_unprivileged(&planned(&[nic]), target, &user, &NoScripts);
    init.kill().expect("kill");
    init.wait().expect("wait");
    fs::remove_file(&user.helper).expect("clean up");
    result
}

#[test]
fn the_helper_makes_the_pair_and_the_rest_is_done_inside() {
    world(|world| {
        let wanted = Nic {
            mtu: Some("1400".into()),
            hwaddr: Some("00:16:3e:00:00:07".into()),
            ipv4: vec![net("10.9.0.7/24")],
            ..nic(NicType::Veth, "br0")
        };
        let links = run(world, MAKES_VETH, wanted).expect("configure");
        assert_eq!(links.veth_pair(0), Some("uservX"));
        let inside = world.link_inside("eth0");
        assert_eq!(
            (inside["mtu"].as_u64(), inside["address"].as_str()),
            (Some(1400), Some("00:16:3e:00:00:07"))
        );
        assert!(has_flag(&inside, "UP"));
        assert_eq!(local(&inside).first().map(String::as_str), Some("10.9.0.7/24"));
        assert!(ip("-o link show uservX").contains("master br0"));
        // The namespace takes the pair along; nobody here could delete it.
        assert!(links.teardown(world.container.as_fd(), &NoScripts).is_empty());
    });
}

#[test]
fn the_helpers_words_reach_the_user() {
    world(|world| {
        let script = "#!/bin/sh\necho 'Quota reached' >&2; exit 1\n";
        let error = run(world, script, nic(NicType::Veth, "br0")).expect_err("quota");
        assert_eq!(error.kind(), ErrorKind::Permission);
        assert!(error.to_string().contains("Quota reached"), "{error}");
        assert!(error.cure_text().is_some_and(|cure| cure.contains("lxc-usernet")));
        let error =
            run(world, "#!/bin/sh\necho nonsense\n", nic(NicType::Veth, "br0")).expect_err("nonsense");
        assert_eq!(error.kind(), ErrorKind::Protocol);
        let router = Nic { veth_mode: VethMode::Router, ..nic(NicType::Veth, "") };
        let error = run(world, MAKES_VETH, router).expect_err("router");
        assert!(error.to_string().contains("needs root"), "{error}");
    });
}
