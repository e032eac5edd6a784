//! Properties over arbitrary text: the parser never panics, a failed load changes nothing, saving is a fixed point.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests")]

use lxc_conf::keys::{Form, KEYS};
use lxc_conf::value;
use lxc_conf::{Config, Memory};
use proptest::prelude::*;

fn load(text: &[u8]) -> Result<Config, Vec<lxc_conf::ConfError>> {
    let mut c = Config::new();
    c.load_bytes("t", text, &Memory::default()).map(|()| c)
}

/// The text of every key that can be read, including those of interfaces that exist.
fn reading(c: &Config) -> Vec<(String, String)> {
    let mut names: Vec<String> =
        KEYS.iter().filter(|k| k.form != Form::Nic).map(|k| k.name.to_owned()).collect();
    for nic in 0..4 {
        names.extend(
            KEYS.iter().filter(|k| k.form == Form::Nic).map(|k| k.name.replacen('N', &nic.to_string(), 1)),
        );
    }
    names.into_iter().filter_map(|n| c.get(&n).ok().map(|text| (n, text))).collect()
}

fn key() -> impl Strategy<Value = String> {
    let names: Vec<String> = KEYS
        .iter()
        .flat_map(|k| match k.form {
            Form::Exact => vec![k.name.to_owned()],
            Form::Prefix if k.name == "lxc.net." => vec!["lxc.net.1".to_owned()],
            Form::Prefix if k.name.ends_with('.') => vec![format!("{}net", k.name)],
            Form::Prefix => vec![k.name.to_owned(), format!("{}.some.name", k.name)],
            Form::Nic => vec![k.name.replacen('N', "0", 1), k.name.replacen('N', "2", 1)],
        })
        .collect();
    prop::sample::select(names)
}

fn value() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "",
        "0",
        "1",
        "2",
        "-1",
        "5",
        "auto",
        "none",
        "unlimited",
        "5:6",
        "x86_64",
        "veth",
        "macvlan",
        "ipvlan",
        "vlan",
        "phys",
        "empty",
        "router",
        "vepa",
        "l3s",
        "up",
        "eth0",
        "10.0.3.5",
        "10.0.3.0/24",
        "fe80::1/64",
        "dev",
        "kill chown",
        "user net",
        "proc sys cgroup:ro",
        "u 0 100000 65536",
        "g 0 100000 65536",
        "SIGTERM",
        "SIGRTMIN+3",
        "5s",
        "10ms",
        "A=b",
        "/a//b",
        "a/b",
        "dir:/a",
        "unix:/a",
        "local3",
        "DEBUG",
        "100KB",
        "1,2",
        "daemon",
        "00:16:3e:xx:xx:xx",
        "'quoted'",
        "\"quoted\"",
        "  blanks  ",
        "a = b",
    ]);
    prop_oneof![4 => known.prop_map(str::to_owned), 1 => "[ -~äß]{0,20}"]
}

fn config_text() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        8 => (key(), value(), "[ \t]{0,2}", "[ \t]{0,2}").prop_map(|(k, v, a, b)| format!("{a}{k}{b}={b}{v}{a}")),
        1 => "[ -~]{0,20}",
        1 => Just(String::new()),
        1 => "# [ -~]{0,10}",
    ];
    prop::collection::vec(line, 0..12).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = load(&bytes);
    }

    #[test]
    fn arbitrary_lines_do_not_panic(text in "(lxc\\.[a-z0-9.]{0,12}[ =]{0,2}[ -~\n\r\0]{0,20}){0,6}") {
        if let Err(errors) = load(text.as_bytes()) {
            for e in errors {
                prop_assert!(e.to_string().starts_with("t:"));
                prop_assert!(e.line > 0 && e.column > 0);
                let _ = (e.compat_texts(), e.did_you_mean(), e.origin());
            }
        }
    }

    #[test]
    fn grammars_do_not_panic(text in "\\PC{0,24}") {
        let _ = value::arch::parse(&text);
        let _ = value::caps::parse(&text, 40);
        let _ = value::command::split(&text);
        let _ = value::device::parse(&text);
        let _ = value::idmap::parse(&text);
        let _ = value::log_level::parse(&text);
        let _ = value::mount_entry::parse(&text);
        let _ = value::mount_entry::parse_fstab(&text);
        let _ = value::net::parse_ipv4(&text);
        let _ = value::net::parse_ipv6(&text);
        let _ = value::net::fill_hwaddr(&text, || 3);
        let _ = value::prlimit::parse(&text);
        let _ = value::rootfs::parse_path(&text);
        let _ = value::signal::parse(&text);
        let _ = value::size::parse(&text);
        let _ = value::time::parse(&text);
        prop_assert!(value::path::simplify(&text).len() <= text.len());
    }

    #[test]
    fn saving_is_a_fixed_point(text in config_text()) {
        if let Ok(c) = load(text.as_bytes()) {
            let saved = c.to_bytes();
            let again = load(&saved).expect("what was saved loads");
            prop_assert_eq!(again.to_bytes(), saved);
            prop_assert_eq!(reading(&again), reading(&c));
        }
    }

    #[test]
    fn setting_then_saving_is_a_fixed_point(settings in prop::collection::vec((key(), value()), 0..12)) {
        let mut c = Config::new();
        for (k, v) in &settings {
            let before = (reading(&c), c.to_bytes());
            if c.set_from(k, v, &Memory::default()).is_err() {
                prop_assert_eq!((reading(&c), c.to_bytes()), before);
            }
        }
        let again = load(&c.to_bytes()).expect("what was saved loads");
        prop_assert_eq!(reading(&again), reading(&c));
        prop_assert_eq!(again.to_bytes(), c.to_bytes());
    }

    #[test]
    fn clearing_reaches_the_saved_text(settings in prop::collection::vec((key(), value()), 0..8), gone in key()) {
        let mut c = Config::new();
        for (k, v) in &settings {
            let _ = c.set_from(k, v, &Memory::default());
        }
        if c.clear(&gone).is_err() {
            return Ok(());
        }
        let again = load(&c.to_bytes()).expect("what was saved loads");
        prop_assert_eq!(reading(&again), reading(&c));
    }

    #[test]
    fn a_failed_load_changes_nothing(good in config_text(), bad in config_text()) {
        let Ok(mut c) = load(good.as_bytes()) else { return Ok(()) };
        let before = (reading(&c), c.to_bytes());
        if c.load_bytes("u", bad.as_bytes(), &Memory::default()).is_err() {
            prop_assert_eq!((reading(&c), c.to_bytes()), before);
        }
    }
}
