//! T1 to T3: who may import whom inside lxc-core, and which library lives in which file.

use super::{Finding, Source};

/// Modules of lxc-core from the bottom up. A module imports modules of lower rows, and of its own row only where the
/// row is not a row of nouns.
const LAYERS: &[&[&str]] = &[
    &["error", "paths", "lock", "log"],
    &["host"],
    NOUNS,
    &["plan"],
    &["command", "state"],
    &["start", "attach", "monitor", "unshare"],
    &["create", "template", "destroy", "inject", "select"],
    &["container"],
];

/// Nouns never import each other: what one needs of another arrives as an argument of its plan.
const NOUNS: &[&str] = &["idmap", "cgroup", "net", "rootfs", "mounts", "seccomp", "lsm", "console", "hooks"];

/// Library, and where its name may appear.
const PLACES: &[(&str, &[&str])] = &[
    (
        "tokio::",
        &["crates/lxc-core/src/monitor/", "crates/lxc-core/src/net/", "crates/lxc-sys/src/netlink.rs"],
    ),
    ("rtnetlink::", &["crates/lxc-core/src/net/"]),
    ("libseccomp::", &["crates/lxc-core/src/seccomp/"]),
    ("clap::", &["crates/lxc-cli/", "crates/mangen/"]),
];

pub fn check(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| !source.is_test()) {
        if let Some(module) = module(&source.path) {
            findings.extend(imports(source, module));
        }
        if source.path.ends_with("/plan.rs") && source.package() == "lxc-core" {
            findings.extend(purity(source));
        }
        findings.extend(places(source));
    }
    findings
}

/// `host` of `crates/lxc-core/src/host/mod.rs`; none for the crate's root.
fn module(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("crates/lxc-core/src/")?;
    let first = inside.split('/').next()?;
    let name = first.strip_suffix(".rs").unwrap_or(first);
    (name != "lib").then_some(name)
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&module))
}

fn imports(source: &Source, module: &str) -> Vec<Finding> {
    let Some(own) = layer(module) else {
        return vec![Finding::new(
            "T1",
            &source.path,
            format!("module {module} is in no layer of xtask/src/tidy/layers.rs"),
        )];
    };
    let mut findings = Vec::new();
    for (number, line) in code_lines(source.product()) {
        for target in line.split("crate::").skip(1).filter_map(identifier) {
            let Some(other) = layer(target) else { continue };
            let sideways = other == own && target != module && NOUNS.contains(&target);
            if other > own || sideways {
                let text = match sideways {
                    true => format!("{module} imports {target}: nouns never import each other"),
                    false => format!("{module} imports {target}, which is a layer above it"),
                };
                findings.push(Finding::new("T1", format!("{}:{number}", source.path), text));
            }
        }
    }
    findings
}

fn purity(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in code_lines(source.product()) {
        // Types of lxc-sys that only hold numbers.
        if ["lxc_sys::cred::Personality", "lxc_sys::mount::"].iter().any(|data| line.contains(data)) {
            continue;
        }
        for word in
            ["std::fs", "lxc_sys", "rustix::fs", " nix::", "Instant::now", "SystemTime::now", "std::env"]
        {
            if line.contains(word) {
                let text = format!("plan.rs is pure, and this is {word}");
                findings.push(Finding::new("T2", format!("{}:{number}", source.path), text));
            }
        }
    }
    findings
}

fn places(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (library, allowed) in PLACES {
        if allowed.iter().any(|place| source.path.starts_with(place)) || source.package() == "xtask" {
            continue;
        }
        // Each tool derives its options with clap.
        if *library == "clap::"
            && !["lxc-core", "lxc-conf", "lxc-sys", "lxc-child", "lxc-init"].contains(&source.package())
        {
            continue;
        }
        for (number, line) in code_lines(source.product()) {
            if line.split(library).count() > 1 && !line.contains(&format!("_{library}")) {
                let text = format!("{library} belongs to {}", allowed.join(", "));
                findings.push(Finding::new("T3", format!("{}:{number}", source.path), text));
            }
        }
    }
    if source.package() == "lxc-core" && !matches!(module(&source.path), Some("host" | "paths") | None) {
        for (number, line) in code_lines(source.product()) {
            if line.contains("std::env::") && !line.contains("std::env::consts") {
                let text = "the environment is read in host and paths only";
                findings.push(Finding::new("R3", format!("{}:{number}", source.path), text));
            }
        }
    }
    findings
}

/// Lines with their numbers, without comments.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    numbered.filter(|(_, line)| !line.trim_start().starts_with("//")).map(|(number, line)| {
        let end = line.find(" // ").unwrap_or(line.len());
        (number, &line[..end])
    })
}

fn identifier(text: &str) -> Option<&str> {
    let end =
        text.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(text.len());
    (end > 0).then(|| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn upward_and_sideways_imports_are_found() {
        let up = source("crates/lxc-core/src/net/link.rs", "use crate::start::arm;\n");
        assert_eq!(check(&[up])[0].rule, "T1");
        let sideways = source("crates/lxc-core/src/net/link.rs", "fn f() { crate::cgroup::x() }\n");
        assert!(check(&[sideways])[0].text.contains("nouns never"));
        let down =
            source("crates/lxc-core/src/net/link.rs", "use crate::error::Error;\nuse crate::net::plan;\n");
        assert_eq!(check(&[down]), []);
        let test = source("crates/lxc-core/src/net/a.rs", "\n#[cfg(test)]\nmod tests {\nuse crate::start;\n");
        assert_eq!(check(&[test]), []);
    }

    #[test]
    fn plans_are_pure_and_libraries_in_their_place() {
        let plan = source("crates/lxc-core/src/net/plan.rs", "use std::fs;\n");
        assert_eq!(check(&[plan])[0].rule, "T2");
        let tokio = source("crates/lxc-core/src/start/arm.rs", "tokio::spawn(x);\n// tokio:: in a comment\n");
        assert_eq!(check(&[tokio]).len(), 1);
        let home = source("crates/lxc-core/src/monitor/run.rs", "tokio::spawn(x);\n");
        assert_eq!(check(&[home]), []);
    }
}
