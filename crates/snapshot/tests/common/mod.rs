//! What the tests share: a model of an etcd history, a bbolt writer, and a plain reader as an
//! oracle.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that meets the unexpected shall fail"
)]

pub(crate) mod history;
pub(crate) mod oracle;
pub(crate) mod writer;

use lifeboat_snapshot::{Expectations, Options, Report, Verifier, VerifyError};
use sha2::{Digest, Sha256};

/// A small generator (SplitMix64); a test names its seed, so it can be run again.
#[derive(Debug, Clone)]
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// True in one of `n` cases.
    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}

/// A database with its SHA-256 behind it, as a server sends it.
pub(crate) fn seal(database: &[u8]) -> Vec<u8> {
    [database, &Sha256::digest(database)].concat()
}

pub(crate) fn verify_with(
    snapshot: &[u8],
    chunk: usize,
    options: Options,
    expectations: &Expectations,
) -> Result<Report, VerifyError> {
    let mut verifier = Verifier::new(options);
    for piece in snapshot.chunks(chunk.max(1)) {
        verifier.update(piece)?;
    }
    verifier.finish(expectations)
}

pub(crate) fn verify(snapshot: &[u8]) -> Result<Report, VerifyError> {
    verify_with(snapshot, 32 << 10, Options::default(), &Expectations::default())
}
