//! Reading configuration text with the files it includes.
//!
//! Everything outside of the text comes through [`Source`], so the parser runs without I/O under a fuzzer.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::apply::apply;
use crate::error::{ConfError, ConfErrorKind, IncludeLine};
use crate::keys::{self, Id};
use crate::line::{self, Line, Setting};
use crate::model::{Origin, Settings};
use crate::{SavedLine, legacy};

/// Deepest nesting of included files.
const DEPTH_MAX: usize = 32;
/// Most files one load may read; an include tree is no bigger, a bomb is.
const FILES_MAX: usize = 1024;
/// Largest file read.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// What a configuration may ask of the world around it.
pub trait Source {
    /// The bytes of a file.
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;
    /// The names in a directory, or `None` when `path` is no directory.
    fn list(&self, path: &str) -> io::Result<Option<Vec<String>>>;
    /// A variable of the caller's environment.
    fn env(&self, variable: &str) -> Option<String>;
    /// The highest capability the kernel knows.
    fn last_capability(&self) -> u8 {
        40
    }
    /// Four random bits for a hardware address.
    fn random_nibble(&self) -> u8 {
        // Each RandomState has other keys, seeded by the kernel's random numbers.
        (RandomState::new().build_hasher().finish() & 0xf) as u8
    }
}

/// The machine: its files and the environment of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Host;

impl Source for Host {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        // Most configurations fit: one read, and one that sees the end. Lists read a thousand of them.
        let mut bytes = Vec::with_capacity(8192);
        let mut file = std::fs::File::open(path)?;
        file.by_ref().take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(io::Error::other("file too large"));
        }
        Ok(bytes)
    }

    fn list(&self, path: &str) -> io::Result<Option<Vec<String>>> {
        if !Path::new(path).is_dir() {
            return Ok(None);
        }
        let names = std::fs::read_dir(path)?;
        names
            .map(|entry| entry.map(|e| e.file_name().into_string().ok()))
            .filter_map(Result::transpose)
            .collect::<io::Result<_>>()
            .map(Some)
    }

    fn env(&self, variable: &str) -> Option<String> {
        // var() does not take names with `=` or NUL.
        if variable.is_empty() || variable.contains(['=', '\0']) {
            return None;
        }
        std::env::var(variable).ok()
    }

    fn last_capability(&self) -> u8 {
        static LAST: OnceLock<u8> = OnceLock::new();
        *LAST.get_or_init(|| {
            let text = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").ok();
            text.and_then(|t| t.trim_ascii().parse().ok()).unwrap_or(40)
        })
    }
}

/// Files and variables in memory.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    pub files: BTreeMap<String, Vec<u8>>,
    pub environment: BTreeMap<String, String>,
}

impl Source for Memory {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.files.get(path).cloned().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn list(&self, path: &str) -> io::Result<Option<Vec<String>>> {
        let dir = format!("{}/", path.trim_end_matches('/'));
        let names: Vec<String> = self
            .files
            .keys()
            .filter_map(|file| file.strip_prefix(&dir))
            .filter(|name| !name.contains('/'))
            .map(str::to_owned)
            .collect();
        Ok(if names.is_empty() { None } else { Some(names) })
    }

    fn env(&self, variable: &str) -> Option<String> {
        self.environment.get(variable).cloned()
    }

    fn random_nibble(&self) -> u8 {
        0xa
    }
}

/// One load: the settings it works on and the mistakes it met.
pub(crate) struct Loader<'l> {
    pub(crate) settings: &'l mut Settings,
    pub(crate) source: &'l dyn Source,
    pub(crate) errors: Vec<ConfError>,
    /// Files being read, outermost first, each with the line that included the next.
    stack: Vec<IncludeLine>,
    files: usize,
}

