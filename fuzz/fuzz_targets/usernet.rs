//! libFuzzer on `properties::usernet`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::usernet::check(input));
