//! Walks one tree from its root page in key order, reading pages as it reaches them.
//!
//! Invariants: a leaf is checked as a whole before its first element is handed out; keys ascend over
//! the whole walk, because every page stays within the bounds of its parents; a walk enters at most
//! as many pages as the file has, so pages that point at each other end it. Nothing is recursive.
//!
//! Memory: the window and one branch page per level.

use std::ops::Range;

use crate::branch::{BranchElements, child_at};
use crate::database::ReadError;
use crate::leaf::{LeafElements, element_at};
use crate::limits::DEPTH_MAX;
use crate::meta::Meta;
use crate::page::PageKind;
use crate::problem::Problem;
use crate::read_at::ReadAt;
use crate::walk::count_u32;
use crate::window::{READ_AHEAD_BYTES, Window};

/// Pages that may lie between two leaves for both to be read at once. A few pages too many cost
/// less than another read.
const GAP_PAGES_MAX: u64 = 4;

/// What the leaves of a tree must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    /// Buckets only: the root bucket.
    Buckets,
    /// Rows only: a bucket of etcd.
    Rows,
}

/// One element of a leaf.
#[derive(Debug)]
pub(crate) struct Entry<'c> {
    /// The leaf's page.
    pub(crate) page: u64,
    /// Position in the leaf.
    pub(crate) index: u32,
    pub(crate) key: &'c [u8],
    pub(crate) value: &'c [u8],
}

/// A walk under way.
#[derive(Debug)]
pub(crate) struct Cursor<'a, R> {
    source: &'a R,
    meta: &'a Meta,
    holds: Holds,
    window: Window,
    levels: Vec<Level>,
    leaf: Leaf,
    leaf_depth: Option<usize>,
    /// The root, before it is entered.
    root: Option<u64>,
    /// Pages that the walk may still enter.
    pages_left: u64,
}

/// The leaf at hand: where it is in the window, and the element to come.
#[derive(Debug, Default)]
struct Leaf {
    page: u64,
    range: Range<usize>,
    next: usize,
    count: usize,
}

/// One branch page on the way from the root to the leaf at hand. Its elements are checked.
#[derive(Debug)]
struct Level {
    run: Vec<u8>,
    next: usize,
    count: usize,
}

// === impl Cursor ===

impl<'a, R: ReadAt> Cursor<'a, R> {
    /// A walk over the tree at `root`.
    pub(crate) fn tree(source: &'a R, meta: &'a Meta, root: u64, holds: Holds) -> Self {
        Self {
            source,
            meta,
            holds,
            window: Window::default(),
            levels: Vec::new(),
            leaf: Leaf::default(),
            leaf_depth: None,
            root: Some(root),
            pages_left: meta.high_water,
        }
    }

    /// A walk over a leaf that stands in a value of `page`.
    pub(crate) fn inline(
        source: &'a R,
        meta: &'a Meta,
        page: u64,
        leaf: Vec<u8>,
    ) -> Result<Self, ReadError> {
        let mut cursor = Self::tree(source, meta, page, Holds::Rows);
        cursor.root = None;
        cursor.window = Window::of(leaf);
        cursor.enter_leaf(page, cursor.window.whole())?;
        Ok(cursor)
    }

