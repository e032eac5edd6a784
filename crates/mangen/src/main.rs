//! `mangen SOURCE-DIRECTORY OUTPUT-DIRECTORY`: the manual pages, from prose in Markdown and from the code.
//!
//! Options come from the same `clap::Command` that parses them, configuration keys from the same table that reads them:
//! neither can be missing. Run by `cargo xtask man`; not part of any package.
#![forbid(unsafe_code)]

mod markdown;
mod options;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match &words[..] {
        [source, output] => write_all(Path::new(source), Path::new(output)),
        _ => Err(anyhow::anyhow!("usage: mangen SOURCE-DIRECTORY OUTPUT-DIRECTORY")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write;
            let _ = writeln!(std::io::stderr(), "mangen: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn write_all(source: &Path, output: &Path) -> Result<()> {
    fs::create_dir_all(output).with_context(|| format!("make {}", output.display()))?;
    let mut names = Vec::new();
    for entry in fs::read_dir(source).with_context(|| format!("list {}", source.display()))? {
        let path = entry?.path();
        let Some(name) =
            path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".md"))
        else {
            continue;
        };
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let page = page(name, &text).with_context(|| path.display().to_string())?;
        fs::write(output.join(name), page).with_context(|| format!("write {name}"))?;
        names.push(name.to_owned());
    }
    for tool in lxc_multicall::TOOLS {
        if !names.contains(&format!("{}.1", tool.name)) {
            bail!("{} has no page in {}", tool.name, source.display());
        }
    }
    Ok(())
}

/// One page; `name` is `lxc-ls.1`.
fn page(name: &str, text: &str) -> Result<String> {
    let (title, section) = name.rsplit_once('.').context("a page is called NAME.SECTION.md")?;
    let mut text = text.to_owned();
    let mut parts = Vec::new();
    if text.contains("@OPTIONS@") {
        let tool = lxc_multicall::find(title).with_context(|| format!("no tool is called {title}"))?;
        parts.push(("@OPTIONS@", options::section(&(tool.command)())?));
    }
    if text.contains("@KEYS@") {
        parts.push(("@KEYS@", lxc_conf::keys::manual()));
    }
    // Finished roff takes the place of its mark after the prose has been turned into roff.
    text = markdown::to_roff(title, section, &text)?;
    for (mark, roff) in parts {
        text = text.replace(&format!("{mark}\n"), &roff);
    }
    match text.lines().find(|line| line.starts_with('@') && line.ends_with('@')) {
        None => Ok(text),
        Some(mark) => bail!("nothing takes the place of {mark}"),
    }
}
