//! libFuzzer on `properties::verdict`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::verdict::check(input));
