//! The targets with a bound, on the stable toolchain. `PROPTEST_CASES` and `PROPTEST_RNG_SEED`
//! look further; `make fuzz` goes on where this ends.
#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected shall fail")]

use lifeboat_fuzz_targets::{STRUCTURED, TARGETS, Target};
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};

const SEED: u64 = 20_261_120;
const CASES: u32 = 300;
/// The store answers over a connection, which takes milliseconds.
const CASES_OVER_A_CONNECTION: u32 = 60;

fn config(cases: u32) -> ProptestConfig {
    let mut config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if matches!(config.rng_seed, RngSeed::Random) {
        config.rng_seed = RngSeed::Fixed(SEED);
    }
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    config
}

fn target(name: &str) -> Target {
    TARGETS.iter().find(|(known, _)| *known == name).unwrap().1
}

/// Choices for the most part, and some bytes as they come.
fn input() -> impl Strategy<Value = Vec<u8>> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..200);
    let choices = bytes().prop_map(|bytes| [vec![STRUCTURED], bytes].concat());
    prop_oneof![9 => choices, 1 => bytes()]
}

fn run(name: &str, cases: u32) {
    let target = target(name);
    let outcome = TestRunner::new(config(cases)).run(&input(), |input| {
        target(&input);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{name}: {error}");
    }
}

#[test]
fn f49_bbolt_pages() {
    run("bbolt_pages", CASES);
}

#[test]
fn f49_mvcc_records() {
    run("mvcc_records", CASES);
}

#[test]
fn f49_snapshot() {
    run("snapshot", CASES);
}

#[test]
fn f47_manifest() {
    run("manifest", CASES);
}

#[test]
fn f52_receipt() {
    run("receipt", CASES);
}

#[test]
fn f52_plan() {
    run("plan", CASES);
}

#[test]
fn f51_pipeline() {
    run("pipeline", CASES);
}

#[test]
fn object_names() {
    run("object_names", CASES);
}

#[test]
fn i07_i08_i09_retention_plan() {
    run("retention_plan", CASES);
}

#[test]
fn f34_s3_answers() {
    run("s3_answers", CASES_OVER_A_CONNECTION);
}
