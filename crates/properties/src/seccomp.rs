//! Seccomp policies: errors have a line, and what compiles is a program the kernel takes that does what the policy says.

use lxc_core::seccomp::policy::{Action, Call, Policy, PolicyVersion};

use crate::filter::{I386, MOST, X86_64, run};

const ALLOW: u32 = 0x7fff_0000;
const KILL: u32 = 0;

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
    if cfg!(target_arch = "x86_64") && policy.version == PolicyVersion::One {
        for call in 0..512_u32 {
            let listed = policy.rules.iter().any(|rule| rule.call == Call::Number(call.cast_signed()));
            let verdict = run(&program.filter, X86_64, call, [0; 6]);
            assert_eq!(verdict, if listed { ALLOW } else { KILL }, "call {call}");
        }
        assert_eq!(run(&program.filter, I386, 1, [0; 6]), KILL, "version 1 is about one architecture");
    }
}
