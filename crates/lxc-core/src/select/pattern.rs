//! Patterns of container names: POSIX extended regular expressions.

use lxc_sys::regex::Regex;

use crate::error::{Error, ErrorKind, Result};

/// A compiled pattern.
#[derive(Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// A pattern that may match anywhere in a name.
    ///
    /// - Errors: `Config` when it is no regular expression.
    pub fn anywhere(text: &str) -> Result<Pattern> {
        let invalid = |why| Error::new(ErrorKind::Config, format!("regular expression '{text}': {why}"));
        Regex::compile(text).map(Pattern).map_err(invalid)
    }

    /// A pattern that must match the whole name.
    pub fn whole(text: &str) -> Result<Pattern> {
        Pattern::anywhere(&format!("^{text}$"))
    }

    pub fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_patterns_are_anchored() {
        assert!(Pattern::anywhere("b[12]").unwrap().matches("web1"));
        assert!(!Pattern::whole("b[12]").unwrap().matches("web1"));
        assert!(Pattern::whole("web.*").unwrap().matches("web1"));
        assert!(Pattern::anywhere("[").is_err());
    }
}
