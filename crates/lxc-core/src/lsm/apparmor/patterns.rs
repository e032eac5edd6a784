//! Path patterns (apparmor.d(5), "globbing") for "everything below a directory but these". Pure.
//!
//! AppArmor's denials beat its permissions, so what is to stay writable has to be left out of the denied patterns; there
//! is no "except". The names to keep are laid out as a tree of their characters, and each node yields one pattern for
//! what leaves the tree there.

/// A name, relative to the directory, that no pattern may match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep<'a> {
    /// The file or directory, and all below it.
    Tree(&'a str),
    /// Everything that starts so.
    Start(&'a str),
}

impl<'a> Keep<'a> {
    fn name(self) -> &'a str {
        match self {
            Keep::Tree(name) | Keep::Start(name) => name,
        }
    }
}

/// Patterns that match every path below `root` but the kept ones.
///
/// - Shape: `root` ends in a slash; names hold lower-case letters, digits, `_`, `-`, `.` and `/`, nothing that means
///   something in a pattern.
pub fn all_but(root: &str, keep: &[Keep<'_>]) -> Vec<String> {
    let mut patterns = Vec::new();
    node(root, "", keep, &mut patterns);
    patterns
}

/// What leaves the tree at `prefix`, then the nodes below it.
fn node(root: &str, prefix: &str, keep: &[Keep<'_>], patterns: &mut Vec<String>) {
    if keep.contains(&Keep::Start(prefix)) {
        return;
    }
    let kept = keep.contains(&Keep::Tree(prefix));
    let mut next: Vec<char> = keep
        .iter()
        .filter_map(|keep| keep.name().strip_prefix(prefix)?.chars().next())
        .filter(|next| !(kept && *next == '/'))
        .collect();
    next.sort_unstable();
    next.dedup();
    let mut ways = Vec::new();
    if !prefix.is_empty() && !kept {
        ways.push(String::new());
        if !prefix.ends_with('/') && !next.contains(&'/') {
            ways.extend(["/".to_owned(), "/**".to_owned()]);
        }
    }
    ways.push(format!("[^{}]**", class(&next)));
    patterns.push(match ways.as_slice() {
        [only] => format!("{root}{prefix}{only}"),
        several => format!("{root}{prefix}{{{}}}", several.join(",")),
    });
    for character in next {
        node(root, &format!("{prefix}{character}"), keep, patterns);
    }
}

/// The inside of a character class: the given ones and the slash; a dash first, where it is no range.
fn class(characters: &[char]) -> String {
    let dash = characters.contains(&'-').then_some('-');
    dash.into_iter()
        .chain(characters.iter().copied().filter(|c| !matches!(c, '/' | '-')))
        .chain(['/'])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The part of AppArmor's patterns that is used above: one level of braces, negated classes, `**`.
    fn matches(pattern: &str, path: &str) -> bool {
        if let Some((before, rest)) = pattern.split_once('{') {
            let (ways, after) = rest.split_once('}').expect("closing brace");
            return ways.split(',').any(|way| matches(&format!("{before}{way}{after}"), path));
        }
        if pattern == "/**" {
            return path.len() > 1 && path.starts_with('/');
        }
        if pattern == "**" {
            return true;
        }
        let Some(first) = pattern.chars().next() else { return path.is_empty() };
        let Some(actual) = path.chars().next() else { return false };
        let path = &path[actual.len_utf8()..];
        if let Some(rest) = pattern.strip_prefix("[^") {
            let (class, rest) = rest.split_once(']').expect("closing bracket");
            return !class.contains(actual) && matches(rest, path);
        }
        first == actual && matches(&pattern[1..], path)
    }

    fn denied(patterns: &[String], path: &str) -> bool {
        patterns.iter().any(|pattern| matches(pattern, path))
    }

    #[test]
    fn what_is_kept_is_matched_by_nothing_and_everything_else_by_something() {
        let keep = [Keep::Tree("net"), Keep::Tree("kernel/hostname"), Keep::Start("kernel/shm")];
        let patterns = all_but("/proc/sys/", &keep);
        for path in ["net", "net/", "net/ipv4/x", "kernel/hostname", "kernel/shmmax", "kernel/shm"] {
            assert!(!denied(&patterns, &format!("/proc/sys/{path}")), "{path}");
        }
        for path in [
            "vm/x",
            "n",
            "ne",
            "nets",
            "net.d/x",
            "kernel/core_pattern",
            "kernel/hostname2",
            "kernel/sh",
            "kernels/x",
            "kernel",
            "kernel/",
            "kern",
            "kern/x",
            "netx/y",
            "k/hostname",
            "kernel/domainname",
            "kernel/s/hmmax",
        ] {
            assert!(denied(&patterns, &format!("/proc/sys/{path}")), "{path}");
        }
        assert!(!denied(&patterns, "/proc/sysrq-trigger"));
    }

    #[test]
    fn a_kept_tree_and_its_longer_neighbour() {
        let patterns = all_but("/", &[Keep::Tree("dev"), Keep::Tree("devices/virtual/net")]);
        assert!(!denied(&patterns, "/dev/null"));
        assert!(!denied(&patterns, "/devices/virtual/net/lo/mtu"));
        for path in
            ["/devices", "/devices/x", "/devices/virtual/block/x", "/device", "/de", "/d", "/e", "/developer"]
        {
            assert!(denied(&patterns, path), "{path}");
        }
    }

    #[test]
    fn the_patterns_are_few_and_readable() {
        assert_eq!(
            all_but("/", &[Keep::Tree("sys")]),
            ["/[^s/]**", "/s{,/,/**,[^y/]**}", "/sy{,/,/**,[^s/]**}", "/sys[^/]**"]
        );
        assert_eq!(all_but("/", &[Keep::Tree("a-b")])[1], "/a{,/,/**,[^-/]**}");
    }
}
