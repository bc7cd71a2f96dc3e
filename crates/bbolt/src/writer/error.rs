//! Why a database cannot be written.

use std::io;

use crate::leaf::ELEMENT_BYTES;
use crate::limits::{
    BUCKETS_MAX, KEY_BYTES_MAX, PAGE_BYTES_MAX, PAGE_BYTES_MIN, PAGES_MAX, RUN_BYTES_MAX,
};
use crate::page::PAGE_HEADER_BYTES;

/// What is wrong with a row or a bucket's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowProblem {
    /// A key of no bytes, which bbolt does not take.
    #[error("the key is empty")]
    EmptyKey,
    /// A key longer than [`KEY_BYTES_MAX`].
    #[error("the key has {bytes} bytes, more than the limit of {KEY_BYTES_MAX}")]
    KeyTooLong {
        /// Length of the key.
        bytes: usize,
    },
    /// A key that is not greater than the one before it.
    #[error("the key is not greater than the one before it")]
    KeyOrder,
    /// Key and value do not fit a page run of [`RUN_BYTES_MAX`], which is the longest that is read
    /// back. bbolt itself takes values up to 2^31 - 2 bytes.
    #[error("key and value have {bytes} bytes, more than fit a page run of {RUN_BYTES_MAX}")]
    TooLong {
        /// Length of key and value.
        bytes: usize,
    },
}

/// Why a database cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// A page size that is no power of two in range.
    #[error(
        "page size {page_bytes} is not a power of two between {PAGE_BYTES_MIN} and {PAGE_BYTES_MAX}"
    )]
    PageSize {
        /// The size that was asked for.
        page_bytes: u32,
    },
    /// A row that does not belong where it came.
    #[error("bucket `{bucket}`, row {row}: {problem}")]
    Row {
        /// The bucket's name.
        bucket: String,
        /// Number of the row in its bucket, counted from 1.
        row: u64,
        /// The failed check.
        problem: RowProblem,
    },
    /// A bucket's name is no key of the root bucket.
    #[error("bucket `{name}`: {problem}")]
    BucketName {
        /// The name.
        name: String,
        /// The failed check.
        problem: RowProblem,
    },
    /// Two buckets of one name.
    #[error("bucket `{name}` was written before")]
    BucketTwice {
        /// The name.
        name: String,
    },
    /// A bucket was begun, and neither ended nor is it being written.
    #[error("bucket `{name}` was not ended")]
    BucketLeftOpen {
        /// The name.
        name: String,
    },
    /// More buckets than [`BUCKETS_MAX`].
    #[error("more than {BUCKETS_MAX} buckets")]
    TooManyBuckets,
    /// More pages than [`PAGES_MAX`].
    #[error("the database has more pages than the limit of {PAGES_MAX}")]
    TooManyPages,
    /// The medium does not take the bytes.
    #[error("page {page} cannot be written: {source}")]
    Io {
        /// First page of those that were being written.
        page: u64,
        /// What the medium reported.
        source: io::Error,
    },
    /// Something was to be written behind a page that could not be.
    #[error("an earlier page could not be written")]
    AfterFailure,
}

impl WriteError {
    /// Names the bucket of a row that was refused.
    pub(super) fn in_bucket(self, name: &[u8]) -> Self {
        match self {
            Self::Row { row, problem, .. } => {
                Self::Row { bucket: String::from_utf8_lossy(name).into_owned(), row, problem }
            }
            other => other,
        }
    }
}

/// Whether bbolt takes this key.
pub(super) fn check_key(key: &[u8]) -> Result<(), RowProblem> {
    match key.len() {
        0 => Err(RowProblem::EmptyKey),
        bytes if bytes > KEY_BYTES_MAX => Err(RowProblem::KeyTooLong { bytes }),
        _ => Ok(()),
    }
}

/// Whether a run that is read back has room for this row.
pub(super) fn check_length(key: &[u8], value: &[u8]) -> Result<(), RowProblem> {
    let bytes = key.len().saturating_add(value.len());
    let run_bytes = bytes.saturating_add(PAGE_HEADER_BYTES + ELEMENT_BYTES);
    if run_bytes as u64 > RUN_BYTES_MAX {
        return Err(RowProblem::TooLong { bytes });
    }
    Ok(())
}
