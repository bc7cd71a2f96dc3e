//! The seeded simulation: random faults in random runs, judged by the independent checker.
//!
//! `SOAK_RUNS` (50) says how many runs, `SOAK_SEED` from which seed everything is drawn. A failure
//! prints the command that plays its sequence alone (`SOAK_SEQUENCE`).

#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use lifeboat_tests::skips::or_skip;
use lifeboat_tests::soak::simulation::{Failed, STEPS, Simulation};
use lifeboat_tests::soak::stores::Stores;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What `make test` plays, so that a failure of it is the same everywhere.
const SEED: u64 = 3;
/// How many runs `make test` does.
const RUNS: u64 = 50;
/// Sequences that are played at once.
const WORKERS: usize = 2;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

#[test]
fn i01_i02_i03_i04_f07_f23_f39_whatever_happens_the_claims_are_true() {
    let seed = number("SOAK_SEED").unwrap_or(SEED);
    let stores = Arc::new(Stores::start("soak"));
    let simulation = Simulation { seed, others: &[], stores: &stores };
    let sequences = number("SOAK_RUNS").unwrap_or(RUNS).div_ceil(STEPS as u64);
    let (first, last) = match number("SOAK_SEQUENCE") {
        Some(one) => (one, one + 1),
        None => (0, sequences),
    };
    let next = AtomicU64::new(first);
    let work = || {
        let mut failed: Vec<Failed> = Vec::new();
        loop {
            let sequence = next.fetch_add(1, Ordering::SeqCst);
            if sequence >= last {
                return failed;
            }
            let Some(played) = or_skip("soak", simulation.play(sequence, STEPS)) else {
                return failed;
            };
            // For people who wait for a thousand of them, or look at a single one.
            let mut stderr = std::io::stderr();
            let _ = writeln!(stderr, "seed {seed}: sequence {sequence} of {last}");
            match played {
                Err(one) => failed.push(one),
                Ok(account) if last == first + 1 => drop(write!(stderr, "{account}")),
                Ok(_) => {}
            }
        }
    };
    let failed: Vec<Failed> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    let tell = |failed: &Failed| {
        let Failed { sequence, account } = failed;
        format!(
            "--- seed {seed}, sequence {sequence}. Alone:\n    SOAK_SEED={seed} SOAK_SEQUENCE={sequence} \
             cargo test -p lifeboat-tests --test soak\n{account}"
        )
    };
    let told: Vec<String> = failed.iter().map(tell).collect();
    assert!(told.is_empty(), "{} sequences failed\n{}", told.len(), told.join("\n"));
}
