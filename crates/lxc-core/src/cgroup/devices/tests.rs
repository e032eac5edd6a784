//! Tests of `cgroup::devices`.

use super::*;

fn list(start: ListDefault, rules: &[(&str, &str)]) -> DeviceList {
    let mut list = DeviceList::new(start);
    for (file, value) in rules {
        list.apply(&DeviceRule::parse(file, value).expect(value).resolve().expect(value));
    }
    list
}

const ALLOW: &str = "devices.allow";
const DENY: &str = "devices.deny";

#[test]
fn grammar() {
    let rule = DeviceRule::parse(ALLOW, "c 1:3 rwm").expect("plain");
    assert_eq!(rule.to_string(), "allow c 1:3 rwm");
    assert_eq!(DeviceRule::parse(DENY, "a").expect("all").to_string(), "deny a");
    assert!(DeviceRule::parse(DENY, "a *:* rwm").expect("all, at length").is_global());
    assert_eq!(DeviceRule::parse(ALLOW, "b 8:* mr").expect("wild").to_string(), "allow b 8:* rm");
    assert_eq!(DeviceRule::parse(ALLOW, "c *:*").expect("no mode").to_string(), "allow c *:* rwm");
    for bad in [
        "",
        "x 1:3 rwm",
        "c",
        "c 13 rwm",
        "c 1:3 rx",
        "c 1:3 rwmr",
        "c -1:3 r",
        "c 1:3 r extra",
        "a 1:3 r",
        "null",
    ] {
        assert!(DeviceRule::parse(ALLOW, bad).is_err(), "{bad}");
    }
    assert!(DeviceRule::parse("devices.list", "a").is_err());
}

#[test]
fn a_path_is_looked_up() {
    let rule = DeviceRule::parse(ALLOW, "/dev/null rw").expect("path");
    assert_eq!(rule.resolve().expect("null is there").v1_write(), (ALLOW, "c 1:3 rw".to_owned()));
    let missing = DeviceRule::parse(ALLOW, "/dev/no-such-node rw").expect("parses");
    assert_eq!(missing.resolve(), Err(rustix::io::Errno::NOENT));
    let no_device = DeviceRule::parse(ALLOW, "/etc/passwd r").expect("parses");
    assert_eq!(no_device.resolve(), Err(rustix::io::Errno::NODEV));
}

/// Runs a device program as the kernel would.
fn run(program: &[Insn], kind: DeviceKind, major: u32, minor: u32, access: Access) -> bool {
    let kind = if kind == DeviceKind::Block { 1 } else { 2 };
    let context = [u32::from(access.0) << 16 | kind, major, minor];
    let mut registers = [0_u64; 11];
    let mut at = 0;
    for _ in 0..10_000 {
        let (code, (dst, src), offset, immediate) = program[at].parts();
        let (dst, src) = (usize::from(dst), usize::from(src));
        let immediate = i64::from(immediate).cast_unsigned();
        let jump = usize::try_from(offset).expect("forward");
        at += 1;
        match code {
            0x61 => registers[dst] = u64::from(context[jump / 4]),
            0x54 => registers[dst] = registers[dst] & immediate & 0xffff_ffff,
            0x74 => registers[dst] = (registers[dst] & 0xffff_ffff) >> immediate,
            0xbc => registers[dst] = registers[src] & 0xffff_ffff,
            0xb7 => registers[dst] = immediate,
            0x55 if registers[dst] != immediate => at += jump,
            0x15 if registers[dst] == immediate => at += jump,
            0x5d if registers[dst] != registers[src] => at += jump,
            0x55 | 0x15 | 0x5d => {}
            0x95 => return registers[0] == 1,
            other => panic!("unknown instruction {other:#x}"),
        }
    }
    panic!("endless program");
}

const NULL: (DeviceKind, u32, u32) = (DeviceKind::Char, 1, 3);
const ZERO: (DeviceKind, u32, u32) = (DeviceKind::Char, 1, 5);
const SDA: (DeviceKind, u32, u32) = (DeviceKind::Block, 8, 0);

