//! The corpus in `tests/conf`, and the configurations a distribution ships, when they are there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use lxc_conf::keys::{Form, KEYS};
use lxc_conf::{Config, Memory};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conf")
}

/// The whole corpus as files in memory, named by their path in it.
fn source() -> Memory {
    fn add(dir: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                add(&entry.path(), &format!("{name}/"), files);
            } else {
                files.insert(name, fs::read(entry.path()).unwrap());
            }
        }
    }
    let mut m = Memory::default();
    m.environment.insert("HOME".into(), "/root".into());
    add(&corpus(), "", &mut m.files);
    m
}

fn names(kind: &str, source: &Memory) -> Vec<String> {
    source.files.keys().filter(|n| n.starts_with(kind) && n.ends_with(".conf")).cloned().collect()
}

/// Every key that reads as something else than in an empty configuration, newlines escaped.
fn reading(c: &Config) -> String {
    let empty = Config::new();
    let mut names: Vec<String> =
        KEYS.iter().filter(|k| k.form != Form::Nic).map(|k| k.name.to_owned()).collect();
    names.extend(lxc_conf::model::Ns::ALL.iter().map(|ns| format!("lxc.namespace.share.{}", ns.word())));
    for nic in c.settings().nics.keys() {
        names.extend(
            KEYS.iter().filter(|k| k.form == Form::Nic).map(|k| k.name.replacen('N', &nic.to_string(), 1)),
        );
    }
    let text = |name: String| {
        let text = c
            .get(&name)
            .ok()
            .filter(|text| !text.is_empty() && empty.get(&name).ok().as_ref() != Some(text))?;
        Some(format!("{name}: {}\n", text.replace('\n', "\\n")))
    };
    names.into_iter().filter_map(text).collect()
}

fn check(name: &str, extension: &str, got: &str) -> Result<(), String> {
    let file = corpus().join(name).with_extension(extension);
    if std::env::var_os("LXC_CONF_BLESS").is_some() {
        fs::write(&file, got).unwrap();
    }
    let want = fs::read_to_string(&file).unwrap_or_default();
    if want == got { Ok(()) } else { Err(format!("{name}: want\n{want}\ngot\n{got}")) }
}

#[test]
fn accepted() {
    let source = source();
    let names = names("accepted/", &source);
    assert!(names.len() > 20);
    let failures: Vec<String> = names
        .iter()
        .filter_map(|name| {
            let mut c = Config::new();
            if let Err(errors) = c.load_file_from(Path::new(name), &source) {
                return Some(format!("{name}: {}", errors[0]));
            }
            let mut again = Config::new();
            again.load_bytes(name, &c.to_bytes(), &source).unwrap();
            assert_eq!(reading(&again), reading(&c), "{name} saved and loaded");
            check(name, "get", &reading(&c)).err()
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn rejected() {
    let source = source();
    let names = names("rejected/", &source);
    assert!(names.len() > 20);
    let failures: Vec<String> = names
        .iter()
        .filter_map(|name| {
            let mut c = Config::new();
            let Err(errors) = c.load_file_from(Path::new(name), &source) else {
                return Some(format!("{name} loads"));
            };
            assert_eq!(c.to_text(), "");
            assert_eq!(reading(&c), "");
            let messages: String = errors.iter().map(|e| format!("{e}\n")).collect();
            let original: String =
                errors[0].compat_texts().iter().map(|t| format!("original: {t}\n")).collect();
            check(name, "err", &(messages + &original)).err()
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn shipped_configurations_load() {
    let dir = Path::new("/usr/share/lxc/config");
    let Ok(entries) = fs::read_dir(dir) else {
        eprintln!("skipped: no {}", dir.display());
        return;
    };
    let mut files: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    files.push("/etc/lxc/default.conf".into());
    files.retain(|f| f.extension().is_some_and(|e| e == "conf"));
    for file in files {
        let mut c = Config::new();
        if let Err(errors) = c.load_file(&file) {
            // Some name files of packages that are not installed.
            assert!(
                errors.iter().all(|e| matches!(e.kind, lxc_conf::ConfErrorKind::Unreadable { .. })),
                "{}",
                errors[0]
            );
            continue;
        }
        let mut again = Config::new();
        again.load_bytes("saved", &c.to_bytes(), &lxc_conf::Host).unwrap();
        if !c.to_text().contains("xx") {
            assert_eq!(reading(&again), reading(&c), "{}", file.display());
        }
    }
}
