//! Log files: their place, the shape of a line, the levels.

use std::fs;

use testkit::{Guest, cases};

const LEVELS: [&str; 9] = ["TRACE", "DEBUG", "INFO", "NOTICE", "WARN", "ERROR", "CRIT", "ALERT", "FATAL"];

/// `PROG NAME YYYYMMDDHHMMSS.mmm LEVEL CATEGORY - FILE:FUNC:LINE - TEXT`.
fn check(line: &str, guest: &Guest) {
    let rest = line.strip_prefix(&format!("lxc-start {} ", guest.name())).unwrap_or_else(|| panic!("{line}"));
    let (stamp, rest) = rest.split_once(' ').unwrap();
    assert_eq!(stamp.len(), 18, "{line}");
    assert!(
        stamp.bytes().enumerate().all(|(at, byte)| if at == 14 {
            byte == b'.'
        } else {
            byte.is_ascii_digit()
        }),
        "{line}"
    );
    let level = &rest[..8];
    assert!(LEVELS.contains(&level.trim_end()), "{line}");
    let parts: Vec<_> = rest[9..].splitn(3, " - ").collect();
    assert_eq!(parts.len(), 3, "{line}");
    assert!(!parts[0].contains(' '), "{line}");
    assert_eq!(parts[1].rsplitn(3, ':').count(), 3, "{line}");
}

cases! {
    fn lines_have_the_shape_parsers_expect() {
        let guest = Guest::build("log").conf("lxc.hook.pre-start = /bin/false").make();
        guest.try_start();
        let text = fs::read_to_string(guest.dir().join("log")).unwrap();
        assert!(text.lines().count() >= 3, "{text}");
        for line in text.lines() {
            check(line, &guest);
        }
        assert!(text.contains(" ERROR    "), "{text}");
    }

    fn the_level_is_a_threshold() {
        let guest = Guest::build("log").make();
        for (level, expected) in [("ERROR", false), ("TRACE", true)] {
            let log = guest.lxcpath().join(level);
            guest.tool("lxc-start").arg("-o").arg(&log).args(["-l", level]).done().exits(0).ok();
            guest.kill();
            let text = fs::read_to_string(&log).unwrap_or_default();
            assert_eq!(text.contains(" INFO     ") || text.contains(" DEBUG    "), expected, "{level}: {text}");
        }
    }

    fn a_level_alone_logs_beside_the_container() {
        let guest = Guest::build("log").make();
        guest.tool("lxc-start").args(["-l", "info"]).done().exits(0).ok();
        assert!(guest.dir().join(format!("{}.log", guest.name())).exists());
    }

    fn the_configuration_names_a_log() {
        let guest = Guest::build("log").make();
        let log = guest.lxcpath().join("deep/er/log");
        guest.append(&format!("lxc.log.level = DEBUG\nlxc.log.file = {}", log.display()));
        guest.start();
        guest.kill();
        assert!(log.exists());
    }

    fn parent_directories_of_the_log_are_made() {
        let guest = Guest::build("log").make();
        let log = guest.lxcpath().join("some/where/log");
        guest.tool("lxc-start").arg("-o").arg(&log).args(["-l", "INFO"]).done().exits(0).ok();
        assert!(fs::read_to_string(&log).unwrap().contains(guest.name()));
    }
}
