//! Open vSwitch bridges, driven through ovs-vsctl(8) as the original does: they have no kernel interface for ports.

use std::process::{Command, Stdio};

use lxc_conf::model::UntaggedVlan;

use crate::error::{Error, ErrorKind, Result};

/// Adds a port to an Open vSwitch bridge, with its VLANs.
///
/// - Errors: `Unsupported` without ovs-vsctl; its standard error otherwise.
pub(super) fn add_port(bridge: &str, port: &str, vlan: Option<UntaggedVlan>, tagged: &[u16]) -> Result<()> {
    run(
        &add_arguments(bridge, port, vlan, tagged),
        &format!("add {port} to the Open vSwitch bridge {bridge}"),
    )
}

/// Removes it; no error when it is not there.
pub(super) fn delete_port(bridge: &str, port: &str) -> Result<()> {
    let arguments = ["--if-exists", "del-port", bridge, port].map(str::to_owned);
    run(&arguments, &format!("remove {port} from the Open vSwitch bridge {bridge}"))
}

fn add_arguments(bridge: &str, port: &str, vlan: Option<UntaggedVlan>, tagged: &[u16]) -> Vec<String> {
    let mut arguments: Vec<String> = ["--may-exist", "add-port", bridge, port].map(str::to_owned).into();
    let trunks: Vec<String> = tagged.iter().map(u16::to_string).collect();
    // access: only the untagged VLAN; trunk: only tagged ones; native-untagged: both.
    let mode = match (vlan, tagged.is_empty()) {
        (Some(UntaggedVlan::Id(_)), true) => Some("access"),
        (Some(UntaggedVlan::Id(_)), false) => Some("native-untagged"),
        (Some(UntaggedVlan::None) | None, false) => Some("trunk"),
        (Some(UntaggedVlan::None) | None, true) => None,
    };
    arguments.extend(mode.map(|mode| format!("vlan_mode={mode}")));
    if let Some(UntaggedVlan::Id(id)) = vlan {
        arguments.push(format!("tag={id}"));
    }
    if !trunks.is_empty() {
        arguments.push(format!("trunks={}", trunks.join(",")));
    }
    arguments
}

fn run(arguments: &[String], what: &str) -> Result<()> {
    let output = Command::new("ovs-vsctl")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .map_err(|error| {
            Error::new(ErrorKind::Unsupported, format!("{what}: run ovs-vsctl: {error}"))
                .cure("a link that is no native bridge is taken for an Open vSwitch one; install openvswitch-switch")
        })?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(Error::new(ErrorKind::Kernel, format!("{what}: {}", text.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vlan_modes_follow_what_is_configured() {
        let line = |vlan, tagged: &[u16]| add_arguments("br", "p", vlan, tagged).join(" ");
        assert_eq!(line(None, &[]), "--may-exist add-port br p");
        assert_eq!(line(Some(UntaggedVlan::Id(7)), &[]), "--may-exist add-port br p vlan_mode=access tag=7");
        assert_eq!(line(None, &[8, 9]), "--may-exist add-port br p vlan_mode=trunk trunks=8,9");
        assert_eq!(
            line(Some(UntaggedVlan::Id(7)), &[8]),
            "--may-exist add-port br p vlan_mode=native-untagged tag=7 trunks=8"
        );
    }
}
