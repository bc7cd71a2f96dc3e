//! Damaged databases. Each case changes one thing, seals the digest again, and expects the error
//! for it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    reason = "a test that meets the unexpected shall fail"
)]

mod common;

use bbolt::Problem;
use common::history::{self, ModelRow, Shape};
use common::writer::{self, Bucket, Layout, meta_page};
use common::{Rng, oracle, seal, verify, verify_with};
use lifeboat_snapshot::{ErrorClass, Expectations, Options, RecordProblem, Revision, VerifyError};
use proptest::prelude::*;

const PAGE_BYTES: usize = 4_096;

fn at(page: u64, offset: usize) -> usize {
    page as usize * PAGE_BYTES + offset
}

/// A sound database of many pages, and where its parts are.
struct Sound {
    database: Vec<u8>,
    root: u64,
    /// Top branch of the `key` bucket, of three levels.
    top: u64,
    /// Branches below `top`.
    middle: Vec<u64>,
    /// Leaves below the first branch of `middle`.
    leaves: Vec<u64>,
}

impl Sound {
    fn new() -> Self {
        Self::of(&Layout { elements_max: 8, inlines: false, ..Layout::plain(PAGE_BYTES) })
    }

    fn of(layout: &Layout) -> Self {
        let rng = &mut Rng(11);
        let shape = Shape { transactions: 150, keys: 30, value_bytes_max: 200 };
        let rows = history::random(rng, &shape);
        let database = writer::write(layout, rng, &buckets_of(&rows));
        let mut sound = Self { database, root: 0, top: 0, middle: Vec::new(), leaves: Vec::new() };
        sound.root = sound.u64_at(16 + 16);
        let mut top = sound.u64_at(16 + 16);
        while sound.kind(top) == writer::BRANCH {
            top = sound.children(top)[0];
        }
        // `key` is the first bucket here.
        sound.top = sound.u64_at(at(top, sound.value_offset(top, 0)));
        sound.middle = sound.children(sound.top);
        sound.leaves = sound.children(sound.middle[0]);
        sound
    }

    fn u64_at(&self, offset: usize) -> u64 {
        u64::from_le_bytes(self.database[offset..offset + 8].try_into().unwrap())
    }

    fn u32_at(&self, offset: usize) -> u32 {
        u32::from_le_bytes(self.database[offset..offset + 4].try_into().unwrap())
    }

    fn kind(&self, page: u64) -> u16 {
        self.u32_at(at(page, 8)) as u16
    }

    fn count(&self, page: u64) -> usize {
        (self.u32_at(at(page, 8)) >> 16) as usize
    }

    fn children(&self, branch: u64) -> Vec<u64> {
        assert_eq!(self.kind(branch), writer::BRANCH);
        let count = self.count(branch);
        (0..count).map(|i| self.u64_at(at(branch, 16 + 16 * i + 8))).collect()
    }

    /// Offset of a leaf element's key within its page.
    fn key_offset(&self, leaf: u64, index: usize) -> usize {
        let element = 16 + 16 * index;
        element + self.u32_at(at(leaf, element + 4)) as usize
    }

    fn value_offset(&self, leaf: u64, index: usize) -> usize {
        self.key_offset(leaf, index) + self.u32_at(at(leaf, 16 + 16 * index + 8)) as usize
    }

    fn put(&mut self, page: u64, offset: usize, bytes: &[u8]) {
        let start = at(page, offset);
        self.database[start..start + bytes.len()].copy_from_slice(bytes);
    }

    fn set_child(&mut self, branch: u64, index: usize, child: u64) {
        self.put(branch, 16 + 16 * index + 8, &child.to_le_bytes());
    }

    fn put_metas(&mut self, root: u64, freelist: u64, high_water: u64, txids: [u64; 2]) {
        for (page, txid) in [0, 1].into_iter().zip(txids) {
            let meta = meta_page(page, PAGE_BYTES as u32, root, freelist, high_water, txid);
            self.put(page, 0, &meta);
        }
    }

