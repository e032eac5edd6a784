//! Paths as the configuration keeps them: repeated slashes, `.` components and trailing slashes removed.

use super::{Result, ValueError};

/// Longest path a kernel call takes, with its NUL.
const PATH_MAX: usize = 4096;

/// Simplifies without looking at the file system; `..` stays, as it may cross a symlink.
pub fn simplify(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    if path.starts_with('/') {
        out.push('/');
    }
    for part in path.split('/').filter(|p| !p.is_empty() && *p != ".") {
        if !out.is_empty() && !out.ends_with('/') {
            out.push('/');
        }
        out.push_str(part);
    }
    if out.is_empty() && !path.is_empty() {
        out.push('.');
    }
    out
}

/// A path value.
pub fn parse(value: &str) -> Result<String> {
    if value.len() >= PATH_MAX {
        return Err(ValueError::new(format!("path of {} bytes; the limit is {}", value.len(), PATH_MAX - 1)));
    }
    Ok(simplify(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simplified() {
        for (path, want) in [
            ("a//b/./c/", "a/b/c"),
            ("/a/../b//c", "/a/../b/c"),
            ("./m", "m"),
            ("/", "/"),
            ("//", "/"),
            (".", "."),
            ("", ""),
            ("/x/", "/x"),
        ] {
            assert_eq!(simplify(path), want, "{path}");
            assert_eq!(simplify(want), want, "{path} twice");
        }
        assert!(parse(&"a".repeat(4096)).is_err());
        assert!(parse(&"a".repeat(4095)).is_ok());
    }
}
