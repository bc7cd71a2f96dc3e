//! Random snapshots through a restore: what comes out is what a plain reader and a literal HashKV
//! say has to come out, and what the verification of the snapshot predicted.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that meets the unexpected shall fail"
)]

extern crate snapshot as lifeboat_snapshot;

#[path = "../../snapshot/tests/common/mod.rs"]
mod common;

use std::collections::BTreeSet;
use std::io::Cursor;
use std::path::Path;

use bbolt::Database;
use common::history::{self, ModelRow, Shape};
use common::writer::{self, Bucket, Layout};
use common::{Rng, oracle};
use lifeboat_datadir::{Adjustments, BuildError, Built, Membership, Version, build_database};
use proptest::prelude::*;
use snapshot::{Expectations, Options, Report, ServerView, Trailer, Verifier};

/// A random snapshot and what is in it.
struct World {
    rows: Vec<ModelRow>,
    revision: i64,
    compact: i64,
    leases: BTreeSet<u64>,
    database: Vec<u8>,
}

fn revision_value(main: i64) -> Vec<u8> {
    [&main.to_be_bytes()[..], b"_", &[0; 8]].concat()
}

fn world(rng: &mut Rng) -> World {
    let shape = Shape {
        transactions: [0, 1, 8, 60, 300][rng.below(5)],
        keys: [1, 5, 60][rng.below(3)],
        value_bytes_max: [1, 300, 9_000][rng.below(3)],
    };
    let mut rows = history::random(rng, &shape);
    // Some puts hang on a lease, which stands behind the value.
    for row in rows.iter_mut().filter(|row| !row.is_tombstone) {
        if rng.one_in(3) {
            row.value.extend_from_slice(&[0x30, 1 + rng.below(100) as u8]);
        }
    }
    let mut revision = rows.last().map_or(1, |row| row.main);
    // A compaction of everything may remove the last row of all.
    let mut compact = match rng.below(4) {
        0 => -1,
        1 => revision,
        _ => 1 + rng.below(revision as usize) as i64,
    };
    if rng.one_in(6) {
        revision += 1_000_000;
        compact = revision;
        rows.push(history::phantom(revision));
    }
    if compact > 0 && !rng.one_in(4) {
        rows = history::compact(&rows, compact, rng.one_in(2));
    }
    let leases: BTreeSet<u64> = (0..rng.below(60)).map(|_| 1 + rng.below(100) as u64).collect();
    let buckets = buckets(&rows, compact, &leases, rng.one_in(2));
    let database = writer::write(&Layout::random(rng), rng, &buckets);
    World { rows, revision, compact, leases, database }
}

