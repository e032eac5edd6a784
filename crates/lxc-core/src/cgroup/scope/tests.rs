//! Names, addresses and what is said when something is missing.

use super::*;

fn session() -> Session {
    Session {
        user: "alice".into(),
        bus_address: None,
        runtime_dir: None,
        usual_runtime_dir: "/run/user/1000".into(),
        booted_with_systemd: true,
    }
}

#[test]
fn addresses_are_unescaped_and_come_before_the_usual_places() {
    let session = Session {
        bus_address: Some("tcp:host=x;unix:abstract=/tmp/a%20b,guid=00;unix:path=/r/bus".into()),
        runtime_dir: Some("/r".into()),
        ..session()
    };
    assert_eq!(
        places(&session),
        [
            Place::Bus(Spot::Abstract(b"/tmp/a b".to_vec())),
            Place::Bus(Spot::Path("/r/bus".into())),
            Place::Manager("/r/systemd/private".into()),
        ]
    );
    assert_eq!(unescape("%4"), None);
    assert_eq!(unescape("%zz"), None);
}

#[test]
fn names_of_units_are_escaped_and_never_too_long() {
    assert_eq!(unit_name("lxc-web_1.2", 0), "lxc-web_1.2-0.scope");
    assert_eq!(unit_name("lxc-a b@c%", 3), "lxc-a\\x20b\\x40c\\x25-3.scope");
    let long = unit_name(&"x".repeat(300), 99);
    assert!(long.len() < 40 && long.ends_with("-99.scope"), "{long}");
}

#[test]
fn what_is_missing_is_named_with_its_cure() {
    let broken = |text: &str| (Failure::Broken(text.into()), format!("the session bus /x: {text}"));
    type Case<'a> = (Session, &'a [(Failure, String)], &'a str, &'a str);
    let cases: [Case<'_>; 4] = [
        (
            Session { booted_with_systemd: false, ..session() },
            &[],
            "systemd does not run this machine",
            "chown it",
        ),
        (
            session(),
            &[],
            "XDG_RUNTIME_DIR is not set and /run/user/1000 does not exist",
            "loginctl enable-linger alice",
        ),
        (
            Session { runtime_dir: Some("/no/such".into()), ..session() },
            &[broken("No such file or directory")],
            "no user manager runs for alice (/no/such/systemd does not exist; the session bus /x: No such",
            "loginctl enable-linger alice",
        ),
        (
            Session { runtime_dir: Some("/no/such".into()), ..session() },
            &[(
                Failure::Refused {
                    name: "org.freedesktop.DBus.Error.AccessDenied".into(),
                    text: "no".into(),
                },
                "the session bus /x: no".into(),
            )],
            "systemd makes no scope: the session bus /x: no",
            "systemd-run --user --scope -p Delegate=yes",
        ),
    ];
    for (session, said, text, cure) in cases {
        let error = explain(&session, said);
        assert!(error.to_string().contains(text), "{error}");
        assert!(error.cure_text().is_some_and(|found| found.contains(cure)), "{:?}", error.cure_text());
    }
}

#[test]
fn a_bus_without_systemd_is_an_absence_and_no_refusal() {
    assert!(is_absence("org.freedesktop.DBus.Error.ServiceUnknown"));
    assert!(!is_absence("org.freedesktop.DBus.Error.AccessDenied"));
    assert!(!is_absence("org.freedesktop.systemd1.UnitExists"));
}

#[test]
fn a_peer_that_says_nothing_costs_the_deadline_and_no_more() {
    let dir = std::env::temp_dir().join(format!("lxc-scope-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("mkdir");
    let path = dir.join("bus");
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("bind");
    let started = Instant::now();
    let place = Place::Bus(Spot::Path(path));
    let answer = ask(&place, "lxc-x", "x", started + Duration::from_millis(100));
    assert_eq!(answer, Err(Failure::Broken("no answer in time".into())));
    assert!(started.elapsed() < Duration::from_secs(2));
    drop(listener);
    std::fs::remove_dir_all(&dir).expect("rm");
}
