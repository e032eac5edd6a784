//! A container with a user namespace: its network namespace and the socket belong to that.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use lxc_conf::model::{Gateway, Nic, NicType};
use lxc_core::net::{Family, NoScripts, Target, addresses, configure};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, Signal, kill_process, pidfd_getfd, pidfd_open};

use super::world::{ip, net, nic, planned, world};

/// `ip monitor` as root of a new user and network namespace: a process that keeps a route socket of its own open.
struct Init(Child);

impl Init {
    fn new() -> Init {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net", "ip", "monitor", "link"]).process_group(0);
        Init(command.stdout(std::process::Stdio::null()).spawn().expect("unshare"))
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    /// Its route socket, once it has one; the process is stopped so that it reads no answers.
    fn socket(&self) -> std::os::fd::OwnedFd {
        let until = Instant::now() + Duration::from_secs(5);
        let dir = format!("/proc/{}/fd", self.0.id());
        loop {
            let entries = fs::read_dir(&dir).expect("fds").filter_map(Result::ok);
            let found = entries
                .filter(|entry| {
                    fs::read_link(entry.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"))
                })
                .find_map(|entry| entry.file_name().to_string_lossy().parse::<i32>().ok());
            if let Some(fd) = found {
                // Subscribed by now, or shortly: nothing more is written to the socket after that.
                std::thread::sleep(Duration::from_millis(50));
                kill_process(self.pid(), Signal::STOP).expect("stop");
                let pidfd = pidfd_open(self.pid(), PidfdFlags::empty()).expect("pidfd");
                return pidfd_getfd(&pidfd, fd, PidfdGetfdFlags::empty()).expect("pidfd_getfd");
            }
            assert!(Instant::now() < until, "ip monitor opened no socket");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Init {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_socket_of_root_in_the_users_namespace_configures_its_network() {
    world(|world| {
        let before = world.snapshot();
        let init = Init::new();
        let socket = init.socket();
        let netns = File::open(format!("/proc/{}/ns/net", init.0.id())).expect("netns");
        let plan = planned(&[
            Nic {
                hwaddr: Some("00:16:3e:00:00:21".into()),
                ipv4: vec![net("10.9.0.21/24")],
                ipv4_gateway: Some(Gateway::Auto),
                ..nic(NicType::Veth, "br0")
            },
            nic(NicType::Macvlan, "nic1"),
            nic(NicType::Phys, "nic0"),
        ]);
        let target = Target { netns: netns.as_fd(), socket: Some(socket) };
        let links = configure(&plan, target, &NoScripts).expect("configure");
        let names: Vec<_> = links.iter().map(|link| link.container_name.clone()).collect();
        assert_eq!(names, ["eth0", "eth1", "nic0"]);
        assert_eq!(addresses(netns.as_fd(), Family::Inet).expect("addresses"), ["10.9.0.21"]);
        assert!(ip(&format!("-o link show {}", links.veth_pair(0).expect("pair"))).contains("master br0"));
        // Init is dead when links are taken down; the descriptor keeps the namespace.
        drop(init);
        let errors = links.teardown(netns.as_fd(), &NoScripts);
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(world.snapshot(), before);
    });
}
