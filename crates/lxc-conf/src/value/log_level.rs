//! `lxc.log.level` and `lxc.log.syslog`: log priorities and syslog facilities.

use super::{Result, ValueError, number};

/// Names by number, 0 … 8.
pub const NAMES: [&str; 9] = ["TRACE", "DEBUG", "INFO", "NOTICE", "WARN", "ERROR", "CRIT", "ALERT", "FATAL"];

/// A number 0–8 or a name in any case. Also used by `-l/--logpriority`.
pub fn parse(value: &str) -> Result<u8> {
    let level = if value.starts_with(|c: char| c.is_ascii_digit()) {
        number::uint(value).ok().and_then(|n| u8::try_from(n).ok()).filter(|n| usize::from(*n) < NAMES.len())
    } else {
        NAMES.iter().position(|n| n.eq_ignore_ascii_case(value)).and_then(|n| u8::try_from(n).ok())
    };
    level.ok_or_else(|| {
        // The original knows a name it does not know by the number of none.
        let number = if value.starts_with(|c: char| c.is_ascii_digit()) { value } else { "9" };
        ValueError::new(format!("invalid log priority {value}"))
            .compat(format!("Invalid argument - Invalid log priority {number}"))
    })
}

/// The name of a level; `NOTSET` for none.
pub fn name(level: Option<u8>) -> &'static str {
    level.and_then(|n| NAMES.get(usize::from(n)).copied()).unwrap_or("NOTSET")
}

/// The syslog facility code (daemon = 3, local0 = 16 … local7 = 23) of a name in any case.
pub fn facility(value: &str) -> Result<u8> {
    let lower = value.to_ascii_lowercase();
    let local = lower.strip_prefix("local").and_then(|n| match n.as_bytes() {
        [d @ b'0'..=b'7'] => Some(16 + (d - b'0')),
        _ => None,
    });
    match lower.as_str() {
        "daemon" => Ok(3),
        _ => local.ok_or_else(|| {
            ValueError::new(format!("invalid syslog facility {value:?}; expected daemon or local0 to local7"))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels() {
        assert_eq!(parse("debug"), Ok(1));
        assert_eq!(parse("0x3"), Ok(3));
        assert_eq!(parse("8"), Ok(8));
        assert_eq!(name(Some(4)), "WARN");
        assert_eq!(name(None), "NOTSET");
        for bad in ["9", "WARNING", "", " 3", "3 ", "-1", "NOTSET"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn facilities() {
        assert_eq!(facility("daemon"), Ok(3));
        assert_eq!(facility("LOCAL7"), Ok(23));
        for bad in ["local8", "local", "local00", "user", ""] {
            assert!(facility(bad).is_err(), "{bad}");
        }
    }
}