impl<'l> Loader<'l> {
    pub(crate) fn new(settings: &'l mut Settings, source: &'l dyn Source) -> Loader<'l> {
        Loader { settings, source, errors: Vec::new(), stack: Vec::new(), files: 0 }
    }

    /// Reads the text of a file; gives the lines to save.
    pub(crate) fn text(&mut self, file: &Arc<str>, bytes: &[u8]) -> Vec<SavedLine> {
        let mut saved = Vec::new();
        for (number, line) in line::lines(bytes) {
            let mut keep = SavedLine::verbatim(line);
            let origin = Origin { file: Some(Arc::clone(file)), line: number };
            match line::parse(line) {
                Line::Other => {}
                Line::Setting(setting) => {
                    keep.key = setting.flush.then(|| setting.key.to_owned());
                    if let Some(filled) = self.setting(&setting, line, &origin) {
                        keep.replace_value(&setting, &filled);
                    }
                }
                Line::NoSeparator { text: _, column } => {
                    self.fail(&origin, column, "", line, ConfErrorKind::NoSeparator);
                }
                Line::NotUtf8 { column } => self.fail(&origin, column, "", line, ConfErrorKind::NotUtf8),
                Line::Nul { column } => self.fail(&origin, column, "", line, ConfErrorKind::Nul),
            }
            saved.push(keep);
        }
        saved
    }

    fn setting(&mut self, setting: &Setting<'_>, line: &[u8], origin: &Origin) -> Option<String> {
        let Some(found) = keys::find(setting.key) else {
            let kind = unknown(setting.key);
            self.fail(origin, setting.key_column, setting.key, line, kind);
            return None;
        };
        if found.key.id == Id::Include {
            if let Err(kind) = self.include(setting.value, origin, line) {
                self.fail(origin, setting.value_column, setting.key, line, kind);
            }
            return None;
        }
        match apply(self.settings, &found, setting.value, origin, self.source) {
            Ok(filled) => filled,
            Err(kind) => {
                let column = match &kind {
                    ConfErrorKind::Value(e) => {
                        setting.value_column.saturating_add(u32::try_from(e.offset).unwrap_or(0))
                    }
                    ConfErrorKind::MustBeEmpty | ConfErrorKind::NotInEnvironment { .. } => {
                        setting.value_column
                    }
                    _ => setting.key_column,
                };
                self.fail(origin, column, setting.key, line, kind);
                None
            }
        }
    }

    /// Reads the file or directory an include line names.
    pub(crate) fn include(&mut self, path: &str, from: &Origin, line: &[u8]) -> Result<(), ConfErrorKind> {
        if path.is_empty() {
            return Ok(());
        }
        let unreadable =
            |e: &io::Error| ConfErrorKind::Unreadable { path: path.into(), reason: reason(e).into() };
        if let Some(mut names) = self.source.list(path).map_err(|e| unreadable(&e))? {
            // The original takes them as the directory gives them; sorted, the result does not depend on that.
            names.retain(|n| n.len() >= 6 && n.ends_with(".conf"));
            names.sort_unstable();
            for name in names {
                self.include_file(&format!("{}/{name}", path.trim_end_matches('/')), from, line)?;
            }
            return Ok(());
        }
        // A directory that is not there is one without files.
        if path.ends_with('/') { Ok(()) } else { self.include_file(path, from, line) }
    }

    fn include_file(&mut self, path: &str, from: &Origin, line: &[u8]) -> Result<(), ConfErrorKind> {
        if self.stack.len() >= DEPTH_MAX {
            return Err(ConfErrorKind::IncludeLimit { limit: DEPTH_MAX });
        }
        if self.files >= FILES_MAX {
            return Err(ConfErrorKind::IncludeLimit { limit: FILES_MAX });
        }
        let being_read = |o: &Origin| o.file.as_deref() == Some(path);
        if being_read(from) || self.stack.iter().any(|i| being_read(&i.origin)) {
            return Err(ConfErrorKind::IncludeLoop { path: path.into() });
        }
        let bytes = self
            .source
            .read(path)
            .map_err(|e| ConfErrorKind::Unreadable { path: path.into(), reason: reason(&e).into() })?;
        self.files += 1;
        self.stack.push(IncludeLine { origin: from.clone(), text: shown(line) });
        self.text(&Arc::from(path), &bytes);
        self.stack.pop();
        Ok(())
    }

    fn fail(&mut self, origin: &Origin, column: u32, key: &str, line: &[u8], kind: ConfErrorKind) {
        self.errors.push(ConfError {
            file: origin.file.clone(),
            line: origin.line,
            column,
            key: key.into(),
            text: shown(line),
            kind,
            includes: self.stack.iter().rev().cloned().collect(),
        });
    }
}

/// A line as messages show it.
fn shown(line: &[u8]) -> Box<str> {
    String::from_utf8_lossy(line).into()
}

pub(crate) fn unknown(key: &str) -> ConfErrorKind {
    if legacy::message(key).is_some() { ConfErrorKind::LegacyKey } else { ConfErrorKind::UnknownKey }
}

/// The errno's text without the number the standard library adds.
pub(crate) fn reason(e: &io::Error) -> String {
    let text = e.to_string();
    match text.find(" (os error ") {
        Some(at) => text.get(..at).unwrap_or(&text).to_owned(),
        None if e.kind() == io::ErrorKind::NotFound => "No such file or directory".to_owned(),
        None => text,
    }
}
