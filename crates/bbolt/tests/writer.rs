//! The bulk writer: what it writes is sound by the proof, reads back row for row, and is packed.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that meets the unexpected shall fail"
)]

mod common;

use std::collections::BTreeMap;
use std::io::{self, Cursor, Seek, SeekFrom, Write};

use common::{Buckets, Rows, prove_whole, read_whole, write};
use lifeboat_bbolt::limits::{BUCKETS_MAX, KEY_BYTES_MAX, RUN_BYTES_MAX};
use lifeboat_bbolt::{
    BucketContent, BucketValue, BulkWriter, LeafElements, Meta, Node, Proof, RowProblem, WriteError,
};
use proptest::prelude::*;

/// A key as etcd makes it: the revision, a mark, the number within the transaction.
fn revision(main: u64) -> Vec<u8> {
    [&main.to_be_bytes()[..], b"_", &[0; 8]].concat()
}

fn bucket(name: &str, rows: Rows) -> Buckets {
    BTreeMap::from([(name.as_bytes().to_vec(), rows)])
}

/// Rows with values of these lengths.
fn rows(lengths: impl IntoIterator<Item = usize>) -> Rows {
    (1..).zip(lengths).map(|(main, bytes)| (revision(main), vec![main as u8; bytes])).collect()
}

/// Writes, proves, reads back; nothing is free.
fn round_trip(page_bytes: u32, buckets: &Buckets) -> (Vec<u8>, Proof, common::Nodes) {
    let file = write(page_bytes, buckets);
    let (proof, nodes) = prove_whole(&file).unwrap();
    assert_eq!(proof.pages_free, 0);
    assert_eq!(proof.pages_total * u64::from(page_bytes), file.len() as u64);
    let names: Vec<_> = proof.buckets.iter().map(|bucket| &bucket.name).collect();
    assert_eq!(names, buckets.keys().collect::<Vec<_>>());
    assert_eq!(&read_whole(&file).unwrap(), buckets);
    (file, proof, nodes)
}

#[test]
fn a_database_without_buckets_is_one_empty_leaf() {
    let (file, proof, _) = round_trip(4_096, &Buckets::new());
    assert_eq!((file.len(), proof.pages_total), (3 * 4_096, 3));
}

#[test]
fn meta_pages_are_those_of_two_transactions() {
    let file = write(4_096, &bucket("key", rows([5_000; 9])));
    let first = Meta::parse(&file).unwrap();
    let second = Meta::parse(&file[4_096..]).unwrap();
    assert_eq!((first.txid, second.txid), (2, 1));
    assert_eq!(Meta { txid: 1, ..first }, second);
    assert_eq!(first.freelist, None);
    assert_eq!(first.file_bytes(), file.len() as u64);
}

#[test]
fn an_empty_bucket_is_32_bytes() {
    let file = write(4_096, &bucket("lease", Rows::new()));
    let root = &file[2 * 4_096..];
    let entry = LeafElements::new(root).unwrap().next().unwrap().unwrap();
    let empty = [&[0; 24][..], &[2, 0, 0, 0, 0, 0, 0, 0]].concat();
    assert_eq!((entry.key, entry.value), (&b"lease"[..], &empty[..]));
}

#[test]
fn small_buckets_are_inline_by_the_rule_of_bbolt() {
    for page_bytes in [1_024_u32, 4_096, 65_536] {
        let quarter = page_bytes as usize / 4;
        let longest = quarter - 16 - 16 - 17;
        for (bytes, is_inline) in [(longest, true), (longest + 1, false)] {
            let (file, proof, _) = round_trip(page_bytes, &bucket("b", rows([bytes])));
            let content = &proof.buckets[0].content;
            assert_eq!(matches!(content, BucketContent::Inline { .. }), is_inline);
            let root = Meta::parse(&file).unwrap().root as usize * page_bytes as usize;
            let entry = LeafElements::new(&file[root..]).unwrap().next().unwrap().unwrap();
            assert_eq!(entry.value.len(), if is_inline { 16 + quarter } else { 16 });
            let parsed = BucketValue::parse(entry.value, 0).unwrap();
            assert_eq!(matches!(parsed, BucketValue::Inline(_)), is_inline);
        }
    }
}

