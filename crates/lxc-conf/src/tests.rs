//! Tests of `Config` as a whole; the tables over all keys are in `tests/`.

use super::*;

fn loaded(text: &str) -> Config {
    let mut c = Config::new();
    c.load_bytes("t", text.as_bytes(), &Memory::default()).unwrap();
    c
}

fn errors(text: &str) -> Vec<String> {
    let mut c = Config::new();
    let errors = c.load_bytes("t", text.as_bytes(), &Memory::default()).unwrap_err();
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn loading_appends() {
    let mut c = loaded("lxc.group = a\nlxc.tty.max = 1\n");
    c.load_bytes("t", b"lxc.group = b\nlxc.tty.max = 2\n", &Memory::default()).unwrap();
    assert_eq!(c.get("lxc.group").unwrap(), "a\nb\n");
    assert_eq!(c.get("lxc.tty.max").unwrap(), "2");
    assert_eq!(c.to_text(), "lxc.group = a\nlxc.tty.max = 1\nlxc.group = b\nlxc.tty.max = 2\n");
}

#[test]
fn all_errors_are_reported_and_nothing_is_applied() {
    let text = "lxc.tty.max = 3\nlxc.tty.max = x\n  lxc.bogus = 1\nlxc.arch\nlxc.cap.drop = kill foo\n";
    assert_eq!(
        errors(text),
        [
            "t:2:15: lxc.tty.max: \"x\" is not a number",
            "t:3:3: unknown key \"lxc.bogus\"",
            "t:4:9: no \"=\" in \"lxc.arch\"",
            "t:5:21: lxc.cap.drop: unknown capability \"foo\"",
        ]
    );
    let mut c = loaded("lxc.tty.max = 9\n");
    assert!(c.load_bytes("t", text.as_bytes(), &Memory::default()).is_err());
    assert_eq!(c.get("lxc.tty.max").unwrap(), "9");
    assert_eq!(c.to_text(), "lxc.tty.max = 9\n");
}

#[test]
fn text_is_kept() {
    let text = "# c\n\n  \nlxc.uts.name = a\n  lxc.arch = x86\nfoo = bar\nlxc.init.cmd = \"/x y\"\n";
    assert_eq!(loaded(text).to_text(), text);
    assert_eq!(loaded("# a\r\nlxc.tty.max = 1").to_text(), "# a\nlxc.tty.max = 1\n");
    let latin1 = b"# \xe9\nlxc.tty.max = 1\n";
    let mut c = Config::new();
    c.load_bytes("t", latin1, &Memory::default()).unwrap();
    assert_eq!(c.to_bytes(), latin1);
}

#[test]
fn set_appends_and_clear_removes() {
    let mut c =
        loaded("lxc.uts.name = a\n lxc.uts.name = b\nlxc.net.1.type = veth\nlxc.net.10.type = phys\n");
    c.set("lxc.uts.name", "c").unwrap();
    c.clear("lxc.net.1").unwrap();
    assert_eq!(
        c.to_text(),
        "lxc.uts.name = a\n lxc.uts.name = b\nlxc.net.10.type = phys\nlxc.uts.name = c\n"
    );
    c.clear("lxc.uts.name").unwrap();
    assert_eq!(c.to_text(), " lxc.uts.name = b\nlxc.net.10.type = phys\n");
    assert_eq!(c.get("lxc.uts.name").unwrap(), "");
    c.clear("lxc.net").unwrap();
    assert_eq!(c.to_text(), " lxc.uts.name = b\n");
}

#[test]
fn clearing_a_family_takes_its_lines_and_no_others() {
    let text =
        "lxc.cgroup2.memory.max = 5\nlxc.cgroup2.memory.max.x = 5\nlxc.cgroup.a.b = 1\nlxc.cgroup.dir = q\n";
    let mut c = loaded(text);
    c.clear("lxc.cgroup2.memory.max").unwrap();
    assert_eq!(c.to_text(), "lxc.cgroup2.memory.max.x = 5\nlxc.cgroup.a.b = 1\nlxc.cgroup.dir = q\n");
    c.clear("lxc.cgroup").unwrap();
    assert_eq!(c.to_text(), "lxc.cgroup2.memory.max.x = 5\nlxc.cgroup.dir = q\n");
    c.clear("lxc.cgroup2").unwrap();
    assert_eq!(c.to_text(), "lxc.cgroup.dir = q\n");
    let mut c = loaded("lxc.hook.start = /a\nlxc.hook.version = 1\n");
    c.clear("lxc.hook").unwrap();
    assert_eq!(
        (c.to_text().as_str(), c.get("lxc.hook.start").unwrap().as_str()),
        ("lxc.hook.version = 1\n", "")
    );
}

#[test]
fn an_emptied_key_stays_empty_when_saved() {
    let mut c = Config::new();
    c.set("lxc.autodev", "").unwrap();
    assert_eq!(c.to_text(), "lxc.autodev = \n");
    assert_eq!(loaded(&c.to_text()).get("lxc.autodev").unwrap(), "0");
    let mut c = loaded(" lxc.group = a\n");
    c.set("lxc.group", "").unwrap();
    assert_eq!(loaded(&c.to_text()).get("lxc.group").unwrap(), "");
    let mut c = loaded("lxc.group = a\n");
    c.set("lxc.group", "").unwrap();
    assert_eq!(c.to_text(), "");
}

#[test]
fn values_cannot_smuggle_lines() {
    let mut c = Config::new();
    for value in ["a\nlxc.hook.start = /x", "a\r", "a\0"] {
        let e = c.set("lxc.uts.name", value).unwrap_err();
        assert_eq!(e.kind, ConfErrorKind::LineBreak);
    }
    assert!(c.set("lxc.cgroup2.x\n", "1").is_err());
    assert!(c.set("lxc.sysctl.a = b", "1").is_err());
    assert_eq!(c.to_text(), "");
}

#[test]
fn set_keeps_blanks_and_quotes_across_a_save() {
    for value in [" a ", "\"a\"", "''", "a # b"] {
        let mut c = Config::new();
        c.set("lxc.init.cmd", value).unwrap();
        assert_eq!(loaded(&c.to_text()).get("lxc.init.cmd").unwrap(), value);
    }
}

#[test]
fn hardware_addresses_are_filled_in_the_main_file_only() {
    let mut files = Memory::default();
    files.files.insert("/inc".into(), b"lxc.net.1.type = veth\nlxc.net.1.hwaddr = xx:x\n".to_vec());
    let text = "lxc.net.0.type = veth\n  lxc.net.0.hwaddr  =  'xx:XX'  \nlxc.include = /inc\n";
    let mut c = Config::new();
    c.load_bytes("t", text.as_bytes(), &files).unwrap();
    assert_eq!(c.get("lxc.net.0.hwaddr").unwrap(), "aa:aa");
    assert_eq!(c.get("lxc.net.1.hwaddr").unwrap(), "aa:a");
    assert_eq!(c.to_text(), "lxc.net.0.type = veth\n  lxc.net.0.hwaddr  =  'aa:aa'  \nlxc.include = /inc\n");
    c.set_from("lxc.net.0.hwaddr", "0x:xx", &files).unwrap();
    assert!(c.to_text().ends_with("\nlxc.net.0.hwaddr = 0a:aa\n"));
}

#[test]
fn includes() {
    let mut m = Memory::default();
    for (name, text) in [
        ("d/b.conf", "lxc.group = b\n"),
        ("d/a.conf", "lxc.group = a\n"),
        ("d/.conf", "lxc.group = no\n"),
        ("d/.h.conf", "lxc.group = h\n"),
        ("d/x", "lxc.group = no\n"),
        ("f", "lxc.group = f\nlxc.include = g\n"),
        ("g", "lxc.group = g\n"),
        ("loop1", "lxc.include = loop2\n"),
        ("loop2", "lxc.include = loop1\n"),
        ("bad", "\nlxc.bogus = 1\n"),
        ("worse", "lxc.include = bad\n"),
    ] {
        m.files.insert(name.into(), text.as_bytes().to_vec());
    }
    let load = |text: &str| {
        let mut c = Config::new();
        c.load_bytes("t", text.as_bytes(), &m).map(|()| c)
    };
    let c = load("lxc.include = f\nlxc.include = d\nlxc.include = d/\nlxc.include =\nlxc.include = none/\n")
        .unwrap();
    assert_eq!(c.get("lxc.group").unwrap(), "f\ng\nh\na\nb\nh\na\nb\n");
    assert_eq!(c.settings().groups.len(), 8);
    let text = |r: Result<Config, Vec<ConfError>>| {
        r.unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(text(load("lxc.include = none\n")), ["t:1:15: cannot read none: No such file or directory"]);
    assert_eq!(
        text(load("#\nlxc.include = worse\n")),
        ["bad:2:1: unknown key \"lxc.bogus\" (included from worse:1) (included from t:2)"]
    );
    assert_eq!(
        text(load("lxc.include = loop1\n")),
        ["loop2:1:15: loop1 includes itself (included from loop1:1) (included from t:1)"]
    );
    assert_eq!(text(load("lxc.include = t\n")), ["t:1:15: t includes itself"]);
}

#[test]
fn include_trees_are_bounded() {
    let mut m = Memory::default();
    for i in 0..40 {
        let text = format!("lxc.include = f{n}\nlxc.include = f{n}\n", n = i + 1);
        m.files.insert(format!("f{i}"), text.into_bytes());
    }
    let mut c = Config::new();
    let errors = c.load_bytes("t", b"lxc.include = f0\n", &m).unwrap_err();
    assert!(errors.iter().all(|e| matches!(e.kind, ConfErrorKind::IncludeLimit { .. })));
}

#[test]
fn interfaces() {
    let c = loaded("lxc.net.2.type = phys\nlxc.net.0.link = br0\nlxc.net.0.type = veth\n");
    assert_eq!(c.get("lxc.net").unwrap(), "veth\nphys\n");
    assert_eq!(c.get("lxc.net.0.link").unwrap(), "");
    assert_eq!(
        errors("lxc.net.0.link = br0\nlxc.net.0.veth.mode = router\nlxc.net.1.link =\n"),
        [
            "t:2:1: lxc.net.0.veth.mode: the interface is of type empty, this needs veth (set .type first)",
            "t:3:1: lxc.net.1.link: there is no lxc.net.1",
        ]
    );
    let mut c = loaded("lxc.net.0.type = macvlan\nlxc.net.0.vlan.id =\n");
    assert!(c.set("lxc.net.5.veth.mode", "router").is_err());
    assert_eq!(c.get("lxc.net").unwrap(), "macvlan\n");
    assert!(c.get("lxc.net.0.veth.mode").is_err());
    assert!(c.get("lxc.net.5.link").is_err());
    assert!(c.get("lxc.net.0").is_err());
}

#[test]
fn exclusive_lists() {
    assert_eq!(
        errors("lxc.cap.drop = kill\nlxc.cap.keep = kill\n"),
        ["t:2:1: lxc.cap.keep: lxc.cap.drop is set, and only one of the two can be"]
    );
    let c = loaded("lxc.cap.drop = kill\nlxc.cap.keep =\nlxc.cap.keep = chown none net_admin\n");
    assert_eq!(c.get("lxc.cap.keep").unwrap(), "net_admin\n");
    assert!(loaded("lxc.cap.keep = none").settings().capabilities == model::Capabilities::Keep(vec![]));
    assert_eq!(errors("lxc.namespace.keep = user\nlxc.namespace.clone = pid\n").len(), 1);
}

#[test]
fn the_environment_is_the_sources() {
    let mut m = Memory::default();
    m.environment.insert("A".into(), "b=c".into());
    m.environment.insert("EVIL".into(), "x\nlxc.hook.start = /x".into());
    let mut c = Config::new();
    c.load_bytes("t", b"lxc.environment = A\nlxc.environment.hooks = B=\n", &m).unwrap();
    assert_eq!(c.get("lxc.environment").unwrap(), "A=b=c\n");
    assert_eq!(c.get("lxc.environment.hooks").unwrap(), "B=\n");
    assert!(c.set_from("lxc.environment", "NOPE", &m).is_err());
    assert!(c.set_from("lxc.environment", "EVIL", &m).is_err());
    assert!(c.set_from("lxc.environment", "=x", &m).is_err());
}

#[test]
fn origins() {
    let c = loaded("\nlxc.tty.max = 1\nlxc.hook.start = /a\nlxc.net.0.type = veth\n");
    let s = c.settings();
    assert_eq!(s.origin("lxc.tty.max").map(ToString::to_string).as_deref(), Some("t:2"));
    assert_eq!(s.hooks.of(model::HookKind::Start)[0].origin.line, 3);
    assert_eq!(s.nics[&0].origin.line, 4);
    let mut c = c;
    c.set("lxc.tty.max", "2").unwrap();
    assert_eq!(c.settings().origin("lxc.tty.max").map(ToString::to_string).as_deref(), Some("command line"));
    c.clear("lxc.tty.max").unwrap();
    assert_eq!(c.settings().origin("lxc.tty.max"), None);
}

#[test]
fn key_lists() {
    let c = loaded("lxc.net.0.type = macvlan\nlxc.net.1.link = x\n");
    let keys = |p| c.keys(p).map(|k| k.join(" "));
    assert_eq!(c.keys(None).map(|k| k.len()), Some(86));
    assert_eq!(keys(Some("lxc.cap")).as_deref(), Some("drop keep"));
    assert_eq!(keys(Some("lxc.selinux")).as_deref(), Some("context.keyring context"));
    assert_eq!(keys(Some("lxc.net.1")).as_deref(), Some("type script.up script.down"));
    assert!(keys(Some("lxc.net.0")).is_some_and(|k| k.ends_with("ipv4.gateway macvlan.mode l2proxy")));
    for none in ["lxc.net.9", "lxc.arch", "lxc", "foo", "lxc.prlimit"] {
        assert_eq!(c.keys(Some(none)), None, "{none}");
    }
}

#[test]
fn nul_and_encoding() {
    assert_eq!(errors("lxc.uts.name = a\0b\n"), ["t:1:17: NUL byte in a setting"]);
    let mut c = Config::new();
    assert!(c.load_bytes("t", b"lxc.uts.name = \xff\n", &Memory::default()).is_err());
}

#[test]
fn an_interface_without_type_saves_as_it_is() {
    let mut c = loaded("lxc.net.0.type = veth\nlxc.net.0.veth.pair = a\n");
    c.clear("lxc.net.0.type").unwrap();
    assert_eq!(c.to_text(), "lxc.net.0.type = veth\nlxc.net.0.veth.pair = a\nlxc.net.0.type = \n");
    assert_eq!(loaded(&c.to_text()).settings().nics[&0].veth_pair, c.settings().nics[&0].veth_pair);
    let mut c = loaded("lxc.net.0.name = a\n");
    c.set("lxc.net.0.name", "").unwrap();
    assert_eq!(c.to_text(), "lxc.net.0.type = empty\n");
}
