//! libFuzzer on `properties::process`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::process::check(input));
