//! The network sysctls set-up reads and writes, in the caller's network namespace.
//!
//! `/proc/sys/net` always shows the namespace of the reading thread, whoever mounted proc.

use std::fs;
use std::io::Write;
use std::net::IpAddr;

use crate::error::{Error, ErrorKind, Result, ResultExt};

fn path(family: &str, device: &str, key: &str) -> String {
    format!("/proc/sys/net/{family}/conf/{device}/{key}")
}

/// `ipv4` or `ipv6`.
pub(super) fn family(addr: IpAddr) -> &'static str {
    if addr.is_ipv4() { "ipv4" } else { "ipv6" }
}

pub(super) fn write(family: &str, device: &str, key: &str, value: &str) -> Result<()> {
    let path = path(family, device, key);
    // Not fs::write: a sysctl that is missing must not be created, nor be truncated.
    let written =
        fs::OpenOptions::new().write(true).open(&path).and_then(|mut file| file.write_all(value.as_bytes()));
    written.what(|| format!("write {value} to {path}"))
}

/// Turns IPv6 off on a bridge port: its addresses would be noise, and the container could attack the host through them.
///
/// A kernel without IPv6 has no such file, which is as good.
pub(super) fn disable_ipv6(device: &str) -> Result<()> {
    match write("ipv6", device, "disable_ipv6", "1") {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Fails with the sysctl's name unless it is 1.
pub(super) fn require(family: &str, device: &str, key: &str) -> Result<()> {
    let path = path(family, device, key);
    let value = fs::read_to_string(&path).what(|| format!("read {path}"))?;
    if value.trim() == "1" {
        return Ok(());
    }
    let setting = format!("net.{family}.conf.{device}.{key}=1");
    Err(Error::new(ErrorKind::Config, format!("the host needs the sysctl {setting}"))
        .cure(format!("run `sysctl -w {setting}` and keep it in /etc/sysctl.d/")))
}
