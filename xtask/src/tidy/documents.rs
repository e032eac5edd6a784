//! D1 to D4: documents that must agree with the code: expected failures, options in manual pages, the ledger, the attacks.

use std::fs;

use anyhow::Result;

use super::{Finding, Source};
use crate::compliance::{self, STATUSES};
use crate::sh;

pub fn check(sources: &[Source]) -> Result<Vec<Finding>> {
    let mut findings = expected_failures(sources)?;
    findings.extend(options(sources));
    findings.extend(ledger(sources));
    findings.extend(attacks(sources)?);
    Ok(findings)
}

/// docs/attacks.md names every attack test once, and says of the original what the list of expected failures says.
fn attacks(sources: &[Source]) -> Result<Vec<Finding>> {
    let page = "docs/attacks.md";
    let text = fs::read_to_string(sh::repository().join(page)).unwrap_or_default();
    let listed = compliance::list()?;
    let mut named = Vec::new();
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, _, _, test, "passes", original, _] = cells[..] else { continue };
        let place = format!("{page}:{}", index + 1);
        let test = test.trim_matches('`');
        if !test_exists(sources, test) {
            findings.push(Finding::new("D4", &place, format!("there is no test {test}")));
        }
        let fails = listed.iter().any(|entry| entry.subject == "theirs" && entry.test == test);
        if fails == (original == "passes") {
            findings.push(Finding::new(
                "D4",
                &place,
                format!("{test}: tests/expected-failures says otherwise"),
            ));
        }
        named.push(test.to_owned());
    }
    for source in sources.iter().filter(|source| source.path.starts_with("tests/attacks/")) {
        let module = source.path.trim_start_matches("tests/attacks/").trim_end_matches(".rs");
        let cases = source.text.split("cases! {").nth(1).unwrap_or_default();
        for name in cases.lines().filter_map(|line| line.strip_prefix("    fn ")?.strip_suffix("() {")) {
            let test = format!("{module}::{name}");
            if named.iter().filter(|named| **named == test).count() != 1 {
                findings.push(Finding::new("D4", &source.path, format!("{page} names {test} not once")));
            }
        }
    }
    Ok(findings)
}

/// Every line of the list names a test that exists, and an issue.
fn expected_failures(sources: &[Source]) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for entry in compliance::list()? {
        let place = format!("tests/expected-failures:{}", entry.line);
        if !test_exists(sources, &entry.test) {
            findings.push(Finding::new("D1", &place, format!("there is no test {}", entry.test)));
        }
        if !["ours", "theirs"].contains(&entry.subject.as_str()) {
            findings.push(Finding::new(
                "D1",
                &place,
                format!("{} is neither ours nor theirs", entry.subject),
            ));
        }
        let issue = entry.reason.strip_prefix("issue ").and_then(|rest| rest.split_once(':'));
        if issue.is_none_or(|(number, _)| number.parse::<u32>().is_err()) {
            findings.push(Finding::new("D1", &place, "the reason starts with the issue: `issue 2: …`"));
        }
    }
    Ok(findings)
}

fn test_exists(sources: &[Source], test: &str) -> bool {
    let Some((module, name)) = test.rsplit_once("::") else { return false };
    let file = format!("/{}.rs", module.replace("::", "/"));
    let wanted = format!("fn {name}(");
    sources.iter().any(|source| {
        source.path.starts_with("tests/") && source.path.ends_with(&file) && source.text.contains(&wanted)
    })
}

/// Every long option of a tool occurs in its manual page.
fn options(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources {
        let package = source.package();
        if package == "lxc-cli"
            || source.path != format!("crates/{package}/src/lib.rs")
            || !source.text.contains("clap::Args")
        {
            continue;
        }
        let page = sh::repository().join(format!("man/generated/{package}.1"));
        let Ok(page) = fs::read_to_string(page) else {
            findings.push(Finding::new("D2", &source.path, format!("man/generated/{package}.1 is missing")));
            continue;
        };
        for option in long_options(&source.text) {
            if !page.replace("\\-", "-").contains(&format!("--{option}")) {
                findings.push(Finding::new("D2", &source.path, format!("--{option} is not in {package}(1)")));
            }
        }
    }
    findings
}

/// Names given as `long = "name"` inside `#[arg(…)]`; hidden options do not count.
fn long_options(text: &str) -> Vec<String> {
    let attributes = text.split("#[arg(").skip(1).map(|rest| rest.split(")]").next().unwrap_or_default());
    attributes
        .filter(|attribute| !attribute.contains("hide = true"))
        .filter_map(|attribute| attribute.split("long = \"").nth(1)?.split('"').next())
        .map(str::to_owned)
        .collect()
}

/// Every row of COMPATIBILITY.md ends in one of the four statuses, and the tests it names exist.
fn ledger(sources: &[Source]) -> Vec<Finding> {
    let Ok(text) = fs::read_to_string(sh::repository().join("COMPATIBILITY.md")) else {
        return vec![Finding::new("D3", "COMPATIBILITY.md", "the ledger is missing")];
    };
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let Some(row) = line.strip_prefix('|').and_then(|row| row.strip_suffix('|')) else { continue };
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, _, _, test, status] = cells[..] else { continue };
        if status == "status" || status.starts_with("--") || status.starts_with(":-") {
            continue;
        }
        let place = format!("COMPATIBILITY.md:{}", index + 1);
        if !STATUSES.contains(&status) {
            findings.push(Finding::new("D3", &place, format!("{status} is none of {}", STATUSES.join(", "))));
        }
        for name in test.split('`').skip(1).step_by(2).filter(|name| name.contains("::")) {
            if !test_exists(sources, name) {
                findings.push(Finding::new("D3", &place, format!("there is no test {name} below tests/")));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_found_in_attributes() {
        let text =
            "#[arg(short = 'd', long = \"daemon\", help = \"x\")]\n#[arg(long = \"secret\", hide = true)]\n";
        assert_eq!(long_options(text), ["daemon"]);
    }

    #[test]
    fn tests_are_found_by_module_and_name() {
        let source = Source { path: "tests/live/mount.rs".to_owned(), text: "fn a_bind() {}".to_owned() };
        assert!(test_exists(std::slice::from_ref(&source), "mount::a_bind"));
        assert!(!test_exists(&[source], "mount::other"));
    }
}
