//! Cuts a byte stream into page runs, however the stream is chunked.
//!
//! Which pages are live is known only after the last byte: free pages hold stale copies of old
//! pages, whose overflow may reach over pages that are live again. So every page whose header
//! describes itself opens a run, also inside another run, and the trees decide later which of the
//! runs count. A run is handed over when its last page has come, so the order does not depend on
//! the chunking.
//!
//! Memory: at most twice [`RUN_BYTES_MAX`] and a chunk, and a page or two when no long run passes.
//! When no run is open and chunks are whole pages, nothing is copied.

use crate::limits::{
    BRANCH_BYTES_MAX, OPEN_RUNS_MAX, PAGE_BYTES_MAX, PAGE_BYTES_MIN, PAGES_MAX, RUN_BYTES_MAX,
};
use crate::meta::{META_BYTES, Meta};
use crate::page::{PAGE_HEADER_BYTES, PageHeader, PageKind};
use crate::problem::{BboltError, Problem};

/// Capacity that the window keeps between long runs, in bytes.
const WINDOW_BYTES_KEPT: usize = 1 << 20;

/// A page whose header describes itself, with its overflow pages.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// Number of the first page.
    pub pgid: u64,
    /// Its header; `id` equals `pgid`, the kind is branch, leaf or freelist.
    pub header: PageHeader,
    /// All bytes of the run, header included.
    pub bytes: &'a [u8],
}

/// Takes what [`PageRuns`] finds. Exactly one call for each page from 2 to the high-water mark.
pub trait RunSink {
    /// Why the sink gives up; a refused file is converted into it.
    type Error: From<BboltError>;

    /// The meta page that counts, before any run.
    ///
    /// # Errors
    /// The sink's own; the stream ends.
    fn meta(&mut self, meta: &Meta) -> Result<(), Self::Error>;

    /// A run whose last page has come.
    ///
    /// # Errors
    /// The sink's own; the stream ends.
    fn run(&mut self, run: Run<'_>) -> Result<(), Self::Error>;

    /// A page that starts no run. This is normal for overflow pages and for free ones.
    ///
    /// # Errors
    /// The sink's own; the stream ends.
    fn no_run(&mut self, pgid: u64, problem: Problem) -> Result<(), Self::Error>;
}

/// The cutter. Bytes go in with [`PageRuns::push`]; [`PageRuns::finish`] says whether all came.
#[derive(Debug, Default)]
pub struct PageRuns {
    meta: Option<Meta>,
    /// Bytes from the oldest open run on, or the start of an unfinished page, behind `unused` older
    /// ones.
    window: Vec<u8>,
    unused: usize,
    /// Number of the page at which the used part of the window starts.
    window_page: u64,
    /// The next page to look at.
    next_page: u64,
    open: Vec<OpenRun>,
    received: u64,
}

#[derive(Debug, Clone, Copy)]
struct OpenRun {
    header: PageHeader,
    /// First page behind the run.
    end: u64,
}

// === impl PageRuns ===

impl PageRuns {
    /// A cutter at the start of a file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the file. Bytes behind the high-water mark are counted and ignored.
    ///
    /// # Errors
    /// When the meta pages are unsound, or whatever the sink returns. Do not go on after an error.
    pub fn push<S: RunSink>(&mut self, chunk: &[u8], sink: &mut S) -> Result<(), S::Error> {
        self.received = self.received.saturating_add(chunk.len() as u64);
        if self.window.is_empty() && self.meta.is_some() {
            let unused = self.scan(chunk, sink)?;
            self.window.extend_from_slice(chunk.get(unused..).unwrap_or_default());
            return Ok(());
        }
        self.window.extend_from_slice(chunk);
        if self.meta.is_none() && !self.open_file(false, sink)? {
            return Ok(());
        }
        let window = std::mem::take(&mut self.window);
        let used = window.get(self.unused..).unwrap_or_default();
        self.unused += self.scan(used, sink)?;
        self.window = window;
        self.drop_unused();
        Ok(())
    }

    /// Says whether the whole file came, and gives its meta page.
    ///
    /// # Errors
    /// [`BboltError::Truncated`], or what is wrong with the meta pages of a file that is too short.
    pub fn finish<S: RunSink>(&mut self, sink: &mut S) -> Result<Meta, S::Error> {
        if self.meta.is_none() {
            self.open_file(true, sink)?;
        }
        match self.meta {
            Some(meta) if self.received >= meta.file_bytes() => Ok(meta),
            Some(meta) => {
                let expected = meta.file_bytes();
                Err(BboltError::Truncated { expected, found: self.received }.into())
            }
            None => Err(truncated(&self.window, self.received).into()),
        }
    }

    /// Reads both meta pages from the window; false when more bytes are needed.
    fn open_file<S: RunSink>(&mut self, ended: bool, sink: &mut S) -> Result<bool, S::Error> {
        let Some(meta) = choose_meta(&self.window, ended)? else {
            return Ok(false);
        };
        sink.meta(&meta)?;
        self.meta = Some(meta);
        self.next_page = 2;
        self.window_page = 0;
        Ok(true)
    }

