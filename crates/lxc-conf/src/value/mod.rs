//! The grammars of values: one file per grammar, text in, typed value or [`ValueError`] out.
//!
//! Pure functions. Not here: which key has which grammar (see `keys`), where a value is stored (see `apply`).

pub mod arch;
pub mod caps;
pub mod cgroup;
pub mod command;
pub mod device;
pub mod idmap;
pub mod log_level;
pub mod mount_auto;
pub mod mount_entry;
pub mod net;
pub mod ns;
pub mod number;
pub mod path;
pub mod prlimit;
pub mod rootfs;
pub mod seccomp;
pub mod signal;
pub mod size;
pub mod time;

/// Why a value does not fit its grammar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueError {
    /// Lower case, without the key: `unknown capability "foo"`.
    pub reason: String,
    /// Byte offset of the offending part in the value.
    pub offset: usize,
    /// The text the original logs for this mistake, when it logs one.
    pub compat: Option<String>,
}

impl ValueError {
    pub(crate) fn new(reason: impl Into<String>) -> ValueError {
        ValueError { reason: reason.into(), offset: 0, compat: None }
    }

    pub(crate) fn at(mut self, offset: usize) -> ValueError {
        self.offset = offset;
        self
    }

    pub(crate) fn compat(mut self, text: impl Into<String>) -> ValueError {
        self.compat = Some(text.into());
        self
    }
}

impl std::fmt::Display for ValueError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for ValueError {}

pub type Result<T> = std::result::Result<T, ValueError>;

/// The words of a list value with their byte offsets: split on space and TAB.
pub fn words(value: &str) -> impl Iterator<Item = (usize, &str)> {
    let start = value.as_ptr() as usize;
    value.split([' ', '\t']).filter(|w| !w.is_empty()).map(move |w| (w.as_ptr() as usize - start, w))
}

/// `lxc.init.groups`: numbers separated by commas; blanks around them and empty places are skipped.
pub fn group_ids(value: &str) -> Result<Vec<u32>> {
    let mut gids = Vec::new();
    let mut at = 0;
    for part in value.split(',') {
        let word = part.trim_ascii();
        if !word.is_empty() {
            gids.push(number::id(word).map_err(|e| e.at(at))?);
        }
        at += part.len() + 1;
    }
    if gids.is_empty() {
        return Err(ValueError::new(format!("no group id in {value:?}")));
    }
    Ok(gids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_their_offsets() {
        assert_eq!(words(" ab\tc  d ").collect::<Vec<_>>(), [(1, "ab"), (4, "c"), (7, "d")]);
        assert_eq!(words(" \t").count(), 0);
    }

    #[test]
    fn group_lists() {
        assert_eq!(group_ids("1,2, 3,,16"), Ok(vec![1, 2, 3, 16]));
        for bad in ["", ",", "5,x", "7 8", "1,-1", "0x10"] {
            assert!(group_ids(bad).is_err(), "{bad}");
        }
    }
}