    fn pages(&self) -> u64 {
        (self.database.len() / PAGE_BYTES) as u64
    }

    fn refusal(&self) -> VerifyError {
        let error = verify(&seal(&self.database)).expect_err("damaged, but accepted");
        assert!(error.is_corrupt() || error.class() == ErrorClass::Unsupported, "{error}");
        assert!(error.hint().is_some());
        error
    }

    /// The refusal has to be this problem on this page.
    fn refuses(&self, page: u64, problem: Problem) {
        match self.refusal() {
            VerifyError::Structure { page: found_page, problem: found } => {
                assert_eq!((found_page, found), (page, problem));
            }
            other => panic!("expected {problem:?} on page {page}, got {other:?}"),
        }
    }
}

fn buckets_of(rows: &[ModelRow]) -> Vec<Bucket> {
    let rows = rows.iter().map(|row| (row.row_key(), row.value.clone())).collect();
    let index = (b"consistent_index".to_vec(), 7_u64.to_be_bytes().to_vec());
    vec![(b"key".to_vec(), rows), (b"meta".to_vec(), vec![index])]
}

fn database_of(rows: &[ModelRow]) -> Vec<u8> {
    writer::write(&Layout::plain(PAGE_BYTES), &mut Rng(1), &buckets_of(rows))
}

fn row(main: i64, sub: u64, value: Vec<u8>) -> ModelRow {
    ModelRow { main, sub, key: b"k".to_vec(), is_tombstone: false, value }
}

fn put_row(main: i64, sub: u64, version: i64) -> ModelRow {
    let create = if version == 1 { main } else { 2 };
    row(main, sub, history::put(b"k", create, main, version, b"v"))
}

#[test]
fn the_sound_database_is_accepted() {
    let sound = Sound::new();
    let report = verify(&seal(&sound.database)).unwrap();
    assert_eq!(report.status.hash, oracle::status_hash(&oracle::buckets(&sound.database)));
    assert!(sound.middle.len() > 1 && sound.leaves.len() > 1);
    assert_eq!(sound.kind(sound.leaves[0]), writer::LEAF);
}

// === trees ===

#[test]
fn a_cycle() {
    let mut sound = Sound::new();
    sound.set_child(sound.middle[0], 0, sound.top);
    sound.refuses(sound.top, Problem::ReferencedTwice);
}

#[test]
fn a_page_under_two_parents() {
    let mut sound = Sound::new();
    sound.set_child(sound.middle[0], 1, sound.leaves[0]);
    sound.refuses(sound.leaves[0], Problem::ReferencedTwice);
}

#[test]
fn an_overflow_page_that_is_a_page_of_its_own() {
    let mut sound = Sound::new();
    let leaf = sound.leaves[0];
    sound.put(leaf, 12, &1_u32.to_le_bytes());
    sound.refuses(leaf + 1, Problem::ReferencedTwice);
}

#[test]
fn a_meta_page_as_a_child() {
    let mut sound = Sound::new();
    sound.set_child(sound.middle[0], 0, 1);
    sound.refuses(1, Problem::ReferencedTwice);
}

#[test]
fn a_child_beyond_the_file() {
    let mut sound = Sound::new();
    let high_water = sound.pages();
    for beyond in [high_water, high_water + 1, u64::MAX] {
        sound.set_child(sound.middle[0], 0, beyond);
        sound.refuses(beyond, Problem::PageBeyondFile { high_water });
    }
}

#[test]
fn leaves_at_unequal_depth() {
    let mut sound = Sound::new();
    sound.set_child(sound.top, 0, sound.leaves[0]);
    let next = sound.children(sound.middle[1])[0];
    sound.refuses(next, Problem::UnequalDepth { expected: 1, found: 2 });
}

