//! veth for unprivileged users, through the set-uid helper lxc-user-nic(1).
//!
//! The helper makes the pair, moves one end and names it; everything inside is still done through init's socket. Not
//! here: the helper itself, its quota file and its record of names.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lxc_conf::model::{UntaggedVlan, VethMode};

use crate::error::{Error, ErrorKind, Result};
use crate::paths::{SYSCONFDIR, libexec_dir};

use super::plan::{LinkPlan, Veth};

/// Who asks the helper.
///
/// - Source: abi-and-wire.md D5.
#[derive(Clone, Debug)]
pub struct UserNic {
    pub helper: PathBuf,
    pub lxcpath: PathBuf,
    /// Name of the container.
    pub name: String,
    pub init_pid: i32,
}

/// What the helper made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) inside: String,
    pub(super) inside_index: u32,
    pub(super) host: String,
    pub(super) host_index: u32,
}

impl UserNic {
    /// With the helper of this installation.
    pub fn new(lxcpath: &Path, name: &str, init_pid: i32) -> UserNic {
        let helper = libexec_dir().join("lxc-user-nic");
        UserNic { helper, lxcpath: lxcpath.to_owned(), name: name.to_owned(), init_pid }
    }

    /// Makes a veth whose container end is called `inside`.
    ///
    /// - Errors: `Permission` with the helper's own words (no quota, no such bridge, …); `Unsupported` for what it
    ///   cannot do.
    pub(super) fn create(&self, link: &LinkPlan, veth: &Veth, inside: &str) -> Result<Made> {
        for (wanted, sub) in [
            (veth.mode == VethMode::Router, "veth.mode = router"),
            (!veth.routes.is_empty(), "veth.ipv4.route and .ipv6.route"),
            (veth.vlan.is_some_and(|vlan| vlan != UntaggedVlan::None), "veth.vlan.id"),
            (!veth.vlan_tagged.is_empty(), "veth.vlan.tagged.id"),
        ] {
            if wanted {
                return Err(Error::new(ErrorKind::Permission, format!("{} needs root", link.key(sub))));
            }
        }
        let bridge = veth.link.as_deref().unwrap_or("none");
        let output = self.run(&["create"], &["veth", bridge, inside])?;
        parse(&output).ok_or_else(|| {
            Error::new(ErrorKind::Protocol, format!("lxc-user-nic printed {:?}", output.trim()))
        })
    }

    /// Removes the port of an Open vSwitch bridge; the kernel removes other ports with the namespace.
    pub(super) fn delete(&self, netns: BorrowedFd<'_>, bridge: &str, host: &str) -> Result<()> {
        // Init may be gone; the caller's descriptor is what keeps its namespace.
        let netns = format!("/proc/{}/fd/{}", std::process::id(), netns.as_raw_fd());
        let words = ["delete", &self.lxcpath.to_string_lossy(), &self.name, &netns, "veth", bridge, host]
            .map(str::to_owned);
        self.spawn(&words).map(drop)
    }

    fn run(&self, before: &[&str], after: &[&str]) -> Result<String> {
        let mut words: Vec<String> = before.iter().map(|word| (*word).to_owned()).collect();
        words.push(self.lxcpath.to_string_lossy().into_owned());
        words.push(self.name.clone());
        words.push(self.init_pid.to_string());
        words.extend(after.iter().map(|word| (*word).to_owned()));
        self.spawn(&words)
    }

    fn spawn(&self, words: &[String]) -> Result<String> {
        let what = || format!("run {} {}", self.helper.display(), words.first().map_or("", String::as_str));
        let output =
            Command::new(&self.helper).args(words).stdin(Stdio::null()).output().map_err(|error| {
                Error::new(ErrorKind::Permission, format!("{}: {error}", what()))
                    .cure("install lxc-user-nic set-uid root, or use lxc.net.N.type = empty")
            })?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let text = [output.stderr, output.stdout].concat();
        let text = String::from_utf8_lossy(&text).trim().replace('\n', "; ");
        let bridge = words.get(5).map_or("BRIDGE", String::as_str);
        Err(Error::new(ErrorKind::Permission, format!("{}: {text}", what())).cure(format!(
            "{SYSCONFDIR}/lxc/lxc-usernet must allow the user (or a group of his, as @GROUP) enough of them: `USER veth {bridge} \
             COUNT`"
        )))
    }
}

/// `CONTNAME:CONTIFINDEX:HOSTNAME:HOSTIFINDEX`.
fn parse(output: &str) -> Option<Made> {
    let mut parts = output.trim().split(':');
    let made = Made {
        inside: parts.next().filter(|name| !name.is_empty())?.to_owned(),
        inside_index: parts.next()?.parse().ok()?,
        host: parts.next().filter(|name| !name.is_empty())?.to_owned(),
        host_index: parts.next()?.parse().ok()?,
    };
    parts.next().is_none().then_some(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_helpers_line_has_four_parts() {
        let made = parse("eth0:2:veth1000_ab12:17\n").expect("parse");
        assert_eq!((made.inside.as_str(), made.inside_index), ("eth0", 2));
        assert_eq!((made.host.as_str(), made.host_index), ("veth1000_ab12", 17));
        for bad in ["", "eth0:2:veth", "eth0:2::17", "eth0:x:veth:17", "eth0:2:veth:17:9"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
