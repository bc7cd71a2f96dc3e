//! Whole snapshots: damaged where the choices say, then sealed again, so that the damage is met
//! by the check that is there for it and not by the digest.
//!
//! Held to: a plain recursive reader without any checks reads what was accepted, and computes the
//! same status hash, counts and HashKV, and the reader at random the same rows; whatever was not
//! accepted, the reader at random comes to an end of; neither chunks nor budgets change the verdict.

use crate::choices::{Choices, STRUCTURED};
use crate::model::history::{self, ModelRow, Shape};
use crate::model::writer::{self, Bucket, Layout};
use crate::model::{Rng, oracle, seal};
use bbolt::{Database, ReadError, fnv1a64};
use lifeboat_snapshot::{
    ErrorClass, Expectations, KeyValue, Options, Report, RowKey, TRAILER_BYTES, Verifier,
    VerifyError,
};
use std::sync::OnceLock;

const CHUNK_BYTES: usize = 32 << 10;
const CHANGES_MAX: usize = 8;
const ROWS_MAX: usize = 12;
const NEVER_COMPACTED: i64 = -1;
/// Bytes of a meta page that its checksum covers, and where they begin.
const META_AT: usize = 16;
const META_CHECKED_BYTES: usize = 56;

/// The verdict on a snapshot that arrives in pieces of so many bytes.
///
/// # Errors
/// Those of [`Verifier`].
pub fn verify(snapshot: &[u8], chunk: usize, options: Options) -> Result<Report, VerifyError> {
    let mut verifier = Verifier::new(options);
    for piece in snapshot.chunks(chunk.max(1)) {
        verifier.update(piece)?;
    }
    verifier.finish(&Expectations::default())
}

/// Any bytes as a snapshot; choices as damage to a sound one.
pub fn snapshot(input: &[u8]) {
    if Choices::of(input).is_none() {
        return judge(input, CHUNK_BYTES);
    }
    let damaged = damaged_snapshot(input);
    // The last byte of the input says how the snapshot arrives.
    let chunk = 1 + usize::from(input.last().copied().unwrap_or(0)) * 97;
    judge(&damaged, chunk);
}

/// Records of the `key` bucket, each chosen, in a database that is sound otherwise. Input that is
/// no list of choices is one record's value, and decoded by itself.
pub fn mvcc_records(input: &[u8]) {
    let Some(mut choices) = Choices::of(input) else {
        return one_record(input);
    };
    let mut rows = Vec::new();
    let (mut main, mut sub) = (1_i64, 0_u64);
    for _ in 0..ROWS_MAX {
        if choices.is_done() {
            break;
        }
        (main, sub) = match choices.byte() % 8 {
            0 => (main, sub.wrapping_add(1)),
            1 => (choices.odd_number().cast_signed(), choices.odd_number()),
            _ => (main.saturating_add(1), 0),
        };
        rows.push(chosen_row(&mut choices, main, sub));
    }
    rows.sort_by_key(ModelRow::row_key);
    rows.dedup_by_key(|row| row.row_key());
    let mut entries: Vec<_> = rows.iter().map(|row| (row.row_key(), row.value.clone())).collect();
    if choices.one_in(6) {
        entries.push((choices.bytes(20).to_vec(), Vec::new()));
        entries.retain(|(key, _)| !key.is_empty());
        entries.sort();
        entries.dedup_by(|a, b| a.0 == b.0);
    }
    let buckets = vec![(b"key".to_vec(), entries), (b"meta".to_vec(), chosen_meta(&mut choices))];
    let database = writer::write(&Layout::plain(1024), &mut Rng(1), &buckets);
    judge(&seal(&database), CHUNK_BYTES);
}

