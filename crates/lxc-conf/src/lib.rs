//! Container configuration: text ⇄ typed settings.
//!
//! [`Config`] keeps both: the typed [`Settings`] the runtime works with, and the lines they came from, so that saving
//! gives back what was read. Depends on nothing else of this suite and knows no kernel; files and the environment are
//! reached through [`Source`].
#![forbid(unsafe_code)]

mod apply;
mod error;
mod getter;
mod include;
pub mod keys;
pub mod legacy;
mod line;
pub mod model;
pub mod system;
pub mod value;

use std::path::Path;
use std::sync::Arc;

pub use error::{ConfError, ConfErrorKind, IncludeLine};
pub use getter::ROOTFS_MOUNT;
pub use include::{Host, Memory, Source};
pub use model::Settings;

use include::Loader;
use keys::{Form, Id, Match};
use line::Setting;
use model::{NicType, Origin};

/// What would end a line of a file.
pub(crate) const BREAKS: [char; 3] = ['\n', '\r', '\0'];

/// A container configuration: the typed settings and the text they came from.
#[derive(Clone, Debug, Default)]
pub struct Config {
    settings: Settings,
    text: Vec<SavedLine>,
}

/// A line of the saved text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SavedLine {
    /// Without its end.
    bytes: Vec<u8>,
    /// The key, when the line starts with it; `clear` leaves other lines alone.
    key: Option<String>,
}

impl SavedLine {
    fn verbatim(bytes: &[u8]) -> SavedLine {
        SavedLine { bytes: bytes.to_vec(), key: None }
    }

    fn setting(key: &str, value: &str) -> SavedLine {
        SavedLine { bytes: line::format(key, value).into_bytes(), key: Some(key.to_owned()) }
    }

    /// Puts `value` where the line has its value now.
    fn replace_value(&mut self, setting: &Setting<'_>, value: &str) {
        let start = (setting.value_column as usize).saturating_sub(1);
        let end = start.saturating_add(setting.value.len());
        if end <= self.bytes.len() && start <= end {
            self.bytes.splice(start..end, value.bytes());
        }
    }
}

impl Config {
    pub fn new() -> Config {
        Config::default()
    }

    /// The typed view.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Parses `path` on top of what is already set (the original's `load_config` appends, never clears).
    ///
    /// All mistakes of the file and of what it includes are reported; with any, the configuration is as before.
    pub fn load_file(&mut self, path: &Path) -> Result<(), Vec<ConfError>> {
        self.load_file_from(path, &Host)
    }

    /// As [`Config::load_file`], with files and environment of `source`.
    pub fn load_file_from(&mut self, path: &Path, source: &dyn Source) -> Result<(), Vec<ConfError>> {
        let name = path.to_string_lossy();
        match source.read(&name) {
            Ok(bytes) => self.load_bytes(&name, &bytes, source),
            Err(e) => {
                let kind =
                    ConfErrorKind::Unreadable { path: name.into(), reason: include::reason(&e).into() };
                Err(vec![ConfError::bare("", kind)])
            }
        }
    }

    /// Parses text as the file `name`, on top of what is already set.
    pub fn load_str(&mut self, name: &str, text: &str) -> Result<(), Vec<ConfError>> {
        self.load_bytes(name, text.as_bytes(), &Host)
    }

    /// As [`Config::load_str`] for text in any encoding (settings must be UTF-8, comments need not).
    pub fn load_bytes(&mut self, name: &str, text: &[u8], source: &dyn Source) -> Result<(), Vec<ConfError>> {
        let mut draft = self.settings.clone();
        let mut loader = Loader::new(&mut draft, source);
        let lines = loader.text(&Arc::from(name), text);
        if !loader.errors.is_empty() {
            return Err(loader.errors);
        }
        self.settings = draft;
        self.text.extend(lines);
        Ok(())
    }

