//! What is wrong with a line of configuration, where, and how the original would have said it.

use std::fmt;
use std::sync::Arc;

use crate::value::ValueError;
use crate::{keys, legacy, model::Origin};

/// The mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfErrorKind {
    /// A line that starts with `lxc.` and has no `=`.
    NoSeparator,
    /// The line is not UTF-8.
    NotUtf8,
    /// A NUL byte; the original would silently stop reading here.
    Nul,
    /// No such key.
    UnknownKey,
    /// A key of before LXC 2.1.
    LegacyKey,
    /// The value does not fit the key's grammar.
    Value(Box<ValueError>),
    /// The key takes no value.
    MustBeEmpty,
    /// The key needs a value.
    MustNotBeEmpty,
    /// `other` is set and excludes this key.
    Excludes { other: &'static str },
    /// The key does not apply to the type of its interface.
    WrongNicType { is: &'static str, needs: &'static str },
    /// There is no interface with this index.
    NoSuchNic { index: u32 },
    /// `lxc.environment = KEY`, and the caller has no such variable.
    NotInEnvironment { variable: Box<str> },
    /// A value with a line break or NUL, which would become another line of the saved file.
    LineBreak,
    /// The key has no getter.
    NotReadable,
    /// A file could not be read.
    Unreadable { path: Box<str>, reason: Box<str> },
    /// A file includes itself.
    IncludeLoop { path: Box<str> },
    /// Too many files inside each other, or in all.
    IncludeLimit { limit: usize },
}

/// A mistake with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfError {
    /// The file, as it was opened; `None` for a value set by a program or on a command line.
    pub file: Option<Arc<str>>,
    /// Counted from 1; 0 when there is no line.
    pub line: u32,
    /// Byte in the line, counted from 1; 0 when there is no line.
    pub column: u32,
    /// The key, or an empty text when the line has none.
    pub key: Box<str>,
    /// The line as it is in the file; empty when there is no line.
    pub text: Box<str>,
    pub kind: ConfErrorKind,
    /// The include lines that led to the file, innermost first.
    pub includes: Vec<IncludeLine>,
}

/// The line that included a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncludeLine {
    pub origin: Origin,
    /// As it is in the file.
    pub text: Box<str>,
}

impl ConfError {
    /// A mistake outside of any file.
    pub(crate) fn bare(key: &str, kind: ConfErrorKind) -> ConfError {
        ConfError {
            file: None,
            line: 0,
            column: 0,
            key: key.into(),
            text: Box::default(),
            kind,
            includes: Vec::new(),
        }
    }

    /// Where the mistake is.
    pub fn origin(&self) -> Origin {
        Origin { file: self.file.clone(), line: self.line }
    }

    /// The known key closest to an unknown one, when it is close.
    pub fn did_you_mean(&self) -> Option<String> {
        if self.kind == ConfErrorKind::UnknownKey { closest_key(&self.key) } else { None }
    }

    /// What is wrong, without the place, in one line that a terminal shows and does not obey: keys and values may be
    /// hostile.
    pub fn message(&self) -> String {
        printable(self.raw_message())
    }

    fn raw_message(&self) -> String {
        let key = &self.key;
        match &self.kind {
            ConfErrorKind::NoSeparator => format!("no \"=\" in {:?}", self.text.trim_ascii()),
            ConfErrorKind::NotUtf8 => "not UTF-8 text".to_owned(),
            ConfErrorKind::Nul => "NUL byte in a setting".to_owned(),
            ConfErrorKind::UnknownKey => match self.did_you_mean() {
                Some(other) => format!("unknown key {key:?}; did you mean {other}?"),
                None => format!("unknown key {key:?}"),
            },
            ConfErrorKind::LegacyKey => {
                legacy::message(key).unwrap_or_else(|| format!("unknown key {key:?}"))
            }
            ConfErrorKind::Value(e) => format!("{key}: {e}"),
            ConfErrorKind::MustBeEmpty => format!("{key} must not have a value"),
            ConfErrorKind::MustNotBeEmpty => format!("{key} must have a value"),
            ConfErrorKind::Excludes { other } => {
                format!("{key}: {other} is set, and only one of the two can be")
            }
            ConfErrorKind::WrongNicType { is, needs } => {
                format!("{key}: the interface is of type {is}, this needs {needs} (set .type first)")
            }
            ConfErrorKind::NoSuchNic { index } => format!("{key}: there is no lxc.net.{index}"),
            ConfErrorKind::NotInEnvironment { variable } => {
                format!("{key}: {variable} is not in the environment")
            }
            ConfErrorKind::LineBreak => format!("{key}: line break or NUL in the value"),
            ConfErrorKind::NotReadable => format!("{key} cannot be read"),
            ConfErrorKind::Unreadable { path, reason } => format!("cannot read {path}: {reason}"),
            ConfErrorKind::IncludeLoop { path } => format!("{path} includes itself"),
            ConfErrorKind::IncludeLimit { limit } => format!("more than {limit} included files"),
        }
    }