fn one_record(value: &[u8]) {
    if let Some(kv) = KeyValue::decode(value) {
        // What was read can be written, and is then read as the same.
        let mut again =
            history::put(kv.key, kv.create_revision, kv.mod_revision, kv.version, kv.value);
        again.push(0x30);
        again.extend_from_slice(&varint(kv.lease.cast_unsigned()));
        let known = KeyValue { has_unknown_fields: false, ..kv };
        assert_eq!(KeyValue::decode(&again), Some(known));
        assert!(kv.key.len() + kv.value.len() <= value.len());
    }
    if let Some(row_key) = RowKey::parse(value) {
        let mark: &[u8] = if row_key.is_tombstone { b"t" } else { b"" };
        let (main, sub) = (row_key.revision.main, u64::from(row_key.revision.sub));
        let again = [&main.to_be_bytes()[..], b"_", &sub.to_be_bytes(), mark].concat();
        assert_eq!(again, value);
    }
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
    out
}

fn chosen_row(choices: &mut Choices<'_>, main: i64, sub: u64) -> ModelRow {
    let key = vec![b'k', choices.byte() % 4];
    let is_tombstone = choices.one_in(5);
    let mut value = if is_tombstone {
        history::tombstone(&key)
    } else {
        let mut odd = |usual: i64| match choices.byte() % 8 {
            0 => choices.odd_number().cast_signed(),
            _ => usual,
        };
        let (create, modified, version) = (odd(main), odd(main), odd(1));
        history::put(&key, create, modified, version, choices.bytes(200))
    };
    match choices.byte() % 12 {
        0 => value = choices.bytes(40).to_vec(),
        1 => value.extend_from_slice(choices.bytes(12)),
        2 => value.truncate(choices.below(value.len() + 1)),
        _ => {}
    }
    ModelRow { main, sub, key, is_tombstone, value }
}

fn chosen_meta(choices: &mut Choices<'_>) -> writer::Rows {
    let mut meta = vec![(b"consistent_index".to_vec(), 7_u64.to_be_bytes().to_vec())];
    if choices.one_in(3) {
        let main = choices.odd_number();
        let mut value = [&main.to_be_bytes()[..], b"_", &[0; 8]].concat();
        value.truncate(17 - choices.of_slice(&[0, 0, 0, 1, 9]));
        meta.push((b"finishedCompactRev".to_vec(), value));
    }
    meta
}

/// Sound databases of different layouts, each with its digest behind it.
pub fn sound_snapshots() -> Vec<Vec<u8>> {
    bases().iter().map(|database| seal(database)).collect()
}

/// What the choices of a structured input make of a sound snapshot.
///
/// # Panics
/// When the input does not begin with [`STRUCTURED`].
pub fn damaged_snapshot(input: &[u8]) -> Vec<u8> {
    assert_eq!(input.first(), Some(&STRUCTURED));
    let mut choices = Choices::new(&input[1..]);
    let mut damaged = Damaged { file: bases()[choices.below(bases().len())].clone() };
    for _ in 0..CHANGES_MAX {
        if choices.is_done() {
            break;
        }
        damaged.change(&mut choices);
    }
    damaged.seal_metas();
    seal(&damaged.file)
}

fn bases() -> &'static [Vec<u8>] {
    static BASES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    BASES.get_or_init(|| (0..6).map(base).collect())
}

fn base(number: usize) -> Vec<u8> {
    let rng = &mut Rng(number as u64);
    let shape = Shape { transactions: 40 + 30 * number, keys: 12, value_bytes_max: 900 };
    let full = history::random(rng, &shape);
    let last = full.last().map_or(1, |row| row.main);
    let compact = if number.is_multiple_of(2) { NEVER_COMPACTED } else { last / 2 };
    let rows = if compact > 0 { history::compact(&full, compact, true) } else { full };
    let layout = Layout {
        page_bytes: [1024, 4096][number % 2],
        elements_max: [3, 8, usize::MAX][number % 3],
        free_run_max: [0, 3][number % 2],
        stores_freelist: number % 3 == 1,
        inlines: number % 4 != 3,
    };
    writer::write(&layout, rng, &buckets(&rows, compact))
}

