//! `lifeboat_fuzz_targets::s3_answers` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| lifeboat_fuzz_targets::s3_answers(input));
