//! What may be the name of a new container.
//!
//! Everything the original takes is taken, except what would leave the lxcpath or break the files and sockets that
//! carry names.

use crate::error::{Error, ErrorKind, Result};

/// The longest file name of Linux.
const LONGEST: usize = 255;

/// Checks the name of a container that is to be made.
///
/// - Errors: `Config`, naming the reason.
pub fn check(name: &str) -> Result<()> {
    let reason = if name.is_empty() {
        "it is empty"
    } else if name == "." || name == ".." {
        "it names a directory that exists everywhere"
    } else if name.contains('/') {
        "it contains a slash"
    } else if name.chars().any(char::is_control) {
        "it contains a line break or another control character"
    } else if name.len() > LONGEST {
        "it is longer than 255 bytes"
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::Config, format!("{name:?} cannot be the name of a container: {reason}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_and_odd_names_pass() {
        for name in ["c1", "a b", "-x", "...", ".hidden", "ü", "a'b\"c", "x.y-z_0", &"n".repeat(255)] {
            check(name).expect(name);
        }
    }

    #[test]
    fn names_that_would_escape_do_not() {
        for name in ["", ".", "..", "a/b", "/", "a\nb", "a\rb", "a\0b", "\u{7f}", &"n".repeat(256)] {
            assert_eq!(check(name).expect_err(name).kind(), ErrorKind::Config);
        }
    }
}
