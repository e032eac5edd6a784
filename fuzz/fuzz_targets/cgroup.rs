//! libFuzzer on `properties::cgroup`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::cgroup::check(input));
