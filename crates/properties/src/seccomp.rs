//! Seccomp policies: errors have a line, and what compiles is a program the kernel takes that does what the policy says.

use lxc_core::seccomp::policy::{
    Action, ArgTest, Call, Comparison, Policy, PolicyVersion, Rule, Section, SectionArch,
};

use crate::filter::{I386, MOST, X86_64, run};

const ALLOW: u32 = 0x7fff_0000;
const KILL: u32 = 0;

/// Calls whose verdict is worked out a second time, with their numbers on x86_64, x32 and i386.
const KNOWN: [(&str, u32, u32, u32); 8] = [
    ("read", 0, 0, 3),
    ("write", 1, 1, 4),
    ("open", 2, 2, 5),
    ("ioctl", 16, 514, 54),
    ("mknod", 133, 133, 14),
    ("mount", 165, 165, 21),
    ("kexec_load", 246, 528, 283),
    ("mknodat", 259, 259, 297),
];

pub fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let lines = text.lines().count().max(2);
    let policy = match Policy::parse(&text) {
        Ok(policy) => policy,
        Err(wrong) => {
            assert!(
                (1..=lines).contains(&(wrong.line as usize)),
                "line {} of {lines}: {}",
                wrong.line,
                wrong.what
            );
            assert!(!wrong.what.is_empty() && !wrong.what.contains('\n'), "{:?}", wrong.what);
            return;
        }
    };
    for rule in &policy.rules {
        assert!((3..=lines).contains(&(rule.line as usize)), "{rule:?} of {lines}");
        assert!(rule.args.len() <= 6 && rule.args.iter().all(|test| test.index < 6), "{rule:?}");
        if let Action::Errno(errno) = rule.action {
            assert!(errno <= 4095);
        }
    }
    let program = match lxc_core::seccomp::compile_text(&text) {
        Ok(program) => program,
        Err(wrong) => {
            assert!(wrong.line as usize <= lines, "line {} of {lines}: {}", wrong.line, wrong.what);
            assert!(!wrong.what.is_empty());
            return;
        }
    };
    assert!(
        !program.filter.is_empty() && program.filter.len() <= MOST,
        "{} instructions",
        program.filter.len()
    );
    let asks =
        policy.default == Action::Notify || policy.rules.iter().any(|rule| rule.action == Action::Notify);
    assert!(asks || !program.notify, "a listener nobody asked for");

    for arch in [X86_64, I386, 0x4000_0028, 0] {
        for call in [0, 1, 59, 101, 165, 166, 272, 435, 0x4000_0000, 0x4000_0210, 9_999, u32::MAX] {
            for args in [[0; 6], [u64::MAX; 6], [1, 2, 3, 4, 5, 6], [0, 1, 0, 0, 0, 0]] {
                run(&program.filter, arch, call, args);
            }
        }
    }
    if cfg!(target_arch = "x86_64") && policy.version == PolicyVersion::Two {
        check_verdicts(&policy, &program.filter);
    }
    if cfg!(target_arch = "x86_64") && policy.version == PolicyVersion::One {
        for call in 0..512_u32 {
            let listed = policy.rules.iter().any(|rule| rule.call == Call::Number(call.cast_signed()));
            let verdict = run(&program.filter, X86_64, call, [0; 6]);
            assert_eq!(verdict, if listed { ALLOW } else { KILL }, "call {call}");
        }
        assert_eq!(run(&program.filter, I386, 1, [0; 6]), KILL, "version 1 is about one architecture");
    }
}

/// What seccomp(2) wants to be returned for an action.
fn verdict(action: Action) -> u32 {
    match action {
        Action::Kill => KILL,
        Action::KillProcess => 0x8000_0000,
        Action::Trap => 0x0003_0000,
        Action::Errno(errno) => 0x0005_0000 + u32::from(errno),
        Action::Notify => 0x7fc0_0000,
        Action::Trace(message) => 0x7ff0_0000 + u32::from(message),
        Action::Log => 0x7ffc_0000,
        Action::Allow => ALLOW,
    }
}

fn holds(test: &ArgTest, args: [u64; 6]) -> bool {
    let argument = args[usize::from(test.index)];
    match test.comparison {
        Comparison::NotEqual => argument != test.value,
        Comparison::Less => argument < test.value,
        Comparison::LessOrEqual => argument <= test.value,
        Comparison::Equal => argument == test.value,
        Comparison::GreaterOrEqual => argument >= test.value,
        Comparison::Greater => argument > test.value,
        Comparison::MaskedEqual { mask } => argument & mask == test.value & mask,
    }
}

/// The filter does what the policy says: without the shortcuts of a compiler, rule by rule.
fn check_verdicts(policy: &Policy, filter: &[lxc_sys::cred::SockFilter]) {
    for (name, number, x32, i386) in KNOWN {
        let of_call = |rule: &&Rule| match &rule.call {
            Call::Name(other) => other == name,
            _ => false,
        };
        let here = |rule: &&Rule| {
            use SectionArch::{X32, X86, X86_64};
            matches!(rule.section, Section::All | Section::Arch(X86 | X86_64 | X32))
        };
        let rules: Vec<&Rule> = policy.rules.iter().filter(of_call).filter(here).collect();
        let conditional = rules.iter().filter(|rule| !rule.args.is_empty()).count();
        // One conditional rule beside others without: libseccomp's manual leaves open which of them holds.
        if conditional == 1 && rules.len() > 1 {
            continue;
        }
        let mut probes = vec![[0; 6], [u64::MAX; 6], [1, 2, 3, 4, 5, 6]];
        for rule in &rules {
            for change in [0, 1, u64::MAX, 1 << 32, 1 << 63] {
                let mut args = [7; 6];
                for test in &rule.args {
                    args[usize::from(test.index)] = test.value.wrapping_add(change);
                }
                probes.push(args);
            }
        }
        for args in probes {
            let first = rules.iter().find(|rule| rule.args.iter().all(|test| holds(test, args)));
            let expected = verdict(first.map_or(policy.default, |rule| rule.action));
            let got = run(filter, X86_64, number, args);
            assert_eq!(got, expected, "{name} with {args:x?}: {got:#x} and not {expected:#x}, by {rules:?}");
            // What a value of more bits than the register means there is libseccomp's business.
            let narrow = |value: u64| value <= u64::from(u32::MAX);
            let fits = |test: &ArgTest| match test.comparison {
                Comparison::MaskedEqual { mask } => narrow(test.value) && narrow(mask),
                _ => narrow(test.value),
            };
            if args.into_iter().all(narrow) && rules.iter().all(|rule| rule.args.iter().all(fits)) {
                for (arch, number) in [(I386, i386), (X86_64, x32 | 0x4000_0000)] {
                    let got = run(filter, arch, number, args);
                    assert_eq!(got, expected, "{name} of {number:#x} with {args:x?}: {got:#x}, by {rules:?}");
                }
            }
        }
    }
}
