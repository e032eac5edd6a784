//! The tree below `target/stage`: our tools built for that prefix and installed as a package would, for the tests.

use std::path::PathBuf;

use anyhow::Result;

use crate::{install, sh};

/// `target/stage`.
pub fn root() -> PathBuf {
    sh::target().join("stage")
}

/// Directory of the staged tools.
pub fn bin() -> PathBuf {
    root().join("usr/bin")
}

/// Only the prefix differs from a distribution's: the tests compare with the original, which uses /etc, /var and /run.
pub fn settings() -> install::Settings {
    let prefix = root().join("usr");
    install::Settings {
        // The root of an unprivileged container must reach its mount point, and a checkout may be in a private home.
        libdir: "/tmp/lxc-rs-test/lib".into(),
        prefix,
        sysconfdir: "/etc".into(),
        localstatedir: "/var".into(),
        runtimedir: "/run".into(),
        destdir: None,
        separate: false,
    }
}

/// Builds and installs with the development profile.
pub fn build() -> Result<()> {
    let settings = settings();
    install::build(&settings, install::Profile::Dev)?;
    // /etc and /var belong to the machine: only what is below the prefix is installed.
    install::install(&settings, install::Profile::Dev, install::Scope::Prefix)
}
