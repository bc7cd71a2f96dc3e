//! Writes a new database in one pass: rows in key order go in, packed pages come out.
//!
//! Leaves are filled to the last byte that fits, because etcd only appends to the `key` bucket; a
//! branch page is written as soon as it is full, so memory does not grow with the file: one page
//! run per level of the tree, the block that is being written, and the list of buckets. The file
//! has no freelist (etcd keeps none on Linux), no free page, and its length is the high-water mark.
//!
//! Invariant: what is written passes [`crate::prove`] and is read back by [`crate::Database`] row
//! for row. After a failed write nothing more is written and [`BulkWriter::finish`] refuses, so a
//! file with meta pages is whole. Does not: sync, or write files by name.

mod draft;
mod error;
mod pages;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeMap;
use std::io::{Seek, Write};

use crate::leaf::{BUCKET_FLAG, BUCKET_HEADER_BYTES};
use crate::limits::{BUCKETS_MAX, PAGE_BYTES_MAX, PAGE_BYTES_MIN};
use pages::Pages;
use tree::Tree;

pub use error::{RowProblem, WriteError};

/// What [`BulkWriter::finish`] has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Laid {
    /// Pages of the file, the two meta pages included.
    pub pages: u64,
    /// Length of the file in bytes.
    pub bytes: u64,
}

/// Writes one database. Buckets are written one after the other, in any order.
#[derive(Debug)]
pub struct BulkWriter<W: Write + Seek> {
    pages: Pages<W>,
    /// The value of each bucket's entry in the root bucket.
    buckets: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The bucket that is being written.
    open: Option<Vec<u8>>,
}

/// Writes one bucket. [`BucketWriter::end`] completes it; dropping it makes the database
/// unfinishable.
#[derive(Debug)]
#[must_use = "a bucket is part of the database only after `end`"]
pub struct BucketWriter<'a, W: Write + Seek> {
    database: &'a mut BulkWriter<W>,
    name: Vec<u8>,
    tree: Tree,
}

// === impl BulkWriter ===

impl<W: Write + Seek> BulkWriter<W> {
    /// Starts a database of pages of `page_bytes` in `out`, which is empty.
    ///
    /// # Errors
    /// [`WriteError::PageSize`], [`WriteError::Io`].
    pub fn new(out: W, page_bytes: u32) -> Result<Self, WriteError> {
        let is_in_range = (PAGE_BYTES_MIN..=PAGE_BYTES_MAX).contains(&page_bytes);
        if !page_bytes.is_power_of_two() || !is_in_range {
            return Err(WriteError::PageSize { page_bytes });
        }
        let pages = Pages::start(out, page_bytes)?;
        Ok(Self { pages, buckets: BTreeMap::new(), open: None })
    }

    /// Starts a bucket.
    ///
    /// # Errors
    /// [`WriteError::BucketName`] for a name that bbolt does not take, [`WriteError::BucketTwice`],
    /// [`WriteError::TooManyBuckets`], [`WriteError::BucketLeftOpen`].
    pub fn bucket(&mut self, name: &[u8]) -> Result<BucketWriter<'_, W>, WriteError> {
        self.check_closed()?;
        let shown = || String::from_utf8_lossy(name).into_owned();
        error::check_key(name)
            .map_err(|problem| WriteError::BucketName { name: shown(), problem })?;
        if self.buckets.contains_key(name) {
            return Err(WriteError::BucketTwice { name: shown() });
        }
        if self.buckets.len() >= BUCKETS_MAX {
            return Err(WriteError::TooManyBuckets);
        }
        self.open = Some(name.to_vec());
        Ok(BucketWriter { database: self, name: name.to_vec(), tree: Tree::new() })
    }

    /// Writes the root bucket and the meta pages, and gives back `out`, flushed and positioned at
    /// the end of the file.
    ///
    /// # Errors
    /// [`WriteError::BucketLeftOpen`], [`WriteError::Io`], [`WriteError::TooManyPages`],
    /// [`WriteError::AfterFailure`].
    pub fn finish(mut self) -> Result<(W, Laid), WriteError> {
        self.check_closed()?;
        let mut root = Tree::new();
        for (name, value) in &self.buckets {
            root.push(&mut self.pages, BUCKET_FLAG, name, value)?;
        }
        let root = root.end(&mut self.pages)?;
        self.pages.finish(root)
    }

    fn check_closed(&self) -> Result<(), WriteError> {
        match &self.open {
            None => Ok(()),
            Some(name) => {
                let name = String::from_utf8_lossy(name).into_owned();
                Err(WriteError::BucketLeftOpen { name })
            }
        }
    }
}

// === impl BucketWriter ===

impl<W: Write + Seek> BucketWriter<'_, W> {
    /// Adds a row. Its key is greater than the one before.
    ///
    /// # Errors
    /// [`WriteError::Row`] for a row that does not belong here; the rows before it stand, and a
    /// right one may follow. [`WriteError::Io`], [`WriteError::TooManyPages`],
    /// [`WriteError::AfterFailure`].
    pub fn push(&mut self, key: &[u8], value: &[u8]) -> Result<(), WriteError> {
        let pushed = self.tree.push(&mut self.database.pages, 0, key, value);
        pushed.map_err(|error| error.in_bucket(&self.name))
    }

    /// Completes the bucket, and gives the number of its rows. A small bucket goes into the root
    /// bucket's page, by bbolt's own rule.
    ///
    /// # Errors
    /// [`WriteError::Io`], [`WriteError::TooManyPages`], [`WriteError::AfterFailure`].
    pub fn end(self) -> Result<u64, WriteError> {
        let Self { database, name, tree } = self;
        let rows = tree.rows();
        let mut value = vec![0; BUCKET_HEADER_BYTES];
        match tree.inline_page(database.pages.page_bytes()) {
            Some(leaf) => value.extend_from_slice(&leaf),
            None => {
                let root = tree.end(&mut database.pages)?;
                value[..8].copy_from_slice(&root.to_le_bytes());
            }
        }
        database.buckets.insert(name, value);
        database.open = None;
        Ok(rows)
    }
}
