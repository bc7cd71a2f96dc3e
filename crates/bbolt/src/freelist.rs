//! The stored list of free pages. etcd stores none on Linux; older files do.
//!
//! Behind the page header stand u64 page numbers, as many as the header counts. A count of 0xFFFF
//! means that the true count is the first u64.

use crate::bytes::u64_at;
use crate::page::{PAGE_HEADER_BYTES, PageHeader};
use crate::problem::Problem;

/// What the meta page holds in place of a page number when no freelist is stored.
pub const NO_FREELIST: u64 = u64::MAX;

const COUNT_ELSEWHERE: u16 = 0xFFFF;
const ID_BYTES: usize = 8;

/// The numbers of a freelist page in order, each checked against the one before and against the
/// file.
#[derive(Debug)]
pub struct FreelistIds<'a> {
    ids: &'a [u8],
    high_water: u64,
    previous: u64,
    index: u64,
}

impl<'a> FreelistIds<'a> {
    /// Starts on a run: the page, its header included, and its overflow pages.
    ///
    /// # Errors
    /// [`Problem::FreelistLength`] when the list is longer than its page.
    pub fn new(run: &'a [u8], high_water: u64) -> Result<Self, Problem> {
        let header = PageHeader::parse(run).ok_or(Problem::Short)?;
        let mut start = PAGE_HEADER_BYTES;
        let mut count = u64::from(header.count);
        if header.count == COUNT_ELSEWHERE {
            count = u64_at(run, start).ok_or(Problem::FreelistLength)?;
            start += ID_BYTES;
        }
        let ids = usize::try_from(count)
            .ok()
            .and_then(|count| count.checked_mul(ID_BYTES))
            .and_then(|length| run.get(start..)?.get(..length))
            .ok_or(Problem::FreelistLength)?;
        Ok(Self { ids, high_water, previous: 1, index: 0 })
    }
}

impl Iterator for FreelistIds<'_> {
    type Item = Result<u64, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        let (id, rest) = self.ids.split_first_chunk::<ID_BYTES>()?;
        let id = u64::from_le_bytes(*id);
        let index = self.index;
        self.index += 1;
        self.ids = rest;
        if id <= self.previous || id >= self.high_water {
            self.ids = &[];
            return Some(Err(Problem::FreelistEntry { index }));
        }
        self.previous = id;
        Some(Ok(id))
    }
}
