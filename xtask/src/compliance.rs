//! `cargo xtask compliance report`: counts what the ledger and the list of expected failures claim. Runs no test.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, bail};

use crate::sh;

pub fn run(words: &[String]) -> Result<()> {
    match words.first().map(String::as_str) {
        None | Some("report") => report(),
        Some(other) => bail!("compliance: no task {other}; there is `report`"),
    }
}

/// One line of `tests/expected-failures`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    pub subject: String,
    pub test: String,
    pub reason: String,
    pub line: usize,
}

/// All lines of the list, in order.
pub fn list() -> Result<Vec<Expected>> {
    let path = sh::repository().join("tests/expected-failures");
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    parse(&text)
}

fn parse(text: &str) -> Result<Vec<Expected>> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let mut words = line.splitn(3, ' ');
        let (Some(subject), Some(test), Some(reason)) = (words.next(), words.next(), words.next()) else {
            bail!("tests/expected-failures:{}: write SUBJECT TEST ISSUE: REASON", index + 1);
        };
        found.push(Expected {
            subject: subject.to_owned(),
            test: test.to_owned(),
            reason: reason.to_owned(),
            line: index + 1,
        });
    }
    Ok(found)
}

/// How many tests of one program are listed for a subject.
pub fn expected_failures(program: &str, subject: &str) -> Result<u64> {
    let listed = list()?;
    let of_program = |entry: &&Expected| {
        let module = entry.test.split("::").next().unwrap_or_default();
        entry.subject == subject && sh::repository().join(format!("tests/{program}/{module}.rs")).exists()
    };
    Ok(listed.iter().filter(of_program).count() as u64)
}

/// The words of the last column of the ledger's tables.
pub const STATUSES: [&str; 4] = ["same", "same-but-stricter", "different-on-purpose", "not-yet"];

fn report() -> Result<()> {
    let text =
        fs::read_to_string(sh::repository().join("COMPATIBILITY.md")).context("read COMPATIBILITY.md")?;
    let mut table = String::new();
    let mut counts: BTreeMap<(String, &str), usize> = BTreeMap::new();
    let mut order = Vec::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            table = title.to_owned();
            order.push(table.clone());
        }
        let Some(last) = line.strip_suffix('|').and_then(|row| row.rsplit('|').next()) else { continue };
        if let Some(status) = STATUSES.iter().find(|status| **status == last.trim()) {
            *counts.entry((table.clone(), *status)).or_default() += 1;
        }
    }
    println!(
        "{:<34} {:>6} {:>18} {:>21} {:>8}",
        "surface", STATUSES[0], STATUSES[1], STATUSES[2], STATUSES[3]
    );
    let number = |table: &str, status| counts.get(&(table.to_owned(), status)).copied().unwrap_or(0);
    let mut sums = [0; 4];
    for table in order {
        let row = STATUSES.map(|status| number(&table, status));
        if row.iter().sum::<usize>() == 0 {
            continue;
        }
        println!("{table:<34} {:>6} {:>18} {:>21} {:>8}", row[0], row[1], row[2], row[3]);
        for (sum, count) in sums.iter_mut().zip(row) {
            *sum += count;
        }
    }
    println!("{:<34} {:>6} {:>18} {:>21} {:>8}", "in all", sums[0], sums[1], sums[2], sums[3]);
    let listed = list()?;
    println!("\nexpected failures: {}", listed.len());
    for entry in listed {
        println!("  {} {}: {}", entry.subject, entry.test, entry.reason);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_read() {
        let list = parse("# a comment\n\nours attach::x issue 2: not there\n").expect("a good list");
        assert_eq!(list.len(), 1);
        assert_eq!((list[0].test.as_str(), list[0].line), ("attach::x", 3));
        assert!(parse("ours attach::x\n").is_err());
    }
}
