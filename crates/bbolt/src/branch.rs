//! Branch pages: the keys that separate the pages below.
//!
//! An element is 16 bytes: position u32 (counted from the element itself), key size u32, page u64.
//! A key is at most the first key of its child, and greater than every key of the child before.

use crate::bytes::{u32_at, u64_at};
use crate::leaf::{ElementTable, bytes_of, offset_of};
use crate::problem::Problem;

/// The children of a branch page in order as (key, page), each checked as it is handed out.
///
/// After an error the iterator ends.
#[derive(Debug)]
pub struct BranchElements<'a> {
    table: ElementTable<'a>,
}

impl<'a> BranchElements<'a> {
    /// Starts on a run: the page, its header included, and its overflow pages.
    ///
    /// # Errors
    /// [`Problem::Short`] or [`Problem::TableOutsidePage`].
    pub fn new(run: &'a [u8]) -> Result<Self, Problem> {
        Ok(Self { table: ElementTable::new(run)? })
    }

    fn element(&mut self, at: usize) -> Result<(&'a [u8], u64), Problem> {
        let run = self.table.run;
        let position = u32_at(run, at).ok_or(Problem::Short)?;
        let key_bytes = u32_at(run, at + 4).ok_or(Problem::Short)?;
        let child = u64_at(run, at + 8).ok_or(Problem::Short)?;
        let (key, _) = self.table.slice(at, position, key_bytes, 0)?;
        Ok((key, child))
    }
}

impl<'a> Iterator for BranchElements<'a> {
    type Item = Result<(&'a [u8], u64), Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.table.next_element()?;
        let element = self.element(at);
        if element.is_err() {
            self.table.stop();
        }
        Some(element)
    }
}

/// Key and page of one child of a run that [`BranchElements`] has gone over.
pub(crate) fn child_at(run: &[u8], index: usize) -> Option<(&[u8], u64)> {
    let at = offset_of(index);
    let key = bytes_of(run, at, u32_at(run, at)?, u32_at(run, at + 4)?)?;
    Some((key, u64_at(run, at + 8)?))
}
