//! `cargo xtask tidy`: the rules of ARCHITECTURE.md that neither rustc nor clippy checks. Reads text, runs nothing.
//!
//! Each message starts with the rule it enforces: R = manifests, T = source text, D = documents.

mod budget;
mod documents;
mod layers;
mod manifests;
mod text;
mod trees;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::sh;

/// One Rust file of the tree.
#[derive(Clone, Debug)]
pub struct Source {
    /// Relative to the repository, with `/`.
    pub path: String,
    pub text: String,
}

impl Source {
    /// The code without its unit tests: they come last in a file.
    pub fn product(&self) -> &str {
        match self.text.find("\n#[cfg(test)]\nmod tests") {
            Some(end) => &self.text[..end],
            None => &self.text,
        }
    }

    /// Name of the crate, such as `lxc-core`; `xtask`, or empty below `tests/`.
    pub fn package(&self) -> &str {
        match self.path.strip_prefix("crates/") {
            Some(rest) => rest.split('/').next().unwrap_or_default(),
            None if self.path.starts_with("xtask/") => "xtask",
            None => "",
        }
    }

    pub fn is_test(&self) -> bool {
        self.path.starts_with("tests/")
            || self.path.contains("/tests/")
            || self.path.ends_with("/tests.rs")
            || self.path.ends_with("_tests.rs")
            || ["testkit", "compliance", "properties"].contains(&self.package())
    }
}

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub rule: &'static str,
    pub place: String,
    pub text: String,
}

impl Finding {
    pub fn new(rule: &'static str, place: impl Into<String>, text: impl Into<String>) -> Finding {
        Finding { rule, place: place.into(), text: text.into() }
    }
}

pub fn run(words: &[String]) -> Result<()> {
    match words.first().map(String::as_str) {
        None => check(),
        Some("--bless") => budget::bless(&sources()?),
        Some(other) => bail!("tidy: no option {other}"),
    }
}

/// Fails when a rule is broken, after printing every place.
pub fn check() -> Result<()> {
    let sources = sources()?;
    let mut findings = manifests::check()?;
    findings.extend(layers::check(&sources));
    findings.extend(text::check(&sources));
    findings.extend(trees::check(&sources));
    findings.extend(budget::check(&sources)?);
    findings.extend(documents::check(&sources)?);
    for finding in &findings {
        println!("{}: {}: {}", finding.rule, finding.place, finding.text);
    }
    match findings.len() {
        0 => {
            println!("tidy: {} files, every rule holds", sources.len());
            Ok(())
        }
        count => bail!("{count} rules broken"),
    }
}

fn sources() -> Result<Vec<Source>> {
    let root = sh::repository();
    let mut found = Vec::new();
    for dir in ["crates", "xtask", "tests", "fuzz", "benches"] {
        walk(&root.join(dir), &mut found)?;
    }
    found.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let path = path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().into_owned();
        Ok(Source { path, text })
    };
    found.into_iter().map(read).collect()
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let Ok(entries) = fs::read_dir(dir) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                walk(&path, found)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}
