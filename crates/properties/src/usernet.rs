//! /etc/lxc/lxc-usernet: a line is a rule, a mistake that is told, or nothing; a rule written down allows the same.

use lxc_user_nic::usernet;

pub fn check(input: &[u8]) {
    let lines = input.split(|byte| *byte == b'\n').count();
    let found = usernet::parse(input);
    assert!(found.rules.len() + found.malformed.len() <= lines);
    for line in found.rules.iter().map(|rule| rule.line).chain(found.malformed.iter().map(|bad| bad.line)) {
        assert!((1..=lines).contains(&line), "line {line} of {lines}");
    }
    for rule in &found.rules {
        let words = [&rule.owner, &rule.kind, &rule.link];
        assert!(
            words.iter().all(|word| !word.is_empty() && !word.contains([' ', '\t', '\n', '\0'])),
            "{rule:?}"
        );
        let written = format!("{} {} {} {}\n", rule.owner, rule.kind, rule.link, rule.count);
        let again = usernet::parse(written.as_bytes());
        assert_eq!((again.rules.len(), again.malformed.len()), (1, 0), "{rule:?} as {written:?}");
        let expected = usernet::Rule { line: 1, ..rule.clone() };
        assert_eq!(again.rules[0], expected, "{written:?}");
        // Nobody gets in by being a part of a name.
        let others = [format!("{}x", rule.owner), rule.owner[..0].to_owned(), format!("@{}", rule.owner)];
        assert_eq!(again.matching(&others, &rule.kind, &rule.link).count(), 0, "{rule:?}");
        assert_eq!(again.matching(std::slice::from_ref(&rule.owner), &rule.kind, &rule.link).count(), 1);
    }
}
