//! libFuzzer on `properties::subid`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::subid::check(input));
