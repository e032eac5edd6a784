//! The committed inputs, and mutations of them, through every property; and that the fuzzers' layout is complete.
//!
//! `LXC_FUZZ_SECONDS` says how long each target is mutated; a third of a second when it is not set.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use properties::mutate::Mutator;
use properties::{TARGETS, Target};

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let dir = fuzz().join("corpus").join(name);
    let entries = std::fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    found.sort();
    found.into_iter().map(|path| (path.clone(), std::fs::read(path).expect("read"))).collect()
}

/// Runs it and says which input broke it.
fn check(target: &Target, what: &str, input: &[u8]) {
    if std::panic::catch_unwind(|| (target.check)(input)).is_err() {
        let dir = std::env::temp_dir().join(format!("lxc-rs-{}-{}", target.name, std::process::id()));
        std::fs::write(&dir, input).expect("keep the input");
        panic!("{what} breaks {}; kept as {}", target.name, dir.display());
    }
}

fn replay_and_mutate(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    let seeds = corpus(name);
    assert!(seeds.len() >= 5, "{name} has {} seeds", seeds.len());
    for (path, input) in &seeds {
        assert!(input.len() <= target.longest, "{} is longer than {}", path.display(), target.longest);
        check(target, &path.display().to_string(), input);
    }
    check(target, "nothing", b"");
    let dictionary = std::fs::read_to_string(fuzz().join("dictionaries").join(format!("{name}.dict")));
    let mut mutator = Mutator::new(0x5eed, &dictionary.expect("a dictionary"));
    let seconds = std::env::var("LXC_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let end = Instant::now() + seconds.map_or(Duration::from_millis(300), Duration::from_secs);
    let mut runs = 0_u64;
    while Instant::now() < end {
        let pick = |number: u64| &seeds[usize::try_from(number).unwrap_or(0) % seeds.len()].1;
        let input = mutator.mutate(pick(runs), pick(runs / 7 + 3), target.longest);
        check(target, "a mutation", &input);
        runs += 1;
    }
    println!("{name}: {} seeds, {runs} mutations", seeds.len());
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            replay_and_mutate(stringify!($name));
        })*

        #[test]
        fn every_target_has_a_test_a_program_and_a_dictionary() {
            let names: BTreeSet<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, BTreeSet::from([$(stringify!($name)),*]), "tests");
            let manifest = std::fs::read_to_string(fuzz().join("Cargo.toml")).expect("fuzz/Cargo.toml");
            for name in names {
                let program = fuzz().join("fuzz_targets").join(format!("{name}.rs"));
                let source = std::fs::read_to_string(&program).expect("the program");
                assert!(source.contains(&format!("properties::{name}::check")), "{}", program.display());
                assert!(manifest.contains(&format!("name = \"{name}\"\n")), "{name} in fuzz/Cargo.toml");
            }
        }
    };
}

targets! { config define mount_entry idmap seccomp usernet nicdb subid verdict command message mountinfo cgroup device process }
