//! Ports of Open vSwitch bridges, which have no kernel interface: ovs-vsctl(8), found in fixed directories, run without a
//! shell and without an environment but PATH.
//!
//! Not here: which port.

use std::io::ErrorKind;
use std::process::{Command, Stdio};

use crate::{Refusal, Result};

/// Where programs of root are; also the PATH ovs-vsctl gets.
const DIRECTORIES: [&str; 6] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

pub fn add_port(bridge: &str, port: &str) -> Result<()> {
    run(&["--may-exist", "add-port", bridge, port])
}

/// No error when there is no such port.
pub fn delete_port(bridge: &str, port: &str) -> Result<()> {
    run(&["--if-exists", "del-port", bridge, port])
}

fn run(words: &[&str]) -> Result<()> {
    for directory in DIRECTORIES {
        let outcome = Command::new(format!("{directory}/ovs-vsctl"))
            .args(words)
            .env_clear()
            .env("PATH", DIRECTORIES.join(":"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .output();
        match outcome {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                let said = said.trim().replace('\n', "; ");
                return Err(Refusal::new(format!("ovs-vsctl {}: {said}", words.join(" "))));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(Refusal::new(format!("{directory}/ovs-vsctl: {error}"))),
        }
    }
    Err(Refusal::new(format!(
        "{} is no bridge of the kernel's, and there is no ovs-vsctl here for one of Open vSwitch",
        words.get(2).copied().unwrap_or_default()
    )))
}