#[test]
fn keys_beyond_the_next_parent_key() {
    let mut sound = Sound::new();
    let leaf = sound.leaves[0];
    let last = sound.count(leaf) - 1;
    sound.put(leaf, sound.key_offset(leaf, last), &i64::MAX.to_be_bytes());
    sound.refuses(leaf, Problem::OutsideParentRange);
}

#[test]
fn keys_before_the_parent_key() {
    let mut sound = Sound::new();
    let leaf = sound.leaves[1];
    sound.put(leaf, sound.key_offset(leaf, 0), &1_i64.to_be_bytes());
    sound.refuses(leaf, Problem::OutsideParentRange);
}

#[test]
fn two_children_swapped() {
    let mut sound = Sound::new();
    sound.set_child(sound.middle[0], 0, sound.leaves[1]);
    sound.set_child(sound.middle[0], 1, sound.leaves[0]);
    sound.refuses(sound.leaves[1], Problem::OutsideParentRange);
}

#[test]
fn an_empty_branch() {
    let mut sound = Sound::new();
    sound.put(sound.middle[0], 10, &0_u16.to_le_bytes());
    sound.refuses(sound.middle[0], Problem::EmptyBranch);
}

// === page headers ===

#[test]
fn a_page_with_another_id() {
    let mut sound = Sound::new();
    let leaf = sound.leaves[0];
    sound.put(leaf, 0, &(leaf + 1).to_le_bytes());
    sound.refuses(leaf, Problem::WrongId);
}

#[test]
fn pages_of_another_type() {
    for (flags, problem) in [
        (0_u16, Problem::UnknownType),
        (3, Problem::UnknownType),
        (0x20, Problem::UnknownType),
        (4, Problem::WrongType),
        (16, Problem::WrongType),
    ] {
        let mut sound = Sound::new();
        sound.put(sound.leaves[0], 8, &flags.to_le_bytes());
        sound.refuses(sound.leaves[0], problem);
    }
}

#[test]
fn overflow_beyond_the_file() {
    for overflow in [u32::MAX, 1 << 20] {
        let mut sound = Sound::new();
        sound.put(sound.leaves[0], 12, &overflow.to_le_bytes());
        sound.refuses(sound.leaves[0], Problem::RunBeyondFile);
    }
}

// === elements ===

#[test]
fn more_elements_than_the_page_holds() {
    for count in [256_u16, u16::MAX] {
        let mut sound = Sound::new();
        for page in [sound.leaves[0], sound.middle[0]] {
            sound.put(page, 10, &count.to_le_bytes());
        }
        sound.refuses(sound.middle[0], Problem::TableOutsidePage { count });
    }
}

#[test]
fn elements_outside_their_page() {
    let outside = Problem::ElementOutsidePage { index: 0 };
    for (field, wrong) in [(4, u32::MAX), (4, 4_090), (8, u32::MAX), (12, u32::MAX), (12, 4_096)] {
        let mut sound = Sound::new();
        sound.put(sound.leaves[0], 16 + field, &wrong.to_le_bytes());
        sound.refuses(sound.leaves[0], outside);
    }
    for (field, wrong) in [(0, u32::MAX), (0, 0), (4, u32::MAX)] {
        let mut sound = Sound::new();
        sound.put(sound.middle[0], 16 + field, &wrong.to_le_bytes());
        sound.refuses(sound.middle[0], outside);
    }
}

#[test]
fn an_element_over_another_one() {
    let mut sound = Sound::new();
    let leaf = sound.leaves[0];
    let first_key = sound.key_offset(leaf, 0) as u32;
    sound.put(leaf, 16 + 16 + 4, &(first_key - 32).to_le_bytes());
    sound.refuses(leaf, Problem::ElementOutsidePage { index: 1 });
}

#[test]
fn an_empty_key() {
    let mut sound = Sound::new();
    sound.put(sound.leaves[0], 16 + 8, &0_u32.to_le_bytes());
    sound.refuses(sound.leaves[0], Problem::EmptyKey { index: 0 });
}

