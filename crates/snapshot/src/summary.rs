//! Summarises each page run as it passes, before anybody knows whether it is live.
//!
//! Kept per run: what the structural proof needs (first and last key, children, bucket entries),
//! and what the bytes mean: one [`Row`] per row of the `key` bucket, the CRC of all keys and
//! values, and the few small values that are facts about the cluster. The blobs of this file are
//! read by [`crate::ledger`].
//!
//! No value of the key space, no user's key and no password hash is kept.

use bbolt::{
    BboltError, BranchElements, BucketValue, FreelistIds, LeafElement, LeafElements, Meta,
    PageKind, Problem, Run, RunSink,
};

use crate::blob::{length_u32, write_short};
use crate::error::VerifyError;
use crate::limits::{FACT_BYTES_MAX, FACTS_PER_PAGE_MAX, SUMMARY_BYTES_PER_BYTE_MAX};
use crate::page_table::{PageEntry, PageTable};
use crate::row::RowReader;
use crate::spill::SpillLog;

pub(crate) const KIND_LEAF: u8 = 1;
pub(crate) const KIND_BRANCH: u8 = 2;
pub(crate) const KIND_FREELIST: u8 = 3;

pub(crate) const FORM_ROWS: u8 = 1;
pub(crate) const FORM_PLAIN: u8 = 2;

/// Slack in the limit on summaries, for files of a few pages.
const SUMMARY_BYTES_FREE: u64 = 1 << 20;

/// Longest key that is kept as a fact (an alarm, a member id), in bytes.
const FACT_KEY_BYTES_MAX: usize = 32;

/// Keys whose values are facts, in all buckets.
const FACT_KEYS: [&[u8]; 7] = [
    b"authEnabled",
    b"clusterVersion",
    b"consistent_index",
    b"finishedCompactRev",
    b"scheduledCompactRev",
    b"storageVersion",
    b"term",
];

/// Takes the runs of a snapshot and keeps a summary of each.
#[derive(Debug)]
pub(crate) struct Summaries {
    pub(crate) log: SpillLog,
    pub(crate) table: PageTable,
    pub(crate) rows: RowReader,
    meta: Option<Meta>,
    /// The blob under construction; one buffer for all of them.
    blob: Vec<u8>,
}

// === impl Summaries ===

impl Summaries {
    pub(crate) fn new(log: SpillLog) -> Self {
        Self {
            log,
            table: PageTable::default(),
            rows: RowReader::default(),
            meta: None,
            blob: Vec::new(),
        }
    }

    /// Fills `blob` with the summary of a run.
    fn summarise(&mut self, run: &Run<'_>, meta: &Meta) -> Result<(), Problem> {
        self.blob.clear();
        let kind = match run.header.kind() {
            Some(PageKind::Leaf) => KIND_LEAF,
            Some(PageKind::Branch) => KIND_BRANCH,
            // Older freelists are as long as the one that counts, and never of use.
            Some(PageKind::Freelist) if meta.freelist == Some(run.pgid) => KIND_FREELIST,
            _ => return Err(Problem::WrongType),
        };
        self.blob.push(kind);
        self.blob.extend_from_slice(&run.header.overflow.to_le_bytes());
        match kind {
            KIND_LEAF => write_leaf(&mut self.blob, run.bytes, &mut self.rows, true),
            KIND_BRANCH => write_branch(&mut self.blob, run.bytes),
            _ => write_freelist(&mut self.blob, run.bytes, meta.high_water),
        }
    }

    fn check_length(&self, meta: &Meta) -> Result<(), VerifyError> {
        let bytes_max = meta.file_bytes().saturating_mul(SUMMARY_BYTES_PER_BYTE_MAX);
        if self.log.len() > bytes_max.saturating_add(SUMMARY_BYTES_FREE) {
            return Err(VerifyError::Unsupported {
                limit: "SUMMARY_BYTES_PER_BYTE_MAX",
                detail: "stale pages overlap each other too often".to_owned(),
            });
        }
        Ok(())
    }
}

impl RunSink for Summaries {
    type Error = VerifyError;

    fn meta(&mut self, meta: &Meta) -> Result<(), VerifyError> {
        self.meta = Some(*meta);
        Ok(())
    }

    fn run(&mut self, run: Run<'_>) -> Result<(), VerifyError> {
        let Some(meta) = self.meta else {
            let (page, problem) = (run.pgid, Problem::MetaHeader);
            return Err(BboltError::Structure { page, problem }.into());
        };
        let entry = match self.summarise(&run, &meta) {
            Ok(()) => PageEntry::Summary { position: self.append()? },
            Err(problem) => PageEntry::NoRun(problem),
        };
        self.table.set(run.pgid, entry);
        self.check_length(&meta)
    }

    fn no_run(&mut self, pgid: u64, problem: Problem) -> Result<(), VerifyError> {
        self.table.set(pgid, PageEntry::NoRun(problem));
        Ok(())
    }
}

impl Summaries {
    fn append(&mut self) -> Result<u64, VerifyError> {
        self.log.append(&self.blob).map_err(|source| VerifyError::Scratch { source })
    }
}

/// What both forms of leaf have in common, gathered while the elements pass.
#[derive(Default)]
struct LeafTotals<'a> {
    count: u32,
    crc: u32,
    bytes: u64,
    first: &'a [u8],
    last: &'a [u8],
}

