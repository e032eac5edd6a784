//! libFuzzer on `properties::seccomp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::seccomp::check(input));
