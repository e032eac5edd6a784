//! libFuzzer on `properties::command`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::command::check(input));
