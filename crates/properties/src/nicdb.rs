//! /run/lxc/nics: what is read is what is written back, line for line, and no word becomes two.

use lxc_user_nic::nicdb;

pub fn check(input: &[u8]) {
    let entries = nicdb::parse(input);
    assert!(entries.len() <= input.split(|byte| *byte == b'\n').count());
    for entry in &entries {
        for word in [&entry.owner, &entry.kind, &entry.link, &entry.nic] {
            assert!(!word.is_empty() && !word.contains([' ', '\t', '\n', '\0']), "{entry:?}");
        }
    }
    let written = nicdb::text(&entries);
    assert_eq!(nicdb::parse(written.as_bytes()), entries, "{written:?}");
    assert_eq!(nicdb::text(&nicdb::parse(written.as_bytes())), written);
}
