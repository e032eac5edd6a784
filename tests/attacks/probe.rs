//! The attacker's hand: one static program, built once from `probe.c`, that a test puts into a container. What each of its
//! words does is said there.

use std::fs;
use std::path::{Path, PathBuf};

use testkit::{Guest, Run, subject};

/// Path of the built program.
pub(crate) fn program() -> PathBuf {
    let source = subject::repository().join("tests/attacks/probe.c");
    let stamp = fs::metadata(&source).unwrap().modified().unwrap();
    let stamp = stamp.duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let dir = Path::new("/tmp/lxc-rs-test");
    fs::create_dir_all(dir).unwrap();
    let built = dir.join(format!("probe-{stamp:x}"));
    if !built.exists() {
        let new = dir.join(format!("probe-{stamp:x}.{}", std::process::id()));
        let flags = ["-static", "-O1", "-w", "-o"];
        Run::new("cc").args(flags).arg(&new).arg(&source).done().exits(0).ok();
        // Several tests may do this at once; each has a whole program.
        fs::rename(&new, &built).unwrap();
    }
    built
}

/// Puts it into the container as `/probe`.
pub(crate) fn plant(guest: &Guest) {
    fs::copy(program(), guest.rootfs().join("probe")).unwrap();
}