fn check(list: &DeviceList, device: (DeviceKind, u32, u32), access: Access, expected: bool) {
    let (kind, major, minor) = device;
    assert_eq!(list.permits(kind, major, minor, access), expected, "{device:?} {access} in {list:?}");
    assert_eq!(
        run(&list.program(), kind, major, minor, access),
        expected,
        "program: {device:?} {access} in {list:?}"
    );
}

#[test]
fn an_allowlist_grants_what_one_rule_covers() {
    let list = list(
        ListDefault::Deny,
        &[(DENY, "a"), (ALLOW, "c *:* m"), (ALLOW, "c 1:3 rw"), (ALLOW, "b 8:* rwm")],
    );
    check(&list, NULL, Access::READ, true);
    check(&list, NULL, Access::MKNOD, true);
    check(&list, NULL, Access::READ.with(Access::WRITE), true);
    // No single rule grants all three, as with the v1 controller.
    check(&list, NULL, Access::ALL, false);
    check(&list, ZERO, Access::READ, false);
    check(&list, ZERO, Access::MKNOD, true);
    check(&list, SDA, Access::ALL, true);
    check(&list, (DeviceKind::Char, 8, 0), Access::READ, false);
}

#[test]
fn a_denylist_refuses_what_a_rule_touches() {
    let list = list(ListDefault::Allow, &[(ALLOW, "a"), (DENY, "b *:* w"), (DENY, "c 1:3 rwm")]);
    check(&list, SDA, Access::READ, true);
    check(&list, SDA, Access::READ.with(Access::WRITE), false);
    check(&list, NULL, Access::READ, false);
    check(&list, ZERO, Access::ALL, true);
}

#[test]
fn later_rules_take_back_earlier_ones() {
    let l = list(ListDefault::Deny, &[(ALLOW, "c 1:3 rwm"), (DENY, "c 1:3 w")]);
    check(&l, NULL, Access::READ, true);
    check(&l, NULL, Access::WRITE, false);
    let l = list(ListDefault::Deny, &[(ALLOW, "c 1:3 r"), (ALLOW, "c 1:3 w")]);
    check(&l, NULL, Access::READ.with(Access::WRITE), true);
    assert_eq!(l.exceptions.len(), 1);
    let l = list(ListDefault::Deny, &[(ALLOW, "c 1:3 rwm"), (DENY, "a"), (ALLOW, "c 1:5 r")]);
    check(&l, NULL, Access::READ, false);
    check(&l, ZERO, Access::READ, true);
    let l = list(ListDefault::Deny, &[(DENY, "a"), (ALLOW, "a"), (DENY, "c 1:3 r"), (ALLOW, "c 1:3 r")]);
    check(&l, NULL, Access::READ, true);
}

#[test]
fn without_a_global_rule_the_start_decides() {
    check(&list(ListDefault::Deny, &[(ALLOW, "c 1:5 r")]), NULL, Access::READ, false);
    check(&list(ListDefault::Allow, &[(DENY, "c 1:5 r")]), NULL, Access::READ, true);
}

proptest::proptest! {
    #[test]
    fn the_program_means_what_the_list_means(
        start in proptest::bool::ANY,
        rules in proptest::collection::vec((proptest::bool::ANY, 0..3_u8, 0..4_u32, 0..4_u32, 1..8_u8), 0..12),
        probe in (proptest::bool::ANY, 0..4_u32, 0..4_u32, 1..8_u8),
    ) {
        let mut list = DeviceList::new(if start { ListDefault::Allow } else { ListDefault::Deny });
        for (allow, kind, major, minor, access) in rules {
            let wild = |n: u32| if n == 3 { None } else { Some(n) };
            let kind = match kind { 0 => Some(DeviceKind::Block), 1 => Some(DeviceKind::Char), _ => None };
            let set = kind.map(|kind| (DeviceSet { kind, major: wild(major), minor: wild(minor) }, Access(access)));
            list.apply(&ResolvedRule { allow, set });
        }
        let (block, major, minor, access) = probe;
        let kind = if block { DeviceKind::Block } else { DeviceKind::Char };
        proptest::prop_assert_eq!(
            list.permits(kind, major, minor, Access(access)),
            run(&list.program(), kind, major, minor, Access(access))
        );
    }
}