#[test]
fn many_buckets_make_a_tree_of_buckets() {
    let named = |index: usize| (format!("{index:05}").into_bytes(), rows([index % 700; 2]));
    let buckets: Buckets = (0..BUCKETS_MAX).map(named).collect();
    round_trip(1_024, &buckets);
    let mut writer = BulkWriter::new(Cursor::new(Vec::new()), 4_096).unwrap();
    for name in buckets.keys() {
        writer.bucket(name).unwrap().end().unwrap();
    }
    assert!(matches!(writer.bucket(b"x"), Err(WriteError::TooManyBuckets)));
}

#[test]
fn buckets_may_come_in_any_order() {
    let mut writer = BulkWriter::new(Cursor::new(Vec::new()), 4_096).unwrap();
    for name in [b"meta", b"auth", b"lock"] {
        let mut bucket = writer.bucket(name).unwrap();
        bucket.push(b"k", name).unwrap();
        bucket.end().unwrap();
    }
    let (file, _) = writer.finish().unwrap();
    let read = read_whole(file.get_ref()).unwrap();
    assert_eq!(read.keys().collect::<Vec<_>>(), [b"auth", b"lock", b"meta"]);
    assert_eq!(read[&b"lock"[..]][&b"k"[..]], b"lock");
}

/// Bytes of the rows themselves, as a page counts them.
fn content_bytes(buckets: &Buckets) -> usize {
    let rows = buckets.values().flatten();
    rows.map(|(key, value)| 16 + key.len() + value.len()).sum()
}

#[test]
fn leaves_are_filled() {
    for (bytes, fill_percent) in [(8, 95), (100, 95), (300, 95)] {
        let buckets = bucket("key", rows(vec![bytes; 20_000]));
        let (file, ..) = round_trip(4_096, &buckets);
        let percent = content_bytes(&buckets) * 100 / file.len();
        assert!(percent >= fill_percent, "values of {bytes} bytes fill {percent} %");
    }
}

#[test]
fn values_longer_than_a_page_share_their_pages() {
    // Three to two pages; a page each would waste a quarter, and bbolt puts two to two pages.
    let buckets = bucket("key", rows(vec![2_600; 300]));
    let (file, _, nodes) = round_trip(4_096, &buckets);
    assert_eq!(leaf_counts(&nodes).iter().filter(|(count, _)| *count == 3).count(), 100);
    assert!(file.len() < 210 * 4_096);
    // Two to three pages, not two to four.
    let (file, ..) = round_trip(4_096, &bucket("key", rows(vec![5_000; 300])));
    assert!(file.len() < 460 * 4_096);
}

/// Count and overflow of each leaf of a bucket in page order, that is in key order.
fn leaf_counts(nodes: &common::Nodes) -> Vec<(u32, u32)> {
    let mut leaves: Vec<_> = nodes
        .0
        .iter()
        .filter_map(|(page, node)| match node {
            Node::Leaf(leaf) if leaf.buckets.is_empty() => Some((*page, leaf.count, leaf.overflow)),
            _ => None,
        })
        .collect();
    leaves.sort_unstable();
    leaves.into_iter().map(|(_, count, overflow)| (count, overflow)).collect()
}

#[test]
fn no_page_but_the_last_leaf_has_a_single_element() {
    for (page_bytes, bytes) in [(1_024, 5), (1_024, 900), (1_024, 3_000), (4_096, 4_064)] {
        for count in 1..300 {
            let (.., nodes) = round_trip(page_bytes, &bucket("key", rows(vec![bytes; count])));
            let leaves = leaf_counts(&nodes);
            assert!(leaves.iter().rev().skip(1).all(|(count, _)| *count >= 2), "{leaves:?}");
            let is_sound = |node: &Node| match node {
                Node::Branch(branch) => branch.children.len() >= 2,
                _ => true,
            };
            assert!(nodes.0.values().all(is_sound), "{count} rows: {nodes:?}");
        }
    }
}

