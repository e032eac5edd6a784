//! `cargo xtask harden`: what the linker and the profiles promise of every installed program, read from the files. Also the
//! limits of the set-uid helper: its size, the crates in it, and overflow checks. Not whether the code is right.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::{install, sh, stage};

/// One installed program.
#[derive(Debug)]
struct Finding {
    path: PathBuf,
    size: u64,
    setuid: bool,
    faults: Vec<&'static str>,
}

/// Largest size of the set-uid helper, and most crates in its tree.
const HELPER_SIZE: u64 = 1024 * 1024;
const HELPER_CRATES: usize = 10;
/// What an addition that overflows says.
const CHECKED: &[u8] = b"attempt to add with overflow";

/// Builds a release below `target/harden` and checks all of it; with `--staged`, what the tests stage.
pub fn run(words: &[String]) -> Result<()> {
    match words {
        [] => release(),
        [word] if word == "--staged" => {
            stage::build()?;
            staged()
        }
        _ => bail!("harden: no option {}", words.join(" ")),
    }
}

fn release() -> Result<()> {
    let destdir = sh::target().join("harden");
    if destdir.exists() {
        fs::remove_dir_all(&destdir).with_context(|| format!("remove {}", destdir.display()))?;
    }
    let settings = install::Settings {
        prefix: "/usr".into(),
        libdir: "/usr/lib".into(),
        destdir: Some(destdir.clone()),
        ..stage::settings()
    };
    install::build(&settings, install::Profile::Release)?;
    install::install(&settings, install::Profile::Release, install::Scope::All)?;
    programs(&destdir)?;
    helper(&destdir.join("usr/libexec/lxc/lxc-user-nic"))?;
    overflow()
}

/// For the tests: the staged programs, and the helper as releases have it.
pub fn staged() -> Result<()> {
    programs(&stage::root())?;
    install::build_helper(&stage::settings(), install::Profile::Release)?;
    let built = install::built_helper(install::Profile::Release);
    report(&[examine(&built)?])?;
    helper(&built)
}

/// Checks every ELF file below `root`.
fn programs(root: &Path) -> Result<()> {
    let mut files = Vec::new();
    walk(root, &mut files)?;
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    for path in files {
        use std::os::unix::fs::MetadataExt;
        let data = fs::metadata(&path)?;
        // Hard links of the multi-call program are one file.
        if is_elf(&path) && seen.insert((data.dev(), data.ino())) {
            findings.push(examine(&path)?);
        }
    }
    if findings.is_empty() {
        bail!("no program below {}", root.display());
    }
    let setuid: Vec<&Path> =
        findings.iter().filter(|finding| finding.setuid).map(|finding| finding.path.as_path()).collect();
    if setuid.iter().any(|path| !path.ends_with("lxc/lxc-user-nic")) || setuid.len() != 1 {
        bail!("set-uid programs: {setuid:?}; there is to be one, lxc-user-nic");
    }
    report(&findings)
}

/// The limits of the helper in `file`.
fn helper(file: &Path) -> Result<()> {
    let size = fs::metadata(file).with_context(|| format!("look at {}", file.display()))?.len();
    let crates = crates()?;
    println!("{}: {size} bytes, {} crates: {}", file.display(), crates.len(), list(&crates));
    if size >= HELPER_SIZE {
        bail!("lxc-user-nic has {size} bytes; fewer than {HELPER_SIZE} are allowed");
    }
    if crates.len() > HELPER_CRATES {
        bail!("lxc-user-nic is made of {} crates; {HELPER_CRATES} are allowed", crates.len());
    }
    // Nothing but a check that the compiler put in refers to this message: without checks it is not in the file.
    let bytes = fs::read(file)?;
    if !bytes.windows(CHECKED.len()).any(|window| window == CHECKED) {
        bail!("overflow checks are off in {}", file.display());
    }
    Ok(())
}

