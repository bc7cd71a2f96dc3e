//! `lifeboat_fuzz_targets::manifest` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| lifeboat_fuzz_targets::manifest(input));
