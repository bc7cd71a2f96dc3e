//! The bbolt file format (version 2), read from bytes that nobody vouches for.
//!
//! The crate owns the byte layouts (page header, meta pages, leaf, branch and freelist pages,
//! inline buckets), the cutting of a byte stream into page runs ([`PageRuns`]), the proof that the
//! runs form sound trees ([`prove`]), the reading of rows from a file at random ([`Database`]), and
//! the writing of a new file ([`BulkWriter`]). It knows nothing of etcd: what a key or a value means
//! is for the caller.
//!
//! Invariants: no input makes it panic; every size read from the file is checked before it is used;
//! nothing is recursive; each limit on memory is a named constant in [`limits`].
//!
//! The proof never reads a byte twice: a caller keeps a small [`Node`] of each run as the bytes
//! pass, and the proof works on those. The crate opens no files and makes none durable: readers and
//! writers are handed to it.

pub mod limits;

mod branch;
mod bytes;
mod cursor;
mod database;
mod freelist;
mod leaf;
mod meta;
mod page;
mod page_set;
mod problem;
mod proof;
mod read_at;
mod rows;
mod runs;
mod walk;
mod window;
mod writer;

pub use branch::BranchElements;
pub use database::{Database, ReadError};
pub use freelist::{FreelistIds, NO_FREELIST};
pub use leaf::{BucketValue, LeafElement, LeafElements};
pub use meta::{META_BYTES, Meta, fnv1a64};
pub use page::{PAGE_HEADER_BYTES, PageHeader, PageKind};
pub use problem::{BboltError, Problem};
pub use proof::{BucketContent, BucketTree, Proof, prove};
pub use read_at::ReadAt;
pub use rows::{Row, Rows};
pub use runs::{PageRuns, Run, RunSink};
pub use walk::{BranchNode, BucketEntry, BucketRoot, LeafNode, Node, Pages};
pub use writer::{BucketWriter, BulkWriter, Laid, RowProblem, WriteError};
