//! A mount namespace in which /sys/fs/cgroup is one pure cgroup2 mount, as on a current distribution.
//!
//! The controllers stay with the machine's v1 hierarchies: only what cgroup2 does without one (processes, freezing,
//! killing) can be seen here.

use std::ffi::OsString;
use std::process::{Child, Command, Stdio};

/// The namespace, kept alive by a sleeping process.
#[derive(Debug)]
pub struct Pure {
    keeper: Child,
}

impl Pure {
    pub fn new() -> Pure {
        let script = "umount -R -l /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && echo && exec sleep 100000";
        let keeper = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", script])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pure = Pure { keeper };
        let mut line = [0; 1];
        std::io::Read::read_exact(pure.keeper.stdout.as_mut().unwrap(), &mut line)
            .expect("a private mount of cgroup2");
        pure
    }

    /// The words that run a program inside.
    pub fn prefix(&self) -> Vec<OsString> {
        let target = format!("--target={}", self.keeper.id());
        ["nsenter", &target, "--mount", "--"].iter().map(OsString::from).collect()
    }
}

impl Default for Pure {
    fn default() -> Pure {
        Pure::new()
    }
}

impl Drop for Pure {
    fn drop(&mut self) {
        drop(self.keeper.kill());
        drop(self.keeper.wait());
    }
}
