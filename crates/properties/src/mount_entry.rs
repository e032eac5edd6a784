//! Mount entries and fstab files: what is accepted says the same when it is written down again, and what is planned
//! stays inside the container's tree.

use lxc_conf::model::{Item, Origin};
use lxc_conf::value::mount_entry::{self, MountEntry};
use lxc_core::mounts::entry::{self, Roots};

use crate::text;

/// The octal escapes of getmntent(3).
fn escape(field: &str) -> String {
    field.replace('\\', "\\134").replace(' ', "\\040").replace('\t', "\\011").replace('\n', "\\012")
}

fn check_entry(line: &str, entry: &MountEntry) {
    // Only options that name themselves: flags are checked by their words in the unit tests.
    let mut words = entry.options.data.clone();
    if entry.options.optional {
        words.push("optional".to_owned());
    }
    if entry.options.is_bind() {
        words.push("bind".to_owned());
    }
    if words.is_empty() {
        words.push("defaults".to_owned());
    }
    let fields = [&entry.source, &entry.target, &entry.fstype].map(|field| escape(field));
    if fields.iter().any(String::is_empty) {
        return;
    }
    let written = format!("{} {} {}", fields.join(" "), escape(&words.join(",")), "0 0");
    let again =
        mount_entry::parse(&written).unwrap_or_else(|error| panic!("{line:?} as {written:?}: {error}"));
    assert_eq!(
        (&again.source, &again.target, &again.fstype),
        (&entry.source, &entry.target, &entry.fstype),
        "{line:?} as {written:?}"
    );
    assert_eq!(again.options.data, entry.options.data, "{line:?} as {written:?}");
    assert_eq!(again.options.is_bind(), entry.options.is_bind());
    assert_eq!(entry.options.set & entry.options.clear, 0, "{line:?}: a flag is set or cleared, not both");
}

pub fn check(input: &[u8]) {
    let Some(text) = text(input) else { return };

    let lines = text.lines().count();
    let mut last = 0;
    for (number, line, parsed) in mount_entry::parse_fstab(text) {
        assert!(number > last && number as usize <= lines, "line {number} after {last} of {lines}");
        last = number;
        match parsed {
            Ok(entry) => check_entry(line, &entry),
            Err(error) => assert!(error.offset <= line.len(), "{line:?}: byte {}: {error}", error.offset),
        }
    }

    let Some(line) = text.lines().next() else { return };
    match mount_entry::parse(line) {
        Ok(entry) => check_entry(line, &entry),
        Err(error) => assert!(error.offset <= line.len(), "{line:?}: byte {}: {error}", error.offset),
    }
    let origin = Origin { file: Some("t".into()), line: 7 };
    let item = Item { value: line.to_owned(), origin: origin.clone() };
    for roots in [
        Roots::default(),
        Roots { prefixes: vec!["/r".to_owned(), "/usr/lib/lxc/rootfs/".to_owned()], host_root: false },
        Roots { prefixes: Vec::new(), host_root: true },
    ] {
        match entry::plan(&item, &roots) {
            Err(error) => assert_eq!(error.origin(), Some(&origin), "an error has its line: {error}"),
            Ok(Err(reason)) => assert!(!reason.is_empty()),
            Ok(Ok(plan)) => {
                assert!(
                    !plan.target.as_bytes().starts_with(b"/"),
                    "{line:?}: {:?} is not below the root",
                    plan.target
                );
                assert_eq!(plan.origin, origin);
            }
        }
    }
}