#[test]
fn the_longest_keys_make_branches_with_overflow() {
    let key = |index: u32| [&index.to_be_bytes()[..], &vec![7; KEY_BYTES_MAX - 4]].concat();
    let rows: Rows = (0..40).map(|index| (key(index), b"v".to_vec())).collect();
    let (.., nodes) = round_trip(1_024, &bucket("key", rows));
    let deep = nodes.0.values().filter(|node| matches!(node, Node::Branch(b) if b.overflow > 30));
    assert!(deep.count() > 10);
}

#[test]
fn values_up_to_the_longest_run_are_taken() {
    let longest = RUN_BYTES_MAX as usize - 16 - 16 - 17;
    let (_, _, nodes) = round_trip(65_536, &bucket("key", rows([10, longest, longest, 10, 10])));
    let leaves = leaf_counts(&nodes);
    assert_eq!(leaves.iter().map(|(count, _)| *count).collect::<Vec<_>>(), [1, 1, 1, 2]);

    let mut writer = BulkWriter::new(Cursor::new(Vec::new()), 4_096).unwrap();
    let mut bucket = writer.bucket(b"key").unwrap();
    let refused = bucket.push(&revision(1), &vec![0; longest + 1]).unwrap_err();
    let bytes = longest + 1 + 17;
    assert!(matches!(
        refused,
        WriteError::Row { row: 1, problem: RowProblem::TooLong { bytes: found }, .. } if found == bytes
    ));
}

#[test]
fn rows_that_do_not_belong_are_refused_and_named() {
    let mut writer = BulkWriter::new(Cursor::new(Vec::new()), 4_096).unwrap();
    let mut key = writer.bucket(b"key").unwrap();
    let problem = |error| match error {
        WriteError::Row { bucket, row, problem } => (bucket, row, problem),
        other => panic!("{other}"),
    };
    let named = |row, problem| ("key".to_owned(), row, problem);
    assert_eq!(problem(key.push(b"", b"v").unwrap_err()), named(1, RowProblem::EmptyKey));
    let long = vec![1; KEY_BYTES_MAX + 1];
    let too_long = RowProblem::KeyTooLong { bytes: long.len() };
    assert_eq!(problem(key.push(&long, b"v").unwrap_err()), named(1, too_long));
    key.push(b"b", &[1; 3_000]).unwrap();
    key.push(b"c", &[2; 3_000]).unwrap();
    key.push(b"d", &[3; 3_000]).unwrap();
    for wrong in [&b"d"[..], b"c", b"a", b"cz"] {
        assert_eq!(problem(key.push(wrong, b"").unwrap_err()), named(4, RowProblem::KeyOrder));
    }
    key.push(b"d0", b"").unwrap();
    assert_eq!(key.end().unwrap(), 4);
    let (file, _) = writer.finish().unwrap();
    let read = read_whole(file.get_ref()).unwrap();
    assert_eq!(read[&b"key"[..]].keys().collect::<Vec<_>>(), [&b"b"[..], b"c", b"d", b"d0"]);
}

#[test]
fn buckets_that_do_not_belong_are_refused_and_named() {
    let mut writer = BulkWriter::new(Cursor::new(Vec::new()), 4_096).unwrap();
    writer.bucket(b"auth").unwrap().end().unwrap();
    let twice = writer.bucket(b"auth").unwrap_err();
    assert_eq!(twice.to_string(), "bucket `auth` was written before");
    let unnamed = writer.bucket(b"").unwrap_err();
    assert!(matches!(unnamed, WriteError::BucketName { problem: RowProblem::EmptyKey, .. }));
    let _ = writer.bucket(b"key").unwrap();
    let left_open = writer.bucket(b"meta").unwrap_err();
    assert_eq!(left_open.to_string(), "bucket `key` was not ended");
    assert!(matches!(writer.finish(), Err(WriteError::BucketLeftOpen { name }) if name == "key"));
}

#[test]
fn page_sizes_are_those_that_are_read() {
    for page_bytes in [0, 512, 1_000, 131_072, u32::MAX] {
        let refused = BulkWriter::new(Cursor::new(Vec::new()), page_bytes);
        assert!(
            matches!(refused, Err(WriteError::PageSize { page_bytes: named }) if named == page_bytes)
        );
    }
}

