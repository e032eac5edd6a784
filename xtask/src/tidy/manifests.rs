//! R1 to R6: what the manifests say. Which crate may depend on which, the licence, the lints.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};

use super::Finding;
use crate::sh;

/// Crates whose dependencies on crates of ours are closed lists.
const ALLOWED: &[(&str, &str, &[&str])] = &[
    ("R1", "lxc-child", &["lxc-sys"]),
    ("R2", "lxc-conf", &[]),
    ("R4", "lxc-init", &["lxc-sys", "lxc-child"]),
    ("R4", "lxc-user-nic", &["lxc-sys"]),
    ("R5", "lxc-sys", &[]),
    ("R5", "testkit", &[]),
    ("R5", "xtask", &[]),
];

/// Crates that must not depend on these libraries.
const FORBIDDEN: &[(&str, &str, &[&str])] = &[
    ("R1", "lxc-child", &["tracing", "anyhow", "tokio", "clap", "caps", "libseccomp", "nix"]),
    ("R3", "lxc-core", &["clap", "anyhow"]),
    ("R4", "lxc-init", &["tracing", "anyhow", "tokio", "clap", "nix"]),
    ("R4", "lxc-user-nic", &["tracing", "anyhow", "tokio", "clap", "nix", "netlink-sys", "rtnetlink"]),
    ("R5", "xtask", &["clap", "nix", "rustix", "libseccomp"]),
];

pub fn check() -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (package, path, text) in manifests()? {
        let sections = dependencies(&text);
        let runtime = sections.get("dependencies").cloned().unwrap_or_default();
        for (rule, whose, allowed) in ALLOWED.iter().filter(|(_, whose, _)| *whose == package) {
            for name in runtime.iter().filter(|name| is_ours(name) && !allowed.contains(&name.as_str())) {
                findings.push(Finding::new(rule, &path, format!("{whose} may not depend on {name}")));
            }
        }
        for (rule, whose, forbidden) in FORBIDDEN.iter().filter(|(_, whose, _)| *whose == package) {
            for name in runtime.iter().filter(|name| forbidden.contains(&name.as_str())) {
                findings.push(Finding::new(rule, &path, format!("{whose} may not depend on {name}")));
            }
        }
        if !["testkit", "compliance", "xtask"].contains(&package.as_str())
            && runtime.iter().any(|name| name == "testkit")
        {
            findings.push(Finding::new("R5", &path, "testkit is for dev-dependencies"));
        }
        if !text.contains("license.workspace = true") {
            findings.push(Finding::new(
                "R6",
                &path,
                "the licence comes from the workspace: license.workspace = true",
            ));
        }
        if !text.contains("[lints]\nworkspace = true") && !text.contains("unsafe_code = \"forbid\"") {
            findings.push(Finding::new(
                "R6",
                &path,
                "the lints come from the workspace: [lints] workspace = true",
            ));
        }
        for (name, value) in all_entries(&text) {
            if value.contains("version =") || value.starts_with('"') {
                findings.push(Finding::new(
                    "R6",
                    &path,
                    format!("{name}: versions are set in the workspace only"),
                ));
            }
        }
    }
    Ok(findings)
}

fn is_ours(name: &str) -> bool {
    name.starts_with("lxc-") || ["testkit", "compliance", "mangen", "xtask"].contains(&name)
}

fn manifests() -> Result<Vec<(String, String, String)>> {
    let root = sh::repository();
    let mut dirs = vec![root.join("xtask")];
    for entry in fs::read_dir(root.join("crates")).context("list crates")? {
        dirs.push(entry?.path());
    }
    dirs.sort();
    let mut found = Vec::new();
    for dir in dirs {
        let path = dir.join("Cargo.toml");
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let shown = path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().into_owned();
        found.push((name, shown, text));
    }
    Ok(found)
}

/// Section → names, for the sections of dependencies.
fn dependencies(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (section, name, _) in entries(text) {
        found.entry(section).or_default().push(name);
    }
    found
}

fn all_entries(text: &str) -> Vec<(String, String)> {
    entries(text).into_iter().map(|(_, name, value)| (name, value)).collect()
}

fn entries(text: &str) -> Vec<(String, String, String)> {
    let mut section = String::new();
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(title) = line.strip_prefix('[') {
            section = title.trim_end_matches(']').to_owned();
        } else if section.ends_with("dependencies")
            && let Some((name, value)) = line.split_once('=')
        {
            let name = name.trim().split('.').next().unwrap_or_default();
            found.push((section.clone(), name.to_owned(), value.trim().to_owned()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_read_by_section() {
        let text = "[dependencies]\nlxc-sys.workspace = true\nnix = { workspace = true }\n\n[dev-dependencies]\ntestkit.workspace = true\n";
        let found = dependencies(text);
        assert_eq!(found["dependencies"], ["lxc-sys", "nix"]);
        assert_eq!(found["dev-dependencies"], ["testkit"]);
    }
}
