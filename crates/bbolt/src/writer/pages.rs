//! The file under construction: page runs one behind the other, the meta pages last.

use std::io::{self, BufWriter, Seek, SeekFrom, Write};

use super::draft::Draft;
use super::{Laid, WriteError};
use crate::limits::{PAGE_BYTES_MAX, PAGES_MAX};
use crate::meta::Meta;

/// Bytes that are handed to the file at once.
const BLOCK_BYTES: usize = 1 << 20;

/// Transaction of the file: its meta page is page 0, and page 1 holds the one before.
const TXID: u64 = 2;

/// Number of meta pages, and of the first page behind them.
const META_PAGES: u64 = 2;

/// What fills a page up: a page of the greatest size.
static ZEROS: [u8; PAGE_BYTES_MAX as usize] = [0; PAGE_BYTES_MAX as usize];

/// The pages that are written so far.
#[derive(Debug)]
pub(super) struct Pages<W: Write + Seek> {
    out: BufWriter<W>,
    page_bytes: u32,
    /// Number of the page to come.
    next: u64,
    /// Header and table of the run to come; kept for its memory.
    head: Vec<u8>,
    /// Whether a write has failed, so that it is unknown what the file holds.
    is_broken: bool,
}

// === impl Pages ===

impl<W: Write + Seek> Pages<W> {
    /// Leaves room for the meta pages.
    pub(super) fn start(mut out: W, page_bytes: u32) -> Result<Self, WriteError> {
        out.seek(SeekFrom::Start(0)).map_err(|source| WriteError::Io { page: 0, source })?;
        let out = BufWriter::with_capacity(BLOCK_BYTES, out);
        let mut pages =
            Self { out, page_bytes, next: META_PAGES, head: Vec::new(), is_broken: false };
        pages.attempt(0, |pages| pages.pad(META_PAGES * u64::from(page_bytes)))?;
        Ok(pages)
    }

    pub(super) fn page_bytes(&self) -> u32 {
        self.page_bytes
    }

    /// Goes on as if so many pages were written.
    #[cfg(test)]
    pub(super) fn set_next(&mut self, page: u64) {
        self.next = page;
    }

    /// Writes a draft as a run, and gives its page.
    pub(super) fn put(&mut self, draft: &Draft) -> Result<u64, WriteError> {
        if self.is_broken {
            return Err(WriteError::AfterFailure);
        }
        let (page, bytes) = (self.next, draft.bytes() as u64);
        let run_pages = bytes.div_ceil(u64::from(self.page_bytes));
        let end = page + run_pages;
        let overflow = u32::try_from(run_pages - 1).ok().filter(|_| end <= PAGES_MAX);
        let Some(overflow) = overflow else {
            self.is_broken = true;
            return Err(WriteError::TooManyPages);
        };
        self.attempt(page, |pages| {
            pages.head.clear();
            draft.put_head(page, overflow, &mut pages.head);
            pages.out.write_all(&pages.head)?;
            pages.out.write_all(draft.body())?;
            pages.pad(run_pages * u64::from(pages.page_bytes) - bytes)
        })?;
        self.next = end;
        Ok(page)
    }

    /// Writes the meta pages.
    pub(super) fn finish(mut self, root: u64) -> Result<(W, Laid), WriteError> {
        if self.is_broken {
            return Err(WriteError::AfterFailure);
        }
        let pages = self.next;
        let meta = Meta {
            page_bytes: self.page_bytes,
            root,
            freelist: None,
            high_water: pages,
            txid: TXID,
        };
        self.attempt(0, |pages| {
            let page_bytes = u64::from(pages.page_bytes);
            for pgid in 0..META_PAGES {
                pages.out.seek(SeekFrom::Start(pgid * page_bytes))?;
                let page = Meta { txid: TXID - pgid, ..meta }.to_page(pgid);
                pages.out.write_all(&page)?;
            }
            pages.out.seek(SeekFrom::Start(meta.file_bytes()))?;
            pages.out.flush()
        })?;
        let unwritten = |error: io::IntoInnerError<_>| error.into_error();
        let out = self.out.into_inner().map_err(unwritten);
        let out = out.map_err(|source| WriteError::Io { page: 0, source })?;
        Ok((out, Laid { pages, bytes: meta.file_bytes() }))
    }

    /// Writes so many zeros.
    fn pad(&mut self, bytes: u64) -> io::Result<()> {
        let mut left = usize::try_from(bytes).unwrap_or(usize::MAX);
        while left > 0 {
            let piece = ZEROS.get(..left).unwrap_or(&ZEROS);
            self.out.write_all(piece)?;
            left -= piece.len();
        }
        Ok(())
    }

    /// Remembers a failure, and names the page that was being written.
    fn attempt(
        &mut self,
        page: u64,
        write: impl FnOnce(&mut Self) -> io::Result<()>,
    ) -> Result<(), WriteError> {
        let written = write(self);
        self.is_broken |= written.is_err();
        written.map_err(|source| WriteError::Io { page, source })
    }
}
