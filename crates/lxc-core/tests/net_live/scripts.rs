//! Network scripts: when, with what, and what a failing one does.

use std::cell::RefCell;
use std::os::fd::AsFd;

use lxc_conf::model::{Nic, NicType};
use lxc_core::net::{NoScripts, ScriptCall, Scripts, Target, configure};
use lxc_core::{Error, ErrorKind};

use super::world::{has_flag, ip, nic, planned, world};

/// Records calls; fails the one whose line contains `fail`.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) calls: RefCell<Vec<String>>,
    pub(crate) fail: Option<&'static str>,
}

impl Scripts for Recorder {
    fn run(&self, call: &ScriptCall) -> lxc_core::Result<()> {
        let mut line = call.shell_line("c1", 0);
        if let Some(peer) = &call.peer {
            // The host end exists while its script runs.
            ip(&format!("link show dev {peer}"));
            line = line.replace(peer.as_str(), "PEER");
        }
        self.calls.borrow_mut().push(line.clone());
        match self.fail {
            Some(fail) if line.contains(fail) => Err(Error::new(ErrorKind::Hook, "script failed")),
            _ => Ok(()),
        }
    }
}

pub(crate) fn scripted(nic: Nic) -> Nic {
    Nic { script_up: Some("/s".into()), script_down: Some("/s".into()), ..nic }
}

#[test]
fn scripts_run_per_link_in_order_and_down_at_the_end() {
    world(|world| {
        let before = world.snapshot();
        let recorder = Recorder::default();
        let nics = [
            scripted(Nic { veth_pair: Some("vethone".into()), ..nic(NicType::Veth, "br0") }),
            scripted(nic(NicType::Empty, "")),
            scripted(nic(NicType::Macvlan, "nic1")),
            scripted(nic(NicType::Phys, "nic+")),
        ];
        let links = world.configure_with(&nics, &recorder).expect("configure");
        let lines = |word: &str| {
            [
                format!("exec /s c1 net {word} veth br0 PEER"),
                format!("exec /s c1 net {word} empty"),
                format!("exec /s c1 net {word} macvlan nic1"),
                format!("exec /s c1 net {word} phys nic0"),
            ]
        };
        assert_eq!(recorder.calls.take(), lines("up"));
        assert!(links.teardown(world.container.as_fd(), &recorder).is_empty());
        assert_eq!(recorder.calls.take(), lines("down"));
        assert_eq!(world.snapshot(), before);
    });
}

#[test]
fn a_failing_down_script_is_reported_and_stops_nothing() {
    world(|world| {
        let before = world.snapshot();
        let recorder = Recorder { fail: Some(" down "), ..Recorder::default() };
        let nics = [scripted(nic(NicType::Veth, "br0")), nic(NicType::Phys, "nic0")];
        let links = world.configure_with(&nics, &recorder).expect("configure");
        let errors = links.teardown(world.container.as_fd(), &recorder);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!(world.snapshot(), before);
    });
}

#[test]
fn an_empty_nic_needs_the_monitor_only_for_its_scripts() {
    world(|world| {
        let without_socket = |nics: &[Nic], scripts: &dyn Scripts| {
            configure(&planned(nics), Target { netns: world.container.as_fd(), socket: None }, scripts)
        };
        let plain = planned(&[nic(NicType::Empty, "")]);
        assert!(plain.child_raises_loopback() && !plain.needs_netlink());
        let links = without_socket(&[nic(NicType::Empty, "")], &NoScripts).expect("configure");
        assert_eq!(links.iter().count(), 1);
        assert!(links.teardown(world.container.as_fd(), &NoScripts).is_empty());

        let recorder = Recorder::default();
        let links = world.configure_with(&[scripted(nic(NicType::Empty, ""))], &recorder).expect("configure");
        assert_eq!(recorder.calls.take(), ["exec /s c1 net up empty"]);
        assert!(has_flag(&world.link_inside("lo"), "UP"), "the child leaves it to the monitor here");
        assert!(links.teardown(world.container.as_fd(), &recorder).is_empty());
        assert_eq!(recorder.calls.take(), ["exec /s c1 net down empty"]);

        let error = without_socket(&[nic(NicType::Veth, "")], &NoScripts).expect_err("no socket");
        assert_eq!(error.kind(), ErrorKind::Internal);
    });
}