fn buckets(rows: &[ModelRow], compact: i64, leases: &BTreeSet<u64>, is_old: bool) -> Vec<Bucket> {
    let text = |key: &str, value: &[u8]| (key.as_bytes().to_vec(), value.to_vec());
    let mut meta = vec![text("consistent_index", &77_u64.to_be_bytes())];
    // The greater of the two counts, whichever that is.
    if compact > 0 {
        let (finished, scheduled) = if is_old { (compact, 1) } else { (1, compact) };
        meta.push(text("finishedCompactRev", &revision_value(finished)));
        meta.push(text("scheduledCompactRev", &revision_value(scheduled)));
    }
    if !is_old {
        meta.push(text("storageVersion", b"3.6.0"));
        meta.push(text("term", &5_u64.to_be_bytes()));
        meta.push(text("unknown", b"carried over"));
    }
    let lease = |id: &u64| (id.to_be_bytes().to_vec(), b"\x08\x01\x10\x3c".to_vec());
    let key = rows.iter().map(|row| (row.row_key(), row.value.clone())).collect();
    let mut buckets = vec![
        ("alarm", vec![(b"\x08\x05\x10\x01".to_vec(), Vec::new())]),
        ("auth", vec![text("authEnabled", b"\x01"), text("authRevision", &[0; 8])]),
        ("authRoles", vec![text("root", b"x")]),
        ("authUsers", vec![text("root", b"hash")]),
        ("cluster", vec![text("clusterVersion", b"3.5.0"), text("downgrade", b"{}")]),
        ("key", key),
        ("lease", leases.iter().map(lease).collect()),
        ("members", vec![text("8e9e05c52164694d", br#"{"id":1}"#)]),
        ("members_removed", vec![text("1f", b"removed")]),
        ("meta", meta),
        ("test", vec![text("k", &[3; 2_000])]),
    ];
    if is_old {
        buckets
            .retain(|(name, _)| !["authRoles", "members_removed", "lease", "test"].contains(name));
    }
    buckets.into_iter().map(|(name, rows)| (name.as_bytes().to_vec(), rows)).collect()
}

fn adjustments(rng: &mut Rng, world: &World) -> Adjustments {
    let first = world.compact.max(1);
    let span = (world.revision - first + 1) as usize;
    let cut = first + rng.below(span) as i64;
    let bump = 1 + rng.below(1_000_000_000) as i64;
    let is_bumped = rng.one_in(2);
    Adjustments {
        bump: is_bumped.then_some(bump),
        mark_compacted: is_bumped,
        cut_at: rng.one_in(2).then_some(cut),
        keep_alarms: rng.one_in(2),
        target_version: [None, Some(Version::new(3, 4)), Some(Version::new(3, 7))][rng.below(3)],
        disable_auth: rng.one_in(2),
    }
}

fn verify(database: &[u8], adjust: &Adjustments) -> (Report, Option<ServerView>) {
    let mut verifier = Verifier::new(Options { trailer: Trailer::Absent, ..Options::default() });
    verifier.update(database).unwrap();
    verifier.finish_altered(&Expectations::default(), &adjust.alteration()).unwrap()
}

fn membership() -> Membership {
    Membership::parse("a=http://h:1,b=http://h:2,c=http://h:3", "t").unwrap()
}

fn build(database: &[u8], adjust: &Adjustments) -> Result<(Built, Vec<u8>), BuildError> {
    let source = Database::open(database, database.len() as u64)?;
    let mut out = Cursor::new(Vec::new());
    let built = build_database(&source, &membership(), adjust, &mut out)?;
    Ok((built, out.into_inner()))
}

/// The rows that have to come out.
fn expected_rows(world: &World, adjust: &Adjustments) -> (Vec<ModelRow>, i64, i64) {
    let end = adjust.cut_at.unwrap_or(world.revision);
    let mut rows = world.rows.clone();
    rows.retain(|row| row.main <= end);
    match adjust.bump {
        None => (rows, end, world.compact),
        Some(bump) => {
            rows.push(history::phantom(end + bump));
            (rows, end + bump, end + bump)
        }
    }
}

/// Leases that live keys name, by a literal reading of the rows.
fn named_leases(rows: &[ModelRow]) -> BTreeSet<u64> {
    let mut by_key = std::collections::BTreeMap::new();
    for row in rows {
        let marked = row.value.len() >= 2 && row.value[row.value.len() - 2] == 0x30;
        let kv = snapshot::KeyValue::decode(&row.value).unwrap();
        assert!(kv.lease == 0 || marked);
        by_key.insert(&row.key, if row.is_tombstone { 0 } else { kv.lease as u64 });
    }
    by_key.into_values().filter(|lease| *lease != 0).collect()
}

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

fn rows_of<'a>(buckets: &'a [Bucket], name: &str) -> &'a Rows {
    &buckets.iter().find(|(bucket, _)| bucket == name.as_bytes()).unwrap().1
}

fn check_buckets(world: &World, adjust: &Adjustments, rows: &[ModelRow], out: &[Bucket]) {
    let source = oracle::buckets(&world.database);
    let expected: Rows = rows.iter().map(|row| (row.row_key(), row.value.clone())).collect();
    assert!(*rows_of(out, "key") == expected, "the key space differs");
    let has = |name: &str| source.iter().any(|(bucket, _)| bucket == name.as_bytes());
    for name in ["authRoles", "authUsers", "test"].into_iter().filter(|name| has(name)) {
        assert_eq!(rows_of(out, name), rows_of(&source, name));
    }
    let known = if has("lease") { world.leases.clone() } else { BTreeSet::new() };
    let leases: BTreeSet<u64> = known.union(&named_leases(rows)).copied().collect();
    let found = rows_of(out, "lease").iter();
    let found: BTreeSet<u64> =
        found.map(|(id, _)| u64::from_be_bytes(id.as_slice().try_into().unwrap())).collect();
    assert_eq!(found, leases);
    assert_eq!(rows_of(out, "alarm").len(), usize::from(adjust.keep_alarms));
    assert_eq!(rows_of(out, "auth")[0].1, [u8::from(!adjust.disable_auth)]);
    assert_eq!(rows_of(out, "members").len(), 3);
    assert!(rows_of(out, "members_removed").is_empty());
    assert_eq!(rows_of(out, "cluster").len(), usize::from(adjust.target_version.is_none()));
    assert_eq!(out.len(), 10 + usize::from(has("test")));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 100,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_comes_out_was_predicted(seed: u64) {
        let rng = &mut Rng(seed);
        let world = world(rng);
        let adjust = adjustments(rng, &world);
        let (report, predicted) = verify(&world.database, &adjust);
        adjust.check(&report).unwrap();
        let (built, out) = build(&world.database, &adjust).unwrap();
        built.must_be_from(&report).unwrap();

        let (rows, revision, compact) = expected_rows(&world, &adjust);
        let buckets = oracle::buckets(&out);
        check_buckets(&world, &adjust, &rows, &buckets);
        prop_assert_eq!(built.status_hash, oracle::status_hash(&buckets));
        prop_assert_eq!((built.revision, built.snapshot_revision), (revision, world.revision));
        prop_assert_eq!(built.compact_revision, (compact > 0).then_some(compact));
        prop_assert_eq!((built.bytes, built.crc32c), (out.len() as u64, crc32c::crc32c(&out)));

        let (written, view) = verify(&out, &Adjustments::default());
        let view = view.unwrap();
        prop_assert_eq!(Some(&view), predicted.as_ref());
        prop_assert_eq!((view.revision, view.compact_revision), (revision, built.compact_revision));
        let live = oracle::live_keys(&rows).iter().filter(|key| !key.is_empty()).count();
        prop_assert_eq!(view.keys_live, live as u64);
        let hash = (oracle::has_live_key(&rows, revision) || compact < 0)
            .then(|| oracle::hashkv(&rows, revision, compact));
        prop_assert_eq!(view.hashkv, hash);
        prop_assert_eq!(&written.buckets, &built.rows);
        prop_assert_eq!((written.pages.free, written.page_bytes), (0, report.page_bytes));
        prop_assert!(written.missing_buckets.is_empty());
        prop_assert_eq!((written.consistent_index, written.term), (Some(3), Some(1)));
        prop_assert!(built.is_kubernetes || view.kubernetes.is_empty());
    }

    #[test]
    fn the_same_input_gives_the_same_bytes(seed: u64) {
        let rng = &mut Rng(seed);
        let world = world(rng);
        let adjust = adjustments(rng, &world);
        let (built, out) = build(&world.database, &adjust).unwrap();
        let (again, out_again) = build(&world.database, &adjust).unwrap();
        prop_assert!(out == out_again && built == again);
        // A restore of what was restored changes nothing more.
        let (_, restored) = build(&out, &Adjustments { keep_alarms: true, ..Adjustments::default() }).unwrap();
        prop_assert!(restored == out);
    }

    #[test]
    fn a_source_that_changed_since_it_was_verified_is_found(seed: u64) {
        let rng = &mut Rng(seed);
        let world = world(rng);
        let adjust = adjustments(rng, &world);
        let (report, _) = verify(&world.database, &adjust);
        let mut changed = world.database.clone();
        let at = rng.below(changed.len());
        changed[at] ^= 1 << rng.below(8);
        let is_same = oracle::buckets(&world.database);
        if let Ok((built, _)) = build(&changed, &adjust)
            && built.must_be_from(&report).is_ok()
        {
            // The bit was in a page that nothing uses, or in what no row is made of.
            prop_assert!(is_same == oracle::buckets(&changed));
        }
    }

    #[test]
    fn f49_no_damage_makes_it_panic(seed: u64) {
        let rng = &mut Rng(seed);
        let world = world(rng);
        let adjust = adjustments(rng, &world);
        let mut damaged = world.database;
        for _ in 0..1 + rng.below(8) {
            let at = rng.below(damaged.len());
            damaged[at] ^= 1 << rng.below(8);
        }
        if rng.one_in(8) {
            let length = rng.below(damaged.len());
            damaged.truncate(length);
        }
        if let Ok((built, out)) = build(&damaged, &adjust) {
            // What was built of rows that nobody verified is a database all the same.
            prop_assert_eq!(built.status_hash, oracle::status_hash(&oracle::buckets(&out)));
        }
    }

    #[test]
    fn cuts_outside_the_history_are_refused(seed: u64) {
        let rng = &mut Rng(seed);
        let world = world(rng);
        let (report, _) = verify(&world.database, &Adjustments::default());
        for cut in [world.compact.max(1) - 1, world.revision + 1, i64::MAX, i64::MIN] {
            let adjust = Adjustments { cut_at: Some(cut), ..Adjustments::default() };
            let is_cut = |refused: BuildError| matches!(refused, BuildError::Cut { .. });
            prop_assert!(adjust.check(&report).is_err_and(is_cut));
            prop_assert!(build(&world.database, &adjust).is_err_and(is_cut));
            prop_assert_eq!(verify(&world.database, &adjust).1, None);
        }
    }
}

#[test]
fn f49_the_snapshots_that_attack_a_reader_are_refused_or_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/snapshot");
    let mut seen = 0;
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "db") {
            seen += 1;
            let bytes = std::fs::read(&path).unwrap();
            let length = bytes.len() - bytes.len() % 512;
            let built = build(&bytes[..length], &Adjustments::default());
            let is_sound = ["sound", "trailer-missing", "unknown-bucket", "unknown-page-type-free"]
                .contains(&path.file_stem().unwrap().to_str().unwrap());
            assert!(!is_sound || built.is_ok(), "{}: {:?}", path.display(), built.err());
        }
    }
    assert!(seen > 10);
}

