//! T4 to T9: what every source file looks like.

use super::{Finding, Source};

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] =
    &["util", "utils", "common", "helper", "helpers", "misc", "manager", "impl", "base"];

/// Files that may be longer than the cap, with the reason.
const LONG: &[(&str, &str)] = &[
    ("crates/lxc-conf/src/keys.rs", "a table: one row per key"),
    ("crates/lxc-conf/src/model.rs", "the typed settings, one field per key"),
];

/// Lines of product code one file may have.
const CAP: usize = 800;

pub fn check(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources {
        findings.extend(header(source));
        findings.extend(length(source));
        findings.extend(name(source));
        findings.extend(lines(source));
        if is_root(source)
            && source.package() != "lxc-sys"
            && !source.text.contains("#![forbid(unsafe_code)]")
        {
            findings.push(Finding::new("T5", &source.path, "a crate root says #![forbid(unsafe_code)]"));
        }
    }
    findings
}

fn is_root(source: &Source) -> bool {
    let inside = source.path.strip_prefix("crates/").and_then(|path| path.split_once('/'));
    match inside {
        // A manifest with [lints.rust] unsafe_code = "forbid" would do, too; the attribute is what a reader sees.
        Some((_, file)) => {
            file == "src/lib.rs" || (file == "src/main.rs" && !source.text.contains("::main!("))
        }
        None => source.path == "xtask/src/main.rs",
    }
}

fn header(source: &Source) -> Option<Finding> {
    let first = source.text.lines().find(|line| !line.starts_with("#!") && !line.trim().is_empty());
    // An attribute of the crate may come first.
    match first {
        Some(line) if line.starts_with("//!") => None,
        _ => Some(Finding::new("T4", &source.path, "a file starts with //!: what it is, and what it is not")),
    }
}

fn length(source: &Source) -> Option<Finding> {
    let count = source.product().lines().count();
    let allowed = LONG.iter().any(|(path, _)| *path == source.path);
    (count > CAP && !allowed && !source.is_test()).then(|| {
        Finding::new(
            "T6",
            &source.path,
            format!("{count} lines without tests, and {CAP} is the cap: one noun per file"),
        )
    })
}

fn name(source: &Source) -> Option<Finding> {
    let parts = source.path.split('/').map(|part| part.strip_suffix(".rs").unwrap_or(part));
    let bad = parts.clone().find(|part| EMPTY_NAMES.contains(part))?;
    Some(Finding::new("T7", &source.path, format!("{bad} says nothing: name it after what it is about")))
}

fn lines(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let library = ["lxc-sys", "lxc-child", "lxc-conf", "lxc-core"].contains(&source.package());
    for (index, line) in source.text.lines().enumerate() {
        let place = || format!("{}:{}", source.path, index + 1);
        let line = line.trim_start();
        if line.starts_with("#[ignore") && !names_an_issue(line) {
            findings.push(Finding::new(
                "T8",
                place(),
                "an ignored test names an issue: #[ignore = \"issue 2: why\"]",
            ));
        }
        if line.starts_with("//") || source.is_test() {
            continue;
        }
        let product = index < source.product().lines().count();
        if library
            && product
            && ["println!(", "eprintln!(", "print!(", "eprint!("].iter().any(|word| line.starts_with(word))
        {
            findings.push(Finding::new("T9", place(), "a library does not print"));
        }
    }
    findings
}

fn names_an_issue(line: &str) -> bool {
    line.split_once('"').is_some_and(|(_, text)| {
        text.strip_prefix("issue ")
            .is_some_and(|rest| rest.starts_with(|letter: char| letter.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    fn rules(path: &str, text: &str) -> Vec<&'static str> {
        check(&[source(path, text)]).iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn each_rule_fires() {
        assert_eq!(rules("crates/lxc-core/src/host/mod.rs", "use x;\n"), ["T4"]);
        assert_eq!(rules("crates/lxc-core/src/lib.rs", "//! x\n"), ["T5"]);
        let long = format!("//! x\n{}", "a;\n".repeat(CAP + 1));
        assert_eq!(rules("crates/lxc-core/src/host/mod.rs", &long), ["T6"]);
        assert_eq!(rules("crates/lxc-core/src/utils.rs", "//! x\n"), ["T7"]);
        assert_eq!(
            rules("crates/lxc-core/src/a.rs", "//! x\n#[ignore = \"slow\"]\n#[ignore]\n"),
            ["T8", "T8"]
        );
        assert_eq!(
            rules("crates/lxc-core/src/a.rs", "//! x\n#[ignore = \"issue 2: later\"]\n"),
            Vec::<&str>::new()
        );
        assert_eq!(rules("crates/lxc-core/src/a.rs", "//! x\nprintln!(\"x\");\n"), ["T9"]);
    }
}
