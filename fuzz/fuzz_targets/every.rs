//! libFuzzer on the property that `LXC_FUZZ_TARGET` names: one program to link where all are run for a moment each.
#![no_main]

use std::sync::OnceLock;

use properties::{TARGETS, Target};

static CHOSEN: OnceLock<&Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(
    init: {
        let name = std::env::var("LXC_FUZZ_TARGET").unwrap_or_default();
        let target = TARGETS.iter().find(|target| target.name == name);
        let _ = CHOSEN.set(target.unwrap_or_else(|| panic!("LXC_FUZZ_TARGET={name} is no target")));
    },
    |input: &[u8]| {
        if let Some(target) = CHOSEN.get() {
            (target.check)(input);
        }
    }
);
