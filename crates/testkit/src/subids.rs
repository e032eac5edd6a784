//! Ranges of subordinate ids for root, in a mount namespace of each tool's own: the original runs newuidmap as root too.
//!
//! The machine's /etc/subuid and /etc/subgid stay as they are. Not here: an ordinary user (`ordinary`).

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use crate::guest::{Guest, GuestBuilder};
use crate::names::TestNames;
use crate::run::Run;

/// The map most tests use.
pub const MAP: &str = "lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536";

/// The file with the ranges; must outlive the guests that use it.
#[derive(Debug)]
pub struct SubIds {
    file: PathBuf,
    before: String,
}

impl SubIds {
    /// The range of [`MAP`].
    pub fn usual() -> SubIds {
        SubIds::of(&["100000:65536"])
    }

    /// Ranges `FIRST:COUNT` for both kinds of ids.
    pub fn of(ranges: &[&str]) -> SubIds {
        let names = TestNames::new("subids");
        let file = std::env::temp_dir().join(format!("{}-ranges", names.container()));
        fs::write(&file, ranges.iter().map(|range| format!("root:{range}\n")).collect::<String>()).unwrap();
        SubIds { file, before: String::new() }
    }

    /// Shell commands to run in the tool's mount namespace first.
    #[must_use]
    pub fn before(mut self, commands: &str) -> SubIds {
        self.before = format!("{commands}; ");
        self
    }

    /// Words to put before a tool.
    pub fn prefix(&self) -> Vec<OsString> {
        let line = format!(
            "mount --bind $0 /etc/subuid && mount --bind $0 /etc/subgid || exit 99; {}exec \"$@\"",
            self.before
        );
        let words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", &line];
        words.iter().map(OsString::from).chain([self.file.clone().into()]).collect()
    }

    /// A guest whose tools see the ranges, and whose directories its mapped root may pass.
    pub fn guest(&self, builder: GuestBuilder) -> Guest {
        let guest = builder.under(self.prefix()).make();
        for dir in [guest.lxcpath().to_owned(), guest.dir()] {
            Run::new("chmod").args(["755"]).arg(dir).done().ok();
        }
        guest
    }
}

impl Drop for SubIds {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}