    /// The line and below it a mark under the mistake, for people at a terminal. Nothing for a mistake without line.
    pub fn excerpt(&self) -> Option<String> {
        let before = self.text.get(..usize::try_from(self.column).ok()?.checked_sub(1)?)?;
        let pad: String = before.chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        // Replaced by one character each, so that the mark stays below its place.
        let shown: String = self
            .text
            .trim_end()
            .chars()
            .map(|c| if c != '\t' && c.is_control() { '\u{fffd}' } else { c })
            .collect();
        Some(format!("    {shown}\n    {pad}^"))
    }

    /// The texts the original logs for this mistake, in order; its log consumers match them.
    pub fn compat_texts(&self) -> Vec<String> {
        let key = &self.key;
        let first = match &self.kind {
            ConfErrorKind::UnknownKey | ConfErrorKind::LegacyKey => unknown_key_text(key),
            ConfErrorKind::NoSeparator => {
                let text = self.text.trim_start_matches([' ', '\t']);
                Some(format!("Invalid argument - Invalid configuration line: {text}"))
            }
            ConfErrorKind::Value(e) => e.compat.clone(),
            ConfErrorKind::MustBeEmpty if matches!(&**key, "lxc.net" | "lxc.hook") => {
                Some(format!("Invalid argument - {key} must not have a value"))
            }
            ConfErrorKind::Excludes { other } if other.starts_with("lxc.cap.") => {
                Some("Invalid argument - Keeping and dropping capabilities are mutually exclusive".to_owned())
            }
            ConfErrorKind::Excludes { other } => {
                Some(format!("Invalid argument - Cannot set both \"{key}\" and \"{other}\""))
            }
            ConfErrorKind::Unreadable { path, reason } => {
                Some(format!("{reason} - Failed to open file \"{path}\""))
            }
            _ => None,
        };
        let failed =
            |file: &str, text: &str| format!("Failed to parse config file \"{file}\" at line \"{text}\"");
        let here = self.file.as_deref().filter(|_| self.line > 0).map(|file| failed(file, &self.text));
        let above = self.includes.iter().filter_map(|i| Some(failed(i.origin.file.as_deref()?, &i.text)));
        first.into_iter().chain(here).chain(above).map(printable).collect()
    }
}

