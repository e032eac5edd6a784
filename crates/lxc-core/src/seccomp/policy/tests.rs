//! Tests of `seccomp::policy`.

use super::*;

fn one(line: &str) -> Result<Rule, Wrong> {
    Policy::parse(&format!("2\ndenylist\n{line}\n")).map(|mut policy| policy.rules.remove(0))
}

#[test]
fn the_shipped_policy() {
    let text = "2\ndenylist\nreject_force_umount  # comment this to allow umount -f;  not recommended\n[all]\n\
                kexec_load errno 1\nopen_by_handle_at errno 1\n";
    let policy = Policy::parse(text).expect("parses");
    assert_eq!((policy.version, policy.default), (PolicyVersion::Two, Action::Allow));
    assert_eq!(policy.rules.len(), 3);
    assert_eq!(
        (policy.rules[0].call.clone(), policy.rules[0].action),
        (Call::ForcedUmount, Action::Errno(13))
    );
    assert_eq!((policy.rules[1].line, policy.rules[1].action), (5, Action::Errno(1)));
    assert!(policy.warnings.is_empty(), "{:?}", policy.warnings);
}

#[test]
fn styles_and_defaults() {
    for (style, default, rule) in [
        ("allowlist", Action::Kill, Action::Allow),
        ("whitelist", Action::Kill, Action::Allow),
        ("denylist", Action::Allow, Action::Kill),
        ("blacklist", Action::Allow, Action::Kill),
        ("allowlist errno 5", Action::Errno(5), Action::Allow),
        ("allowlist trap", Action::Trap, Action::Allow),
        ("denylist kill", Action::Kill, Action::Kill),
    ] {
        let policy = Policy::parse(&format!("2\n{style}\nread\n")).expect(style);
        assert_eq!((policy.default, policy.rules[0].action), (default, rule), "{style}");
    }
}

#[test]
fn version_1_is_numbers() {
    let policy = Policy::parse("1\nallowlist\n0\n1\n999").expect("parses");
    assert_eq!((policy.version, policy.default), (PolicyVersion::One, Action::Kill));
    assert_eq!(policy.rules[2].call, Call::Number(999));
    let line = |text: &str| Policy::parse(text).expect_err(text).line;
    assert_eq!(line("1\nwhitelist\n0\n"), 2);
    assert_eq!(line("1\nallowlist\n0\nread\n"), 4);
    assert_eq!(line("1\nallowlist\n-1\n"), 3);
}

#[test]
fn sections() {
    let policy = Policy::parse("2\ndenylist\na\n[x86]\nb\n[ARM64]\nc\n[all]\nd\n").expect("parses");
    let sections: Vec<Section> = policy.rules.iter().map(|rule| rule.section).collect();
    assert_eq!(
        sections,
        [Section::All, Section::Arch(SectionArch::X86), Section::Arch(SectionArch::Arm64), Section::All]
    );
    for bad in ["[bogus]", "[All]", "[riscv64]", "[all", "[]"] {
        assert_eq!(Policy::parse(&format!("2\ndenylist\n{bad}\n")).expect_err(bad).line, 3, "{bad}");
    }
}

#[test]
fn actions() {
    let action = |text: &str| one(text).expect(text).action;
    assert_eq!(action("kexec_load"), Action::Kill);
    assert_eq!(action("kexec_load errno 38"), Action::Errno(38));
    assert_eq!(action("kexec_load errno 0"), Action::Errno(0));
    assert_eq!(action("kexec_load trap"), Action::Trap);
    assert_eq!(action("kexec_load notify"), Action::Notify);
    assert_eq!(action("kexec_load allow"), Action::Allow);
    assert_eq!(action("kexec_load log"), Action::Log);
    assert_eq!(action("kexec_load kill_process"), Action::KillProcess);
    assert_eq!(action("kexec_load trace 65535"), Action::Trace(65535));
    assert_eq!(action("kexec_load # errno 1"), Action::Kill);
    assert_eq!(action("kexec_load errno 1 # see [2]"), Action::Errno(1));
    for bad in [
        "errno",
        "errno foo",
        "errno -1",
        "errno 4096",
        "errno 0x10",
        "trace",
        "trace 65536",
        "logs",
        "bogus",
        "ALLOW",
    ] {
        assert!(one(&format!("kexec_load {bad}")).is_err(), "{bad}");
    }
}

