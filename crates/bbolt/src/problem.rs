//! What can be wrong with a bbolt file, one variant per check.
//!
//! [`Problem`] is small and `Copy`, because a page's problem is remembered while the stream goes
//! on: it only matters if the trees turn out to use the page.

use crate::limits::{
    BRANCH_BYTES_MAX, BUCKETS_MAX, DEPTH_MAX, KEY_BYTES_MAX, OPEN_RUNS_MAX, PAGES_MAX,
    RUN_BYTES_MAX,
};

/// One failed check on one page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The page is shorter than the structure in it.
    #[error("the page is too short for what it should hold")]
    Short,
    /// A meta page without bbolt's magic number.
    #[error("magic number is {found:#010x}, expected 0xed0cdaed")]
    MetaMagic {
        /// The number in the file.
        found: u32,
    },
    /// A format version other than 2.
    #[error("format version is {found}, expected 2")]
    MetaVersion {
        /// The version in the file.
        found: u32,
    },
    /// The FNV-1a checksum of a meta page does not match.
    #[error("meta checksum is {found:016x}, computed {computed:016x}")]
    MetaChecksum {
        /// The checksum in the file.
        found: u64,
        /// The checksum of the bytes.
        computed: u64,
    },
    /// A page size that is no power of two in range.
    #[error("page size {found} is not a power of two between 1024 and 65536")]
    MetaPageSize {
        /// The size in the file.
        found: u32,
    },
    /// The header of page 0 or 1 is not that of a meta page.
    #[error("the page header is not that of a meta page")]
    MetaHeader,
    /// The two meta pages are not of neighbouring transactions.
    #[error("transaction ids of the meta pages are {first} and {second}, expected neighbours")]
    MetaTransactions {
        /// Transaction id in page 0.
        first: u64,
        /// Transaction id in page 1.
        second: u64,
    },
    /// The two meta pages disagree about the page size.
    #[error("the meta pages give page sizes {first} and {second}")]
    MetaPageSizes {
        /// Page size in page 0.
        first: u32,
        /// Page size in page 1.
        second: u32,
    },
    /// The meta page names a page outside the file as root or freelist.
    #[error("the meta page points at page {pgid}, outside 2..{high_water}")]
    MetaPointer {
        /// The page it names.
        pgid: u64,
        /// First page number never used.
        high_water: u64,
    },
    /// The page's header carries another page's number.
    #[error("the page header carries another page's number")]
    WrongId,
    /// The flags are not exactly one of branch, leaf, meta, freelist.
    #[error("the page's flags name no page type")]
    UnknownType,
    /// A page of another type than its place demands.
    #[error("the page is of the wrong type for its place")]
    WrongType,
    /// The overflow pages reach beyond the file.
    #[error("the page and its overflow pages reach beyond the end of the file")]
    RunBeyondFile,
    /// The run is longer than [`RUN_BYTES_MAX`] (or [`BRANCH_BYTES_MAX`]).
    #[error(
        "the page run is longer than the limit ({RUN_BYTES_MAX} bytes, branches {BRANCH_BYTES_MAX})"
    )]
    RunTooLong,
    /// More runs overlap here than [`OPEN_RUNS_MAX`].
    #[error("more than {OPEN_RUNS_MAX} page runs overlap here")]
    TooManyOpenRuns,
    /// The page has a problem, but too many pages have one to remember which.
    #[error("the page's content is damaged")]
    Damaged,
    /// The element table is longer than the page.
    #[error("{count} elements do not fit the page")]
    TableOutsidePage {
        /// Number of elements in the header.
        count: u16,
    },
    /// A key or value lies outside its page, in the element table, or over another one.
    #[error("element {index} lies outside the page or overlaps another one")]
    ElementOutsidePage {
        /// Position of the element.
        index: u32,
    },
    /// A key of no bytes.
    #[error("element {index} has an empty key")]
    EmptyKey {
        /// Position of the element.
        index: u32,
    },
    /// A key longer than [`KEY_BYTES_MAX`].
    #[error("element {index} has a key longer than {KEY_BYTES_MAX} bytes")]
    KeyTooLong {
        /// Position of the element.
        index: u32,
    },
    /// A key that is not greater than the one before it.
    #[error("the key of element {index} is not greater than the one before it")]
    KeyOrder {
        /// Position of the element.
        index: u32,
    },
    /// A leaf element with flags other than 0 and 1.
    #[error("element {index} has unknown flags")]
    ElementFlags {
        /// Position of the element.
        index: u32,
    },
    /// A bucket entry whose value is no bucket header, or whose inline page is not sane.
    #[error("element {index} is a bucket without a sound header")]
    BucketHeader {
        /// Position of the element.
        index: u32,
    },
    /// A bucket inside a bucket, which etcd never makes.
    #[error("the page holds a bucket inside a bucket")]
    NestedBucket,
    /// The root bucket holds something that is not a bucket.
    #[error("the root bucket holds an element that is not a bucket")]
    RootElement,
    /// More buckets than [`BUCKETS_MAX`].
    #[error("more than {BUCKETS_MAX} buckets")]
    TooManyBuckets,
    /// A branch page without children.
    #[error("the branch page has no children")]
    EmptyBranch,
    /// A page number outside the file.
    #[error("the page is referenced, but the file ends before page {high_water}")]
    PageBeyondFile {
        /// First page number never used.
        high_water: u64,
    },
    /// A page that is used twice.
    #[error("the page is referenced twice")]
    ReferencedTwice,
    /// The page's keys are not within the bounds that the parent gives.
    #[error("the page's keys are outside the range that its parent gives it")]
    OutsideParentRange,
    /// Leaves at different depths of one tree.
    #[error("the leaf is at depth {found}, others of the tree at {expected}")]
    UnequalDepth {
        /// Depth of the first leaf.
        expected: u32,
        /// Depth of this one.
        found: u32,
    },
    /// A tree deeper than [`DEPTH_MAX`].
    #[error("the tree is deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// The freelist's length does not fit its page.
    #[error("the freelist does not fit its page")]
    FreelistLength,
    /// The freelist is not sorted, has a duplicate, or names a page outside the file.
    #[error("entry {index} of the freelist is out of order or out of range")]
    FreelistEntry {
        /// Position in the list.
        index: u64,
    },
    /// A page that is in use and in the freelist.
    #[error("the page is in use and in the freelist")]
    FreeAndInUse,
    /// A page that is neither in use nor in the freelist.
    #[error("the page is neither in use nor in the freelist")]
    Lost,
}

