//! `lxc.prlimit.NAME`: `SOFT[:HARD]`, and the names of resources.

use super::{Result, ValueError, number};

/// Resource names with their numbers (generic Linux numbering, see getrlimit(2)).
pub const NAMES: [(&str, u32); 16] = [
    ("as", 9),
    ("core", 4),
    ("cpu", 0),
    ("data", 2),
    ("fsize", 1),
    ("locks", 10),
    ("memlock", 8),
    ("msgqueue", 12),
    ("nice", 13),
    ("nofile", 7),
    ("nproc", 6),
    ("rss", 5),
    ("rtprio", 14),
    ("rttime", 15),
    ("sigpending", 11),
    ("stack", 3),
];

/// The number of a resource: a name in lower case, or a number. Not checked while parsing a configuration, as the
/// original only notices at start.
pub fn resource(name: &str) -> Option<u32> {
    NAMES.iter().find(|(n, _)| *n == name).map(|(_, nr)| *nr).or_else(|| number::uint(name).ok())
}

/// Soft and hard limit; `u64::MAX` is unlimited. One number sets both, and so does one with nothing after its `:`.
pub fn parse(value: &str) -> Result<(u64, u64)> {
    let (soft, hard) = match value.split_once(':') {
        Some((soft, hard)) => (soft, Some((soft.len() + 1, hard))),
        None => (value, None),
    };
    let soft = if soft.trim_ascii().is_empty() && hard.is_some() { 0 } else { limit(soft)? };
    match hard {
        Some((at, hard)) if !hard.trim_ascii().is_empty() => Ok((soft, limit(hard).map_err(|e| e.at(at))?)),
        _ => Ok((soft, soft)),
    }
}

fn limit(text: &str) -> Result<u64> {
    match text.trim_ascii() {
        "unlimited" | "-1" => Ok(u64::MAX),
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().map_err(|_| {
            ValueError::new(format!("{digits:?} is not a limit; expected a number or unlimited"))
        }),
        other => Err(ValueError::new(format!("{other:?} is not a limit; expected a number or unlimited"))),
    }
}

/// The text a getter prints: one number when both limits are the same.
pub fn format(soft: u64, hard: u64) -> String {
    let one = |n: u64| if n == u64::MAX { "unlimited".to_owned() } else { n.to_string() };
    if soft == hard { one(soft) } else { format!("{}:{}", one(soft), one(hard)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        for (text, want) in [
            ("5", "5"),
            ("5:6", "5:6"),
            ("5 : unlimited", "5:unlimited"),
            ("7:7", "7"),
            ("5:", "5"),
            (":5", "0:5"),
            ("-1", "unlimited"),
            ("010", "10"),
            ("18446744073709551615", "unlimited"),
        ] {
            let (soft, hard) = parse(text).unwrap();
            assert_eq!(format(soft, hard), want, "{text}");
        }
        for bad in ["", "x", "5k", "0x10", "5:6:7", "5 6", "UNLIMITED", "18446744073709551616", "-5", "5:x"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn resources() {
        assert_eq!(resource("nofile"), Some(7));
        assert_eq!(resource("3"), Some(3));
        assert_eq!(resource("NOFILE"), None);
    }
}
