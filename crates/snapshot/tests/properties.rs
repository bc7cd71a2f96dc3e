//! Random databases: the report equals what a plain reader computes, however the bytes arrive.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    reason = "a test that meets the unexpected shall fail"
)]

mod common;

use common::history::{self, ModelRow, Shape};
use common::writer::{self, Bucket, Layout};
use common::{Rng, oracle, seal, verify_with};
use lifeboat_snapshot::{
    Expectations, MemberHashKv, NotComparable, Options, Report, Verdict, VerifyError,
};
use proptest::prelude::*;

/// A random store, the compaction it is at, and its database.
struct World {
    /// Every row since revision 2.
    full: Vec<ModelRow>,
    /// What is left in the snapshot.
    rows: Vec<ModelRow>,
    revision: i64,
    compact: i64,
    buckets: Vec<Bucket>,
    database: Vec<u8>,
}

fn revision_value(main: i64) -> Vec<u8> {
    [&main.to_be_bytes()[..], b"_", &[0; 8]].concat()
}

fn world(rng: &mut Rng) -> World {
    let shape = Shape {
        transactions: [0, 1, 8, 60, 300][rng.below(5)],
        keys: [1, 5, 60][rng.below(3)],
        value_bytes_max: [1, 300, 20_000][rng.below(3)],
    };
    let mut full = history::random(rng, &shape);
    let mut revision = full.last().map_or(1, |row| row.main);
    let mut compact = if rng.one_in(3) { -1 } else { 1 + rng.below(revision as usize) as i64 };
    if rng.one_in(8) {
        revision += 1_000_000;
        compact = revision;
        full.push(history::phantom(revision));
    }
    // A compaction that is only scheduled has removed nothing yet, or some.
    let is_pending = compact > 0 && rng.one_in(3);
    let rows = if compact < 0 || (is_pending && rng.one_in(2)) {
        full.clone()
    } else {
        let whole = history::compact(&full, compact, rng.one_in(2));
        let half = full.len() / 2;
        let is_left =
            |index: usize, row: &ModelRow| whole.contains(row) || (is_pending && index >= half);
        let left = full.iter().enumerate().filter(|(index, row)| is_left(*index, row));
        left.map(|(_, row)| row.clone()).collect()
    };
    let buckets = buckets(rng, &rows, compact, is_pending);
    let database = writer::write(&Layout::random(rng), rng, &buckets);
    World { full, rows, revision, compact, buckets, database }
}