#[test]
fn keys_out_of_order_in_a_page() {
    let mut sound = Sound::new();
    let leaf = sound.leaves[0];
    sound.put(leaf, sound.key_offset(leaf, 1), &0_u64.to_be_bytes());
    sound.refuses(leaf, Problem::KeyOrder { index: 1 });

    let mut sound = Sound::new();
    let branch = sound.middle[0];
    let key = 16 + 16 + sound.u32_at(at(branch, 16 + 16)) as usize;
    sound.put(branch, key, &0_u64.to_be_bytes());
    sound.refuses(branch, Problem::KeyOrder { index: 1 });
}

#[test]
fn unknown_element_flags() {
    let mut sound = Sound::new();
    sound.put(sound.leaves[0], 16, &2_u32.to_le_bytes());
    sound.refuses(sound.leaves[0], Problem::ElementFlags { index: 0 });
}

// === buckets ===

#[test]
fn a_bucket_inside_a_bucket() {
    let mut sound = Sound::new();
    sound.put(sound.leaves[0], 16, &1_u32.to_le_bytes());
    sound.refuses(sound.leaves[0], Problem::NestedBucket);
}

#[test]
fn a_row_in_the_root_bucket() {
    let mut sound = Sound::new();
    sound.put(sound.root, 16, &0_u32.to_le_bytes());
    sound.refuses(sound.root, Problem::RootElement);
}

#[test]
fn a_bucket_without_a_header() {
    let mut sound = Sound::new();
    sound.put(sound.root, 16 + 12, &15_u32.to_le_bytes());
    sound.refuses(sound.root, Problem::BucketHeader { index: 0 });
}

#[test]
fn a_damaged_inline_bucket() {
    // `meta` is inline in this one.
    let sound = || Sound::of(&Layout { elements_max: 8, ..Layout::plain(PAGE_BYTES) });
    let header = |sound: &Sound| sound.value_offset(sound.root, 1) + 16;
    for (field, wrong) in [(0, 1_u8), (8, 1), (12, 1)] {
        let mut sound = sound();
        sound.put(sound.root, header(&sound) + field, &[wrong]);
        sound.refuses(sound.root, Problem::BucketHeader { index: 1 });
    }
    let mut sound = sound();
    sound.put(sound.root, header(&sound) + 10, &[200]);
    sound.refuses(sound.root, Problem::TableOutsidePage { count: 200 });
}

#[test]
fn a_database_that_is_not_etcds() {
    for (missing, kept) in [("key", 1), ("meta", 0)] {
        let kept = vec![buckets_of(&[])[kept].clone()];
        let database = writer::write(&Layout::plain(PAGE_BYTES), &mut Rng(1), &kept);
        let refused = verify(&seal(&database));
        assert!(matches!(refused, Err(VerifyError::MissingBucket { bucket }) if bucket == missing));
    }
}

// === meta pages ===

