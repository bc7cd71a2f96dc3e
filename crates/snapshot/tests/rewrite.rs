//! Snapshots of real servers and of a model, read with [`bbolt::Database`] and written anew with
//! [`bbolt::BulkWriter`]: the same rows, the same hashes, no free page, and never longer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    reason = "a test that meets the unexpected shall fail"
)]

mod common;

use std::io::Cursor;
use std::path::Path;

use bbolt::{BulkWriter, Database};
use common::history::{self, Shape};
use common::writer::{self, Bucket, Layout};
use common::{Rng, oracle};
use lifeboat_snapshot::{Expectations, Options, Report, TRAILER_BYTES, Trailer, Verifier};
use proptest::prelude::*;

const VECTORS: [&str; 4] = ["snap-3.4.23.db", "snap-3.5.1.db", "snap-3.5.30.db", "snap-3.6.14.db"];

fn vector(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
    let mut snapshot = std::fs::read(path).unwrap();
    snapshot.truncate(snapshot.len() - TRAILER_BYTES);
    snapshot
}

/// Reads every bucket and writes it anew.
fn rewrite(database: &[u8], page_bytes: u32) -> (Vec<u8>, Vec<Bucket>) {
    let source = Database::open(database, database.len() as u64).unwrap();
    let mut out = BulkWriter::new(Cursor::new(Vec::new()), page_bytes).unwrap();
    let mut buckets = Vec::new();
    for name in source.bucket_names().unwrap() {
        let mut rows = source.rows(&name).unwrap().unwrap();
        let mut bucket = out.bucket(&name).unwrap();
        let mut copied = Vec::new();
        while let Some((key, value)) = rows.next_row().unwrap() {
            bucket.push(key, value).unwrap();
            copied.push((key.to_vec(), value.to_vec()));
        }
        assert_eq!(bucket.end().unwrap(), copied.len() as u64);
        buckets.push((name, copied));
    }
    (out.finish().unwrap().0.into_inner(), buckets)
}

fn verify(database: &[u8]) -> Report {
    let mut verifier = Verifier::new(Options { trailer: Trailer::Absent, ..Options::default() });
    verifier.update(database).unwrap();
    verifier.finish(&Expectations::default()).unwrap()
}

/// The report of the same rows in other pages.
fn expected(before: &Report, after: &Report) -> Report {
    let mut expected = before.clone();
    expected.snapshot_bytes = after.snapshot_bytes;
    expected.database_bytes = after.database_bytes;
    expected.sha256 = after.sha256.clone();
    expected.page_bytes = after.page_bytes;
    expected.pages = after.pages;
    expected.status.total_size = after.status.total_size;
    expected
}

#[test]
fn i06_snapshots_of_servers_are_read_like_a_plain_reader_does() {
    for name in VECTORS {
        let database = vector(name);
        let (_, rows) = rewrite(&database, 4_096);
        assert_eq!(rows, oracle::buckets(&database), "{name}");
        assert_eq!(rows.len(), 10);
    }
}

#[test]
fn i06_a_rewritten_snapshot_has_the_same_hashes_and_facts() {
    for name in VECTORS {
        let database = vector(name);
        let before = verify(&database);
        for page_bytes in [1_024, 4_096, 16_384, 65_536] {
            let (again, _) = rewrite(&database, page_bytes);
            let after = verify(&again);
            assert_eq!(after, expected(&before, &after), "{name} in pages of {page_bytes}");
            assert_eq!(after.page_bytes, page_bytes);
            assert_eq!((after.pages.free, after.pages.reachable), (0, after.pages.total));
        }
        let (again, _) = rewrite(&database, before.page_bytes);
        assert!(again.len() < database.len(), "{name} grew");
        assert_eq!(rewrite(&again, before.page_bytes).0, again, "{name}: not the same twice");
    }
}

fn model(rng: &mut Rng) -> Vec<Bucket> {
    let shape = Shape {
        transactions: [0, 1, 8, 60, 300][rng.below(5)],
        keys: [1, 5, 60][rng.below(3)],
        value_bytes_max: [1, 300, 20_000][rng.below(3)],
    };
    let rows = history::random(rng, &shape);
    let leases = (0..rng.below(400) as u64).map(|id| (id.to_be_bytes().to_vec(), rng.bytes(12)));
    let leases = leases.collect();
    vec![
        (b"alarm".to_vec(), Vec::new()),
        (b"key".to_vec(), rows.iter().map(|row| (row.row_key(), row.value.clone())).collect()),
        (b"lease".to_vec(), leases),
        (b"meta".to_vec(), vec![(b"term".to_vec(), 5_u64.to_be_bytes().to_vec())]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 150,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Files as bbolt leaves them: stale pages that claim live ones, freelists, low branch keys.
    #[test]
    fn any_layout_is_read_and_written_anew(seed in any::<u64>()) {
        let rng = &mut Rng(seed);
        let buckets = model(rng);
        let database = writer::write(&Layout::random(rng), rng, &buckets);
        let (again, rows) = rewrite(&database, 4_096);
        prop_assert_eq!(&rows, &buckets, "seed {}", seed);
        let (before, after) = (verify(&database), verify(&again));
        prop_assert_eq!(&after, &expected(&before, &after), "seed {}", seed);
        prop_assert_eq!(after.pages.free, 0);
        prop_assert_eq!(after.status.hash, oracle::status_hash(&buckets));
    }
}
