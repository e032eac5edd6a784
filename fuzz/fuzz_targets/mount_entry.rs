//! libFuzzer on `properties::mount_entry`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::mount_entry::check(input));
