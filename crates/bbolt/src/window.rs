//! The pages that a walk has read and not yet left.
//!
//! One buffer holds consecutive pages of the file. It grows to the longest run of the walk at most
//! ([`crate::limits::RUN_BYTES_MAX`]) and is never shrunk.

use std::ops::Range;

use crate::database::ReadError;
use crate::meta::Meta;
use crate::page::PageHeader;
use crate::read_at::ReadAt;
use crate::runs::classify;

/// Bytes that are read at once when the pages that come next follow each other in the file.
pub(crate) const READ_AHEAD_BYTES: u64 = 256 << 10;

/// Consecutive pages of a file.
#[derive(Debug, Default)]
pub(crate) struct Window {
    bytes: Vec<u8>,
    /// The first page that is held, and how many are.
    first: u64,
    pages: u64,
}

impl Window {
    /// A window on a leaf that stands in a value and not in pages.
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        Self { bytes, first: 0, pages: 0 }
    }

    /// Whether the window holds this page.
    pub(crate) fn holds(&self, page: u64) -> bool {
        (self.first..self.first + self.pages).contains(&page)
    }

    /// The bytes at `range`, as [`Window::run`] gave it.
    pub(crate) fn get(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }

    /// All bytes of a window made by [`Window::of`].
    pub(crate) fn whole(&self) -> Range<usize> {
        0..self.bytes.len()
    }

    /// Reads the run that starts at `page`, which is within the file, checks its header, and says
    /// where it is held. When it has to be read, `ahead` pages from `page` on are read at once.
    pub(crate) fn run<R: ReadAt>(
        &mut self,
        source: &R,
        meta: &Meta,
        page: u64,
        ahead: u64,
    ) -> Result<(PageHeader, Range<usize>), ReadError> {
        if !self.holds(page) {
            self.fill(source, meta, page, ahead.clamp(1, meta.high_water - page))?;
        }
        let at = self.offset(meta, page);
        let first_page = self.bytes.get(at..).unwrap_or_default();
        let header = classify(first_page, page, meta, 0)
            .map_err(|problem| ReadError::structure(page, problem))?;
        if !self.holds(page + u64::from(header.overflow)) {
            self.fill(source, meta, page, header.run_pages())?;
        }
        let start = self.offset(meta, page);
        let end = start + self.offset(meta, self.first + header.run_pages());
        Ok((header, start..end))
    }

    /// Replaces what is held by these pages, which are within the file.
    fn fill<R: ReadAt>(
        &mut self,
        source: &R,
        meta: &Meta,
        page: u64,
        pages: u64,
    ) -> Result<(), ReadError> {
        self.pages = 0;
        self.first = page;
        let wanted = self.offset(meta, page + pages);
        if self.bytes.len() < wanted {
            self.bytes.resize(wanted, 0);
        }
        let buffer = self.bytes.get_mut(..wanted).unwrap_or_default();
        source
            .read_exact_at(buffer, page * u64::from(meta.page_bytes))
            .map_err(|source| ReadError::Io { page, source })?;
        self.pages = pages;
        Ok(())
    }

    /// Offset of a page from the first one that is held.
    fn offset(&self, meta: &Meta, page: u64) -> usize {
        usize::try_from(page.saturating_sub(self.first))
            .unwrap_or(usize::MAX)
            .saturating_mul(meta.page_bytes as usize)
    }
}
