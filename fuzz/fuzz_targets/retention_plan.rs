//! `lifeboat_fuzz_targets::retention_plan` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| lifeboat_fuzz_targets::retention_plan(input));
