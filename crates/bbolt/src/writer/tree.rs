//! One tree under construction: the leaf that is being filled, and one branch page per level above.
//!
//! A page that is written becomes a child of the level above it at once, so branch pages lie among
//! the leaves. A branch keeps its last child back when it is written, and so no branch page ends
//! with a single child.

use std::io::{Seek, Write};

use super::WriteError;
use super::draft::Draft;
use super::error::{RowProblem, check_key, check_length};
use super::pages::Pages;
use crate::limits::RUN_BYTES_MAX;
use crate::page::PageKind;

/// Elements that a page has at least before the next one is begun (bbolt's `minKeysPerPage`): more
/// pages than elements would be needed otherwise when each value is a little longer than a page.
const ELEMENTS_MIN: usize = 2;

/// The rows of one bucket.
#[derive(Debug)]
pub(super) struct Tree {
    leaf: Draft,
    /// Branch pages from the lowest level up. [`crate::limits::PAGES_MAX`] pages with two children
    /// at the least bound the levels.
    branches: Vec<Draft>,
    rows: u64,
}

// === impl Tree ===

impl Tree {
    pub(super) fn new() -> Self {
        Self { leaf: Draft::new(PageKind::Leaf), branches: Vec::new(), rows: 0 }
    }

    /// Number of rows so far.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Adds an element; `flags` marks a bucket.
    pub(super) fn push<W: Write + Seek>(
        &mut self,
        pages: &mut Pages<W>,
        flags: u32,
        key: &[u8],
        value: &[u8],
    ) -> Result<(), WriteError> {
        self.check_row(key, value).map_err(|problem| WriteError::Row {
            bucket: String::new(),
            row: self.rows + 1,
            problem,
        })?;
        if !self.leaf_takes(key.len() + value.len(), pages.page_bytes()) {
            self.put_leaf(pages)?;
        }
        self.leaf.push_row(flags, key, value);
        self.rows += 1;
        Ok(())
    }

    fn check_row(&self, key: &[u8], value: &[u8]) -> Result<(), RowProblem> {
        check_key(key)?;
        check_length(key, value)?;
        // The last row is always in the draft: a leaf is written when the row behind it comes.
        if key <= self.leaf.last_key() {
            return Err(RowProblem::KeyOrder);
        }
        Ok(())
    }

    /// Whether the next row belongs into the leaf at hand: always as the second one, and then as
    /// long as it fits the pages that the leaf takes up anyway.
    fn leaf_takes(&self, content: usize, page_bytes: u32) -> bool {
        let limit = match self.leaf.len() {
            0 => return true,
            count if count < ELEMENTS_MIN => usize::try_from(RUN_BYTES_MAX).unwrap_or(usize::MAX),
            _ => self.leaf.bytes().next_multiple_of(page_bytes as usize),
        };
        self.leaf.has_room(content, limit)
    }

    fn put_leaf<W: Write + Seek>(&mut self, pages: &mut Pages<W>) -> Result<(), WriteError> {
        let page = pages.put(&self.leaf)?;
        let key = self.leaf.first_key().to_vec();
        self.leaf.clear();
        self.add_child(pages, 0, key, page)
    }

    /// Adds a page to a level of branches, and the branch page that is full then to the next one.
    fn add_child<W: Write + Seek>(
        &mut self,
        pages: &mut Pages<W>,
        mut level: usize,
        mut key: Vec<u8>,
        mut page: u64,
    ) -> Result<(), WriteError> {
        loop {
            let Some(branch) = self.branches.get_mut(level) else {
                let mut branch = Draft::new(PageKind::Branch);
                branch.push_child(&key, page);
                self.branches.push(branch);
                return Ok(());
            };
            let is_full = !branch.has_room(key.len(), pages.page_bytes() as usize);
            // With one child kept back, the page must still have its two.
            let kept =
                if is_full && branch.len() > ELEMENTS_MIN { branch.pop_child() } else { None };
            let Some((kept_key, kept_page)) = kept else {
                branch.push_child(&key, page);
                return Ok(());
            };
            let full_page = pages.put(branch)?;
            let full_key = branch.first_key().to_vec();
            branch.clear();
            branch.push_child(&kept_key, kept_page);
            branch.push_child(&key, page);
            (key, page) = (full_key, full_page);
            level += 1;
        }
    }

    /// The leaf as it stands in the bucket's value, when bbolt would put it there: the only leaf,
    /// and no longer than a quarter of a page.
    pub(super) fn inline_page(&self, page_bytes: u32) -> Option<Vec<u8>> {
        if !self.branches.is_empty() || self.leaf.bytes() > page_bytes as usize / 4 {
            return None;
        }
        let mut page = Vec::with_capacity(self.leaf.bytes());
        self.leaf.put_head(0, 0, &mut page);
        page.extend_from_slice(self.leaf.body());
        Some(page)
    }

    /// Writes what is left, and gives the root page.
    pub(super) fn end<W: Write + Seek>(mut self, pages: &mut Pages<W>) -> Result<u64, WriteError> {
        let mut page = pages.put(&self.leaf)?;
        let mut key = self.leaf.first_key().to_vec();
        let mut level = 0;
        while level < self.branches.len() {
            self.add_child(pages, level, key, page)?;
            let Some(branch) = self.branches.get(level) else { break };
            page = pages.put(branch)?;
            key = branch.first_key().to_vec();
            level += 1;
        }
        Ok(page)
    }
}
