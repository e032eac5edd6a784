//! `lxc.console.buffer.size` and `lxc.console.size`.

use super::{Result, ValueError};

/// Sizes are rounded up to a power of two of at least this.
const PAGE: u64 = 4096;
/// What `auto` stands for.
const AUTO: u64 = 128 * 1024;

/// Bytes after rounding. `auto`, or a number with an optional two-letter unit KB, MB or GB (1024-based, any case). A
/// one-letter unit is ignored, as in the original: `5K` is five bytes.
pub fn parse(value: &str) -> Result<u64> {
    if value == "auto" {
        return Ok(AUTO);
    }
    let bad =
        || ValueError::new(format!("{value:?} is not a size; expected auto, or a number with KB, MB or GB"));
    let unit_len = value.bytes().rev().take_while(u8::is_ascii_alphabetic).count();
    // Hexadecimal digits are letters too: `0x1F` has no unit.
    let hex = value.trim_ascii_start().get(..2).is_some_and(|p| p.eq_ignore_ascii_case("0x"));
    let (number, unit) = match unit_len {
        0 | 1 if hex => (value, ""),
        0 => (value, ""),
        n => value.split_at_checked(value.len() - n.min(2)).ok_or_else(bad)?,
    };
    let (number, shift) = match unit.to_ascii_uppercase().as_str() {
        "KB" => (number, 10),
        "MB" => (number, 20),
        "GB" => (number, 30),
        _ if unit.len() < 2 => (number, 0),
        _ if hex => (value, 0),
        _ => return Err(bad()),
    };
    let bytes = super::number::unsigned(number.trim_ascii_end()).map_err(|_| bad())?;
    let too_big = || ValueError::new(format!("{value:?} is too large"));
    let bytes = bytes.checked_mul(1 << shift).filter(|n| i64::try_from(*n).is_ok()).ok_or_else(too_big)?;
    bytes.max(PAGE).checked_next_power_of_two().ok_or_else(too_big)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, want) in [
            ("auto", 131_072),
            ("5K", 4096),
            ("5x", 4096),
            ("5KB", 8192),
            ("5 kb", 8192),
            ("5  KB", 8192),
            ("5 K", 4096),
            ("0", 4096),
            ("5000", 8192),
            ("1GB", 1 << 30),
            ("0x10KB", 16384),
            ("0x1FFF", 8192),
            ("010MB", 8 << 20),
            ("9223372036854775807", 1 << 63),
        ] {
            assert_eq!(parse(text), Ok(want), "{text}");
        }
        for bad in [
            "",
            "foo",
            "-1",
            "5 XX",
            "5KBB",
            "5 K B",
            "KB",
            "AUTO",
            "5KX",
            "5BB",
            "99999999999GB",
            "9223372036854775808",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
