//! The random-access reader: what it reads of sound files, how much it reads for that, and that any
//! damage ends in an error or in an end, in bounded steps.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that meets the unexpected shall fail"
)]

mod common;

use std::collections::BTreeMap;
use std::io::{Seek, SeekFrom, Write};

use common::{Buckets, Counted, Rows, prove_whole, read, seal_meta, write};
use lifeboat_bbolt::limits::{DEPTH_MAX, PAGES_MAX};
use lifeboat_bbolt::{BboltError, Database, Problem, ReadError};
use proptest::prelude::*;

const PAGE: usize = 1_024;
const LEAF: u16 = 2;
const BRANCH: u16 = 1;

// === Files made by hand =======================================================

fn header(id: u64, flags: u16, count: u16, overflow: u32) -> Vec<u8> {
    let (flags, count) = (flags.to_le_bytes(), count.to_le_bytes());
    [&id.to_le_bytes()[..], &flags, &count, &overflow.to_le_bytes()].concat()
}

/// A page of elements, each of them the words before and behind the position, and its content.
fn page(id: u64, flags: u16, elements: &[(Vec<u32>, Vec<u32>, Vec<u8>)]) -> Vec<u8> {
    let (mut table, mut body) = (Vec::new(), Vec::new());
    for (index, (before, behind, content)) in elements.iter().enumerate() {
        let position = (16 * (elements.len() - index) + body.len()) as u32;
        let words = before.iter().chain([&position]).chain(behind);
        table.extend(words.flat_map(|word| word.to_le_bytes()));
        body.extend_from_slice(content);
    }
    let mut page = [header(id, flags, elements.len() as u16, 0), table, body].concat();
    page.resize(page.len().next_multiple_of(PAGE), 0);
    page
}

fn leaf_of(id: u64, flag: u32, rows: &[(&str, &[u8])]) -> Vec<u8> {
    let element = |(key, value): &(&str, &[u8])| {
        let lengths = vec![key.len() as u32, value.len() as u32];
        (vec![flag], lengths, [key.as_bytes(), value].concat())
    };
    page(id, LEAF, &rows.iter().map(element).collect::<Vec<_>>())
}

fn leaf(id: u64, keys: &[&str]) -> Vec<u8> {
    leaf_of(id, 0, &keys.iter().map(|key| (*key, &b"value"[..])).collect::<Vec<_>>())
}

fn branch(id: u64, children: &[(&str, u64)]) -> Vec<u8> {
    let element = |(key, child): &(&str, u64)| {
        let words = vec![key.len() as u32, *child as u32, (child >> 32) as u32];
        (Vec::new(), words, key.as_bytes().to_vec())
    };
    page(id, BRANCH, &children.iter().map(element).collect::<Vec<_>>())
}

fn metas(high_water: u64) -> Vec<u8> {
    let meta = |id: u64| {
        let narrow = [0xED0C_DAED, 2, PAGE as u32, 0].map(u32::to_le_bytes).concat();
        let wide = [2, 0, u64::MAX, high_water, 8 - id].map(u64::to_le_bytes).concat();
        let mut page = [header(id, 4, 0, 0), narrow, wide].concat();
        page.resize(PAGE, 0);
        seal_meta(&mut page);
        page
    };
    [meta(0), meta(1)].concat()
}

/// A root bucket on page 2 with the bucket `b` on page 3, and these pages from 3 on.
fn file(pages: &[Vec<u8>]) -> Vec<u8> {
    let bucket = [3_u64.to_le_bytes(), [0; 8]].concat();
    let root = leaf_of(2, 1, &[("b", &bucket)]);
    let body = [root, pages.concat()].concat();
    [metas(2 + (body.len() / PAGE) as u64), body].concat()
}