/// An overflow kills: tried with the profile of releases.
fn overflow() -> Result<()> {
    let mut test = sh::cargo();
    test.args(["test", "--quiet", "--profile", install::SETUID, "-p", "lxc-user-nic", "--lib"]);
    test.args(["--", "--exact", "tests::arithmetic_that_overflows_is_a_panic"]);
    let (good, said) = sh::tee(&mut test)?;
    if !good || !said.contains("1 passed") {
        bail!("overflow checks are off in the profile {}", install::SETUID);
    }
    Ok(())
}

fn list(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}

/// Names of the crates linked into the helper, itself included.
fn crates() -> Result<BTreeSet<String>> {
    let mut tree = sh::cargo();
    tree.args(["tree", "--package", "lxc-user-nic", "--edges", "normal", "--prefix", "none", "--no-dedupe"]);
    let output = tree.output().context("run cargo tree")?;
    if !output.status.success() {
        bail!("cargo tree: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect())
}

fn walk(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("list {}", dir.display()))? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            walk(&entry.path(), files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(())
}

fn is_elf(path: &Path) -> bool {
    let mut magic = [0; 4];
    let read = fs::File::open(path).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut magic));
    read.is_ok() && magic == *b"\x7fELF"
}

fn report(findings: &[Finding]) -> Result<()> {
    let mut broken = 0;
    for finding in findings {
        let verdict = match finding.faults.is_empty() {
            true => "PIE, full RELRO, NX, no RPATH".to_owned(),
            false => finding.faults.join(", "),
        };
        println!("{:>9} bytes  {}: {verdict}", finding.size, finding.path.display());
        broken += usize::from(!finding.faults.is_empty());
    }
    if broken > 0 {
        bail!("{broken} programs lack protection");
    }
    Ok(())
}

fn examine(path: &Path) -> Result<Finding> {
    use std::os::unix::fs::PermissionsExt;
    let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    let data = fs::metadata(path)?;
    let faults = faults(&bytes).with_context(|| format!("{} is no 64-bit ELF file", path.display()))?;
    Ok(Finding {
        path: path.to_owned(),
        size: data.len(),
        setuid: data.permissions().mode() & 0o4000 != 0,
        faults,
    })
}

const ET_DYN: u64 = 3;
const PT_LOAD: u64 = 1;
const PT_DYNAMIC: u64 = 2;
const PT_GNU_STACK: u64 = 0x6474_e551;
const PT_GNU_RELRO: u64 = 0x6474_e552;
const DT_RPATH: u64 = 15;
const DT_TEXTREL: u64 = 22;
const DT_BIND_NOW: u64 = 24;
const DT_RUNPATH: u64 = 29;
const DT_FLAGS: u64 = 30;
const DT_FLAGS_1: u64 = 0x6fff_fffb;
const DF_TEXTREL: u64 = 4;
const DF_BIND_NOW: u64 = 8;
const DF_1_NOW: u64 = 1;
const DF_1_PIE: u64 = 0x0800_0000;

