//! Numbers as the C library's strtoul/strtol with base 0 read them, and the 0/1 booleans built on them.

use super::{Result, ValueError};

/// `uint`: leading blanks, an optional `+`, then decimal, `0x…` or `0…` (octal). No sign `-`, no trailing text.
pub fn uint(value: &str) -> Result<u32> {
    let n = unsigned(value)?;
    u32::try_from(n).map_err(|_| ValueError::new(format!("{value:?} is larger than {}", u32::MAX)))
}

/// `id`: the number of a user or group: decimal digits only, below 4294967295 (which means "no user").
///
/// Stricter than the other numbers: whoever is read wrongly here becomes somebody else (CVE-2026-30892). `010` may be 8
/// or 10, so it is neither.
pub fn id(value: &str) -> Result<u32> {
    decimal(value)?
        .try_into()
        .ok()
        .filter(|id| *id != u32::MAX)
        .ok_or_else(|| ValueError::new(format!("{value:?} is too large for the number of a user or group")))
}

/// How many users or groups: decimal digits only.
pub fn id_count(value: &str) -> Result<u32> {
    decimal(value)?.try_into().map_err(|_| ValueError::new(format!("{value:?} is larger than {}", u32::MAX)))
}

fn decimal(value: &str) -> Result<u64> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || value.len() > 1 && value.starts_with('0') {
        return Err(ValueError::new(format!("{value:?} is not a plain decimal number")));
    }
    value.parse().map_err(|_| not_a_number(value))
}

/// As [`uint`] with 64 bits.
pub fn unsigned(value: &str) -> Result<u64> {
    let text = value.trim_ascii_start();
    if text.starts_with('-') {
        return Err(ValueError::new(format!("{value:?} is negative; expected a number of 0 or more")));
    }
    magnitude(text.strip_prefix('+').unwrap_or(text)).ok_or_else(|| not_a_number(value))
}

/// `int`: as [`uint`], with an optional sign.
pub fn int(value: &str) -> Result<i32> {
    let text = value.trim_ascii_start();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let n = magnitude(digits).ok_or_else(|| not_a_number(value))?;
    let n = i64::try_from(n).ok().map(|n| if negative { -n } else { n });
    n.and_then(|n| i32::try_from(n).ok())
        .ok_or_else(|| ValueError::new(format!("{value:?} does not fit in 32 bits")))
}

/// `bool`: a number that is exactly 0 or 1.
pub fn boolean(value: &str) -> Result<bool> {
    match unsigned(value) {
        Ok(0) => Ok(false),
        Ok(1) => Ok(true),
        _ => Err(ValueError::new(format!("{value:?} is not 0 or 1"))),
    }
}

fn magnitude(digits: &str) -> Option<u64> {
    let (radix, digits) = if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        (16, hex)
    } else if digits.len() > 1 && digits.starts_with('0') {
        (8, digits)
    } else {
        (10, digits)
    };
    // from_str_radix takes a sign of its own, which would let `+-1` through.
    if !digits.starts_with(|c: char| c.is_digit(radix)) {
        return None;
    }
    u64::from_str_radix(digits, radix).ok()
}

fn not_a_number(value: &str) -> ValueError {
    ValueError::new(format!("{value:?} is not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_and_blanks() {
        for (text, want) in [("7", 7), (" 7", 7), ("+7", 7), ("010", 8), ("0x10", 16), ("0", 0), ("0X1f", 31)]
        {
            assert_eq!(uint(text), Ok(want), "{text}");
        }
        for text in ["", "7 ", "7x", "-1", "0x", "08", "+-1", "--1", "4294967296", "99999999999999999999999"]
        {
            assert!(uint(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ids_are_plain_decimal() {
        for (text, want) in [("0", 0), ("7", 7), ("4294967294", u32::MAX - 1)] {
            assert_eq!(id(text), Ok(want), "{text}");
        }
        for text in
            ["", "0x0", "+0", " 0", "0 ", "-1", "-0", "4294967295", "4294967296", "010", "00", "1e3", "٣"]
        {
            assert!(id(text).is_err(), "{text}");
        }
        assert_eq!(id_count("4294967295"), Ok(u32::MAX));
        assert!(id_count("4294967296").is_err());
    }

    #[test]
    fn signs() {
        assert_eq!(int("-5"), Ok(-5));
        assert_eq!(int("-2147483648"), Ok(i32::MIN));
        assert!(int("2147483648").is_err());
        assert!(int("-5x").is_err());
    }

    #[test]
    fn only_zero_and_one_are_booleans() {
        assert_eq!(boolean("0x1"), Ok(true));
        assert_eq!(boolean(" 0"), Ok(false));
        for text in ["2", "yes", "true", "-1", "1 ", ""] {
            assert!(boolean(text).is_err(), "{text}");
        }
    }
}
