//! The rows of one bucket, handed out one after the other.

use crate::cursor::Cursor;
use crate::database::ReadError;
use crate::read_at::ReadAt;

/// One row: key and value.
pub type Row<'a> = (&'a [u8], &'a [u8]);

/// The rows of a bucket in key order. Made by [`crate::Database::rows`].
///
/// Memory: one leaf with its overflow pages or 256 KiB, whichever is more, and one branch page per
/// level of the tree; at most [`crate::limits::RUN_BYTES_MAX`] and [`crate::limits::DEPTH_MAX`]
/// times [`crate::limits::BRANCH_BYTES_MAX`]. Nothing is allocated for a row.
#[derive(Debug)]
pub struct Rows<'a, R: ReadAt> {
    cursor: Cursor<'a, R>,
}

impl<'a, R: ReadAt> Rows<'a, R> {
    pub(crate) fn new(cursor: Cursor<'a, R>) -> Self {
        Self { cursor }
    }

    /// The next row, valid until the next call; `None` behind the last one.
    ///
    /// # Errors
    /// The first check that fails, with its page; rows of that page are not handed out. After an
    /// error there are no more rows.
    pub fn next_row(&mut self) -> Result<Option<Row<'_>>, ReadError> {
        Ok(self.cursor.next_entry()?.map(|entry| (entry.key, entry.value)))
    }
}