#[test]
fn one_bad_meta_page() {
    for page in [0, 1] {
        let mut sound = Sound::new();
        sound.put(page, 16 + 57, &[0xAA]);
        match sound.refusal() {
            VerifyError::Structure { page: found, problem: Problem::MetaChecksum { .. } } => {
                assert_eq!(found, page);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn two_bad_meta_pages() {
    let mut sound = Sound::new();
    sound.put(0, 16, &[0]);
    sound.put(1, 16, &[0]);
    let error = sound.refusal();
    assert!(matches!(
        error,
        VerifyError::NotADatabase { problem: Problem::MetaMagic { found: 0xED0C_DA00 } }
    ));
}

#[test]
fn meta_pages_of_other_transactions() {
    let mut sound = Sound::new();
    sound.put_metas(sound.root, u64::MAX, sound.pages(), [9, 7]);
    sound.refuses(1, Problem::MetaTransactions { first: 9, second: 7 });
}

#[test]
fn a_meta_page_with_another_header() {
    let mut sound = Sound::new();
    sound.put(1, 0, &0_u64.to_le_bytes());
    sound.refuses(1, Problem::MetaHeader);
}

#[test]
fn a_root_outside_the_file() {
    for root in [0, 1, 100_000, u64::MAX] {
        let mut sound = Sound::new();
        let high_water = sound.pages();
        sound.put_metas(root, u64::MAX, high_water, [8, 7]);
        sound.refuses(0, Problem::MetaPointer { pgid: root, high_water });
    }
}

#[test]
fn a_file_shorter_than_its_meta_page_says() {
    let mut sound = Sound::new();
    let more = sound.pages() + 1;
    sound.put_metas(sound.root, u64::MAX, more, [8, 7]);
    let error = sound.refusal();
    assert!(matches!(error, VerifyError::Truncated { expected, .. }
        if expected == more * PAGE_BYTES as u64));
}

#[test]
fn a_file_beyond_the_limit_of_pages() {
    for pages in [bbolt::limits::PAGES_MAX + 1, u64::MAX] {
        let mut sound = Sound::new();
        sound.put_metas(sound.root, u64::MAX, pages, [8, 7]);
        assert_eq!(sound.refusal().class(), ErrorClass::Unsupported);
    }
}

// === freelist ===

/// A database with a stored freelist of several pages, and the freelist's page.
fn with_freelist() -> (Sound, u64) {
    let layout = Layout {
        elements_max: 8,
        inlines: false,
        free_run_max: 2,
        stores_freelist: true,
        ..Layout::plain(PAGE_BYTES)
    };
    let sound = Sound::of(&layout);
    let freelist = sound.u64_at(16 + 32);
    verify(&seal(&sound.database)).unwrap();
    assert!(sound.count(freelist) > 4);
    (sound, freelist)
}

#[test]
fn a_free_page_in_use() {
    let (mut sound, freelist) = with_freelist();
    let last = sound.count(freelist) - 1;
    sound.put(freelist, 16 + 8 * last, &freelist.to_le_bytes());
    sound.refuses(freelist, Problem::FreeAndInUse);
}

#[test]
fn a_page_neither_free_nor_in_use() {
    let (mut sound, freelist) = with_freelist();
    let count = sound.count(freelist) as u16;
    let lost = sound.u64_at(at(freelist, 16 + 8 * (usize::from(count) - 1)));
    sound.put(freelist, 10, &(count - 1).to_le_bytes());
    sound.refuses(lost, Problem::Lost);
}

#[test]
fn a_freelist_out_of_order() {
    let (mut sound, freelist) = with_freelist();
    let second = sound.u64_at(at(freelist, 16 + 8));
    sound.put(freelist, 16, &second.to_le_bytes());
    sound.refuses(freelist, Problem::FreelistEntry { index: 1 });
}

#[test]
fn a_freelist_beyond_the_file() {
    let (mut sound, freelist) = with_freelist();
    sound.put(freelist, 16, &sound.pages().to_le_bytes());
    sound.refuses(freelist, Problem::FreelistEntry { index: 0 });
}

#[test]
fn a_freelist_longer_than_its_page() {
    for count in [600, u64::MAX / 8, u64::MAX] {
        let (mut sound, freelist) = with_freelist();
        sound.put(freelist, 10, &u16::MAX.to_le_bytes());
        sound.put(freelist, 16, &count.to_le_bytes());
        sound.refuses(freelist, Problem::FreelistLength);
    }
}

#[test]
fn a_leaf_as_the_freelist() {
    let (mut sound, _) = with_freelist();
    let leaf = sound.leaves[0];
    sound.put_metas(sound.root, leaf, sound.pages(), [8, 7]);
    sound.refuses(leaf, Problem::WrongType);
}

// === records ===

fn record_problem(rows: &[ModelRow]) -> RecordProblem {
    let error = verify(&seal(&database_of(rows))).expect_err("damaged, but accepted");
    assert!(error.is_corrupt());
    match error {
        VerifyError::Record { problem, .. } => problem,
        other => panic!("{other:?}"),
    }
}

#[test]
fn values_that_contradict_their_row() {
    let put = |create, modified, version| history::put(b"k", create, modified, version, b"v");
    for (value, problem) in [
        (b"\x0f\x01k".to_vec(), RecordProblem::Undecodable),
        (put(2, 2, 1)[..3].to_vec(), RecordProblem::ModRevision),
        (put(2, 2, 1)[..4].to_vec(), RecordProblem::Undecodable),
        (put(2, 3, 1), RecordProblem::ModRevision),
        (put(3, 2, 1), RecordProblem::CreateRevision),
        (put(0, 2, 1), RecordProblem::CreateRevision),
        (put(2, 2, 0), RecordProblem::Version),
        (put(2, 2, 2), RecordProblem::Version),
        (put(1, 2, 1), RecordProblem::Version),
        (put(2, 2, -1), RecordProblem::Version),
        (history::put(b"", 2, 2, 1, b"v"), RecordProblem::NoKey),
    ] {
        assert_eq!(record_problem(&[row(2, 0, value.clone())]), problem, "{value:x?}");
    }
}

#[test]
fn tombstones_with_more_than_a_key() {
    let tombstone = |value| ModelRow { is_tombstone: true, ..row(3, 0, value) };
    let rows = |value| [put_row(2, 0, 1), tombstone(value)];
    verify(&seal(&database_of(&rows(history::tombstone(b"k"))))).unwrap();
    let put = history::put(b"k", 2, 3, 2, b"v");
    assert_eq!(record_problem(&rows(put)), RecordProblem::Tombstone);
    assert_eq!(record_problem(&rows(Vec::new())), RecordProblem::NoKey);
}

#[test]
fn rows_that_are_missing() {
    let gap = |main, sub| RecordProblem::Gap { expected: Revision { main, sub } };
    assert_eq!(record_problem(&[put_row(2, 0, 1), put_row(4, 0, 2)]), gap(3, 0));
    assert_eq!(record_problem(&[put_row(2, 0, 1), put_row(3, 1, 2)]), gap(3, 0));
    assert_eq!(record_problem(&[put_row(3, 0, 1)]), gap(2, 0));
}

#[test]
fn a_revision_that_comes_twice() {
    let tombstone =
        ModelRow { is_tombstone: true, value: history::tombstone(b"k"), ..put_row(2, 0, 1) };
    let previous = Revision { main: 2, sub: 0 };
    let found = record_problem(&[put_row(2, 0, 1), tombstone]);
    assert_eq!(found, RecordProblem::Order { previous });
}

#[test]
fn an_empty_value_that_no_restore_wrote() {
    // Only the first change of a transaction can be the mark of a restore.
    let found = record_problem(&[put_row(2, 0, 1), row(2, 1, Vec::new())]);
    assert_eq!(found, RecordProblem::NoKey);
}

#[test]
fn an_empty_value_that_hides_missing_rows() {
    // The mark of a restore lies at the compact revision or below; this one would excuse a gap.
    let found = record_problem(&[put_row(2, 0, 1), history::phantom(7_000)]);
    assert_eq!(found, RecordProblem::NoKey);
}

#[test]
fn buckets_that_are_missing_are_named() {
    let report = verify(&seal(&database_of(&[put_row(2, 0, 1)]))).unwrap();
    let others = ["alarm", "auth", "authRoles", "authUsers", "cluster", "lease", "members"];
    assert_eq!(report.missing_buckets[..7], others);
    assert_eq!(report.missing_buckets[7..], ["members_removed"]);
}

#[test]
fn a_key_that_is_no_revision() {
    let mut buckets = buckets_of(&[put_row(2, 0, 1)]);
    buckets[0].1.push((b"not a revision".to_vec(), Vec::new()));
    let database = writer::write(&Layout::plain(PAGE_BYTES), &mut Rng(1), &buckets);
    let refused = verify(&seal(&database));
    let problem = RecordProblem::NotARevision;
    assert!(matches!(refused, Err(VerifyError::Record { problem: found, .. }) if found == problem));
}

#[test]
fn facts_of_another_length() {
    let mut buckets = buckets_of(&[]);
    buckets[1].1[0].1.pop();
    let database = writer::write(&Layout::plain(PAGE_BYTES), &mut Rng(1), &buckets);
    let refused = verify(&seal(&database));
    assert!(matches!(refused, Err(VerifyError::Fact { key: "consistent_index", bytes: 7, .. })));
}

#[test]
fn a_snapshot_older_than_the_barrier() {
    let snapshot = seal(&database_of(&[put_row(2, 0, 1), put_row(3, 0, 2)]));
    let at_barrier = |barrier| {
        let expectations = Expectations {
            revision_barrier: Some(barrier),
            members: Vec::new(),
            ..Expectations::default()
        };
        verify_with(&snapshot, 4_096, Options::default(), &expectations)
    };
    at_barrier(3).unwrap();
    let error = at_barrier(4).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Stale);
    assert!(matches!(error, VerifyError::RevisionBelowBarrier { barrier: 4, found: 3 }));
}

// === limits ===

#[test]
fn a_value_beyond_the_limit() {
    let big = vec![0; bbolt::limits::RUN_BYTES_MAX as usize];
    let value = history::put(b"k", 2, 2, 1, &big);
    let refused = verify(&seal(&database_of(&[row(2, 0, value)])));
    assert!(matches!(refused, Err(VerifyError::Unsupported { limit: "RUN_BYTES_MAX", .. })));
}

/// A database that starts with `stale` free pages, each of which claims the next 200 pages.
fn behind_stale_runs(stale: u64, value_bytes: usize) -> Vec<u8> {
    let layout = Layout { inlines: false, ..Layout::plain(PAGE_BYTES) };
    let rows: Vec<ModelRow> = (0..300_i64)
        .map(|i| row(2 + i, 0, history::put(b"k", 2, 2 + i, 1 + i, &vec![7; value_bytes])))
        .collect();
    let tail = writer::write(&layout, &mut Rng(1), &buckets_of(&rows));
    shifted(&tail, stale, |pgid| {
        let mut page = vec![0; PAGE_BYTES];
        page[..8].copy_from_slice(&pgid.to_le_bytes());
        page[8] = 2;
        page[12] = 200;
        page
    })
}

/// The same database with `count` free pages behind the meta pages.
fn shifted(database: &[u8], count: u64, free_page: impl Fn(u64) -> Vec<u8>) -> Vec<u8> {
    let mut file: Vec<u8> = (0..2 + count).flat_map(free_page).collect();
    file.extend_from_slice(&database[2 * PAGE_BYTES..]);
    let read = |file: &[u8], at: usize| u64::from_le_bytes(file[at..at + 8].try_into().unwrap());
    let mut page = 2 + count;
    while (page as usize) < file.len() / PAGE_BYTES {
        let start = at(page, 0);
        file[start..start + 8].copy_from_slice(&page.to_le_bytes());
        let is_branch = file[start + 8] == 1;
        let is_root = file[start + 16] == 1;
        let elements = usize::from(file[start + 10]);
        for element in (0..elements).map(|i| start + 16 + 16 * i) {
            let pointer = if is_branch {
                element + 8
            } else if is_root {
                let position =
                    u32::from_le_bytes(file[element + 4..element + 8].try_into().unwrap());
                let key = u32::from_le_bytes(file[element + 8..element + 12].try_into().unwrap());
                element + position as usize + key as usize
            } else {
                continue;
            };
            let moved = read(&file, pointer) + count;
            file[pointer..pointer + 8].copy_from_slice(&moved.to_le_bytes());
        }
        page += 1 + u64::from(file[start + 12]);
    }
    let (root, pages) = (read(database, 32) + count, (file.len() / PAGE_BYTES) as u64);
    for meta in [0, 1] {
        let bytes = meta_page(meta, PAGE_BYTES as u32, root, u64::MAX, pages, 8 - meta);
        file[at(meta, 0)..at(meta, bytes.len())].copy_from_slice(&bytes);
    }
    file
}

#[test]
fn stale_runs_that_overlap_deeply() {
    let limit = bbolt::limits::OPEN_RUNS_MAX as u64;
    // Live pages without overflow are found among any number of stale runs.
    verify(&seal(&behind_stale_runs(limit + 10, 300))).unwrap();
    // Live runs with overflow are found while the limit holds, and refused by its name beyond.
    verify(&seal(&behind_stale_runs(limit - 1, 5_000))).unwrap();
    let refused = verify(&seal(&behind_stale_runs(limit, 5_000)));
    assert!(matches!(refused, Err(VerifyError::Unsupported { limit: "OPEN_RUNS_MAX", .. })));
}

#[test]
fn a_scratch_directory_that_does_not_exist() {
    let options = Options {
        memory_bytes_max: 100,
        scratch_dir: Some("/nonexistent/lifeboat".into()),
        ..Options::default()
    };
    let snapshot = seal(&Sound::new().database);
    let error = verify_with(&snapshot, 4_096, options, &Expectations::default()).unwrap_err();
    assert!(matches!(error, VerifyError::Scratch { .. }));
    assert_eq!(error.class(), ErrorClass::Local);
}

// === anything ===

/// Numbers that are wrong in interesting ways.
fn odd_number(rng: &mut Rng) -> u64 {
    let numbers = [0, 1, 2, 15, 16, 17, 4_095, 4_096, 0x7FFF, 0xFFFF, 1 << 31, u64::MAX];
    match rng.below(3) {
        0 => rng.next(),
        1 => rng.below(60) as u64,
        _ => numbers[rng.below(numbers.len())],
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_flip_breaks_the_digest(place: prop::sample::Index, bit in 0..8_u32) {
        let mut snapshot = seal(&Sound::new().database);
        let place = place.index(snapshot.len());
        snapshot[place] ^= 1 << bit;
        prop_assert!(verify(&snapshot).is_err());
    }

    #[test]
    fn any_truncation_is_refused(length: prop::sample::Index) {
        let snapshot = seal(&Sound::new().database);
        let cut = &snapshot[..length.index(snapshot.len())];
        let error = verify(cut).unwrap_err();
        let is_named = matches!(
            error,
            VerifyError::Truncated { .. } | VerifyError::NoTrailer { .. }
        );
        prop_assert!(is_named, "{:?}", error);
    }

    #[test]
    fn any_bytes_are_refused(seed: u64, length in 0..300_000_usize, chunk in 1..100_000_usize) {
        let bytes = Rng(seed).bytes(length);
        let refused = verify_with(&bytes, chunk, Options::default(), &Expectations::default());
        prop_assert!(refused.is_err());
    }

    /// Whatever is accepted can be read, and reads the same by plain means.
    #[test]
    fn sealed_damage_is_refused_or_harmless(seed: u64, changes in 1..6_usize) {
        let rng = &mut Rng(seed);
        let mut sound = if rng.one_in(2) { Sound::new() } else { with_freelist().0 };
        for _ in 0..changes {
            let page = 2 + rng.below(sound.pages() as usize - 2) as u64;
            let field = [0, 8, 10, 12, 16 + 2 * rng.below(80), rng.below(PAGE_BYTES - 8)];
            let offset = field[rng.below(field.len())];
            let width = [1, 2, 4, 8][rng.below(4)];
            let bytes = odd_number(rng).to_le_bytes();
            sound.put(page, offset, &bytes[..width]);
        }
        if let Ok(report) = verify(&seal(&sound.database)) {
            let read = oracle::buckets(&sound.database);
            prop_assert_eq!(report.status.hash, oracle::status_hash(&read));
        }
    }
}