fn buckets(rows: &[ModelRow], compact: i64) -> Vec<Bucket> {
    let text = |key: &str, value: &[u8]| (key.as_bytes().to_vec(), value.to_vec());
    let mut meta = vec![text("consistent_index", &77_u64.to_be_bytes())];
    if compact > 0 {
        let revision = [&compact.to_be_bytes()[..], b"_", &[0; 8]].concat();
        meta.push(text("finishedCompactRev", &revision));
    }
    meta.push(text("term", &5_u64.to_be_bytes()));
    vec![
        (b"alarm".to_vec(), Vec::new()),
        (b"auth".to_vec(), vec![text("authEnabled", b"\x01")]),
        (b"cluster".to_vec(), vec![text("clusterVersion", b"3.6.0")]),
        (b"key".to_vec(), rows.iter().map(|row| (row.row_key(), row.value.clone())).collect()),
        (b"lease".to_vec(), (0..9_u64).map(|id| (id.to_be_bytes().to_vec(), vec![1])).collect()),
        (b"members".to_vec(), vec![text("8e9e05c52164694d", br#"{"id":1}"#)]),
        (b"meta".to_vec(), meta),
    ]
}

struct Damaged {
    file: Vec<u8>,
}

impl Damaged {
    fn page_bytes(&self) -> usize {
        // Of the second meta page where the first lies: choices may have changed either.
        let at = META_AT + 8;
        let read = self.file.get(at..at + 4).map(|b| u32::from_le_bytes(b.try_into().unwrap()));
        match read {
            Some(size @ (1024 | 4096)) => size as usize,
            _ => 1024,
        }
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = self.file.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    fn change(&mut self, choices: &mut Choices<'_>) {
        let page_bytes = self.page_bytes();
        let pages = (self.file.len() / page_bytes).max(1);
        let page = choices.below(pages) * page_bytes;
        match choices.byte() % 8 {
            // A field of the page's header.
            0 => {
                let (at, width) = choices.of_slice(&[(0, 8), (8, 2), (10, 2), (12, 4), (8, 4)]);
                let number = choices.odd_number().to_le_bytes();
                self.put(page + at, &number[..width]);
            }
            // A field of an element: flags, position, sizes, child.
            1 | 2 => {
                let at = 16 + 16 * choices.below(12) + choices.of_slice(&[0, 4, 8, 12]);
                let number = choices.odd_number().to_le_bytes();
                let width = choices.of_slice(&[4, 8, 1]);
                self.put(page + at, &number[..width]);
            }
            // A number of a page somewhere in the file, as a child or an id.
            3 => {
                let at = 16 + 16 * choices.below(12) + choices.of_slice(&[0, 8]);
                let child = choices.below(pages) as u64;
                self.put(page + at, &child.to_le_bytes());
            }
            // A meta page: page size, root, freelist, high-water mark, transaction.
            4 => {
                let at = choices.of_slice(&[8, 16, 32, 40, 48]);
                let number = match choices.byte() % 2 {
                    0 => choices.below(pages + 1) as u64,
                    _ => choices.odd_number(),
                };
                for meta in [0, page_bytes] {
                    self.put(
                        meta + META_AT + at,
                        &number.to_le_bytes()[..if at == 8 { 4 } else { 8 }],
                    );
                }
            }
            // A page over another one, with its own number or the other's.
            5 => {
                let target = choices.below(pages) * page_bytes;
                let copy = self.file[page..(page + page_bytes).min(self.file.len())].to_vec();
                self.put(target, &copy);
                if choices.byte().is_multiple_of(2) {
                    self.put(target, &((target / page_bytes) as u64).to_le_bytes());
                }
            }
            6 => {
                let at = page + choices.below(page_bytes);
                let bytes = choices.bytes(16).to_vec();
                self.put(at, &bytes);
            }
            _ => {
                let at = page + choices.below(page_bytes);
                let flip = 1 << (choices.byte() % 8);
                if let Some(byte) = self.file.get_mut(at) {
                    *byte ^= flip;
                }
            }
        }
        if choices.one_in(40) {
            let cut = choices.below(2 * page_bytes);
            self.file.truncate(self.file.len().saturating_sub(cut).max(1));
        }
    }

    /// Both meta pages with the checksum of what they say by now.
    fn seal_metas(&mut self) {
        for meta in [0, self.page_bytes()] {
            let at = meta + META_AT;
            let Some(checked) = self.file.get(at..at + META_CHECKED_BYTES) else { continue };
            let checksum = fnv1a64(checked).to_le_bytes();
            self.put(at + META_CHECKED_BYTES, &checksum);
        }
    }
}

fn judge(snapshot: &[u8], chunk: usize) {
    let verdict = verify(snapshot, CHUNK_BYTES, Options::default());
    let little = Options { memory_bytes_max: 4_000, ..Options::default() };
    let otherwise = verify(snapshot, chunk, little);
    match (verdict, otherwise) {
        (Ok(report), Ok(other)) => {
            assert_eq!(report, other, "chunks of {chunk}");
            check_report(&report, &snapshot[..snapshot.len() - TRAILER_BYTES]);
        }
        (Err(one), Err(other)) => {
            assert_eq!(one.class(), other.class(), "{one} / {other}, chunks of {chunk}");
            let is_judged = matches!(one.class(), ErrorClass::Corrupt | ErrorClass::Unsupported);
            assert!(is_judged, "{one}");
            assert!(one.hint().is_some(), "{one}");
            let _ = walked(snapshot);
        }
        (one, other) => panic!("chunks of {chunk}: {one:?} became {other:?}"),
    }
}

/// What a reader without checks, which panics where it cannot go on, makes of the same bytes.
fn check_report(report: &Report, database: &[u8]) {
    let read = oracle::buckets(&used_first(database));
    assert_eq!(walked(database).unwrap(), read);
    assert_eq!(report.status.hash, oracle::status_hash(&read));
    let count: usize = read.iter().map(|(_, rows)| rows.len()).sum();
    assert_eq!(report.status.total_key_rows, count as u64);
    assert_eq!(report.pages.total, report.pages.reachable + report.pages.free);
    let (_, keys) = read.iter().find(|(name, _)| name == b"key").expect("a bucket `key`");
    let rows: Vec<ModelRow> = keys.iter().map(|(key, value)| model_row(key, value)).collect();
    assert_eq!(report.status.total_key_live, oracle::live_keys(&rows).len() as u64);
    if let Some(hash) = report.hashkv.hash {
        let compact = report.compact_revision.unwrap_or(NEVER_COMPACTED);
        assert_eq!(hash, oracle::hashkv(&rows, report.revision, compact));
    }
}

/// Every row, read page by page.
fn walked(database: &[u8]) -> Result<Vec<Bucket>, ReadError> {
    let database = Database::open(database, database.len() as u64)?;
    let mut buckets = Vec::new();
    for name in database.bucket_names()? {
        let mut rows = database.rows(&name)?.expect("a listed bucket");
        let mut read = Vec::new();
        while let Some((key, value)) = rows.next_row()? {
            read.push((key.to_vec(), value.to_vec()));
        }
        buckets.push((name, read));
    }
    Ok(buckets)
}

/// The plain reader looks at meta page 0 only; the newer one counts.
fn used_first(database: &[u8]) -> Vec<u8> {
    let mut file = database.to_vec();
    let at = |file: &[u8], at: usize| u64::from_le_bytes(file[at..at + 8].try_into().unwrap());
    let size = u32::from_le_bytes(file[24..28].try_into().unwrap()) as usize;
    if at(&file, size + META_AT + 48) > at(&file, META_AT + 48) {
        file.copy_within(size + META_AT..size + META_AT + 64, META_AT);
    }
    file
}

fn model_row(key: &[u8], value: &[u8]) -> ModelRow {
    let row_key = RowKey::parse(key).expect("a revision");
    let kv = KeyValue::decode(value).expect("a record");
    ModelRow {
        main: row_key.revision.main,
        sub: u64::from(row_key.revision.sub),
        key: kv.key.to_vec(),
        is_tombstone: row_key.is_tombstone,
        value: value.to_vec(),
    }
}