/// What a program lacks; `None` when the bytes are no ELF file of this machine's kind.
///
/// - Source: elf(5), and binutils for the GNU segments and DF_1_PIE.
fn faults(bytes: &[u8]) -> Option<Vec<&'static str>> {
    // 64 bits, little-endian; others are not built.
    if bytes.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let (table, each, count) = (number(bytes, 32, 8)?, number(bytes, 54, 2)?, number(bytes, 56, 2)?);
    let (mut relro, mut now, mut pie, mut stack) = (false, false, false, false);
    let mut faults = Vec::new();
    for index in 0..count {
        let at = usize::try_from(table + index * each).ok()?;
        let (kind, flags) = (number(bytes, at, 4)?, number(bytes, at + 4, 4)?);
        let (writable, executable) = (flags & 2 != 0, flags & 1 != 0);
        match kind {
            PT_GNU_RELRO => relro = true,
            PT_GNU_STACK => stack = !executable,
            PT_LOAD if writable && executable => faults.push("a segment is writable and executable"),
            PT_DYNAMIC => {
                let start = usize::try_from(number(bytes, at + 8, 8)?).ok()?;
                let length = usize::try_from(number(bytes, at + 32, 8)?).ok()?;
                for entry in bytes.get(start..start.checked_add(length)?)?.chunks_exact(16) {
                    let (tag, value) = (number(entry, 0, 8)?, number(entry, 8, 8)?);
                    match tag {
                        DT_RPATH | DT_RUNPATH => faults.push("RPATH or RUNPATH"),
                        DT_TEXTREL => faults.push("text relocations"),
                        DT_BIND_NOW => now = true,
                        DT_FLAGS => {
                            now |= value & DF_BIND_NOW != 0;
                            if value & DF_TEXTREL != 0 {
                                faults.push("text relocations");
                            }
                        }
                        DT_FLAGS_1 => {
                            now |= value & DF_1_NOW != 0;
                            pie |= value & DF_1_PIE != 0;
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    let checks = [
        (pie && number(bytes, 16, 2)? == ET_DYN, "not position-independent"),
        (relro, "no RELRO"),
        (now, "symbols are not bound at start"),
        (stack, "executable stack"),
    ];
    faults.extend(checks.iter().filter(|(good, _)| !good).map(|(_, fault)| *fault));
    Some(faults)
}

/// A little-endian number of `length` bytes.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(length)?)?;
    Some(bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with these segments (kind, flags) and dynamic entries.
    fn elf(kind: u64, segments: &[(u64, u64)], dynamic: &[(u64, u64)]) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01".to_vec();
        bytes.resize(64, 0);
        let count = segments.len() + 1;
        bytes[16] = u8::try_from(kind).unwrap();
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = u8::try_from(count).unwrap();
        let (start, length) = (64 + 56 * count, dynamic.len() * 16);
        for (kind, flags) in segments.iter().chain([&(PT_DYNAMIC, 6)]) {
            let mut segment = u32::try_from(*kind).unwrap().to_le_bytes().to_vec();
            segment.extend(u32::try_from(*flags).unwrap().to_le_bytes());
            segment.extend((start as u64).to_le_bytes());
            segment.resize(32, 0);
            segment.extend((length as u64).to_le_bytes());
            segment.resize(56, 0);
            bytes.extend(segment);
        }
        for (tag, value) in dynamic {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(value.to_le_bytes());
        }
        bytes
    }

    const GOOD: [(u64, u64); 3] = [(PT_LOAD, 5), (PT_GNU_RELRO, 4), (PT_GNU_STACK, 6)];
    const FLAGS: [(u64, u64); 1] = [(DT_FLAGS_1, DF_1_NOW | DF_1_PIE)];

    #[test]
    fn a_protected_program_has_no_fault() {
        assert_eq!(faults(&elf(ET_DYN, &GOOD, &FLAGS)), Some(Vec::new()));
    }

    #[test]
    fn each_protection_is_missed() {
        for (bytes, fault) in [
            (elf(2, &GOOD, &FLAGS), "not position-independent"),
            (elf(ET_DYN, &GOOD, &[(DT_FLAGS_1, DF_1_NOW)]), "not position-independent"),
            (elf(ET_DYN, &GOOD, &[(DT_FLAGS_1, DF_1_PIE)]), "symbols are not bound at start"),
            (elf(ET_DYN, &[GOOD[0], GOOD[2]], &FLAGS), "no RELRO"),
            (elf(ET_DYN, &GOOD[..2], &FLAGS), "executable stack"),
            (elf(ET_DYN, &[GOOD[0], GOOD[1], (PT_GNU_STACK, 7)], &FLAGS), "executable stack"),
            (elf(ET_DYN, &[GOOD[1], GOOD[2], (PT_LOAD, 7)], &FLAGS), "a segment is writable and executable"),
            (elf(ET_DYN, &GOOD, &[FLAGS[0], (DT_RUNPATH, 1)]), "RPATH or RUNPATH"),
            (elf(ET_DYN, &GOOD, &[FLAGS[0], (DT_TEXTREL, 0)]), "text relocations"),
        ] {
            assert_eq!(faults(&bytes), Some(vec![fault]));
        }
        assert_eq!(faults(b"#!/bin/sh\n"), None);
        assert_eq!(faults(b"\x7fELF\x02\x01"), None);
    }
}