#[test]
fn arguments() {
    let args = |text: &str| one(&format!("mknod errno 1 {text}")).expect(text).args;
    let masked = ArgTest { index: 1, comparison: Comparison::MaskedEqual { mask: 0xf000 }, value: 8192 };
    assert_eq!(args("[1,8192,SCMP_CMP_MASKED_EQ,61440]"), [masked]);
    assert_eq!(args("[1,0x2000,&=,0xf000]"), [masked]);
    assert_eq!(args("[ 1 , 020000 , &= , 61440 ]"), [masked]);
    for (word, sign, comparison) in [
        ("NE", "!=", Comparison::NotEqual),
        ("LT", "<", Comparison::Less),
        ("LE", "<=", Comparison::LessOrEqual),
        ("EQ", "==", Comparison::Equal),
        ("GE", ">=", Comparison::GreaterOrEqual),
        ("GT", ">", Comparison::Greater),
    ] {
        let expected = [ArgTest { index: 0, comparison, value: 7 }];
        assert_eq!(args(&format!("[0,7,SCMP_CMP_{word}]")), expected);
        assert_eq!(args(&format!("[0,7,{sign}]")), expected);
    }
    for two in ["[0,1,==][1,2,!=]", "[0,1,==] [1,2,!=]", "[0,1,==],[1,2,!=]"] {
        assert_eq!(args(two).len(), 2, "{two}");
    }
    assert_eq!(args("[0,1,=="), args("[0,1,==]"), "a missing bracket is forgiven");
    assert_eq!(args("[0,0xffffffffffffffff,==]")[0].value, u64::MAX);
    for bad in [
        "[6,1,==]",
        "[0,1,foo]",
        "[0,1]",
        "[0,x,==]",
        "[0,1,==][0,2,==]",
        "[0,-1,==]",
        "[0,1,&=]",
        "[0,0x1ffffffffffffffff,==]",
        "[]",
    ] {
        assert!(one(&format!("mknod errno 1 {bad}")).is_err(), "{bad}");
    }
    assert_eq!(one("mknod errno 1[0,1,==]").expect("no blank").args.len(), 1);
}

#[test]
fn ignored_text_is_remarked_upon() {
    let policy = Policy::parse("2\ndenylist\nkexec_load errno 1 please\n").expect("parses");
    assert_eq!(policy.warnings, ["line 3: `please` is ignored"]);
}

#[test]
fn heads() {
    let error = |text: &str| Policy::parse(text).expect_err(text);
    assert_eq!(error("").line, 1);
    assert_eq!(error("3\nallowlist\n").line, 1);
    assert_eq!(error("2\n").line, 2);
    assert_eq!(error("2\nfoo\n").what, "the style is `foo`, not allowlist or denylist");
    assert_eq!(error("2\nallowlist logs\n").line, 2);
    assert_eq!(error("2\nallowlist errno\n").line, 2);
}

#[test]
fn blanks_and_carriage_returns_do_not_matter() {
    let policy =
        Policy::parse("2\r\ndenylist\r\n\r\n  # c\r\n [all] \r\n\tkexec_load\terrno 1\r\n").expect("parses");
    assert_eq!(policy.rules.len(), 1);
    assert_eq!(policy.rules[0].action, Action::Errno(1));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(1|2)\n(allowlist|denylist)( errno [0-9]{1,5})?\n([a-z\\[\\],=<>&0-9# ]{0,30}\n){0,6}") {
        let _ = Policy::parse(&text);
    }
}
