//! `lxc.signal.*` and `lxc.monitor.signal.pdeath`: signal names and numbers (signal(7), generic numbering).

use super::{Result, ValueError, number};

/// The real-time range as the C library numbers it: it keeps the kernel's 32 and 33 for itself.
pub const RTMIN: u32 = 34;
pub const RTMAX: u32 = 64;

/// Names without `SIG`.
pub const NAMES: [(&str, u32); 34] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("POLL", 29),
    ("PWR", 30),
    ("SYS", 31),
];

/// A number (not range-checked, as in the original), `SIGNAME` in any case, `SIGRTMIN+n` or `SIGRTMAX-n`.
pub fn parse(value: &str) -> Result<u32> {
    if value.starts_with(|c: char| c.is_ascii_digit()) {
        return number::uint(value);
    }
    let upper = value.to_ascii_uppercase();
    let Some(name) = upper.strip_prefix("SIG") else {
        let known = NAMES.iter().any(|(n, _)| *n == upper);
        return Err(if known {
            ValueError::new(format!("{value:?} is not a signal; write SIG{upper}"))
        } else {
            ValueError::new(format!("{value:?} is not a signal"))
        });
    };
    if let Some((_, nr)) = NAMES.iter().find(|(n, _)| *n == name) {
        return Ok(*nr);
    }
    realtime(name).ok_or_else(|| match name {
        "RTMIN" => ValueError::new(format!("{value:?} needs an offset: SIGRTMIN+0")),
        "RTMAX" => ValueError::new(format!("{value:?} needs an offset: SIGRTMAX-0")),
        _ => ValueError::new(format!("unknown signal {value:?}")),
    })
}

fn realtime(name: &str) -> Option<u32> {
    let offset = |text: &str| {
        // No blanks between the sign and the number.
        text.starts_with(|c: char| c.is_ascii_digit()).then(|| number::uint(text).ok()).flatten()
    };
    let nr = if let Some(n) = name.strip_prefix("RTMIN+") {
        RTMIN.checked_add(offset(n)?)?
    } else if let Some(n) = name.strip_prefix("RTMAX-") {
        RTMAX.checked_sub(offset(n)?)?
    } else {
        return None;
    };
    (RTMIN..=RTMAX).contains(&nr).then_some(nr)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for (text, want) in [
            ("sigpwr", 30),
            ("SIGRTMIN+3", 37),
            ("SIGRTMAX-2", 62),
            ("SIGRTMIN+0x3", 37),
            ("sigrtmin+30", 64),
            ("SIGIOT", 6),
            ("SIGPOLL", 29),
            ("999", 999),
            ("0x9", 9),
            ("010", 8),
        ] {
            assert_eq!(parse(text), Ok(want), "{text}");
        }
        for bad in [
            "",
            "term",
            "SIGRTMIN",
            "SIGRTMAX",
            "SIGRTMIN-1",
            "SIGRTMAX+1",
            "SIGRTMIN+31",
            "SIGRTMIN+ 3",
            "SIGRTMIN+",
            "SIGUNUSED",
            "SIGLOST",
            "9x",
            "-1",
            "rtmin+3",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(parse("term").unwrap_err().reason.contains("SIGTERM"));
    }
}
