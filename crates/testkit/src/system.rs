//! A Debian with systemd, debootstrapped once and copied per test. Needs a mirror the first time only.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::run::Run;

/// The cached tree, made when it is not there.
///
/// - Errors: `None` without a mirror and without a cached tree: the caller reports the test as not run.
pub fn debian() -> Option<PathBuf> {
    let cache = Path::new("/var/cache/lxc-rs-test");
    let done = cache.join("debian-bookworm");
    std::fs::create_dir_all(cache).unwrap();
    let lock = std::fs::File::create(cache.join("lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    if done.join("sbin/init").exists() || done.join("usr/lib/systemd/systemd").exists() {
        return Some(done);
    }
    let partial = cache.join("debian-bookworm.partial");
    drop(std::fs::remove_dir_all(&partial));
    let made = Run::new("debootstrap")
        .args([
            "--variant=minbase",
            "--include=systemd,systemd-sysv,dbus,iproute2,login,util-linux",
            "bookworm",
        ])
        .arg(&partial)
        .arg("http://deb.debian.org/debian")
        .limit(Duration::from_secs(900))
        .done();
    if made.code != 0 {
        eprintln!("{made}");
        return None;
    }
    // A login without a password on the console, and no waiting for a network there is not.
    Run::new("chroot").arg(&partial).args(["passwd", "-d", "root"]).done().ok();
    std::fs::rename(&partial, &done).unwrap();
    Some(done)
}

/// A private copy of the tree.
pub fn copy(tree: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    Run::new("cp")
        .args(["-a", "--reflink=auto"])
        .arg(tree.join("."))
        .arg(to)
        .limit(Duration::from_secs(300))
        .done()
        .ok();
}
