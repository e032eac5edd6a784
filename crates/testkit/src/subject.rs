//! Which implementation is under test, and where its programs are. Never looks at what the programs do.

use std::path::{Path, PathBuf};

/// The implementation whose tools a test runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// This project's tools.
    Ours,
    /// C LXC as the distribution packages it, in /usr/bin.
    Theirs,
}

impl Subject {
    /// The subject chosen by `LXC_UNDER_TEST` (`ours` when unset).
    pub fn current() -> Subject {
        match std::env::var("LXC_UNDER_TEST").as_deref() {
            Ok("theirs") => Subject::Theirs,
            Ok("ours") | Err(_) => Subject::Ours,
            Ok(other) => panic!("LXC_UNDER_TEST={other}: say `ours` or `theirs`"),
        }
    }

    /// The other implementation.
    #[must_use]
    pub fn other(self) -> Subject {
        match self {
            Subject::Ours => Subject::Theirs,
            Subject::Theirs => Subject::Ours,
        }
    }

    pub fn is_ours(self) -> bool {
        self == Subject::Ours
    }

    /// `ours` or `theirs`, as in the list of expected failures.
    pub fn word(self) -> &'static str {
        match self {
            Subject::Ours => "ours",
            Subject::Theirs => "theirs",
        }
    }

    /// Directory of the tools.
    ///
    /// Ours: `$LXC_RS_BIN`, else the tree `cargo xtask test` stages (`target/stage/usr/bin`), else what cargo built last.
    pub fn bin_dir(self) -> PathBuf {
        if self == Subject::Theirs {
            return PathBuf::from("/usr/bin");
        }
        if let Some(dir) = std::env::var_os("LXC_RS_BIN") {
            return PathBuf::from(dir);
        }
        // Without `..`: a test that covers a private home with another mount keeps this directory only.
        let target =
            std::fs::canonicalize(repository()).unwrap_or_else(|_| repository().to_owned()).join("target");
        ["stage/usr/bin", "release", "debug"]
            .iter()
            .map(|dir| target.join(dir))
            .find(|dir| dir.join("lxc-start").exists())
            .unwrap_or_else(|| target.join("debug"))
    }

    /// Full path of one tool, such as `lxc-start`.
    pub fn tool(self, name: &str) -> PathBuf {
        self.bin_dir().join(name)
    }

    /// Directory of shared data (`config/`, `templates/`, `hooks/`).
    pub fn data_dir(self) -> PathBuf {
        match self {
            Subject::Theirs => PathBuf::from("/usr/share/lxc"),
            Subject::Ours => {
                let staged = self.bin_dir().join("../share/lxc");
                std::fs::canonicalize(&staged).unwrap_or_else(|_| PathBuf::from("/usr/share/lxc"))
            }
        }
    }
}

/// Root of this repository.
pub fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