fn buckets(rng: &mut Rng, rows: &[ModelRow], compact: i64, is_pending: bool) -> Vec<Bucket> {
    let text = |key: &str, value: &[u8]| (key.as_bytes().to_vec(), value.to_vec());
    let mut meta = vec![text("consistent_index", &77_u64.to_be_bytes())];
    if compact > 0 && !is_pending {
        meta.push(text("finishedCompactRev", &revision_value(compact)));
    }
    if compact > 0 {
        meta.push(text("scheduledCompactRev", &revision_value(compact)));
    }
    meta.push(text("storageVersion", b"3.6.0"));
    meta.push(text("term", &5_u64.to_be_bytes()));
    let leases = (0..rng.below(400) as u64).map(|id| (id.to_be_bytes().to_vec(), rng.bytes(12)));
    let leases: Vec<_> = leases.collect();
    vec![
        (b"alarm".to_vec(), vec![(b"\x08\x05\x10\x01".to_vec(), Vec::new())]),
        (b"auth".to_vec(), vec![text("authEnabled", b"\x01")]),
        (b"authRoles".to_vec(), Vec::new()),
        (b"authUsers".to_vec(), vec![text("operator_readonly", b"hash")]),
        (b"cluster".to_vec(), vec![text("clusterVersion", b"3.6.0")]),
        (b"key".to_vec(), rows.iter().map(|row| (row.row_key(), row.value.clone())).collect()),
        (b"lease".to_vec(), leases),
        (b"members".to_vec(), vec![text("8e9e05c52164694d", br#"{"id":1}"#)]),
        (b"members_removed".to_vec(), vec![text("1f", b"removed")]),
        (b"meta".to_vec(), meta),
    ]
}

fn check(report: &Report, world: &World) {
    let read = oracle::buckets(&world.database);
    assert_eq!(read, world.buckets, "the writer and the oracle disagree");
    let live = oracle::live_keys(&world.rows);
    assert_eq!(report.status.hash, oracle::status_hash(&read));
    assert_eq!(report.status.revision, world.rows.last().map_or(0, |row| row.main));
    let row_count: usize = read.iter().map(|(_, rows)| rows.len()).sum();
    assert_eq!(report.status.total_key_rows, row_count as u64);
    assert_eq!(report.status.total_key_live, live.len() as u64);
    assert_eq!(report.revision, world.revision);
    assert_eq!(report.compact_revision, (world.compact > 0).then_some(world.compact));
    assert_eq!(report.leases, report.buckets["lease"]);
    assert_eq!((report.consistent_index, report.term), (Some(77), Some(5)));
    assert_eq!(report.members, ["8e9e05c52164694d"]);
    assert_eq!((report.alarms.len(), report.auth_enabled), (1, true));
    assert_eq!(report.pages.total, report.pages.reachable + report.pages.free);
    let pods = live.iter().filter(|key| key.starts_with(b"/registry/pods/")).count();
    assert_eq!(report.kubernetes.get("pods").copied().unwrap_or(0), pods as u64);
    let widgets = live.iter().filter(|key| key.starts_with(b"/registry/example.com/")).count();
    let counted = report.kubernetes.get("example.com/widgets").copied().unwrap_or(0);
    assert_eq!(counted, widgets as u64);
    assert_eq!(report.encryption_at_rest, oracle::encrypted(&world.rows));
    if oracle::has_live_key(&world.rows, world.revision) || world.compact < 0 {
        let expected = oracle::hashkv(&world.rows, world.revision, world.compact);
        assert_eq!(report.hashkv.hash, Some(expected));
    }
}

fn options(rng: &mut Rng) -> Options {
    let memory_bytes_max = [0, 10_000, 1 << 30][rng.below(3)];
    Options { memory_bytes_max, ..Options::default() }
}

/// A member that went on: it compacted further than the snapshot, at some revision not past
/// `revision`.
fn member_answer(rng: &mut Rng, world: &World, revision: i64) -> MemberHashKv {
    let low = world.compact.max(1);
    let compact = match world.compact {
        -1 if rng.one_in(2) => -1,
        _ => low + rng.below((revision - low + 1) as usize) as i64,
    };
    let rows = if compact < 0 {
        world.full.clone()
    } else {
        history::compact(&world.full, compact, rng.one_in(2))
    };
    let hash = oracle::hashkv(&rows, revision, compact);
    MemberHashKv { member: "m".to_owned(), revision, compact_revision: compact, hash }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 150,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_report_equals_the_oracle(seed: u64) {
        let rng = &mut Rng(seed);
        let world = world(rng);
        let snapshot = seal(&world.database);
        let report = verify_with(&snapshot, 32 << 10, options(rng), &Expectations::default());
        check(&report.unwrap(), &world);
    }

    #[test]
    fn chunks_and_budgets_do_not_matter(seed: u64, chunk in 1_usize..40_000) {
        let rng = &mut Rng(seed);
        let world = world(rng);
        let snapshot = seal(&world.database);
        let whole = verify_with(&snapshot, snapshot.len(), options(rng), &Expectations::default());
        // Tiny chunks of a long file take time and show nothing more.
        let chunk = chunk.max(snapshot.len() / 3_000);
        let pieces = verify_with(&snapshot, chunk, options(rng), &Expectations::default());
        prop_assert_eq!(whole.unwrap(), pieces.unwrap());
    }

    #[test]
    fn members_that_compacted_further_agree(seed: u64) {
        let rng = &mut Rng(seed);
        let world = world(rng);
        let snapshot = seal(&world.database);
        let low = world.compact.max(1);
        let revision = low + rng.below((world.revision - low + 1) as usize) as i64;
        let answer = member_answer(rng, &world, revision);
        let has_live_key = oracle::has_live_key(&world.full, revision);
        let expectations =
            Expectations { revision_barrier: Some(world.revision), members: vec![answer.clone()], ..Expectations::default() };
        let report = verify_with(&snapshot, 4_096, options(rng), &expectations).unwrap();
        let compared = &report.hashkv.compared[0];
        if has_live_key || answer.compact_revision < 0 {
            prop_assert_eq!(compared.verdict, Verdict::Agrees);
        } else {
            prop_assert_eq!(compared.reason, Some(NotComparable::NoLiveKey));
            return Ok(());
        }

        let mut wrong = expectations;
        wrong.members[0].hash ^= 1;
        let refused = verify_with(&snapshot, 4_096, options(rng), &wrong);
        let is_mismatch = matches!(refused, Err(VerifyError::HashKvMismatch { expected, found, .. })
            if expected == answer.hash ^ 1 && found == answer.hash);
        prop_assert!(is_mismatch);
    }
}

/// More keys than the least budget holds at once, so that they take several passes.
#[test]
fn i24_many_keys_in_little_memory() {
    let keys = lifeboat_snapshot::limits::SEEN_KEYS_BYTES_MIN / 10;
    let rows: Vec<ModelRow> = (0..keys)
        .flat_map(|number| {
            let key = format!("/registry/r{}/{number}", number % 7).into_bytes();
            let main = 2 + 2 * number as i64;
            let put = |main, create, version| ModelRow {
                main,
                sub: 0,
                key: key.clone(),
                is_tombstone: false,
                value: history::put(&key, create, main, version, b""),
            };
            let tombstone = ModelRow {
                is_tombstone: true,
                value: history::tombstone(&key),
                ..put(main + 1, 0, 0)
            };
            let last = if number % 3 == 0 { tombstone } else { put(main + 1, main, 2) };
            [put(main, main, 1), last]
        })
        .collect();
    let mut rng = Rng(3);
    let buckets = buckets(&mut rng, &rows, -1, false);
    let database = writer::write(&Layout::plain(4_096), &mut rng, &buckets);
    let snapshot = seal(&database);
    let verify = |memory_bytes_max| {
        let options = Options { memory_bytes_max, ..Options::default() };
        verify_with(&snapshot, 1 << 20, options, &Expectations::default()).unwrap()
    };
    let report = verify(0);
    assert_eq!(report, verify(1 << 30));
    assert_eq!(report.status.total_key_live, (keys - keys.div_ceil(3)) as u64);
    assert_eq!(report.kubernetes.values().sum::<u64>(), report.status.total_key_live);
}
