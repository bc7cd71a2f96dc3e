//! Reads back what [`crate::summary`] kept, once the stream has ended.

use std::cell::RefCell;
use std::io;

use bbolt::{BranchNode, BucketContent, BucketEntry, BucketRoot, LeafNode, Node, Pages};

use crate::blob::BlobReader;
use crate::error::VerifyError;
use crate::page_table::{PageEntry, PageTable};
use crate::row::{EncodedRow, ROW_WORDS, Row, WORD_BYTES};
use crate::spill::{SealedLog, damaged};
use crate::summary::{FORM_PLAIN, FORM_ROWS, KIND_BRANCH, KIND_FREELIST, KIND_LEAF};

/// The summaries of all pages.
#[derive(Debug)]
pub(crate) struct Ledger {
    log: SealedLog,
    table: PageTable,
    /// Where a blob is put that is not in memory; one buffer for all reads.
    scratch: RefCell<Vec<u8>>,
}

/// Where a leaf's summary is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeafAt {
    /// A leaf page.
    Page(u64),
    /// An inline bucket: the page that holds it, and its number among the page's buckets.
    Inline { page: u64, entry: usize },
}

impl LeafAt {
    /// The page that holds the rows.
    pub(crate) fn page(self) -> u64 {
        match self {
            Self::Page(page) | Self::Inline { page, .. } => page,
        }
    }
}

/// A bucket's leaves in key order.
pub(crate) fn leaves(content: &BucketContent) -> Vec<LeafAt> {
    match content {
        BucketContent::Leaves(pages) => pages.iter().copied().map(LeafAt::Page).collect(),
        BucketContent::Inline { page, entry } => {
            vec![LeafAt::Inline { page: *page, entry: *entry }]
        }
    }
}

/// A leaf's summary.
pub(crate) struct Leaf<'a> {
    pub(crate) count: u32,
    /// CRC-32C of all keys and values.
    pub(crate) crc: u32,
    /// Length of all keys and values.
    pub(crate) bytes: u64,
    first: &'a [u8],
    last: &'a [u8],
    content: LeafContent<'a>,
}

enum LeafContent<'a> {
    Rows(&'a [EncodedRow]),
    Plain { buckets: Vec<PlainBucket<'a>>, facts: Vec<Fact<'a>> },
}

struct PlainBucket<'a> {
    name: &'a [u8],
    root: u64,
    inline: &'a [u8],
}

/// A small key and value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fact<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
}

// === impl Ledger ===

impl Ledger {
    pub(crate) fn new(log: SealedLog, table: PageTable) -> Self {
        Self { log, table, scratch: RefCell::new(Vec::new()) }
    }

    /// Reads a leaf and hands it to `read`.
    pub(crate) fn with_leaf<T>(
        &self,
        at: LeafAt,
        read: impl FnOnce(&Leaf<'_>) -> Result<T, VerifyError>,
    ) -> Result<T, VerifyError> {
        let entry = match at {
            LeafAt::Page(_) => None,
            LeafAt::Inline { entry, .. } => Some(entry),
        };
        self.with_blob(at.page(), |blob| {
            let leaf = page_leaf(blob).and_then(|page| match entry {
                None => Ok(page),
                Some(entry) => page.inline(entry),
            });
            read(&leaf.map_err(scratch_error)?)
        })
    }

    fn with_blob<T>(
        &self,
        pgid: u64,
        read: impl FnOnce(&[u8]) -> Result<T, VerifyError>,
    ) -> Result<T, VerifyError> {
        let PageEntry::Summary { position } = self.table.get(pgid) else {
            return Err(scratch_error(damaged()));
        };
        let mut scratch = self.scratch.borrow_mut();
        read(self.log.read(position, &mut scratch).map_err(scratch_error)?)
    }
}

impl Pages for Ledger {
    type Error = VerifyError;

    fn node(&self, pgid: u64) -> Result<Node, VerifyError> {
        match self.table.get(pgid) {
            PageEntry::NoRun(problem) => Ok(Node::Unsound(problem)),
            PageEntry::Summary { .. } => {
                self.with_blob(pgid, |blob| node(blob).map_err(scratch_error))
            }
        }
    }
}

fn scratch_error(source: io::Error) -> VerifyError {
    VerifyError::Scratch { source }
}

// === reading blobs ===

fn node(blob: &[u8]) -> io::Result<Node> {
    let mut reader = BlobReader(blob);
    let kind = reader.byte()?;
    let overflow = reader.u32()?;
    match kind {
        KIND_LEAF => Ok(Node::Leaf(read_leaf(&mut reader)?.node(overflow))),
        KIND_BRANCH => Ok(Node::Branch(read_branch(&mut reader, overflow)?)),
        KIND_FREELIST => {
            let mut ids = Vec::with_capacity(reader.0.len() / 8);
            while !reader.0.is_empty() {
                ids.push(reader.u64()?);
            }
            Ok(Node::Freelist { overflow, ids })
        }
        _ => Err(damaged()),
    }
}

fn page_leaf(blob: &[u8]) -> io::Result<Leaf<'_>> {
    let mut reader = BlobReader(blob);
    let kind = reader.byte()?;
    reader.u32()?;
    if kind == KIND_LEAF { read_leaf(&mut reader) } else { Err(damaged()) }
}

