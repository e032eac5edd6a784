//! libFuzzer on `properties::device`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::device::check(input));
