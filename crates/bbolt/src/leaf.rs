//! Leaf pages and inline buckets.
//!
//! An element is 16 bytes: flags u32, position u32 (counted from the element itself), key size u32,
//! value size u32. The element table follows the page header; keys and values follow the table in
//! order. Flag 1 marks a bucket: the value is then a root page u64 and a sequence u64, and if the
//! root is 0 a whole leaf page follows inside the value (an inline bucket).

use crate::bytes::{index, u32_at, u64_at};
use crate::limits::KEY_BYTES_MAX;
use crate::page::{PAGE_HEADER_BYTES, PageHeader, PageKind};
use crate::problem::Problem;

/// Length of an element in the table of a leaf or branch page, in bytes.
pub(crate) const ELEMENT_BYTES: usize = 16;

/// Marks an element whose value is a bucket.
pub(crate) const BUCKET_FLAG: u32 = 1;
/// Length of a bucket's value before the inline page, in bytes: root page and sequence.
pub(crate) const BUCKET_HEADER_BYTES: usize = 16;

/// One key and value of a leaf page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeafElement<'a> {
    /// Whether the value is a bucket; read it with [`BucketValue::parse`].
    pub is_bucket: bool,
    /// The key; never empty, strictly greater than the one before.
    pub key: &'a [u8],
    /// The value.
    pub value: &'a [u8],
    /// Key and value, one behind the other as they stand in the page.
    pub both: &'a [u8],
}

/// The elements of a leaf page in order, each checked as it is handed out.
///
/// After an error the iterator is not to be continued; it ends.
#[derive(Debug)]
pub struct LeafElements<'a> {
    table: ElementTable<'a>,
}

impl<'a> LeafElements<'a> {
    /// Starts on a run: the page, its header included, and its overflow pages.
    ///
    /// # Errors
    /// [`Problem::Short`] or [`Problem::TableOutsidePage`].
    pub fn new(run: &'a [u8]) -> Result<Self, Problem> {
        Ok(Self { table: ElementTable::new(run)? })
    }

    fn element(&mut self, at: usize) -> Result<LeafElement<'a>, Problem> {
        let field = |offset| u32_at(self.table.run, at + offset).ok_or(Problem::Short);
        let (flags, position, key_bytes, value_bytes) =
            (field(0)?, field(4)?, field(8)?, field(12)?);
        if flags & !BUCKET_FLAG != 0 {
            return Err(Problem::ElementFlags { index: self.table.number() });
        }
        let (key, both) = self.table.slice(at, position, key_bytes, value_bytes)?;
        let value = both.get(key.len()..).unwrap_or_default();
        Ok(LeafElement { is_bucket: flags == BUCKET_FLAG, key, value, both })
    }
}

impl<'a> Iterator for LeafElements<'a> {
    type Item = Result<LeafElement<'a>, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.table.next_element()?;
        let element = self.element(at);
        if element.is_err() {
            self.table.stop();
        }
        Some(element)
    }
}

/// Key and value of one element of a run that [`LeafElements`] has gone over.
pub(crate) fn element_at(run: &[u8], number: usize) -> Option<(&[u8], &[u8])> {
    let at = offset_of(number);
    let (position, key_bytes) = (u32_at(run, at + 4)?, u32_at(run, at + 8)?);
    let both = bytes_of(run, at, position, key_bytes.checked_add(u32_at(run, at + 12)?)?)?;
    both.split_at_checked(index(key_bytes))
}

/// Where an element of the table is.
pub(crate) fn offset_of(number: usize) -> usize {
    PAGE_HEADER_BYTES + number * ELEMENT_BYTES
}

/// The bytes that the element at offset `at` points at.
pub(crate) fn bytes_of(run: &[u8], at: usize, position: u32, bytes: u32) -> Option<&[u8]> {
    let start = at.checked_add(index(position))?;
    run.get(start..)?.get(..index(bytes))
}

/// Where a bucket's content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketValue<'a> {
    /// A tree that starts at this page.
    Page(u64),
    /// A leaf page inside the value; read it with [`LeafElements::new`].
    Inline(&'a [u8]),
}

impl<'a> BucketValue<'a> {
    /// Reads the value of element `index`, which is marked as a bucket.
    ///
    /// # Errors
    /// [`Problem::BucketHeader`].
    pub fn parse(value: &'a [u8], index: u32) -> Result<Self, Problem> {
        let problem = Problem::BucketHeader { index };
        let root = u64_at(value, 0).ok_or(problem)?;
        let inline = value.get(BUCKET_HEADER_BYTES..).ok_or(problem)?;
        if root != 0 {
            return Ok(Self::Page(root));
        }
        let header = PageHeader::parse(inline).ok_or(problem)?;
        if header.id != 0 || header.kind() != Some(PageKind::Leaf) || header.overflow != 0 {
            return Err(problem);
        }
        Ok(Self::Inline(inline))
    }
}

/// The element table that leaf and branch pages share, with the checks that they share.
#[derive(Debug)]
pub(crate) struct ElementTable<'a> {
    pub(crate) run: &'a [u8],
    count: usize,
    /// Number of the element to come.
    next: usize,
    /// End of what the table and the elements so far take up: keys and values may not reach below
    /// it, so none overlaps another and the sum of all is at most the page.
    taken: usize,
    previous: &'a [u8],
}

impl<'a> ElementTable<'a> {
    pub(crate) fn new(run: &'a [u8]) -> Result<Self, Problem> {
        let header = PageHeader::parse(run).ok_or(Problem::Short)?;
        let count = usize::from(header.count);
        let taken = PAGE_HEADER_BYTES + count * ELEMENT_BYTES;
        if taken > run.len() {
            return Err(Problem::TableOutsidePage { count: header.count });
        }
        Ok(Self { run, count, next: 0, taken, previous: &[] })
    }

    /// Moves on, and gives the offset of the next element.
    pub(crate) fn next_element(&mut self) -> Option<usize> {
        if self.next >= self.count {
            return None;
        }
        let at = offset_of(self.next);
        self.next += 1;
        Some(at)
    }

    pub(crate) fn stop(&mut self) {
        self.next = self.count;
    }

    /// Number of the element that was handed out last.
    pub(crate) fn number(&self) -> u32 {
        u32::try_from(self.next.saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// The key of the element at offset `at`, and the key with the value behind it, checked.
    pub(crate) fn slice(
        &mut self,
        at: usize,
        position: u32,
        key_bytes: u32,
        value_bytes: u32,
    ) -> Result<(&'a [u8], &'a [u8]), Problem> {
        let number = self.number();
        let outside = Problem::ElementOutsidePage { index: number };
        let start = at.checked_add(index(position)).ok_or(outside)?;
        let middle = start.checked_add(index(key_bytes)).ok_or(outside)?;
        let end = middle.checked_add(index(value_bytes)).ok_or(outside)?;
        if start < self.taken {
            return Err(outside);
        }
        let key = self.run.get(start..middle).ok_or(outside)?;
        let both = self.run.get(start..end).ok_or(outside)?;
        self.check_key(key, number)?;
        self.taken = end;
        self.previous = key;
        Ok((key, both))
    }

    fn check_key(&self, key: &[u8], index: u32) -> Result<(), Problem> {
        if key.is_empty() {
            return Err(Problem::EmptyKey { index });
        }
        if key.len() > KEY_BYTES_MAX {
            return Err(Problem::KeyTooLong { index });
        }
        // No key is empty, so the empty slice stands for "no key before".
        if key <= self.previous {
            return Err(Problem::KeyOrder { index });
        }
        Ok(())
    }
}