    /// Looks at every whole page of `bytes`, which start at `window_page`, and gives the offset of
    /// the first byte that is still needed.
    fn scan<S: RunSink>(&mut self, bytes: &[u8], sink: &mut S) -> Result<usize, S::Error> {
        let Some(meta) = self.meta else { return Ok(0) };
        let page_bytes = meta.page_bytes as usize;
        loop {
            let pgid = self.next_page;
            if pgid >= meta.high_water {
                return Ok(bytes.len());
            }
            let at = self.offset(pgid, page_bytes);
            let Some(page) = bytes.get(at..).and_then(|rest| rest.get(..page_bytes)) else {
                break;
            };
            match classify(page, pgid, &meta, self.open.len()) {
                Err(problem) => sink.no_run(pgid, problem)?,
                Ok(header) if header.overflow > 0 => {
                    self.open.push(OpenRun { header, end: pgid + header.run_pages() });
                }
                Ok(header) => sink.run(Run { pgid, header, bytes: page })?,
            }
            self.next_page += 1;
            self.close_runs(bytes, page_bytes, sink)?;
        }
        let needed_page = self.open.first().map_or(self.next_page, |run| run.header.id);
        let unused = self.offset(needed_page, page_bytes).min(bytes.len());
        self.window_page = needed_page;
        Ok(unused)
    }

    /// Hands over the runs that end before `next_page`, oldest first.
    fn close_runs<S: RunSink>(
        &mut self,
        bytes: &[u8],
        page_bytes: usize,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        let next_page = self.next_page;
        for run in self.open.iter().filter(|run| run.end == next_page) {
            let pgid = run.header.id;
            let range = self.offset(pgid, page_bytes)..self.offset(run.end, page_bytes);
            let bytes = bytes.get(range).unwrap_or_default();
            sink.run(Run { pgid, header: run.header, bytes })?;
        }
        self.open.retain(|run| run.end != next_page);
        Ok(())
    }

    fn offset(&self, pgid: u64, page_bytes: usize) -> usize {
        usize::try_from(pgid.saturating_sub(self.window_page))
            .unwrap_or(usize::MAX)
            .saturating_mul(page_bytes)
    }

    /// Forgets the unused part of the window once it outweighs the rest, so that each byte is moved
    /// a bounded number of times.
    fn drop_unused(&mut self) {
        if self.unused < self.window.len() / 2 {
            return;
        }
        self.window.drain(..self.unused);
        self.unused = 0;
        if self.window.len() < WINDOW_BYTES_KEPT {
            self.window.shrink_to(WINDOW_BYTES_KEPT);
        }
    }
}

/// The file ends within its meta pages: how long it should be, as far as its start says.
pub(crate) fn truncated(start: &[u8], found: u64) -> BboltError {
    let expected =
        Meta::parse(start).map_or(2 * u64::from(PAGE_BYTES_MIN), |meta| meta.file_bytes());
    BboltError::Truncated { expected, found }
}

/// Chooses the meta page that counts; `None` when more bytes are needed.
pub(crate) fn choose_meta(start: &[u8], ended: bool) -> Result<Option<Meta>, BboltError> {
    if start.len() < PAGE_HEADER_BYTES + META_BYTES {
        return Ok(None);
    }
    let first = match Meta::parse(start) {
        Ok(first) => first,
        Err(problem) => return refuse(start, ended, problem),
    };
    let page_bytes = first.page_bytes as usize;
    let Some(second) = start.get(page_bytes..2 * page_bytes) else {
        return Ok(None);
    };
    let at = |page| move |problem| BboltError::Structure { page, problem };
    let first = Meta::parse_page(start, 0).map_err(at(0))?;
    let second = Meta::parse_page(second, 1).map_err(at(1))?;
    if first.page_bytes != second.page_bytes {
        let (first, second) = (first.page_bytes, second.page_bytes);
        return Err(at(1)(Problem::MetaPageSizes { first, second }));
    }
    if first.txid.abs_diff(second.txid) > 1 {
        let (first, second) = (first.txid, second.txid);
        return Err(at(1)(Problem::MetaTransactions { first, second }));
    }
    let (page, meta) = if second.txid > first.txid { (1, second) } else { (0, first) };
    if meta.high_water > PAGES_MAX {
        return Err(BboltError::TooManyPages { pages: meta.high_water });
    }
    meta.check_pointers().map_err(at(page))?;
    Ok(Some(meta))
}

/// Meta page 0 is unsound. A sound meta page 1 tells a damaged database from a file that is none.
fn refuse(start: &[u8], ended: bool, problem: Problem) -> Result<Option<Meta>, BboltError> {
    let sizes = (PAGE_BYTES_MIN.ilog2()..=PAGE_BYTES_MAX.ilog2()).map(|shift| 1_usize << shift);
    for page_bytes in sizes {
        let Some(second) = start.get(page_bytes..) else {
            break;
        };
        if Meta::parse(second).is_ok() {
            return Err(BboltError::Structure { page: 0, problem });
        }
    }
    let all_seen = start.len() >= PAGE_BYTES_MAX as usize + PAGE_HEADER_BYTES + META_BYTES;
    if all_seen || ended {
        return Err(BboltError::NotADatabase { problem });
    }
    Ok(None)
}

/// Whether the page at `pgid` starts a run.
pub(crate) fn classify(
    page: &[u8],
    pgid: u64,
    meta: &Meta,
    open: usize,
) -> Result<PageHeader, Problem> {
    let header = PageHeader::parse(page).ok_or(Problem::Short)?;
    if header.id != pgid {
        return Err(Problem::WrongId);
    }
    let bytes_max = match header.kind().ok_or(Problem::UnknownType)? {
        PageKind::Meta => return Err(Problem::WrongType),
        PageKind::Branch => BRANCH_BYTES_MAX,
        PageKind::Leaf | PageKind::Freelist => RUN_BYTES_MAX,
    };
    if pgid + header.run_pages() > meta.high_water {
        return Err(Problem::RunBeyondFile);
    }
    if header.run_pages() * u64::from(meta.page_bytes) > bytes_max {
        return Err(Problem::RunTooLong);
    }
    if header.overflow > 0 && open >= OPEN_RUNS_MAX {
        return Err(Problem::TooManyOpenRuns);
    }
    Ok(header)
}
