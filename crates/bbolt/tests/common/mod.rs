//! What the tests of the reader and the writer share: a database as plain maps, both ways through
//! the crate, the proof over a whole file, and a source that counts what is read of it.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected shall fail")]

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Cursor};

use lifeboat_bbolt::{
    BboltError, BranchElements, BranchNode, BucketEntry, BucketRoot, BucketValue, BulkWriter,
    Database, FreelistIds, LeafElements, LeafNode, Meta, Node, PageKind, PageRuns, Pages, Problem,
    Proof, ReadAt, ReadError, Run, RunSink, fnv1a64, prove,
};

pub(crate) type Rows = BTreeMap<Vec<u8>, Vec<u8>>;
pub(crate) type Buckets = BTreeMap<Vec<u8>, Rows>;

/// Writes a database.
pub(crate) fn write(page_bytes: u32, buckets: &Buckets) -> Vec<u8> {
    let mut writer = BulkWriter::new(Cursor::new(Vec::new()), page_bytes).unwrap();
    for (name, rows) in buckets {
        let mut bucket = writer.bucket(name).unwrap();
        for (key, value) in rows {
            bucket.push(key, value).unwrap();
        }
        assert_eq!(bucket.end().unwrap(), rows.len() as u64);
    }
    let (out, laid) = writer.finish().unwrap();
    assert_eq!((out.position(), laid.bytes), (laid.bytes, out.get_ref().len() as u64));
    assert_eq!(laid.bytes, laid.pages * u64::from(page_bytes));
    out.into_inner()
}

/// Reads every row of a database, and checks that keys ascend.
pub(crate) fn read<R: ReadAt>(source: R, len: u64) -> Result<Buckets, ReadError> {
    let database = Database::open(source, len)?;
    let mut buckets = Buckets::new();
    for name in database.bucket_names()? {
        let mut rows = database.rows(&name)?.unwrap();
        let found = buckets.entry(name).or_default();
        while let Some((key, value)) = rows.next_row()? {
            assert!(found.last_key_value().is_none_or(|(last, _)| &**last < key), "key order");
            found.insert(key.to_vec(), value.to_vec());
        }
        assert!(rows.next_row()?.is_none(), "a row behind the end");
    }
    Ok(buckets)
}

pub(crate) fn read_whole(file: &[u8]) -> Result<Buckets, ReadError> {
    read(file, file.len() as u64)
}

/// The proof over all runs of a file.
pub(crate) fn prove_whole(file: &[u8]) -> Result<(Proof, Nodes), BboltError> {
    let mut nodes = Nodes::default();
    let mut runs = PageRuns::new();
    runs.push(file, &mut nodes)?;
    let meta = runs.finish(&mut nodes)?;
    Ok((prove(&meta, &nodes)?, nodes))
}

/// What is kept of every page.
#[derive(Debug, Default)]
pub(crate) struct Nodes(pub(crate) HashMap<u64, Node>);

impl Pages for Nodes {
    type Error = BboltError;

    fn node(&self, pgid: u64) -> Result<Node, BboltError> {
        Ok(self.0[&pgid].clone())
    }
}

impl RunSink for Nodes {
    type Error = BboltError;

    fn meta(&mut self, _: &Meta) -> Result<(), BboltError> {
        Ok(())
    }

    fn run(&mut self, run: Run<'_>) -> Result<(), BboltError> {
        let node = match run.header.kind() {
            Some(PageKind::Leaf) => leaf(run).map(Node::Leaf),
            Some(PageKind::Branch) => branch(run).map(Node::Branch),
            _ => FreelistIds::new(run.bytes, u64::MAX)
                .and_then(Iterator::collect)
                .map(|ids| Node::Freelist { overflow: run.header.overflow, ids }),
        };
        self.0.insert(run.pgid, node.unwrap_or_else(Node::Unsound));
        Ok(())
    }

    fn no_run(&mut self, pgid: u64, problem: Problem) -> Result<(), BboltError> {
        self.0.insert(pgid, Node::Unsound(problem));
        Ok(())
    }
}

fn leaf(run: Run<'_>) -> Result<LeafNode, Problem> {
    let mut node = LeafNode { overflow: run.header.overflow, ..LeafNode::default() };
    for element in LeafElements::new(run.bytes)? {
        let element = element?;
        if node.count == 0 {
            node.first = element.key.to_vec();
        }
        node.last = element.key.to_vec();
        if element.is_bucket {
            let root = match BucketValue::parse(element.value, node.count)? {
                BucketValue::Page(page) => BucketRoot::Page(page),
                BucketValue::Inline(inline) => {
                    for row in LeafElements::new(inline)? {
                        if row?.is_bucket {
                            return Err(Problem::NestedBucket);
                        }
                    }
                    BucketRoot::Inline
                }
            };
            node.buckets.push(BucketEntry { name: element.key.to_vec(), root });
        }
        node.count += 1;
    }
    Ok(node)
}

fn branch(run: Run<'_>) -> Result<BranchNode, Problem> {
    let children = BranchElements::new(run.bytes)?
        .map(|child| child.map(|(key, page)| (key.to_vec(), page)))
        .collect::<Result<_, _>>()?;
    Ok(BranchNode { overflow: run.header.overflow, children })
}

/// Gives bytes, and remembers how much was asked of it.
#[derive(Debug)]
pub(crate) struct Counted<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) reads: Cell<u64>,
    pub(crate) bytes_read: Cell<u64>,
    pub(crate) longest: Cell<usize>,
}

impl<'a> Counted<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        let (reads, bytes_read, longest) = (Cell::new(0), Cell::new(0), Cell::new(0));
        Self { bytes, reads, bytes_read, longest }
    }
}

impl ReadAt for Counted<'_> {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.reads.set(self.reads.get() + 1);
        self.bytes_read.set(self.bytes_read.get() + buffer.len() as u64);
        self.longest.set(self.longest.get().max(buffer.len()));
        self.bytes.read_exact_at(buffer, offset)
    }
}

/// Makes the checksum of a meta page right again.
pub(crate) fn seal_meta(page: &mut [u8]) {
    let checksum = fnv1a64(&page[16..72]).to_le_bytes();
    page[72..80].copy_from_slice(&checksum);
}