/// Keys of bucket `b`, as far as they are handed out, and how it ended.
fn keys(file: &[u8]) -> (Vec<String>, Result<(), ReadError>) {
    let mut found = Vec::new();
    let mut walk = || {
        let database = Database::open(file, file.len() as u64)?;
        let mut rows = database.rows(b"b")?.unwrap();
        let ended = loop {
            match rows.next_row() {
                Ok(Some((key, _))) => found.push(String::from_utf8_lossy(key).into_owned()),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        assert!(rows.next_row().unwrap().is_none(), "rows behind the end");
        ended
    };
    let ended = walk();
    (found, ended)
}

/// The walk ends at this page for this reason, after so many rows.
fn refuses(file: &[u8], rows: usize, page: u64, problem: Problem) {
    let (found, ended) = keys(file);
    match ended {
        Err(ReadError::Refused(BboltError::Structure { page: at, problem: found })) => {
            assert_eq!((at, found), (page, problem));
        }
        other => panic!("{other:?}, expected page {page}: {problem}"),
    }
    assert_eq!(found.len(), rows, "{found:?}");
}

// === Sound files ==============================================================

#[test]
fn rows_come_in_key_order_over_all_levels() {
    let sound = file(&[
        branch(3, &[("a", 6), ("m", 4)]),
        branch(4, &[("m", 8), ("x", 5)]),
        leaf(5, &["x", "y"]),
        branch(6, &[("a", 9), ("c", 7)]),
        leaf(7, &["d", "lzz"]),
        leaf(8, &["n"]),
        leaf(9, &["a", "b"]),
    ]);
    prove_whole(&sound).unwrap();
    let (found, ended) = keys(&sound);
    ended.unwrap();
    assert_eq!(found, ["a", "b", "d", "lzz", "n", "x", "y"]);
}

#[test]
fn an_empty_leaf_is_passed_over() {
    let sound = file(&[branch(3, &[("a", 4), ("m", 5)]), leaf(4, &[]), leaf(5, &["m"])]);
    assert_eq!(keys(&sound).0, ["m"]);
    assert!(keys(&file(&[leaf(3, &[])])).1.is_ok());
}

#[test]
fn a_bucket_that_is_not_there_is_none() {
    let sound = file(&[leaf(3, &["k"])]);
    let database = Database::open(&sound[..], sound.len() as u64).unwrap();
    assert!(database.rows(b"c").unwrap().is_none());
    assert!(database.rows(b"").unwrap().is_none());
    assert_eq!(database.bucket_names().unwrap(), [b"b"]);
    assert_eq!(database.meta().high_water, 4);
}

fn etcd_like(rows: u64, value_bytes: usize) -> Buckets {
    let key = |main: u64| [&main.to_be_bytes()[..], b"_", &[0; 8]].concat();
    let rows: Rows = (1..=rows).map(|main| (key(main), vec![main as u8; value_bytes])).collect();
    BTreeMap::from([(b"alarm".to_vec(), Rows::new()), (b"key".to_vec(), rows)])
}

#[test]
fn a_file_on_disk_is_read_and_may_be_longer_than_its_pages() {
    let buckets = etcd_like(500, 700);
    let bytes = write(4_096, &buckets);
    let mut disk = tempfile::tempfile().unwrap();
    disk.write_all(&bytes).unwrap();
    disk.write_all(&[9; 5_000]).unwrap();
    disk.seek(SeekFrom::Start(77)).unwrap();
    let len = bytes.len() as u64;
    assert_eq!(read(&disk, len).unwrap(), buckets);
    assert_eq!(read(&disk, len + 5_000).unwrap(), buckets);
    assert_eq!(disk.stream_position().unwrap(), 77);
}

#[test]
fn consecutive_pages_are_read_together_and_once() {
    for value_bytes in [100, 1_500, 6_000, 100_000] {
        let buckets = etcd_like(20_000_000 / (value_bytes + 400) as u64, value_bytes);
        let bytes = write(4_096, &buckets);
        let source = Counted::new(&bytes);
        assert_eq!(read(&source, bytes.len() as u64).unwrap(), buckets);
        let (reads, bytes_read) = (source.reads.get(), source.bytes_read.get());
        let len = bytes.len() as u64;
        assert!(bytes_read < len * 11 / 10 + 300_000, "{bytes_read} bytes of {len}");
        let reads_max = 10 + len / (100 << 10);
        let runs_max = 2 * 20_000_000 / (value_bytes as u64 + 400);
        assert!(reads < reads_max.max(runs_max.min(len / 100_000 * 3)), "{reads} reads of {len}");
        assert!(source.longest.get() <= 256 << 10);
    }
}

/// Puts every page elsewhere, and mends what points at it.
fn shuffled(bytes: &[u8], page_bytes: usize) -> Vec<u8> {
    let pages = (bytes.len() / page_bytes) as u64;
    // Multiplying by a number without a common divisor permutes; pages 0 to 2 stay.
    let stride = (pages - 3) * 2 / 3;
    let stride = (stride..).find(|stride| gcd(*stride, pages - 3) == 1).unwrap();
    let place = |id: u64| if id < 3 { id } else { 3 + (id - 3) * stride % (pages - 3) };
    let mut moved = vec![0; bytes.len()];
    for (id, page) in (0..).zip(bytes.chunks(page_bytes)) {
        let mut page = page.to_vec();
        page[..8].copy_from_slice(&place(id).to_le_bytes());
        let count = usize::from(u16::from_le_bytes([page[10], page[11]]));
        assert_eq!(page[12..16], [0; 4]);
        let mut mend = |at: usize| {
            let child = u64::from_le_bytes(page[at..at + 8].try_into().unwrap());
            page[at..at + 8].copy_from_slice(&place(child).to_le_bytes());
        };
        match bytes[id as usize * page_bytes + 8] {
            1 => (0..count).for_each(|index| mend(16 + 16 * index + 8)),
            4 => {
                mend(16 + 16);
                seal_meta(&mut page);
            }
            _ => {
                for index in 0..count {
                    let at = 16 + 16 * index;
                    let word = |at: usize| u32::from_le_bytes(page[at..at + 4].try_into().unwrap());
                    let (flags, value) = (word(at), at + (word(at + 4) + word(at + 8)) as usize);
                    if flags == 1 && page[value..value + 8] != [0; 8] {
                        let mut page_of = |at: usize| {
                            let child = u64::from_le_bytes(page[at..at + 8].try_into().unwrap());
                            page[at..at + 8].copy_from_slice(&place(child).to_le_bytes());
                        };
                        page_of(value);
                    }
                }
            }
        }
        let start = place(id) as usize * page_bytes;
        moved[start..start + page_bytes].copy_from_slice(&page);
    }
    moved
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[test]
fn scattered_pages_are_read_once_each() {
    let buckets = etcd_like(20_000, 900);
    let bytes = shuffled(&write(4_096, &buckets), 4_096);
    prove_whole(&bytes).unwrap();
    let source = Counted::new(&bytes);
    assert_eq!(read(&source, bytes.len() as u64).unwrap(), buckets);
    let (pages, read) = (bytes.len() as u64 / 4_096, source.bytes_read.get() / 4_096);
    assert!(read < pages * 12 / 10 + 100, "{read} pages read of {pages}");
}

// === Damage, one kind each ====================================================

#[test]
fn each_page_is_checked_when_it_is_reached() {
    let mut other_id = leaf(4, &["n"]);
    other_id[0] = 9;
    let tree = |second: Vec<u8>| file(&[branch(3, &[("a", 5), ("m", 4)]), second, leaf(5, &["a"])]);
    refuses(&tree(other_id), 1, 4, Problem::WrongId);
    refuses(&tree(leaf(4, &["b"])), 1, 4, Problem::OutsideParentRange);
    refuses(&tree(leaf(4, &["n", "n"])), 1, 4, Problem::KeyOrder { index: 1 });
    refuses(&tree(leaf(4, &["m", ""])), 1, 4, Problem::EmptyKey { index: 1 });
    refuses(&tree(branch(4, &[])), 1, 4, Problem::EmptyBranch);
    refuses(&tree(branch(4, &[("l", 5)])), 1, 4, Problem::OutsideParentRange);
    let deeper = tree(branch(4, &[("m", 5)]));
    refuses(&deeper, 1, 5, Problem::UnequalDepth { expected: 1, found: 2 });
    refuses(&tree(leaf_of(4, 1, &[("m", &[0; 16])])), 1, 4, Problem::NestedBucket);
    refuses(&tree(leaf_of(4, 2, &[("m", b"")])), 1, 4, Problem::ElementFlags { index: 0 });
    refuses(&tree(page(4, 4, &[])), 1, 4, Problem::WrongType);
    refuses(&tree(page(4, 16, &[])), 1, 4, Problem::WrongType);
    refuses(&tree(page(4, 3, &[])), 1, 4, Problem::UnknownType);
    // The first page is bad although its first row is not: no row of it is handed out.
    let late = file(&[leaf(3, &["a", "c", "b"])]);
    refuses(&late, 0, 3, Problem::KeyOrder { index: 2 });
    let upper = file(&[branch(3, &[("a", 4), ("m", 5)]), leaf(4, &["a", "m"]), leaf(5, &["n"])]);
    refuses(&upper, 0, 4, Problem::OutsideParentRange);
}

#[test]
fn the_root_bucket_holds_buckets_only() {
    let mut rows = file(&[]);
    rows[2 * PAGE + 16] = 0;
    refuses(&rows, 0, 2, Problem::RootElement);
    let mut nothing = file(&[]);
    nothing[2 * PAGE + 8] = 16;
    refuses(&nothing, 0, 2, Problem::WrongType);
}

#[test]
fn pages_outside_the_file_are_named() {
    refuses(&file(&[]), 0, 3, Problem::PageBeyondFile { high_water: 3 });
    let far = file(&[branch(3, &[("a", u64::MAX)])]);
    refuses(&far, 0, u64::MAX, Problem::PageBeyondFile { high_water: 4 });
    refuses(&file(&[branch(3, &[("a", 0)])]), 0, 0, Problem::WrongType);
    // What is read ahead of time is not read from behind the end.
    let next = file(&[branch(3, &[("a", 4), ("m", 5)]), leaf(4, &["a"])]);
    refuses(&next, 1, 5, Problem::PageBeyondFile { high_water: 5 });
}

#[test]
fn a_medium_that_fails_is_named_with_the_page() {
    let sound = file(&[branch(3, &[("a", 4), ("m", 130)]), leaf(4, &["a"])]);
    let long = [sound, vec![0; 125 * PAGE], leaf(130, &["m"])].concat();
    let long = [metas(131), long[2 * PAGE..].to_vec()].concat();
    assert_eq!(keys(&long).0, ["a", "m"]);
    // The source ends early, against what it was said to hold.
    let database = Database::open(&long[..129 * PAGE], long.len() as u64).unwrap();
    let mut rows = database.rows(b"b").unwrap().unwrap();
    assert_eq!(rows.next_row().unwrap().unwrap().0, b"a");
    assert!(matches!(rows.next_row(), Err(ReadError::Io { page: 130, .. })));
    assert!(rows.next_row().unwrap().is_none());
}

#[test]
fn a_file_cut_short_is_truncated() {
    let bytes = write(1_024, &etcd_like(50, 100));
    for len in 0..bytes.len() as u64 {
        let error = Database::open(&bytes[..len as usize], len).unwrap_err();
        let ReadError::Refused(BboltError::Truncated { expected, found }) = error else {
            panic!("{len} bytes: {error}");
        };
        assert!(expected > found && found == len);
    }
    let noise = Database::open(&[7_u8; 200_000][..], 200_000).unwrap_err();
    assert!(matches!(noise, ReadError::Refused(BboltError::NotADatabase { .. })));
}

// === Hostile files ============================================================

/// The walk ends in an error, having read no more than a few times the file.
fn ends_soon(file: &[u8]) -> ReadError {
    let source = Counted::new(file);
    let error = read(&source, file.len() as u64).unwrap_err();
    let read = source.bytes_read.get();
    assert!(read <= 6 * file.len() as u64 + (128 << 10), "{read} bytes read of {}", file.len());
    assert!(source.longest.get() <= file.len());
    error
}

#[test]
fn f49_pages_that_lead_to_themselves_end() {
    let itself = file(&[branch(3, &[("a", 3)])]);
    assert_eq!(ends_soon(&itself).to_string(), "page 3: the page is referenced twice");
    let two = file(&[branch(3, &[("a", 4)]), branch(4, &[("a", 3)])]);
    assert_eq!(ends_soon(&two).to_string(), "page 4: the page is referenced twice");
    let root = file(&[branch(3, &[("a", 2)])]);
    assert!(matches!(ends_soon(&root), ReadError::Refused(BboltError::Structure { page: 2, .. })));
    // In a long file the depth ends it.
    let long: Vec<_> = (3..100).map(|id| branch(id, &[("a", 3)])).collect();
    assert_eq!(ends_soon(&file(&long)).to_string(), "page 3: the tree is deeper than 32 levels");
}

#[test]
fn f49_a_chain_of_branches_has_a_greatest_length() {
    let chain = |levels: u64| {
        let branches = (3..3 + levels).map(|id| branch(id, &[("a", id + 1)]));
        file(&branches.chain([leaf(3 + levels, &["a"])]).collect::<Vec<_>>())
    };
    let deepest = DEPTH_MAX as u64;
    assert_eq!(keys(&chain(deepest)).0, ["a"]);
    refuses(&chain(deepest + 1), 0, 3 + deepest, Problem::TooDeep);
    refuses(&chain(5_000), 0, 3 + deepest, Problem::TooDeep);
}

#[test]
fn f49_one_empty_leaf_for_every_child_ends() {
    // An empty leaf is within any bounds, so only the number of pages stops it.
    let names: Vec<String> = (0..30).map(|index| format!("{index:02}")).collect();
    let children: Vec<_> = names.iter().map(|name| (&**name, 4)).collect();
    let shared = file(&[branch(3, &children), leaf(4, &[])]);
    assert_eq!(ends_soon(&shared).to_string(), "page 4: the page is referenced twice");
}

#[test]
fn f49_giant_counts_and_lengths_in_a_page_are_refused() {
    let (sound_leaf, sound_branch) = (leaf(3, &["a", "b"]), branch(3, &[("a", 4)]));
    let words = [0x7FFF_FFFF_u32, 0x8000_0000, u32::MAX, u32::MAX - 15, 1_024, 0xFFFF];
    for sound in [sound_leaf, sound_branch] {
        let mut counted = sound.clone();
        counted[10..12].copy_from_slice(&u16::MAX.to_le_bytes());
        let problem = Problem::TableOutsidePage { count: u16::MAX };
        refuses(&file(&[counted]), 0, 3, problem);
        for word in words {
            let mut overflowing = sound.clone();
            overflowing[12..16].copy_from_slice(&word.to_le_bytes());
            refuses(&file(&[overflowing]), 0, 3, Problem::RunBeyondFile);
            for at in [16, 20, 24, 28] {
                let mut forged = sound.clone();
                forged[at..at + 4].copy_from_slice(&word.to_le_bytes());
                ends_soon(&file(&[forged]));
            }
        }
    }
}

#[test]
fn f49_runs_beyond_the_limits_are_refused_before_they_are_read() {
    let pages = (65 << 20) / PAGE as u32;
    for (flags, overflow) in [(LEAF, pages - 2), (BRANCH, 1_024)] {
        let mut sparse = file(&[[header(3, flags, 0, overflow), vec![0; PAGE - 16]].concat()]);
        sparse.resize(pages as usize * PAGE + 3 * PAGE, 0);
        let len = sparse.len() as u64;
        sparse[..2 * PAGE].copy_from_slice(&metas(len / PAGE as u64));
        let source = Counted::new(&sparse);
        let error = read(&source, len).unwrap_err();
        assert!(error.to_string().contains("longer than the limit"), "{error}");
        assert!(source.bytes_read.get() < 1 << 20);
    }
}

#[test]
fn f49_lengths_of_two_to_the_63_are_refused() {
    let body = file(&[leaf(3, &["a"])])[2 * PAGE..].to_vec();
    for high_water in [1 << 63, u64::MAX, (1 << 63) / PAGE as u64, PAGES_MAX + 1] {
        let forged = [metas(high_water), body.clone()].concat();
        for len in [forged.len() as u64, 1 << 63, u64::MAX] {
            let padded = [&forged[..], &vec![0; 200_000]].concat();
            let error = Database::open(&padded[..], len).unwrap_err();
            let expected = BboltError::TooManyPages { pages: high_water };
            assert!(matches!(error, ReadError::Refused(found) if found == expected), "{error}");
        }
    }
    // A length that only the caller believes in.
    let sound = file(&[leaf(3, &["a"])]);
    for len in [1 << 63, u64::MAX] {
        assert!(matches!(Database::open(&sound[..], len), Err(ReadError::Io { page: 0, .. })));
    }
    let at_limit = [metas(PAGES_MAX), body].concat();
    let error = Database::open(&at_limit[..], at_limit.len() as u64).unwrap_err();
    assert!(matches!(error, ReadError::Refused(BboltError::Truncated { .. })));
}

#[test]
fn f49_inline_buckets_are_checked_like_pages() {
    let bucket = |inline: &[u8]| {
        let value = [&[0; 16][..], inline].concat();
        [metas(3), leaf_of(2, 1, &[("b", &value)])].concat()
    };
    let inline = |flags, count, overflow, rest: &[u8]| {
        bucket(&[&header(0, flags, count, overflow)[..], rest].concat())
    };
    let row = [[0_u32, 16, 1, 0].map(u32::to_le_bytes).concat(), b"k".to_vec()].concat();
    assert_eq!(keys(&inline(LEAF, 1, 0, &row)).0, ["k"]);
    assert_eq!(keys(&inline(LEAF, 0, 0, &[])).0, [""; 0]);
    let no_header = Problem::BucketHeader { index: 0 };
    refuses(&bucket(&[]), 0, 2, no_header);
    refuses(&inline(BRANCH, 1, 0, &row), 0, 2, no_header);
    refuses(&inline(LEAF, 1, 9, &row), 0, 2, no_header);
    let giant = Problem::TableOutsidePage { count: u16::MAX };
    refuses(&inline(LEAF, u16::MAX, 0, &row), 0, 2, giant);
    let outside = Problem::ElementOutsidePage { index: 0 };
    refuses(&inline(LEAF, 1, 0, &row[..16]), 0, 2, outside);
    let nested = [[1_u32, 16, 1, 0].map(u32::to_le_bytes).concat(), b"k".to_vec()].concat();
    refuses(&inline(LEAF, 1, 0, &nested), 0, 2, Problem::NestedBucket);
}

// === Random damage ============================================================

/// One change to a file.
#[derive(Debug, Clone)]
enum Change {
    /// Other bytes anywhere.
    Bytes {
        at: usize,
        bytes: Vec<u8>,
    },
    /// A number that is odd for its place, in the header or the first elements of a page.
    Field {
        page: usize,
        at: usize,
        number: u64,
        width: usize,
    },
    /// A page's content at another place, under the number of that place.
    Copy {
        from: usize,
        to: usize,
    },
    Cut {
        at: usize,
    },
}

fn change() -> impl Strategy<Value = Change> {
    let number = prop_oneof![
        0..20_u64,
        Just(u64::MAX),
        Just(1 << 63),
        Just(u64::from(u32::MAX)),
        Just(0xFFFF),
        any::<u64>(),
    ];
    let width = prop::sample::select(vec![1, 2, 4, 8]);
    let bytes = prop::collection::vec(any::<u8>(), 1..9);
    prop_oneof![
        2 => (any::<usize>(), bytes).prop_map(|(at, bytes)| Change::Bytes { at, bytes }),
        6 => (any::<usize>(), 0..120_usize, number, width).prop_map(
            |(page, at, number, width)| Change::Field { page, at, number, width }),
        3 => (any::<usize>(), any::<usize>()).prop_map(|(from, to)| Change::Copy { from, to }),
        1 => any::<usize>().prop_map(|at| Change::Cut { at }),
    ]
}

fn apply(file: &mut Vec<u8>, change: &Change, page_bytes: usize) {
    let pages = file.len() / page_bytes;
    let start_of = |page: usize| page % pages.max(1) * page_bytes;
    let mut put = |at: usize, bytes: &[u8]| {
        for (found, byte) in file.iter_mut().skip(at).zip(bytes) {
            *found = *byte;
        }
    };
    match change {
        Change::Bytes { at, bytes } => put(at % (pages * page_bytes).max(1), bytes),
        Change::Field { page, at, number, width } => {
            put(start_of(*page) + at, &number.to_le_bytes()[..*width]);
        }
        Change::Copy { from, to } => {
            let (from, to) = (start_of(*from), start_of(*to));
            if from + page_bytes <= file.len() && to + page_bytes <= file.len() {
                file.copy_within(from + 8..from + page_bytes, to + 8);
            }
        }
        Change::Cut { at } => file.truncate(file.len() - at % (file.len() / 8).max(1)),
    }
}

/// Reads as much as there is, and checks that rows ascend and steps are bounded.
fn read_what_is_there(file: &[u8]) -> Result<(), ReadError> {
    let source = Counted::new(file);
    let database = Database::open(&source, file.len() as u64)?;
    let names = database.bucket_names()?;
    assert!(names.is_sorted_by(|a, b| a < b));
    let mut outcome = Ok(());
    for name in names {
        let before = source.bytes_read.get();
        let mut bytes = 0;
        let mut previous = Vec::new();
        match database.rows(&name) {
            Err(error) => outcome = Err(error),
            Ok(None) => panic!("a listed bucket is not there"),
            Ok(Some(mut rows)) => loop {
                match rows.next_row() {
                    Ok(None) => break,
                    Err(error) => {
                        outcome = Err(error);
                        break;
                    }
                    Ok(Some((key, value))) => {
                        assert!(key > &previous[..], "keys do not ascend");
                        previous = key.to_vec();
                        bytes += 16 + key.len() + value.len();
                    }
                }
            },
        }
        assert!(bytes <= file.len(), "more rows than the file has room for");
        let read = source.bytes_read.get() - before;
        assert!(read <= 8 * file.len() as u64, "{read} bytes read of {}", file.len());
    }
    outcome
}

fn small_database() -> impl Strategy<Value = (u32, Vec<u8>)> {
    let row = (prop::collection::vec(any::<u8>(), 1..12), 0..700_usize, any::<u8>());
    let rows = prop::collection::vec(row, 0..60).prop_map(|rows| {
        rows.into_iter().map(|(key, length, byte)| (key, vec![byte; length])).collect::<Rows>()
    });
    let buckets = prop::collection::btree_map(prop::collection::vec(any::<u8>(), 1..6), rows, 1..5);
    (prop::sample::select(vec![1_024_u32, 4_096]), buckets)
        .prop_map(|(page_bytes, buckets)| (page_bytes, write(page_bytes, &buckets)))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1_500,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn f49_any_damage_ends_in_an_error_or_in_an_end(
        (page_bytes, mut file) in small_database(),
        changes in prop::collection::vec(change(), 1..5),
        seals in any::<bool>(),
    ) {
        let page_bytes = page_bytes as usize;
        for change in &changes {
            apply(&mut file, change, page_bytes);
        }
        if seals {
            file.chunks_exact_mut(page_bytes).take(2).for_each(seal_meta);
        }
        let read = read_what_is_there(&file);
        if prove_whole(&file).is_ok() {
            prop_assert!(read.is_ok(), "{read:?} of a file that is proved");
        }
    }

    #[test]
    fn f49_any_bytes_end_in_an_error_or_in_an_end(
        pages in prop::collection::vec(
            (0..4_u16, 0..6_u16, 0..3_u32, prop::collection::vec(any::<u8>(), 0..64)), 1..12),
    ) {
        let pages: Vec<_> = (3..)
            .zip(pages)
            .map(|(id, (flags, count, overflow, content))| {
                let mut page = [header(id, flags, count, overflow), content].concat();
                page.resize(PAGE, 0);
                page
            })
            .collect();
        let file = file(&pages);
        let read = read_what_is_there(&file);
        if prove_whole(&file).is_ok() {
            prop_assert!(read.is_ok(), "{read:?} of a file that is proved");
        }
    }
}
