//! `lifeboat_fuzz_targets::pipeline` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| lifeboat_fuzz_targets::pipeline(input));
