//! T10: the number of unsafe blocks per file is written down, so that a new one is seen in review.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{Finding, Source};
use crate::sh;

fn file() -> PathBuf {
    sh::repository().join("xtask/unsafe-budget")
}

/// Rewrites the list with today's numbers.
pub fn bless(sources: &[Source]) -> Result<()> {
    let mut text = String::from(
        "# Unsafe blocks per file; `cargo xtask tidy --bless` rewrites it. A rise is reviewed.\n",
    );
    for (path, count) in counts(sources) {
        text.push_str(&format!("{path} {count}\n"));
    }
    fs::write(file(), text).context("write xtask/unsafe-budget")
}

pub fn check(sources: &[Source]) -> Result<Vec<Finding>> {
    let text = fs::read_to_string(file()).context("read xtask/unsafe-budget")?;
    Ok(compare(&counts(sources), &text))
}

fn compare(counts: &BTreeMap<String, usize>, text: &str) -> Vec<Finding> {
    let budget: BTreeMap<&str, usize> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit_once(' ').and_then(|(path, count)| Some((path, count.parse().ok()?))))
        .collect();
    let mut findings = Vec::new();
    for (path, count) in counts {
        let allowed = budget.get(path.as_str()).copied().unwrap_or(0);
        if *count > allowed {
            let text = format!("{count} unsafe blocks, and xtask/unsafe-budget allows {allowed}");
            findings.push(Finding::new("T10", path, text));
        }
        if !path.starts_with("crates/lxc-sys/") {
            findings.push(Finding::new("T10", path, "unsafe code lives in lxc-sys only"));
        }
    }
    findings
}

fn counts(sources: &[Source]) -> BTreeMap<String, usize> {
    let of = |source: &Source| {
        let code = source.text.lines().filter(|line| !line.trim_start().starts_with("//"));
        code.map(|line| line.matches("unsafe {").count() + line.matches("unsafe impl").count()).sum::<usize>()
    };
    let outside = sources.iter().filter(|source| source.package() != "xtask");
    outside.map(|source| (source.path.clone(), of(source))).filter(|(_, count)| *count > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rise_and_a_stray_are_found() {
        let counts = BTreeMap::from([("crates/lxc-sys/src/a.rs".to_owned(), 2)]);
        assert_eq!(compare(&counts, "# x\ncrates/lxc-sys/src/a.rs 2\n"), []);
        assert_eq!(compare(&counts, "crates/lxc-sys/src/a.rs 1\n").len(), 1);
        let stray = BTreeMap::from([("crates/lxc-core/src/a.rs".to_owned(), 1)]);
        assert_eq!(compare(&stray, "crates/lxc-core/src/a.rs 1\n").len(), 1);
    }
}
