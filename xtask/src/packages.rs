//! Debian packages the tasks need: installs what is missing, asks for sudo only then. Starts no service, touches no
//! network interface.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::sh;

/// To build.
pub const BUILD: &[&str] = &["gcc", "libc6-dev", "libseccomp-dev", "pkg-config"];
/// To build libFuzzer.
pub const FUZZ: &[&str] = &["g++"];
/// To show a container.
pub const DEMO: &[&str] = &["busybox-static"];
/// To test: the original as the yardstick, and what the tests look with.
pub const TEST: &[&str] = &[
    "apparmor",
    "busybox-static",
    "debootstrap",
    "dnsmasq-base",
    "hyperfine",
    "iproute2",
    "libcap2-bin",
    "lxc",
    "lxc-templates",
    "mandoc",
    "python3",
    "strace",
    "uidmap",
    "util-linux",
];

/// To make the image of the virtual machine. The emulator is not among them: where the machine has none, it is fetched
/// into the cache.
pub const VM: &[&str] = &["binutils", "busybox-static", "debootstrap", "e2fsprogs", "util-linux"];

/// Installs those of `wanted` that are missing. Works without a network when none is.
pub fn ensure(wanted: &[&[&str]]) -> Result<()> {
    let wanted: Vec<&str> = wanted.iter().copied().flatten().copied().collect();
    let Some(dpkg) = sh::which("dpkg-query") else {
        eprintln!("not a Debian: expecting these to be installed: {}", wanted.join(" "));
        return Ok(());
    };
    let listed =
        Command::new(dpkg).args(["-W", "-f", "${db:Status-Abbrev} ${Package}\n"]).args(&wanted).output()?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let there = |name: &&str| {
        listed.lines().any(|line| line.starts_with("ii ") && line.ends_with(&format!(" {name}")))
    };
    let missing: Vec<&str> = wanted.into_iter().filter(|name| !there(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("installing {}", missing.join(" "));
    if install(&missing).is_ok() {
        return Ok(());
    }
    // The lists of packages may be missing or too old.
    sh::run(apt()?.args(["update", "-q"]))?;
    install(&missing).with_context(|| format!("install the packages {}", missing.join(" ")))
}

fn install(names: &[&str]) -> Result<()> {
    // policy-rc.d is how Debian keeps a package from starting its services: lxc would set up a bridge.
    let policy = Path::new("/usr/sbin/policy-rc.d");
    let ours = !policy.exists();
    if ours {
        let script =
            "printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d";
        sh::run(privileged("sh")?.args(["-c", script]))?;
    }
    let outcome = sh::run(apt()?.args(["install", "-y", "-q", "--no-install-recommends"]).args(names));
    if ours {
        sh::run(privileged("rm")?.args(["-f", "/usr/sbin/policy-rc.d"]))?;
    }
    outcome
}

fn apt() -> Result<Command> {
    let mut command = privileged("apt-get")?;
    if !sh::is_root() {
        // sudo drops the environment unless told.
        let program = command.get_args().next().map(ToOwned::to_owned);
        command = Command::new("sudo");
        command.arg("DEBIAN_FRONTEND=noninteractive").args(program);
    }
    command.env("DEBIAN_FRONTEND", "noninteractive");
    Ok(command)
}

/// The program as root: itself when we are, behind sudo otherwise.
pub fn privileged(program: &str) -> Result<Command> {
    if sh::is_root() {
        return Ok(Command::new(program));
    }
    if sh::which("sudo").is_none() {
        bail!("{program} needs root, and there is no sudo");
    }
    let mut command = Command::new("sudo");
    command.arg(program);
    Ok(command)
}
