//! `lxc.cgroup.dir*`, and the names of files in `lxc.cgroup2.FILE`.

use super::{Result, ValueError, path};

/// A directory below the cgroup root; `key` is named in the message as the original names it.
pub fn parse_dir(key: &str, value: &str) -> Result<String> {
    if value.starts_with('/') {
        return Err(ValueError::new("the path may not be absolute")
            .compat(format!("Invalid argument - {key} paths may not be absolute")));
    }
    if value.split('/').any(|part| part == "..") {
        return Err(ValueError::new("the path may not contain \"..\"")
            .compat(format!("Invalid argument - {key} paths may not walk upwards via \"../\"")));
    }
    path::parse(value)
}

/// A single directory name (`lxc.cgroup.dir.container.inner`).
pub fn parse_name(key: &str, value: &str) -> Result<String> {
    if value.contains('/') || value == "." || value == ".." {
        return Err(ValueError::new(format!("{value:?} is not a single directory name"))
            .compat(format!("Invalid argument - {key} must be a single directory name")));
    }
    Ok(value.to_owned())
}

/// Whether the part of a key after `lxc.cgroup2.` can be a file of a cgroup.
pub fn is_file(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && name.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'/' | b'='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dirs() {
        assert_eq!(parse_dir("k", "a//b/"), Ok("a/b".into()));
        assert_eq!(parse_dir("k", "a..b/..c"), Ok("a..b/..c".into()));
        assert!(parse_dir("k", "/a").is_err());
        assert!(parse_dir("k", "a/../b").is_err());
        assert!(parse_dir("k", "..").is_err());
    }

    #[test]
    fn names() {
        assert_eq!(parse_name("k", "ab"), Ok("ab".into()));
        for bad in ["a/b", ".", "..", "/"] {
            assert!(parse_name("k", bad).is_err(), "{bad}");
        }
        assert!(is_file("devices.allow"));
        assert!(is_file("hugetlb.1GB.max"));
        for bad in ["", "../x", "a/b", "a b", ".", "a=b"] {
            assert!(!is_file(bad), "{bad}");
        }
    }
}