/// A medium that is full after so many bytes, and counts how often it is asked to seek.
#[derive(Debug, Default)]
struct Medium {
    left: usize,
    at: u64,
    seeks: Vec<u64>,
}

impl Write for Medium {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let taken = bytes.len().min(self.left);
        self.left -= taken;
        self.at += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Medium {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let SeekFrom::Start(at) = to else { panic!("{to:?}") };
        self.seeks.push(at);
        self.at = at;
        Ok(at)
    }
}

#[test]
fn the_file_is_written_from_front_to_end_and_the_meta_pages_last() {
    let medium = Medium { left: usize::MAX, ..Medium::default() };
    let mut writer = BulkWriter::new(medium, 4_096).unwrap();
    let mut bucket = writer.bucket(b"key").unwrap();
    for main in 1..3_000 {
        bucket.push(&revision(main), &[1; 2_000]).unwrap();
    }
    bucket.end().unwrap();
    let (medium, laid) = writer.finish().unwrap();
    assert_eq!(medium.seeks, [0, 0, 4_096, laid.bytes]);
    assert_eq!(medium.at, laid.bytes);
}

#[test]
fn a_full_medium_is_an_error_and_stays_one() {
    let mut ends = [0; 3];
    for left in (0..4_000_000).step_by(90_001) {
        let mut writer = BulkWriter::new(Medium { left, ..Medium::default() }, 4_096).unwrap();
        let mut bucket = writer.bucket(b"key").unwrap();
        let pushed = (1..1_800).try_for_each(|main| bucket.push(&revision(main), &[1; 2_000]));
        if let Err(error) = pushed {
            let WriteError::Io { page, source } = error else { panic!("{error}") };
            assert!(page > 2 && source.kind() == io::ErrorKind::StorageFull);
            // The leaf at hand was lost, so nothing may come behind it.
            assert!(matches!(bucket.end(), Err(WriteError::AfterFailure)));
            assert!(matches!(writer.finish(), Err(WriteError::BucketLeftOpen { .. })));
            ends[0] += 1;
            continue;
        }
        bucket.end().unwrap();
        match writer.finish() {
            Err(WriteError::Io { .. }) => ends[1] += 1,
            Ok((_, laid)) => {
                assert!(laid.bytes <= left as u64);
                ends[2] += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(ends.iter().all(|count| *count > 0), "{ends:?}");
}

/// A value of up to several pages, from little: its length and its first byte.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![8 => 0..80_usize, 4 => 200..3_000_usize, 1 => 3_000..200_000_usize];
    (length, any::<u8>())
        .prop_map(|(length, first)| (0..length).map(|at| first.wrapping_add(at as u8)).collect())
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    let random = prop::collection::vec(any::<u8>(), 1..40);
    let long = (any::<u16>(), 1_000..3_000_usize)
        .prop_map(|(start, length)| [&start.to_be_bytes()[..], &vec![9; length]].concat());
    prop_oneof![8 => any::<u64>().prop_map(revision), 3 => random, 1 => long]
}

fn some_rows() -> impl Strategy<Value = Rows> {
    let few = prop::collection::btree_map(key(), value(), 0..6);
    let some = prop::collection::btree_map(key(), value(), 0..200);
    let many = (1..4_000_u64, 0..300_usize)
        .prop_map(|(count, bytes)| rows((0..count).map(|main| bytes + (main * 7 % 90) as usize)));
    prop_oneof![2 => Just(Rows::new()), 4 => few, 4 => some, 1 => many]
}

fn page_size() -> impl Strategy<Value = u32> {
    prop::sample::select(vec![1_024, 4_096, 4_096, 16_384, 65_536])
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 96,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_written_is_proved_and_reads_back(
        page_bytes in page_size(),
        buckets in prop::collection::btree_map(
            prop::collection::vec(any::<u8>(), 1..20), some_rows(), 0..12),
    ) {
        round_trip(page_bytes, &buckets);
    }
}
