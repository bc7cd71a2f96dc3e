//! A database that is read at random: its meta page, its buckets, and the rows of each.
//!
//! Every page is checked as it is reached, and with the strictness of the proof as far as one walk
//! can see: what is handed out has ascending keys within the bounds of the parents. What only a
//! look at the whole file shows (a page used by two buckets, the freelist) is left to
//! [`crate::prove`].
//!
//! Does not: write, cache, or know what the rows mean.

use std::io;

use crate::cursor::{Cursor, Holds};
use crate::leaf::BucketValue;
use crate::limits::{BUCKETS_MAX, PAGE_BYTES_MAX};
use crate::meta::Meta;
use crate::problem::{BboltError, Problem};
use crate::read_at::ReadAt;
use crate::rows::Rows;
use crate::runs::{choose_meta, truncated};

/// Why a database cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file is damaged, too short, or beyond a limit.
    #[error(transparent)]
    Refused(#[from] BboltError),
    /// The bytes of a page could not be had.
    #[error("page {page} cannot be read: {source}")]
    Io {
        /// The page's number.
        page: u64,
        /// What the medium reported.
        source: io::Error,
    },
}

impl ReadError {
    /// A failed check on a page.
    pub(crate) fn structure(page: u64, problem: Problem) -> Self {
        Self::Refused(BboltError::Structure { page, problem })
    }
}

/// A bbolt database.
#[derive(Debug)]
pub struct Database<R: ReadAt> {
    source: R,
    meta: Meta,
}

// === impl Database ===

impl<R: ReadAt> Database<R> {
    /// Reads both meta pages and chooses the one that counts. `len` is the length of the database
    /// in bytes, without what etcd sends behind it; it may be longer than the pages in use.
    ///
    /// # Errors
    /// What [`crate::PageRuns`] says of the same meta pages; [`BboltError::Truncated`] when `len`
    /// is less than the pages in use; [`ReadError::Io`].
    pub fn open(source: R, len: u64) -> Result<Self, ReadError> {
        let wanted = len.min(2 * u64::from(PAGE_BYTES_MAX));
        let mut start = vec![0; usize::try_from(wanted).unwrap_or(0)];
        source.read_exact_at(&mut start, 0).map_err(|source| ReadError::Io { page: 0, source })?;
        let meta = choose_meta(&start, true)?.ok_or_else(|| truncated(&start, len))?;
        let expected = meta.file_bytes();
        if len < expected {
            return Err(BboltError::Truncated { expected, found: len }.into());
        }
        Ok(Self { source, meta })
    }

    /// The meta page that counts.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The names of all buckets, ascending.
    ///
    /// # Errors
    /// The first check that fails on the way.
    pub fn bucket_names(&self) -> Result<Vec<Vec<u8>>, ReadError> {
        let mut names = Vec::new();
        self.find_bucket(|name, _, _| {
            names.push(name.to_vec());
            Ok(None::<()>)
        })?;
        Ok(names)
    }

    /// The rows of a bucket in key order; `None` when there is no such bucket.
    ///
    /// # Errors
    /// The first check that fails on the way to the bucket.
    pub fn rows(&self, bucket: &[u8]) -> Result<Option<Rows<'_, R>>, ReadError> {
        self.find_bucket(|name, page, value| {
            if name != bucket {
                return Ok(None);
            }
            let cursor = match value {
                BucketValue::Page(root) => self.cursor(root, Holds::Rows),
                BucketValue::Inline(leaf) => {
                    Cursor::inline(&self.source, &self.meta, page, leaf.to_vec())?
                }
            };
            Ok(Some(Rows::new(cursor)))
        })
    }

    /// Shows every bucket with the page that lists it, until `visit` returns something.
    fn find_bucket<T>(
        &self,
        mut visit: impl FnMut(&[u8], u64, BucketValue<'_>) -> Result<Option<T>, ReadError>,
    ) -> Result<Option<T>, ReadError> {
        let mut root = self.cursor(self.meta.root, Holds::Buckets);
        let mut seen = 0;
        while let Some(entry) = root.next_entry()? {
            let refused = |problem| ReadError::structure(entry.page, problem);
            seen += 1;
            if seen > BUCKETS_MAX {
                return Err(refused(Problem::TooManyBuckets));
            }
            let value = BucketValue::parse(entry.value, entry.index).map_err(refused)?;
            if let Some(found) = visit(entry.key, entry.page, value)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn cursor(&self, root: u64, holds: Holds) -> Cursor<'_, R> {
        Cursor::tree(&self.source, &self.meta, root, holds)
    }
}
