//! `cargo xtask man`: writes the manual pages, or says whether the committed ones are what the sources give. The
//! rendering is in `crates/mangen`, which needs the tools.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{packages, sh};

pub fn run(words: &[String]) -> Result<()> {
    match words.first().map(String::as_str) {
        None => generate(&committed()),
        Some("--check") => check(),
        Some(other) => bail!("man: no option {other}"),
    }
}

fn committed() -> PathBuf {
    sh::repository().join("man/generated")
}

fn generate(output: &Path) -> Result<()> {
    packages::ensure(&[packages::BUILD])?;
    let fresh = sh::target().join("man.new");
    drop(fs::remove_dir_all(&fresh));
    let mut cargo = sh::cargo();
    cargo.args(["run", "--quiet", "-p", "mangen", "--"]).arg(sh::repository().join("man/src")).arg(&fresh);
    sh::run(&mut cargo)?;
    // Nothing is taken away before everything is there.
    drop(fs::remove_dir_all(output));
    fs::rename(&fresh, output).with_context(|| format!("move the pages to {}", output.display()))
}

/// Fails when a committed page differs from what the sources give, or when mandoc finds an error in one.
pub fn check() -> Result<()> {
    let fresh = sh::target().join("man");
    generate(&fresh)?;
    let (old, new) = (pages(&committed())?, pages(&fresh)?);
    if old.iter().map(|page| page.file_name()).ne(new.iter().map(|page| page.file_name())) {
        bail!("man/generated has other pages than man/src: run cargo xtask man");
    }
    for (old, new) in old.iter().zip(&new) {
        if fs::read(old)? != fs::read(new)? {
            drop(Command::new("diff").args(["-u"]).arg(old).arg(new).status());
            bail!("{} is not what its source gives: run cargo xtask man", old.display());
        }
    }
    lint(&new)?;
    println!("{} manual pages are up to date", new.len());
    Ok(())
}

fn lint(pages: &[PathBuf]) -> Result<()> {
    let Some(mandoc) = sh::which("mandoc") else {
        println!("mandoc is not installed: the pages are not checked for errors");
        return Ok(());
    };
    sh::run(Command::new(mandoc).args(["-T", "lint", "-W", "error"]).args(pages))
}

fn pages(dir: &Path) -> Result<Vec<PathBuf>> {
    let listing =
        fs::read_dir(dir).with_context(|| format!("list {}: run cargo xtask man", dir.display()))?;
    let mut paths = listing.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}
