//! libFuzzer on `properties::message`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::message::check(input));
