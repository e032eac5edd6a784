//! The list of expected failures: a test on it must fail, and one that passes must leave it.
//!
//! Four steps for each behaviour: write the test; see it green on the original; list it as failing on ours, naming the
//! issue; take it off the list in the commit that makes it pass. A listed test that passes fails the run, so the list
//! only says what is true. Not a way to skip: listed tests run.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::subject::{Subject, repository};

/// Runs a test under the rules of the list.
///
/// - Shape: `name` is `module::test`; lines of the list are `SUBJECT NAME ISSUE: REASON`.
pub fn run(name: &str, body: impl FnOnce()) {
    let subject = Subject::current();
    let outcome = catch_unwind(AssertUnwindSafe(body));
    match (outcome, expectation(subject, name)) {
        (Ok(()), None) => {}
        (Err(panic), None) => resume_unwind(panic),
        (Err(_), Some(why)) => println!("EXPECTED FAILURE {name}: {why}"),
        (Ok(()), Some(why)) => {
            panic!("{name} passes on {} although it is listed ({why}): take it off the list", subject.word())
        }
    }
}

fn expectation(subject: Subject, name: &str) -> Option<String> {
    let path = repository().join("tests/expected-failures");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    text.lines().find_map(|line| {
        let mut words = line.splitn(3, ' ');
        let (whose, which, why) = (words.next()?, words.next()?, words.next()?);
        (whose == subject.word() && which == name).then(|| why.to_owned())
    })
}

/// Declares tests that run on both implementations, under the list of expected failures.
#[macro_export]
macro_rules! cases {
    ($($(#[$meta:meta])* fn $name:ident() $body:block)*) => {
        $(
            $(#[$meta])*
            #[test]
            fn $name() {
                let path = concat!(module_path!(), "::", stringify!($name));
                let name = path.split_once("::").map_or(path, |(_, rest)| rest);
                $crate::ratchet::run(name, || $body);
            }
        )*
    };
}