impl Problem {
    /// The name of the limit when this is about a limit and not about damage: one of
    /// [`crate::limits`], or the version of the format.
    pub fn limit(&self) -> Option<&'static str> {
        match self {
            Self::MetaVersion { .. } => Some("META_VERSION"),
            Self::RunTooLong => Some("RUN_BYTES_MAX"),
            Self::TooManyOpenRuns => Some("OPEN_RUNS_MAX"),
            Self::TooManyBuckets => Some("BUCKETS_MAX"),
            Self::TooDeep => Some("DEPTH_MAX"),
            _ => None,
        }
    }
}

/// Why a file is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BboltError {
    /// Neither meta page is bbolt's.
    #[error("not a bbolt database: {problem}")]
    NotADatabase {
        /// What is wrong with meta page 0.
        problem: Problem,
    },
    /// The stream ended early.
    #[error("the database ends after {found} bytes, expected {expected}")]
    Truncated {
        /// Bytes that the file must have, as far as it is known.
        expected: u64,
        /// Bytes that came.
        found: u64,
    },
    /// A page is damaged.
    #[error("page {page}: {problem}")]
    Structure {
        /// The page's number.
        page: u64,
        /// The failed check.
        problem: Problem,
    },
    /// The file has more pages than [`PAGES_MAX`].
    #[error("the database has {pages} pages, more than the limit of {PAGES_MAX}")]
    TooManyPages {
        /// Number of pages.
        pages: u64,
    },
}
