//! The facts as text, byte for byte as the original writes them.

use std::fmt::{Display, Write};

use crate::Args;
use crate::facts::Facts;

/// The lines of stdout.
pub(crate) fn render(facts: &Facts, args: &Args) -> String {
    let mut out = String::new();
    let raw = args.no_humanize;
    // With -H, exactly one of -i, -p and -s drops the labels of all three.
    let bare = raw && [args.ips, args.pid, args.state].into_iter().filter(|asked| *asked).count() == 1;
    let mut line = |label: &str, value: &dyn Display| {
        let _ = if bare { writeln!(out, "{value}") } else { writeln!(out, "{label:<15} {value}") };
    };
    if args.wants_everything() {
        line("Name:", &facts.name);
    }
    if let Some(state) = facts.state {
        line("State:", &state);
    }
    if let Some(pid) = facts.pid {
        line("PID:", &pid);
    }
    for ip in facts.ips.iter().flatten() {
        line("IP:", ip);
    }
    stats(&mut out, facts, raw);
    for key in &facts.keys {
        let value = facts.config.get(key).map_or("", String::as_str);
        let _ = match (raw && args.config.len() == 1, value) {
            (true, value) => writeln!(out, "{value}"),
            (false, "") => writeln!(out, "{key} ="),
            (false, value) => writeln!(out, "{key} = {value}"),
        };
    }
    out
}

fn stats(out: &mut String, facts: &Facts, raw: bool) {
    let mut line = |label: &str, value: String| {
        let _ = writeln!(out, "{label:<15} {value}");
    };
    if let Some(ns) = facts.cpu_ns {
        line("CPU use:", if raw { ns.to_string() } else { seconds(ns) });
    }
    let mut amount = |label: &str, bytes: Option<u64>| {
        if let Some(bytes) = bytes {
            line(label, size(bytes, raw));
        }
    };
    amount("BlkIO use:", facts.blkio_bytes);
    amount("Memory use:", facts.memory_bytes);
    amount("KMem use:", facts.kmem_bytes);
    for link in facts.links.iter().flatten() {
        let _ = writeln!(out, "{:<15} {}", "Link:", link.name);
        let mut counter = |label: &str, bytes: u64| {
            let _ = writeln!(out, "{label:<15} {}", size(bytes, raw));
        };
        counter(" TX bytes:", link.tx_bytes);
        counter(" RX bytes:", link.rx_bytes);
        counter(" Total bytes:", link.tx_bytes.saturating_add(link.rx_bytes));
    }
}

#[allow(clippy::cast_precision_loss, reason = "two decimals are shown")]
fn seconds(ns: u64) -> String {
    format!("{:.2} seconds", ns as f64 / 1e9)
}

/// Bytes as `N bytes`, `x.yy KiB`, `MiB` or `GiB`: the greatest unit the value exceeds.
#[allow(clippy::cast_precision_loss, reason = "two decimals are shown")]
fn size(bytes: u64, raw: bool) -> String {
    if raw {
        return bytes.to_string();
    }
    match bytes {
        0..1_024 => format!("{bytes} bytes"),
        1_024..1_048_576 => format!("{:.2} KiB", bytes as f64 / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.2} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.2} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Link;

    fn args(words: &[&str]) -> Args {
        use clap::FromArgMatches;
        let all = [&["lxc-info"], words].concat();
        Args::from_arg_matches(&crate::command().try_get_matches_from(all).unwrap()).unwrap()
    }

    fn facts() -> Facts {
        Facts {
            name: "h1-a".into(),
            state: Some("RUNNING"),
            pid: Some(16964),
            ips: Some(vec!["10.0.3.10".into(), "fd00::1".into()]),
            cpu_ns: Some(10_396_299),
            blkio_bytes: Some(0),
            memory_bytes: Some(1_789_952),
            kmem_bytes: Some(393_216),
            links: Some(vec![Link { name: "vethUOKTdB".into(), tx_bytes: 612, rx_bytes: 862 }]),
            ..Facts::default()
        }
    }

    /// The text of the original for the same numbers (cli.md 2.15).
    #[test]
    fn everything_looks_as_the_originals() {
        assert_eq!(
            render(&facts(), &args(&[])),
            "Name:           h1-a\nState:          RUNNING\nPID:            16964\nIP:             10.0.3.10\n\
             IP:             fd00::1\nCPU use:        0.01 seconds\nBlkIO use:      0 bytes\n\
             Memory use:     1.71 MiB\nKMem use:       384.00 KiB\nLink:           vethUOKTdB\n \
             TX bytes:      612 bytes\n RX bytes:      862 bytes\n Total bytes:   1.44 KiB\n"
        );
        assert!(render(&facts(), &args(&["-H"])).contains("CPU use:        10396299\nBlkIO use:      0\n"));
    }

    #[test]
    fn one_selector_with_raw_numbers_is_bare() {
        let only = |facts: &dyn Fn(&mut Facts), words: &[&str]| {
            let mut some = Facts::default();
            facts(&mut some);
            render(&some, &args(words))
        };
        assert_eq!(only(&|facts| facts.state = Some("RUNNING"), &["-s", "-H"]), "RUNNING\n");
        assert_eq!(only(&|facts| facts.state = Some("RUNNING"), &["-s"]), "State:          RUNNING\n");
        assert_eq!(only(&|facts| facts.pid = Some(7), &["-p", "-s", "-H"]), "PID:            7\n");
    }

    #[test]
    fn configuration_items_keep_their_last_newline() {
        let mut some = Facts::default();
        for (key, value) in [("lxc.a", "1"), ("lxc.b", ""), ("lxc.c", "x\ny\n")] {
            some.keys.push(key.into());
            some.config.insert(key.into(), value.into());
        }
        let words = ["-c", "lxc.a", "-c", "lxc.b", "-c", "lxc.c"];
        assert_eq!(render(&some, &args(&words)), "lxc.a = 1\nlxc.b =\nlxc.c = x\ny\n\n");
        some.keys.truncate(1);
        assert_eq!(render(&some, &args(&["-c", "lxc.a", "-H"])), "1\n");
    }

    #[test]
    fn units_change_at_powers_of_1024() {
        for (bytes, text) in [
            (1023, "1023 bytes"),
            (1024, "1.00 KiB"),
            (1_048_575, "1024.00 KiB"),
            (1_048_576, "1.00 MiB"),
            (5 << 30, "5.00 GiB"),
        ] {
            assert_eq!(size(bytes, false), text);
        }
    }
}