impl fmt::Display for ConfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            let file = printable(file.to_string());
            match self.line {
                0 => write!(f, "{file}: ")?,
                line => write!(f, "{file}:{line}:{}: ", self.column)?,
            }
        }
        f.write_str(&self.message())?;
        for include in &self.includes {
            write!(f, " (included from {})", printable(include.origin.to_string()))?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfError {}

/// With control characters as Rust writes them in a string. Tabs stay: the original's texts have them.
fn printable(text: String) -> String {
    let obeyed = |c: char| c != '\t' && c.is_control();
    if !text.contains(obeyed) {
        return text;
    }
    text.chars().fold(String::with_capacity(text.len()), |mut shown, c| {
        match obeyed(c) {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
        shown
    })
}

/// How the original words an unknown key; families have their own way.
fn unknown_key_text(key: &str) -> Option<String> {
    if let Some(name) = key.strip_prefix("lxc.namespace.share.").filter(|n| !n.is_empty()) {
        return Some(format!("Invalid namespace name \"{name}\""));
    }
    match key.strip_prefix("lxc.net.").and_then(|rest| rest.split_once('.')) {
        Some((index, _)) if index.bytes().all(|b| b.is_ascii_digit()) => {
            Some(format!("No such file or directory - Unknown network configuration key \"{key}\""))
        }
        Some(_) => None,
        None => Some(format!("Invalid argument - Unsupported config key \"{key}\"")),
    }
}

/// The known key name nearest to `name`. A number in place of an interface index stays.
fn closest_key(name: &str) -> Option<String> {
    let index = name
        .strip_prefix("lxc.net.")
        .and_then(|r| r.split('.').next())
        .filter(|i| !i.is_empty() && i.bytes().all(|b| b.is_ascii_digit()));
    let candidates = keys::KEYS.iter().filter(|k| !k.name.ends_with('.')).filter_map(|k| match k.form {
        keys::Form::Nic => index.map(|i| k.name.replacen('N', i, 1)),
        _ => Some(k.name.to_owned()),
    });
    let limit = (name.len() / 5).clamp(1, 3);
    let name = &name.to_ascii_lowercase();
    // Texts of other lengths are that many edits away: a hostile line of a megabyte costs nothing.
    candidates
        .filter(|candidate| candidate.len().abs_diff(name.len()) <= limit)
        .map(|candidate| (distance(name, &candidate, limit), candidate))
        .filter(|(d, _)| *d <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Edits (insert, delete, replace, swap neighbours) between two texts; something over `limit` when there are more.
fn distance(a: &str, b: &str, limit: usize) -> usize {
    let b: Vec<u8> = b.bytes().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut previous = None;
    for (i, ca) in a.bytes().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        for (j, cb) in b.iter().enumerate() {
            let at = |row: &[usize], k: usize| row.get(k).copied().unwrap_or(usize::MAX / 2);
            let mut best =
                (at(&last, j) + usize::from(ca != *cb)).min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = j > 0 && previous == Some(*cb) && b.get(j - 1) == Some(&ca);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
        previous = Some(ca);
        // No row gets better than the two above it.
        if before.iter().chain(&last).all(|edits| *edits > limit) {
            return limit + 1;
        }
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, want) in [
            ("", "", 0),
            ("a", "", 1),
            ("", "ab", 2),
            ("kitten", "sitting", 3),
            ("ab", "ba", 1),
            ("abc", "abc", 0),
        ] {
            assert_eq!(distance(a, b, 9), want, "{a} {b}");
            for limit in 0..4 {
                let got = distance(a, b, limit);
                assert!(got == want || (want > limit && got > limit), "{a} {b} {limit}: {got}");
            }
        }
    }

    #[test]
    fn suggestions() {
        for (bad, good) in [
            ("lxc.tty.mx", "lxc.tty.max"),
            ("lxc.rootfs.pathh", "lxc.rootfs.path"),
            ("lxc.net.3.lnik", "lxc.net.3.link"),
            ("lxc.cgroup.dir.containr", "lxc.cgroup.dir.container"),
            ("LXC.uts.name", "lxc.uts.name"),
        ] {
            let e = ConfError::bare(bad, ConfErrorKind::UnknownKey);
            assert_eq!(e.did_you_mean().as_deref(), Some(good), "{bad}");
        }
        assert_eq!(ConfError::bare("lxc.bogus", ConfErrorKind::UnknownKey).did_you_mean(), None);
    }

    #[test]
    fn a_terminal_shows_hostile_text_and_does_not_obey_it() {
        let mut config = crate::Config::new();
        let text = b"lxc.environment.hooks = \x1b[2J\x07q\nlxc.network.\x1bx = 1\nlxc.tty.max = \x1b]0;x\x07\nlxc.\xc2\x9bx = 1\n";
        let errors = config.load_bytes("a\x1bb", text, &crate::Memory::default()).unwrap_err();
        assert_eq!(errors.len(), 4);
        for e in errors {
            let all = format!(
                "{e}{}{}{}",
                e.message(),
                e.compat_texts().concat(),
                e.excerpt().unwrap().replace('\n', "")
            );
            assert!(!all.contains(char::is_control), "{all:?}");
            assert!(e.to_string().starts_with("a\\u{1b}b:"), "{e}");
        }
    }

    #[test]
    fn shown_with_its_place() {
        let mut e = ConfError::bare("lxc.utsname", ConfErrorKind::LegacyKey);
        assert_eq!(e.to_string(), "lxc.utsname was renamed to lxc.uts.name in 2.1");
        e.file = Some("/a".into());
        e.line = 3;
        e.column = 1;
        e.text = "lxc.utsname = x".into();
        let origin = Origin { file: Some("/b".into()), line: 9 };
        e.includes = vec![IncludeLine { origin, text: "lxc.include = /a".into() }];
        assert_eq!(
            e.to_string(),
            "/a:3:1: lxc.utsname was renamed to lxc.uts.name in 2.1 (included from /b:9)"
        );
        assert_eq!(e.excerpt().as_deref(), Some("    lxc.utsname = x\n    ^"));
        e.text = "\tlxc.utsname = x ".into();
        e.column = 16;
        assert_eq!(e.excerpt().as_deref(), Some("    \tlxc.utsname = x\n    \t              ^"));
        e.text = "lxc.utsname = x".into();
        assert_eq!(
            e.compat_texts(),
            [
                "Invalid argument - Unsupported config key \"lxc.utsname\"",
                "Failed to parse config file \"/a\" at line \"lxc.utsname = x\"",
                "Failed to parse config file \"/b\" at line \"lxc.include = /a\"",
            ]
        );
    }
}