/// A compaction may remove the last row of all; a server is at the compact revision then.
#[test]
fn a_bump_counts_from_the_revision_of_the_server() {
    let rows = [ModelRow {
        main: 2,
        sub: 0,
        key: b"a".to_vec(),
        is_tombstone: false,
        value: history::put(b"a", 2, 2, 1, b"x"),
    }];
    let rng = &mut Rng(7);
    let buckets = buckets(&rows, 9, &BTreeSet::new(), false);
    let database = writer::write(&Layout::plain(4_096), rng, &buckets);
    let bump = Adjustments { bump: Some(10), mark_compacted: true, ..Adjustments::default() };
    let (report, predicted) = verify(&database, &bump);
    let (built, out) = build(&database, &bump).unwrap();
    assert_eq!((report.revision, built.snapshot_revision, built.revision), (9, 9, 19));
    let found = verify(&out, &Adjustments::default()).1.unwrap();
    assert_eq!((found.revision, found.keys_live), (19, 1));
    assert_eq!(predicted, Some(found));
}

#[test]
fn another_row_than_was_verified_is_found() {
    let rows = [ModelRow {
        main: 2,
        sub: 0,
        key: b"a".to_vec(),
        is_tombstone: false,
        value: history::put(b"a", 2, 2, 1, b"unmistakable"),
    }];
    let source = |rows: &[ModelRow]| {
        let buckets = buckets(rows, -1, &BTreeSet::new(), false);
        writer::write(&Layout::plain(4_096), &mut Rng(7), &buckets)
    };
    let sound = source(&rows);
    let (report, _) = verify(&sound, &Adjustments::default());
    let mut changed = sound.clone();
    let at = changed.windows(12).position(|window| window == b"unmistakable").unwrap();
    changed[at] ^= 1;
    let built = |database: &[u8]| build(database, &Adjustments::default()).unwrap().0;
    built(&sound).must_be_from(&report).unwrap();
    let refused = built(&changed).must_be_from(&report).unwrap_err();
    assert!(matches!(refused, BuildError::SourceChanged { .. }));
    let without = built(&source(&[])).must_be_from(&report).unwrap_err();
    assert!(matches!(without, BuildError::SourceChanged { .. }));
}

#[test]
fn i19_a_row_that_was_lost_outside_of_the_key_space_is_found() {
    let buckets = buckets(&[], -1, &BTreeSet::from([7]), true);
    let source = writer::write(&Layout::plain(4_096), &mut Rng(7), &buckets);
    let (report, _) = verify(&source, &Adjustments::default());
    let (built, _) = build(&source, &Adjustments::default()).unwrap();
    built.must_be_from(&report).unwrap();
    for bucket in ["key", "lease", "auth", "authUsers"] {
        for by in [1, u64::MAX] {
            let mut other = built.clone();
            let rows = other.rows.get_mut(bucket).unwrap();
            *rows = rows.wrapping_add(by);
            let refused = other.must_be_from(&report);
            assert!(matches!(refused, Err(BuildError::RowsLost { .. })), "{bucket}: {refused:?}");
        }
    }
}