    /// `set_config_item`: parses `value`, applies it and appends `key = value` to the saved text. Empty clears.
    ///
    /// A value with a line break is refused: saved, it would be a setting of its own.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), ConfError> {
        self.set_from(key, value, &Host)
    }

    /// As [`Config::set`], with files and environment of `source`.
    pub fn set_from(&mut self, key: &str, value: &str, source: &dyn Source) -> Result<(), ConfError> {
        let found = find(key)?;
        if value.contains(BREAKS) {
            return Err(ConfError::bare(key, ConfErrorKind::LineBreak));
        }
        let mut draft = self.settings.clone();
        let mut filled = None;
        if found.key.id == Id::Include {
            let mut loader = Loader::new(&mut draft, source);
            let line = line::format(key, value);
            loader
                .include(value, &Origin::default(), line.as_bytes())
                .map_err(|kind| ConfError::bare(key, kind))?;
            if let Some(first) = loader.errors.into_iter().next() {
                return Err(first);
            }
        } else {
            filled = apply::apply(&mut draft, &found, value, &Origin::default(), source)
                .map_err(|kind| ConfError::bare(key, kind))?;
        }
        self.settings = draft;
        if value.is_empty() {
            self.forget_lines(&found);
            if self.needs_empty_line(&found) {
                self.text.push(SavedLine::setting(key, ""));
            }
            self.keep_nic(&found);
        } else {
            self.text.push(SavedLine::setting(key, filled.as_deref().unwrap_or(value)));
        }
        Ok(())
    }

    /// `get_config_item`: the text of a key as the original prints it; empty when unset.
    pub fn get(&self, key: &str) -> Result<String, ConfError> {
        getter::get(&self.settings, &find(key)?).map_err(|kind| ConfError::bare(key, kind))
    }

    /// `clear_config_item`: back to the default, and the lines that begin with the key are no longer saved.
    pub fn clear(&mut self, key: &str) -> Result<(), ConfError> {
        let found = find(key)?;
        if found.key.form == Form::Nic && !self.settings.nics.contains_key(&found.nic) {
            return Err(ConfError::bare(key, ConfErrorKind::NoSuchNic { index: found.nic }));
        }
        apply::clear(&mut self.settings, &found);
        self.settings.origins.retain(|name, _| !covers(&found, name));
        self.forget_lines(&found);
        self.keep_nic(&found);
        Ok(())
    }

    /// Forgets everything (`clear_config`).
    pub fn clear_all(&mut self) {
        *self = Config::default();
    }

    /// `get_keys`: the names below `prefix`, without it; all supported names for `None`. Gives `None` when `prefix`
    /// has no names below it.
    pub fn keys(&self, prefix: Option<&str>) -> Option<Vec<String>> {
        getter::names(&self.settings, prefix)
    }

    /// Whether `key` is one of the names of the original's key table (`lxc_config_item_is_supported`).
    pub fn is_supported_key(key: &str) -> bool {
        keys::is_supported(key)
    }

    /// The text `save_config` writes. Bytes that are not UTF-8 (only comments can have some) are replaced; see
    /// [`Config::to_bytes`].
    pub fn to_text(&self) -> String {
        String::from_utf8_lossy(&self.to_bytes()).into_owned()
    }

    /// The exact bytes `save_config` writes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for line in &self.text {
            out.extend_from_slice(&line.bytes);
            out.push(b'\n');
        }
        out
    }

    /// Drops the lines of an emptied key. The type of an interface stays and is emptied by a further line: the lines
    /// after it may need it.
    fn forget_lines(&mut self, found: &Match<'_>) {
        if found.key.id != Id::NicType {
            self.text.retain(|line| !line.key.as_deref().is_some_and(|name| covers(found, name)));
        } else if self.settings.nics.contains_key(&found.nic) {
            self.text.push(SavedLine::setting(found.name, ""));
        }
    }

    /// Whether an emptied key must be saved as such: when no line of it would mean something else, or lines that
    /// stay may set it again.
    fn needs_empty_line(&self, found: &Match<'_>) -> bool {
        if matches!(found.key.id, Id::Include | Id::NicType) || self.is_bare_nic(found) {
            return false;
        }
        matches!(found.key.id, Id::Autodev | Id::AutodevTmpfsSize)
            || self.lines().any(|s| s.key == "lxc.include" || covers(found, s.key))
    }

    /// An interface whose last line was dropped is still one, of type empty; it gets a line that says so.
    fn keep_nic(&mut self, found: &Match<'_>) {
        if self.is_bare_nic(found) {
            let key = format!("lxc.net.{}.type", found.nic);
            self.text.push(SavedLine::setting(&key, "empty"));
        }
    }

    /// Whether a sub-key's interface exists without a type and without a line.
    fn is_bare_nic(&self, found: &Match<'_>) -> bool {
        let untyped = self.settings.nics.get(&found.nic).is_some_and(|nic| nic.kind == NicType::Empty);
        let of_it =
            |key: &str| keys::find(key).is_some_and(|m| m.key.form == Form::Nic && m.nic == found.nic);
        found.key.form == Form::Nic && untyped && !self.lines().any(|s| of_it(s.key))
    }

    /// The settings among the saved lines.
    fn lines(&self) -> impl Iterator<Item = Setting<'_>> {
        self.text.iter().filter_map(|saved| match line::parse(&saved.bytes) {
            line::Line::Setting(setting) => Some(setting),
            _ => None,
        })
    }
}

fn find(key: &str) -> Result<Match<'_>, ConfError> {
    keys::find(key).ok_or_else(|| ConfError::bare(key, include::unknown(key)))
}

/// Whether emptying `found` empties the key `name` too.
fn covers(found: &Match<'_>, name: &str) -> bool {
    let below = |prefix: &str| name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.'));
    if name == found.name {
        return true;
    }
    let Some(other) = keys::find(name) else { return false };
    match found.key.id {
        // The version is no hook and stays.
        Id::Hook => below("lxc.hook") && other.key.id != Id::HookVersion,
        Id::Net => below("lxc.net"),
        Id::NetNic => other.nic == found.nic && below("lxc.net"),
        Id::CapDrop | Id::CapKeep => matches!(other.key.id, Id::CapDrop | Id::CapKeep),
        id if found.key.form == Form::Nic => other.key.id == id && other.nic == found.nic,
        // A bare family name covers the family.
        id => found.rest.is_empty() && found.key.form == Form::Prefix && other.key.id == id,
    }
}

#[cfg(test)]
mod tests;