fn read_branch(reader: &mut BlobReader<'_>, overflow: u32) -> io::Result<BranchNode> {
    let mut children = Vec::new();
    while !reader.0.is_empty() {
        let page = reader.u64()?;
        children.push((reader.short()?.to_vec(), page));
    }
    Ok(BranchNode { overflow, children })
}

fn read_leaf<'a>(reader: &mut BlobReader<'a>) -> io::Result<Leaf<'a>> {
    let form = reader.byte()?;
    let count = reader.u32()?;
    let crc = reader.u32()?;
    let bytes = reader.u64()?;
    let first = reader.short()?;
    let last = reader.short()?;
    let content = match form {
        FORM_ROWS => LeafContent::Rows(read_rows(reader, count)?),
        FORM_PLAIN => read_plain(reader)?,
        _ => return Err(damaged()),
    };
    Ok(Leaf { count, crc, bytes, first, last, content })
}

fn read_rows<'a>(reader: &mut BlobReader<'a>, count: u32) -> io::Result<&'a [EncodedRow]> {
    let (words, odd_bytes) = reader.0.as_chunks::<WORD_BYTES>();
    let (rows, odd_words) = words.as_chunks::<ROW_WORDS>();
    if !odd_bytes.is_empty() || !odd_words.is_empty() || rows.len() as u64 != u64::from(count) {
        return Err(damaged());
    }
    Ok(rows)
}

fn read_plain<'a>(reader: &mut BlobReader<'a>) -> io::Result<LeafContent<'a>> {
    let mut buckets = Vec::new();
    for _ in 0..reader.u32()? {
        let name = reader.short()?;
        let root = reader.u64()?;
        let inline = if root == 0 { inline_blob(reader)? } else { &[] };
        buckets.push(PlainBucket { name, root, inline });
    }
    let mut facts = Vec::new();
    for _ in 0..reader.u32()? {
        let key = reader.short()?;
        facts.push(Fact { key, value: reader.short()? });
    }
    Ok(LeafContent::Plain { buckets, facts })
}

fn inline_blob<'a>(reader: &mut BlobReader<'a>) -> io::Result<&'a [u8]> {
    let length = usize::try_from(reader.u32()?).map_err(io::Error::other)?;
    reader.take(length)
}

// === impl Leaf ===

impl<'a> Leaf<'a> {
    /// The rows; `None` when a key of the leaf is not a revision.
    pub(crate) fn rows(&self) -> Option<impl DoubleEndedIterator<Item = Row> + ExactSizeIterator> {
        match &self.content {
            LeafContent::Rows(rows) => Some(rows.iter().map(Row::decode)),
            LeafContent::Plain { .. } => None,
        }
    }

    /// The small values that say something about the cluster.
    pub(crate) fn facts(&self) -> &[Fact<'a>] {
        match &self.content {
            LeafContent::Rows(_) => &[],
            LeafContent::Plain { facts, .. } => facts,
        }
    }

    fn inline(&self, entry: usize) -> io::Result<Leaf<'a>> {
        match &self.content {
            LeafContent::Plain { buckets, .. } => {
                let bucket = buckets.get(entry).ok_or_else(damaged)?;
                read_leaf(&mut BlobReader(bucket.inline))
            }
            LeafContent::Rows(_) => Err(damaged()),
        }
    }

    fn node(&self, overflow: u32) -> LeafNode {
        let buckets = match &self.content {
            LeafContent::Rows(_) => Vec::new(),
            LeafContent::Plain { buckets, .. } => buckets.iter().map(PlainBucket::entry).collect(),
        };
        LeafNode {
            overflow,
            count: self.count,
            first: self.first.to_vec(),
            last: self.last.to_vec(),
            buckets,
        }
    }
}

impl PlainBucket<'_> {
    fn entry(&self) -> BucketEntry {
        let root = if self.root == 0 { BucketRoot::Inline } else { BucketRoot::Page(self.root) };
        BucketEntry { name: self.name.to_vec(), root }
    }
}