    /// The next element; `None` behind the last one and after an error.
    pub(crate) fn next_entry(&mut self) -> Result<Option<Entry<'_>>, ReadError> {
        while self.leaf.next >= self.leaf.count {
            let entered = self.enter_next_leaf();
            if entered.is_err() {
                self.levels.clear();
                self.leaf = Leaf::default();
            }
            if !entered? {
                return Ok(None);
            }
        }
        let page = self.leaf.page;
        let index = count_u32(self.leaf.next);
        let run = self.window.get(&self.leaf.range);
        let (key, value) = element_at(run, self.leaf.next)
            .ok_or_else(|| ReadError::structure(page, Problem::ElementOutsidePage { index }))?;
        self.leaf.next += 1;
        Ok(Some(Entry { page, index, key, value }))
    }

    /// Goes to the next leaf in key order; false behind the last one.
    fn enter_next_leaf(&mut self) -> Result<bool, ReadError> {
        loop {
            let Some(page) = self.root.take().or_else(|| self.next_page()) else {
                return Ok(false);
            };
            let refused = |problem| Err(ReadError::structure(page, problem));
            if page >= self.meta.high_water {
                return refused(Problem::PageBeyondFile { high_water: self.meta.high_water });
            }
            let ahead = if self.window.holds(page) { 1 } else { self.pages_ahead(page) };
            let (header, range) = self.window.run(self.source, self.meta, page, ahead)?;
            // More pages than the file has: some page was entered before, perhaps not this one.
            match self.pages_left.checked_sub(header.run_pages()) {
                Some(left) => self.pages_left = left,
                None => return refused(Problem::ReferencedTwice),
            }
            match header.kind() {
                Some(PageKind::Leaf) => return self.enter_leaf(page, range).map(|()| true),
                Some(PageKind::Branch) => self.enter_branch(page, &range)?,
                _ => return refused(Problem::WrongType),
            }
        }
    }

    /// The next child in key order; drops levels that are done.
    fn next_page(&mut self) -> Option<u64> {
        loop {
            let level = self.levels.last_mut()?;
            if let Some((_, page)) = level.child(level.next) {
                level.next += 1;
                return Some(page);
            }
            self.levels.pop();
        }
    }

    /// Pages from the child at hand, which is within the file, to the last of those siblings that
    /// follow it closely.
    fn pages_ahead(&self, page: u64) -> u64 {
        let pages_max = READ_AHEAD_BYTES / u64::from(self.meta.page_bytes);
        let Some(level) = self.levels.last() else { return 1 };
        let mut end = page + 1;
        for (_, sibling) in (level.next..level.count).map_while(|index| level.child(index)) {
            let is_near = (end..=end + GAP_PAGES_MAX).contains(&sibling);
            if !is_near || sibling - page >= pages_max {
                break;
            }
            end = sibling + 1;
        }
        end - page
    }

    /// Checks a whole leaf: its elements, what it holds, its depth and its bounds.
    fn enter_leaf(&mut self, page: u64, range: Range<usize>) -> Result<(), ReadError> {
        let refused = |problem| ReadError::structure(page, problem);
        let depth = self.levels.len();
        let expected = *self.leaf_depth.get_or_insert(depth);
        if depth != expected {
            let (expected, found) = (count_u32(expected), count_u32(depth));
            return Err(refused(Problem::UnequalDepth { expected, found }));
        }
        let wrong = match self.holds {
            Holds::Buckets => Problem::RootElement,
            Holds::Rows => Problem::NestedBucket,
        };
        let (mut count, mut first, mut last): (usize, &[u8], &[u8]) = (0, &[], &[]);
        for element in LeafElements::new(self.window.get(&range)).map_err(refused)? {
            let element = element.map_err(refused)?;
            if element.is_bucket != (self.holds == Holds::Buckets) {
                return Err(refused(wrong));
            }
            if count == 0 {
                first = element.key;
            }
            last = element.key;
            count += 1;
        }
        if count > 0 && !self.admits(first, last) {
            return Err(refused(Problem::OutsideParentRange));
        }
        self.leaf = Leaf { page, range, next: 0, count };
        Ok(())
    }

    /// Checks a whole branch page and keeps it as the lowest level.
    fn enter_branch(&mut self, page: u64, range: &Range<usize>) -> Result<(), ReadError> {
        let refused = |problem| ReadError::structure(page, problem);
        if self.levels.len() >= DEPTH_MAX {
            return Err(refused(Problem::TooDeep));
        }
        let run = self.window.get(range);
        let (mut count, mut first, mut last): (usize, &[u8], &[u8]) = (0, &[], &[]);
        for element in BranchElements::new(run).map_err(refused)? {
            let (key, _) = element.map_err(refused)?;
            if count == 0 {
                first = key;
            }
            last = key;
            count += 1;
        }
        if count == 0 {
            return Err(refused(Problem::EmptyBranch));
        }
        if !self.admits(first, last) {
            return Err(refused(Problem::OutsideParentRange));
        }
        let level = Level { run: run.to_vec(), next: 0, count };
        self.levels.push(level);
        Ok(())
    }

    /// Whether the keys are in the range that the branches give the child at hand: at least its own
    /// key, less than the key of the next sibling, or that of the parent's next sibling, and so on.
    fn admits(&self, first: &[u8], last: &[u8]) -> bool {
        let lower = self.levels.last().and_then(|level| level.child(level.next.checked_sub(1)?));
        let upper = self.levels.iter().rev().find_map(|level| level.child(level.next));
        lower.is_none_or(|(key, _)| key <= first) && upper.is_none_or(|(key, _)| last < key)
    }
}

// === impl Level ===

impl Level {
    /// Key and page of a child.
    fn child(&self, index: usize) -> Option<(&[u8], u64)> {
        if index >= self.count {
            return None;
        }
        child_at(&self.run, index)
    }
}