impl<'a> LeafTotals<'a> {
    fn add(&mut self, element: &LeafElement<'a>) {
        if self.count == 0 {
            self.first = element.key;
        }
        self.last = element.key;
        self.count += 1;
        self.crc = crc32c::crc32c_append(self.crc, element.both);
        self.bytes += element.both.len() as u64;
    }

    fn write(&self, blob: &mut Vec<u8>, form: u8) {
        blob.push(form);
        blob.extend_from_slice(&self.count.to_le_bytes());
        blob.extend_from_slice(&self.crc.to_le_bytes());
        blob.extend_from_slice(&self.bytes.to_le_bytes());
        write_short(blob, self.first);
        write_short(blob, self.last);
    }
}

/// Writes the summary of a leaf page, or of an inline bucket (`may_nest` false: no bucket inside
/// it).
///
/// Pages whose keys all are revisions become rows. If one is not, the page is plain.
fn write_leaf(
    blob: &mut Vec<u8>,
    run: &[u8],
    rows: &mut RowReader,
    may_nest: bool,
) -> Result<(), Problem> {
    let start = blob.len();
    if write_rows(blob, run, rows)? {
        return Ok(());
    }
    blob.truncate(start);
    write_plain(blob, run, rows, may_nest)
}

/// Writes a leaf as rows; false when it is not one of rows.
fn write_rows(blob: &mut Vec<u8>, run: &[u8], rows: &mut RowReader) -> Result<bool, Problem> {
    let mut totals = LeafTotals::default();
    let start = blob.len();
    for element in LeafElements::new(run)? {
        let element = element?;
        let row = if element.is_bucket { None } else { rows.read(&element) };
        let Some(row) = row else { return Ok(false) };
        totals.add(&element);
        blob.extend_from_slice(row.encode().as_flattened());
    }
    // The totals are known now, but come first.
    let encoded_rows = blob.len() - start;
    totals.write(blob, FORM_ROWS);
    if let Some(leaf) = blob.get_mut(start..) {
        leaf.rotate_left(encoded_rows);
    }
    Ok(true)
}

fn write_plain(
    blob: &mut Vec<u8>,
    run: &[u8],
    rows: &mut RowReader,
    may_nest: bool,
) -> Result<(), Problem> {
    let mut totals = LeafTotals::default();
    let (mut buckets, mut bucket_count) = (Vec::new(), 0_u32);
    let (mut facts, mut fact_count) = (Vec::new(), 0_u32);
    for element in LeafElements::new(run)? {
        let element = element?;
        if element.is_bucket {
            if !may_nest {
                return Err(Problem::NestedBucket);
            }
            write_bucket(&mut buckets, element.key, element.value, totals.count, rows)?;
            bucket_count += 1;
        } else if (fact_count as usize) < FACTS_PER_PAGE_MAX {
            fact_count += u32::from(write_fact(&mut facts, element.key, element.value));
        }
        totals.add(&element);
    }
    totals.write(blob, FORM_PLAIN);
    blob.extend_from_slice(&bucket_count.to_le_bytes());
    blob.extend_from_slice(&buckets);
    blob.extend_from_slice(&fact_count.to_le_bytes());
    blob.extend_from_slice(&facts);
    Ok(())
}

fn write_bucket(
    blob: &mut Vec<u8>,
    name: &[u8],
    value: &[u8],
    index: u32,
    rows: &mut RowReader,
) -> Result<(), Problem> {
    write_short(blob, name);
    match BucketValue::parse(value, index)? {
        BucketValue::Page(root) => blob.extend_from_slice(&root.to_le_bytes()),
        BucketValue::Inline(run) => {
            blob.extend_from_slice(&0_u64.to_le_bytes());
            let mut leaf = Vec::new();
            write_leaf(&mut leaf, run, rows, false)?;
            blob.extend_from_slice(&length_u32(leaf.len()));
            blob.extend_from_slice(&leaf);
        }
    }
    Ok(())
}

/// Writes a key and value that say something about the cluster; false when they do not.
fn write_fact(blob: &mut Vec<u8>, key: &[u8], value: &[u8]) -> bool {
    let is_known = FACT_KEYS.contains(&key) && value.len() <= FACT_BYTES_MAX;
    let is_member = !key.is_empty() && key.len() <= 16 && key.iter().all(is_lower_hex);
    let is_alarm = value.is_empty() && key.len() <= FACT_KEY_BYTES_MAX;
    if !is_known && !is_member && !is_alarm {
        return false;
    }
    write_short(blob, key);
    write_short(blob, if is_known { value } else { &[] });
    true
}

fn is_lower_hex(byte: &u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(byte)
}

fn write_branch(blob: &mut Vec<u8>, run: &[u8]) -> Result<(), Problem> {
    for child in BranchElements::new(run)? {
        let (key, page) = child?;
        blob.extend_from_slice(&page.to_le_bytes());
        write_short(blob, key);
    }
    Ok(())
}

fn write_freelist(blob: &mut Vec<u8>, run: &[u8], high_water: u64) -> Result<(), Problem> {
    for id in FreelistIds::new(run, high_water)? {
        blob.extend_from_slice(&id?.to_le_bytes());
    }
    Ok(())
}
