//! `lxc.time.offset.*`: a signed number directly followed by a unit.

use super::{Result, ValueError};

const UNITS: [(&str, i64); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Nanoseconds. The number is decimal; what follows it, blanks included, is at most two bytes: `5 s` is a time,
/// `5 ms` is not.
pub fn parse(value: &str) -> Result<i64> {
    let text = value.trim_ascii_start();
    let sign_len = usize::from(text.starts_with(['+', '-']));
    let digits = text.bytes().skip(sign_len).take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at_checked(sign_len + digits).unwrap_or((text, ""));
    let at = value.len() - rest.len();
    let shape = || {
        ValueError::new(format!(
            "{value:?} is not a time; expected a number directly followed by h, m, s, ms, us or ns"
        ))
    };
    if digits == 0 {
        return Err(shape());
    }
    let unit = UNITS.iter().find(|(name, _)| rest.len() <= 2 && rest.trim_ascii() == *name);
    let Some((_, factor)) = unit else {
        return Err(shape().at(at));
    };
    number
        .parse::<i64>()
        .ok()
        .and_then(|n| n.checked_mul(*factor))
        .ok_or_else(|| ValueError::new(format!("{value:?} is out of range")))
}

/// The text a getter prints: whole seconds as such, anything else in nanoseconds.
pub fn format(ns: i64) -> String {
    const SECOND: i64 = 1_000_000_000;
    if ns != 0 && ns % SECOND == 0 { format!("{}s", ns / SECOND) } else { format!("{ns}ns") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, want) in [
            ("5h", "18000s"),
            ("-5ms", "-5000000ns"),
            ("5 s", "5s"),
            ("-5 s", "-5s"),
            (" 5s", "5s"),
            ("010s", "10s"),
            ("+5us", "5000ns"),
            ("1500ms", "1500000000ns"),
            ("0s", "0ns"),
            ("5m", "300s"),
        ] {
            assert_eq!(parse(text).map(format), Ok(want.to_owned()), "{text}");
        }
        for bad in
            ["", "5", "5d", "5S", "5 ms", "-5 ms", "5  s", "5 s x", "0x5s", "s", "99999999999h", "- 5s"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
