//! Lines of a configuration file: splitting, and finding key and value in one, with columns.
//!
//! Bytes in, positions out. Not here: what a key means.

/// Splits at CR, LF or CR LF; yields the line number, counted from 1, and the line. A missing newline at the end is
/// no line of its own.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    let mut rest = text;
    let mut number = 0u32;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        number = number.saturating_add(1);
        let end = rest.iter().position(|b| matches!(b, b'\n' | b'\r')).unwrap_or(rest.len());
        let (line, tail) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        rest = tail.strip_prefix(b"\r\n").or_else(|| tail.get(1..)).unwrap_or_default();
        Some((number, line))
    })
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line<'t> {
    /// Blank, a comment, or something of another program: kept, not read.
    Other,
    Setting(Setting<'t>),
    /// Starts like a setting and has no `=`; `column` is where one was expected.
    NoSeparator {
        text: &'t str,
        column: u32,
    },
    /// A setting that is not UTF-8; `column` is the first bad byte.
    NotUtf8 {
        column: u32,
    },
    /// A setting with a NUL byte in it.
    Nul {
        column: u32,
    },
}

/// `key = value`. Columns are bytes counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setting<'t> {
    pub(crate) key: &'t str,
    pub(crate) key_column: u32,
    /// Without the quotes around it.
    pub(crate) value: &'t str,
    pub(crate) value_column: u32,
    /// The key is the very first thing on the line.
    pub(crate) flush: bool,
}

/// Reads one line without its end.
pub(crate) fn parse(line: &[u8]) -> Line<'_> {
    let indent = line.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    let body = line.get(indent..).unwrap_or_default();
    if !body.starts_with(b"lxc.") {
        return Line::Other;
    }
    if let Some(at) = body.iter().position(|b| *b == 0) {
        return Line::Nul { column: column(indent + at) };
    }
    let text = match std::str::from_utf8(body) {
        Ok(text) => text,
        Err(e) => return Line::NotUtf8 { column: column(indent + e.valid_up_to()) },
    };
    let text = text.trim_end_matches(BLANK);
    let Some((key, raw)) = text.split_once('=') else {
        return Line::NoSeparator { text, column: column(indent + text.len()) };
    };
    let value = raw.trim_start_matches(BLANK);
    let at = indent + text.len() - value.len();
    let (value, quotes) = match unquote(value) {
        Some(inner) => (inner, 1),
        None => (value, 0),
    };
    Line::Setting(Setting {
        key: key.trim_end_matches(BLANK),
        key_column: column(indent),
        value,
        value_column: column(at + quotes),
        flush: indent == 0,
    })
}

const BLANK: [char; 2] = [' ', '\t'];

fn column(offset: usize) -> u32 {
    u32::try_from(offset).map_or(u32::MAX, |n| n.saturating_add(1))
}

/// The inside of a value that is in one pair of quotes as a whole.
fn unquote(value: &str) -> Option<&str> {
    ['"', '\''].into_iter().find_map(|q| value.strip_prefix(q)?.strip_suffix(q))
}

/// `key = value` such that [`parse`] gives back exactly `key` and `value`: quoted when blanks or quotes around it
/// would be lost.
pub(crate) fn format(key: &str, value: &str) -> String {
    let lossy = value.trim_matches(BLANK).len() != value.len() || unquote(value).is_some();
    if lossy { format!("{key} = \"{value}\"") } else { format!("{key} = {value}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(line: &str) -> (String, String) {
        match parse(line.as_bytes()) {
            Line::Setting(s) => (s.key.to_owned(), s.value.to_owned()),
            other => panic!("{line:?}: {other:?}"),
        }
    }

    #[test]
    fn splitting() {
        let split = |t: &'static str| lines(t.as_bytes()).map(|(n, l)| (n, l.len())).collect::<Vec<_>>();
        assert_eq!(split(""), []);
        assert_eq!(split("a\n\nbc"), [(1, 1), (2, 0), (3, 2)]);
        assert_eq!(split("a\r\nb\rc\n"), [(1, 1), (2, 1), (3, 1)]);
        assert_eq!(split("\n"), [(1, 0)]);
    }

    #[test]
    fn settings() {
        let kv = |k: &str, v: &str| (k.to_owned(), v.to_owned());
        assert_eq!(setting("lxc.uts.name=a=b"), kv("lxc.uts.name", "a=b"));
        assert_eq!(setting("\tlxc.tty.max\t=\t4\t"), kv("lxc.tty.max", "4"));
        assert_eq!(setting("lxc.a = v # x"), kv("lxc.a", "v # x"));
        assert_eq!(setting("lxc.a ="), kv("lxc.a", ""));
        assert_eq!(setting("lxc.a = \\"), kv("lxc.a", "\\"));
        assert_eq!(setting("lxc.a x = 1"), kv("lxc.a x", "1"));
    }

    #[test]
    fn quotes() {
        for (raw, want) in [
            ("\"a b\"", "a b"),
            ("' a '", " a "),
            ("\"\"", ""),
            ("\"a\" \"b\"", "a\" \"b"),
            ("\"a", "\"a"),
            ("\"", "\""),
            ("\"a'", "\"a'"),
            ("a \"b\"", "a \"b\""),
        ] {
            assert_eq!(setting(&format!("lxc.a = {raw}  ")).1, want, "{raw}");
        }
    }

    #[test]
    fn columns() {
        let Line::Setting(s) = parse(b"  lxc.a =  \"x\"") else { panic!() };
        assert_eq!((s.key_column, s.value_column, s.flush), (3, 13, false));
        assert_eq!(parse(b"lxc.a  "), Line::NoSeparator { text: "lxc.a", column: 6 });
        assert_eq!(parse(b"lxc.a = \xff"), Line::NotUtf8 { column: 9 });
        assert_eq!(parse(b"lxc.a = \0"), Line::Nul { column: 9 });
    }

    #[test]
    fn other_lines() {
        for line in [
            "",
            "  ",
            "# lxc.a = b",
            "  # x",
            "LXC.a = b",
            "lxc = 1",
            " = 1",
            "\u{feff}lxc.a = b",
            "\0lxc.a = 1",
        ] {
            assert_eq!(parse(line.as_bytes()), Line::Other, "{line:?}");
        }
        assert_eq!(parse(b"# \xff"), Line::Other);
    }

    #[test]
    fn formatting_is_undone_by_parsing() {
        for value in ["a", "", " a", "a\t", "\"a\"", "'a'", "\"", "''", "\"\"a\"\"", "a = b", "#"] {
            assert_eq!(setting(&format("lxc.a", value)).1, value, "{value:?}");
        }
    }
}
