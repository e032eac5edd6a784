//! Names nobody else uses: of containers, interfaces and directories. Pure but for a counter and the process id.

use std::sync::atomic::{AtomicU32, Ordering};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Names unique to one test of one process of the test run.
#[derive(Clone, Debug)]
pub struct TestNames {
    key: String,
}

impl TestNames {
    /// - Shape: `label` becomes part of the name for whoever reads `ps`; letters, digits and `-`.
    pub fn new(label: &str) -> TestNames {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        TestNames { key: format!("{label}-{}x{number}", std::process::id()) }
    }

    /// Name of the container.
    pub fn container(&self) -> &str {
        &self.key
    }

    /// Directory for everything the test writes.
    pub fn directory(&self) -> std::path::PathBuf {
        std::path::PathBuf::from(format!("/tmp/lxc-rs-test/{}", self.key))
    }

    /// Interface name of at most 15 bytes: `PREFIX` and a part unique on this machine.
    pub fn interface(prefix: &str) -> String {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{prefix}{:x}{number:x}", std::process::id());
        assert!(name.len() <= 15, "{name}: too long for an interface");
        name
    }
}
