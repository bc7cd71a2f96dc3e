//! The bbolt file format (version 2), read from bytes that nobody vouches for.
//!
//! The crate owns the byte layouts (page header, meta pages, leaf, branch and freelist pages,
//! inline buckets), the cutting of a byte stream into page runs ([`PageRuns`]), and the proof that
//! the runs form sound trees ([`prove`]). It knows nothing of etcd: what a key or a value means is
//! for the caller.
//!
//! Invariants: no input makes it panic; every size read from the file is checked before it is used;
//! nothing is recursive; each limit on memory is a named constant in [`limits`].
//!
//! It does not write files, and it never reads a byte twice: a caller keeps a small [`Node`] of
//! each run as the bytes pass, and the proof works on those.

pub mod limits;

mod branch;
mod bytes;
mod freelist;
mod leaf;
mod meta;
mod page;
mod page_set;
mod problem;
mod proof;
mod runs;
mod walk;

pub use branch::BranchElements;
pub use freelist::{FreelistIds, NO_FREELIST};
pub use leaf::{BucketValue, LeafElement, LeafElements};
pub use meta::{META_BYTES, Meta, fnv1a64};
pub use page::{PAGE_HEADER_BYTES, PageHeader, PageKind};
pub use problem::{BboltError, Problem};
pub use proof::{BucketContent, BucketTree, Proof, prove};
pub use runs::{PageRuns, Run, RunSink};
pub use walk::{BranchNode, BucketEntry, BucketRoot, LeafNode, Node, Pages};
